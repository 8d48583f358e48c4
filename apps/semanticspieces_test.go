package apps

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// TestSemanticsOfFragments sends datagrams that cross the router in fragments, as the userspace datapath's tracker
// lets them through the flows. The first goes where the whole would go, or nowhere; and the later ones, by which it is remembered,
// where the first goes, translated as that. Of a connection that is known, first and later ones go on as all of it does, also where
// it is judged again.
func TestSemanticsOfFragments(t *testing.T) {
	drawn.Cases(t, 60, 1000)
	tally := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newTranslatingWorld(t, drawDatapath(t))
		for range packetsOfAModel {
			c, ok := drawCrossing(t, w.model)
			if !ok || portsOf[c.Protocol] == "" || w.inCommon(c.Dst) { // whose a later fragment is no port says
				continue
			}
			if wants := w.possible(c, reference.New); wants[0].first.Result != reference.Untracked && wants[0].way.Result != reference.Untracked {
				tally[w.begins(t, c)]++
			}
			k, ok := w.open(t, c)
			if !ok {
				continue
			}
			was := w.in.Numbers
			k.goesOnInPieces(t, "opened")
			w.raise(t)
			k.goesOnInPieces(t, "judged again")
			w.in.Numbers = was
			tally["known"]++
		}
	})
	t.Logf("%v", tally)
}

// inCommon reports whether tenants have an address outside in common.
func (w *world) inCommon(a netip.Addr) bool {
	return slices.ContainsFunc(w.model.Bridges()[0].Externals, func(x *intent.External) bool { return reference.CommonAt(w.model, x, a) != 0 })
}

// firstOf is the first fragment of a packet, and laterOf one that is not.
func firstOf(f frame) frame {
	f.SetUint(ofproto.IPFrag, 1)
	return f
}

func laterOf(f frame) frame {
	tuple, _ := flowsim.TupleOf(&f.Packet)
	f.Flags = uint16(f.Uint(ofproto.TCPFlags))
	for _, field := range []ofproto.Field{ofproto.TCPSrc, ofproto.TCPDst, ofproto.TCPFlags, ofproto.UDPSrc, ofproto.UDPDst, ofproto.SCTPSrc, ofproto.SCTPDst} {
		f.SetUint(field, 0)
	}
	f.SetUint(ofproto.IPFrag, 3)
	if tuple.Src.Is6() {
		f.SetUint(ofproto.IPProto, 44) // IPv6-Frag (IANA)
	}
	f.Datagram = &tuple
	return f
}

// begins sends the first datagram of a connection whole and in fragments, and says what comes of it.
func (w *world) begins(t *rapid.T, c crossing) string {
	f := w.crossing(c)
	whole, first, later := w.sim.Send(f.Packet, nil), w.sim.Send(firstOf(f).Packet, nil), w.sim.Send(laterOf(f).Packet, nil)
	fails := func(what string) {
		t.Fatalf("%s\n%s: %s\nwhole, by %v:\n%s\nfirst, by %v:\n%s\nlater, by %v:\n%s", w.text, f.text(), what, delivered(whole), stepsOf(whole), delivered(first), stepsOf(first), delivered(later), stepsOf(later))
	}
	switch {
	case len(first.Odd) > 0 || len(later.Odd) > 0:
		fails("it is not clear where fragments go")
	case len(delivered(first)) == 0:
		return "dropped"
	case !alike(whole, first):
		fails("the first fragment goes elsewhere")
	case len(delivered(later)) == 0:
		return "waits for later ones that are dropped"
	case !alike(first, later):
		fails("later fragments go elsewhere, or as somebody else")
	}
	return "passes"
}

// alike reports whether two packets leave by the same ports, with the same addresses and ports, and are remembered as translated alike
// by the same.
func alike(a, b *flowsim.Trace) bool {
	same := func(x, y flowsim.Output) bool {
		s, _ := flowsim.TupleOf(x.Packet)
		o, _ := flowsim.TupleOf(y.Packet)
		return x.Port == y.Port && s == o
	}
	remembered := func(x, y flowsim.Commit) bool {
		return x.Zone == y.Zone && x.Orig == y.Orig && x.Reply == y.Reply && be32(x.Label[4:]) == be32(y.Label[4:])
	}
	return slices.EqualFunc(leaving(a), leaving(b), same) && slices.EqualFunc(a.Commits, b.Commits, remembered)
}

// leaving is what leaves, without copies for the controller.
func leaving(trace *flowsim.Trace) []flowsim.Output {
	return slices.DeleteFunc(slices.Clone(trace.Outputs), func(o flowsim.Output) bool { return o.Port == ofproto.PortController })
}

// goesOnInPieces fails unless fragments of k, which is known, go where k goes. Those of answers to a block of ports say no port by
// which they would be a tenant's.
func (k *talk) goesOnInPieces(t *rapid.T, when string) {
	opener := uint32(k.sent.Uint(ofproto.InPort))
	k.send(t, when+": later fragments, before the first", laterOf(k.sent), k.want.port)
	out := k.send(t, when+": a first fragment", firstOf(k.sent), k.want.port)
	if got, _ := flowsim.TupleOf(out); got != k.seen {
		t.Fatalf("%s\n%s, %s: a first fragment is seen as %v, not as %v", k.w.text, k.sent.text(), when, got, k.seen)
	}
	out = k.send(t, when+": later fragments", laterOf(k.sent), k.want.port)
	if got, _ := flowsim.TupleOf(out); got != k.seen {
		t.Fatalf("%s\n%s, %s: later fragments are seen as %v, not as %v", k.w.text, k.sent.text(), when, got, k.seen)
	}
	k.send(t, when+": the first fragment of an answer", firstOf(k.answer), opener)
	if !k.w.byThePort(k.seen.Src) && !k.w.byThePort(k.seen.Dst) && !k.w.byThePort(k.Dst) {
		k.send(t, when+": later fragments of an answer", laterOf(k.answer), opener)
	}
}
