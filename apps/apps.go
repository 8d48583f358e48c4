// Package apps is the list of apps, and compiles them into the program of a bridge.
package apps

import (
	"weir/apps/fabric"
	"weir/apps/firewall"
	"weir/apps/pipeline"
)

// Compile returns all that should be in a bridge. It is a pure function: equal inputs
// give equal programs.
func Compile(in pipeline.Input) (*pipeline.Program, error) { return Recompile(new(pipeline.Cache), in) }

// Recompile is Compile, and takes what has not changed from the cache of the bridge.
func Recompile(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
	return c.Build(in, fabric.App, firewall.App)
}
