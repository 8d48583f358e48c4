package test

import (
	"embed"

	"weir/test/ovstest"
)

//go:embed *_test.go
var sources embed.FS

func init() { ovstest.Sources = sources }
