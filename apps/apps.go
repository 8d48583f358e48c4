// Package apps is the list of apps, and compiles them into the program of a bridge.
package apps

import (
	"weir/apps/fabric"
	"weir/apps/firewall"
	"weir/apps/lb"
	"weir/apps/nat"
	"weir/apps/pipeline"
	"weir/ofproto"
)

// Compile returns all that should be in a bridge. It is a pure function: equal inputs
// give equal programs.
func Compile(in pipeline.Input) (*pipeline.Program, error) { return Recompile(new(pipeline.Cache), in) }

// Recompile is Compile, and takes what has not changed from the cache of the bridge.
func Recompile(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
	return c.Build(in, fabric.App, firewall.App, nat.App, lb.App)
}

// Answer answers a packet that a flow has sent to the controller. Most need no answer, or
// must not have one.
func Answer(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	switch p.Table {
	case pipeline.ArpNd:
		return append(fabric.Answer(in, p), nat.Answer(in, p)...)
	case pipeline.Route:
		return append(fabric.Expired(in, p), nat.Expired(in, p)...)
	case pipeline.Reject, pipeline.LBVIP:
		return firewall.Answer(in, p)
	}
	return nil
}
