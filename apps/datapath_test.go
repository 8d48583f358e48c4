package apps

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// What cmd/weir finds of datapaths: of the userspace one of Open vSwitch 3.1, with ports of SCTP as from 3.2 on, for the
// tracker of package flowsim knows them; and of the kernel's.
var (
	onUserspace = pipeline.Features{NDExtension: true, SCTPPorts: true}
	onKernel    = pipeline.Features{SCTPPorts: true, NullNAT: true, LateNAT: true, HashUDP: true}
)

// drawDatapath draws one of these, or each of what they can do by itself.
func drawDatapath(t *rapid.T) pipeline.Features {
	switch rapid.IntRange(0, 4).Draw(t, "datapath") {
	case 0, 1:
		return onUserspace
	case 2, 3:
		return onKernel
	}
	has := func(what string) bool { return rapid.Bool().Draw(t, what) }
	return pipeline.Features{NDExtension: has("ND extension"), SCTPPorts: true, NullNAT: has("null NAT"), LateNAT: has("late NAT"), HashUDP: has("hash of UDP")}
}

// switchOn is the switch of a datapath.
func switchOn(f pipeline.Features, t ofproto.Tables) *flowsim.Switch {
	if f.LateNAT {
		return flowsim.New(t).OnKernel()
	}
	return flowsim.New(t)
}

// drawState draws one of some states that a datapath can be in: the kernel's drops by itself what a zone has no room for.
func (w *world) drawState(t *rapid.T, some []reference.State) reference.State {
	if w.in.Facts.Features.LateNAT {
		some = slices.DeleteFunc(slices.Clone(some), func(s reference.State) bool { return s == reference.Overflow })
	}
	return rapid.SampledFrom(some).Draw(t, "state")
}

// onKernelOnly are models whose flows on the kernel's datapath are kept, as far as they are others.
var onKernelOnly = []string{"across", "forwards", "outward", "shared"}

// TestGoldenOnKernel compiles for a datapath that translates what is new to its tracker in a commit alone. What it has beside the
// flows of the userspace one is in NAME.kernel.flows.
func TestGoldenOnKernel(t *testing.T) {
	for _, name := range onKernelOnly {
		p, in := compileFile(t, "testdata/"+name+".yaml")
		both := map[string]bool{}
		for _, line := range strings.Split(p.Text(in.Numbers), "\n") {
			both[line] = true
		}
		in.Facts.Features.LateNAT = true
		kernel, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		got, whose := "", ""
		for _, line := range strings.Split(kernel.Text(in.Numbers), "\n") {
			switch {
			case strings.HasPrefix(line, "# "):
				whose = line
			case !both[line]:
				got += whose + "\n" + line + "\n"
			}
		}
		golden(t, "testdata/"+name+".kernel.flows", got)
	}
}
