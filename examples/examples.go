// Package examples has the models of this folder, for tests that run where the folder is
// not.
package examples

import "embed"

// Files are the models, by the names of their files.
//
//go:embed *.yaml
var Files embed.FS
