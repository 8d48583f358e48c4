package apps

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// TestAnswersComeBack sends what passes, and its answer, and both once more, with one
// tracker that nobody has prepared. The answers come to where the first packet came from,
// untracked if that was, and only the first packet is judged.
func TestAnswersComeBack(t *testing.T) {
	drawn.Cases(t, 100, 1500)
	lived := 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range packetsOfAModel {
			p, ok := drawPacket(t, w.model)
			if !ok || !isQuestion(p) || w.reference(p, reference.New).port == 0 || !reference.Reaches(p.Reversed()) {
				continue
			}
			lived++
			w.lives(t, p)
		}
	})
	t.Logf("%d connections", lived)
}

// isQuestion reports whether a packet can have an answer: an ICMP error has none.
func isQuestion(p reference.Packet) bool {
	return p.Type == 0 && p.Protocol != reference.ICMP && p.Protocol != reference.ICMPv6 || p.Type == 8 || p.Type == 128
}

// delivered are the ports by which a packet leaves; a copy for the controller does not count.
func delivered(trace *flowsim.Trace) (ports []uint32) {
	for _, o := range trace.Outputs {
		if o.Port != ofproto.PortController {
			ports = append(ports, o.Port)
		}
	}
	return ports
}

// lives fails unless p and its answers pass, and only the first packet makes a commit.
func (w *world) lives(t *rapid.T, p reference.Packet) {
	var ct flowsim.Tracker
	back := p.Reversed()
	untracked := !w.reference(p, reference.New).tracked
	for i, q := range []reference.Packet{p, p, back, p, back} {
		commits := 0
		if i == 0 && !untracked {
			commits = 1
		}
		f := w.frame(q)
		trace := w.sim.Send(f.Packet, &ct)
		if !slices.Equal(delivered(trace), []uint32{w.ports[q.To.ID()]}) || len(trace.Commits) != commits {
			t.Fatalf("%s\npacket %d of a connection that is admitted, %s: outputs %v, commits %v", w.text, i, f.text(), trace.Outputs, trace.Commits)
		}
	}
}
