// Package apps is the list of apps, and compiles them into the program of a bridge.
package apps

import (
	"weir/apps/fabric"
	"weir/apps/firewall"
	"weir/apps/pipeline"
)

// Compile returns all that should be in a bridge. It is a pure function: equal inputs
// give equal programs.
func Compile(in pipeline.Input) (*pipeline.Program, error) {
	return pipeline.Build(in, fabric.Compile, firewall.Compile)
}
