package apps

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// TestSemanticsOfAnswersThroughNAT opens connections that cross the router, and sends answers to
// what their receivers see. Those come to who has opened it, from the address and the port that
// it has asked; so do ICMP errors of a router behind the receiver. Only the first packet is
// judged, and after the epoch has been raised one more.
func TestSemanticsOfAnswersThroughNAT(t *testing.T) {
	drawn.Cases(t, 100, 1500)
	lived := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newTranslatingWorld(t, drawDatapath(t))
		for range packetsOfAModel {
			c, ok := drawCrossing(t, w.model)
			if !ok {
				continue
			}
			k, ok := w.open(t, c)
			if !ok {
				continue
			}
			lived[k.want.kind(c)]++
			k.lives(t, "opened", 0)
			k.failsAt(t)
			was := w.in.Numbers
			w.raise(t)
			k.lives(t, "judged again", 1)
			w.in.Numbers = was
		}
	})
	t.Logf("%v", lived)
}

// A talk is a connection that crosses the router.
type talk struct {
	crossing
	w      *world
	want   crossedOpinion
	ct     *flowsim.Tracker
	sim    *flowsim.Switch // if not w's
	sent   frame           // by who opens it
	answer frame           // by the receiver, to what it sees
	seen   flowsim.Tuple
	made   []flowsim.Commit // by the first packet
	trace  *flowsim.Trace   // of the last one
	spoken bool             // it has been answered
}

// open sends c, which opens a connection, if it can have answers.
func (w *world) open(t *rapid.T, c crossing) (k talk, ok bool) {
	wants := w.possible(c, reference.New)
	if c.asksItself(wants) {
		return k, false
	}
	want := rapid.SampledFrom(wants).Draw(t, "who gets it")
	if want.port == 0 || !isQuestion(c.Packet) || !w.answerable(c, want.way) || !w.knownAcross(c, want.first) {
		return k, false
	}
	k = talk{crossing: c, w: w, want: want, ct: &flowsim.Tracker{}, sent: w.crossing(c)}
	k.sim = w.choosing(c, want)
	out := k.send(t, "the first packet", k.sent, want.port)
	k.sim = nil
	k.seen, _ = flowsim.TupleOf(out)
	k.made = k.trace.Commits
	k.answer = w.answerFrom(c, want, out)
	return k, true
}

// choosing returns a switch that does with the first packet of c what is wanted, or nil. For what
// comes after it nothing is chosen.
func (w *world) choosing(c crossing, want crossedOpinion) *flowsim.Switch {
	of := 1
	w.sending(c, reference.New, func(n int) int { of = max(of, n); return 0 })
	for i := range of {
		choose := func(int) int { return i }
		if w.forwarded(w.sending(c, reference.New, choose), want) == want.opinion {
			return w.sim.Choosing(choose)
		}
	}
	return w.sim
}

// knownAcross reports whether another tenant that a packet has come to has a way back to its sender: who is
// exempt from translation keeps an address that the other may have no route to, and addresses in prefixes are on no link.
func (w *world) knownAcross(c crossing, first reference.Way) bool {
	switch {
	case first.Then == nil:
		return true
	case reference.AsItself(first.As):
		return w.router().Finds(first.Out, c.Src)
	}
	return !slices.ContainsFunc(first.Seen.Sources, func(r intent.AddrRange) bool {
		_, near := first.Out.OnLink(r.Lo)
		return !near && !w.router().Finds(first.Out, r.Lo)
	})
}

// answerable reports whether there is a way back to who sends c, and the tracker sees it.
func (w *world) answerable(c crossing, way reference.Way) bool {
	switch {
	case way.Result == reference.Untracked:
		return false
	case c.From == nil && w.isTenants(c.by, c.Src): // to whom answers would go
		return false
	case c.From == nil:
		return w.router().Finds(c.by, c.Src)
	case !slices.Contains(c.From.IPs, c.Src) || !reference.LeadsTo(c.From, c.Src):
		return false
	}
	p := c.Packet
	p.SrcPort, p.DstPort = way.Seen.DstPort, c.SrcPort
	p.Type = p.Reversed().Type
	return w.tracks(c, way, p)
}

// byThePort reports whether tenants have ports of an address, to which ICMP errors have none.
func (w *world) byThePort(a netip.Addr) bool {
	return slices.ContainsFunc(w.model.Bridges()[0].Externals, func(x *intent.External) bool { return reference.CommonAt(w.model, x, a) == reference.ByThePort })
}

// isTenants reports whether what is sent to an address, by an outside, may come to a tenant of the bridge.
func (w *world) isTenants(x *intent.External, a netip.Addr) bool {
	return slices.ContainsFunc(w.model.Tenants(), func(t *intent.Tenant) bool {
		return reference.PublicAt(t, x, a) != nil || exempts(t) && reference.Inside(t, a)
	})
}

// tracks reports whether what the receiver sends to who has opened a connection is tracked:
// within a tenant, stateless rules may say otherwise.
func (w *world) tracks(c crossing, way reference.Way, service reference.Packet) bool {
	if c.From == nil || way.To == nil || way.To.Tenant != c.From.Tenant {
		return true
	}
	service.From, service.To, service.Src, service.Dst = way.To, c.From, way.Seen.Dst, c.Src
	return reference.Judge(w.model, service, reference.Reply).Result != reference.Untracked
}

// answerFrom is what a receiver answers to a packet.
func (w *world) answerFrom(c crossing, want crossedOpinion, got *flowsim.Packet) frame {
	from, to := [6]byte{2, 0, 0, 0, 0xfd, 1}, pipeline.RouterMAC
	switch e := want.way.To; {
	case e == nil:
		to = pipeline.ExternalSite{External: want.way.Out}.RouterMAC()
	case c.From != nil && c.From.Network == e.Network && c.From != e && want.way.Then == nil:
		from, to = stationOf(e), stationOf(c.From)
	default:
		from = stationOf(e)
	}
	tuple, _ := flowsim.TupleOf(got)
	if c.From != nil && tuple.Src != c.Src { // not to who has asked
		to = pipeline.RouterMAC
		if want.way.To == nil {
			to = pipeline.ExternalSite{External: want.way.Out}.RouterMAC()
		}
	}
	f := frame{flowsim.Of(ofproto.Is(ofproto.InPort, uint64(want.port)), ofproto.IsMAC(ofproto.EthSrc, from), ofproto.IsMAC(ofproto.EthDst, to),
		ofproto.IsAddr(pipeline.IPSrc(tuple.Dst), tuple.Dst), ofproto.IsAddr(pipeline.IPDst(tuple.Src), tuple.Src),
		ofproto.Is(ofproto.IPProto, uint64(c.Protocol)), ofproto.Is(ofproto.IPTTL, 64))}
	tuple.Reversed().Stamp(&f.Packet)
	for field, v := range service(c.Packet) {
		if field == ofproto.ICMPv4Type || field == ofproto.ICMPv6Type || field == ofproto.ICMPv4Code || field == ofproto.ICMPv6Code {
			f.SetUint(field, uint64(v))
		}
	}
	f.answerEcho()
	return f
}

// send fails unless a frame leaves by a port, and there only. It returns how it looks then.
func (k *talk) send(t *rapid.T, what string, f frame, port uint32) *flowsim.Packet {
	out, _ := k.count(t, what, f, port)
	return out
}

func (k *talk) count(t *rapid.T, what string, f frame, port uint32) (*flowsim.Packet, int) {
	sim := k.w.sim
	if k.sim != nil {
		sim = k.sim
	}
	trace := sim.Send(f.Packet, k.ct)
	k.trace = trace
	if got := delivered(trace); !slices.Equal(got, []uint32{port}) || len(trace.Odd) > 0 {
		t.Fatalf("%s\n%s\n%s, %s: leaves by %v, not by %d %v\n%s", k.w.text, k.sent.text(), what, f.text(), got, port, trace.Odd, stepsOf(trace))
	}
	i := slices.IndexFunc(trace.Outputs, func(o flowsim.Output) bool { return o.Port == port })
	return trace.Outputs[i].Packet, len(trace.Commits)
}

// stepsOf are the flows that a packet has hit.
func stepsOf(trace *flowsim.Trace) (s string) {
	for _, step := range trace.Steps {
		s += fmt.Sprintf("%d.%d %v\n", step.Pass, step.Table, step.Flow)
	}
	return s
}

// lives fails unless packets and answers go on as before. judged is how many of the packets are
// judged once more: in each tenant that it goes through one. Negative: whatever that is.
func (k *talk) lives(t *rapid.T, when string, judged int) {
	opener := uint32(k.sent.Uint(ofproto.InPort))
	original, _ := flowsim.TupleOf(&k.sent.Packet)
	if k.want.way.Then != nil {
		judged *= 2
	}
	if k.want.way.Twice() || k.want.first.Leaves != "" || k.want.way.Leaves != "" || k.want.first.Shared { // the other half is remembered each time
		judged = -1
	}
	for i, back := range []bool{false, true, false, true} {
		if back {
			out, commits := k.count(t, when+": an answer", k.answer, opener)
			k.spoken = true
			if got, _ := flowsim.TupleOf(out); got != original.Reversed() || commits > 0 {
				t.Fatalf("%s\n%s, %s: an answer comes as %v, with %d commits\n%s", k.w.text, k.sent.text(), when, got, commits, stepsOf(k.w.sim.Send(k.answer.Packet, k.ct)))
			}
			continue
		}
		out, commits := k.count(t, fmt.Sprintf("%s: packet %d", when, i), k.sent, k.want.port)
		again := !k.spoken && k.w.in.Facts.Features.LateNAT // it may have to be committed to be translated
		if got, _ := flowsim.TupleOf(out); got != k.seen || judged >= 0 && commits != judged && !again {
			t.Fatalf("%s\n%s, %s: packet %d is seen as %v, not as %v; %d commits, not %d\n%s", k.w.text, k.sent.text(), when, i, got, k.seen, commits, judged, stepsOf(k.trace))
		}
		judged = min(judged, 0)
	}
}

// failsAt has somebody behind the receiver's port say that a packet is too large. That comes to
// who has sent it, and is about what it has sent.
func (k *talk) failsAt(t *rapid.T) {
	says := reference.Packet{Protocol: reference.ICMP, Type: 3, Code: 4}
	if k.Src.Is6() {
		says = reference.Packet{Protocol: reference.ICMPv6, Type: 2}
	}
	portless := func(c flowsim.Commit) bool { return k.w.byThePort(c.Reply.Dst) } // also on the way to another tenant
	if slices.ContainsFunc(k.made, portless) {
		return
	}
	if k.From != nil && k.want.way.To == k.From || !k.w.tracks(k.crossing, k.want.way, says) || k.w.byThePort(k.seen.Src) || k.w.byThePort(k.seen.Dst) || k.w.byThePort(k.Dst) { // nobody is between it and itself
		return
	}
	f := k.answer
	conds := []ofproto.Cond{ofproto.Is(ofproto.ICMPv4Type, 3), ofproto.Is(ofproto.ICMPv4Code, 4)}
	if k.Src.Is6() {
		conds = []ofproto.Cond{ofproto.Is(ofproto.ICMPv6Type, 2), ofproto.Is(ofproto.ICMPv6Code, 0)}
	}
	f.Packet = flowsim.Of(append(conds, ofproto.Is(ofproto.InPort, f.Uint(ofproto.InPort)), ofproto.Cond{Field: ofproto.EthSrc, Value: f.Get(ofproto.EthSrc), Mask: macMask},
		ofproto.Cond{Field: ofproto.EthDst, Value: f.Get(ofproto.EthDst), Mask: macMask}, ofproto.Is(ofproto.IPTTL, 64),
		ofproto.IsAddr(pipeline.IPSrc(k.seen.Dst), k.seen.Dst), ofproto.IsAddr(pipeline.IPDst(k.seen.Src), k.seen.Src))...)
	inner := k.seen
	f.Inner = &inner
	out := k.send(t, "an error", f, uint32(k.sent.Uint(ofproto.InPort)))
	original, _ := flowsim.TupleOf(&k.sent.Packet)
	if out.Dst() != k.Src || *out.Inner != original {
		t.Fatalf("%s\n%s: an error comes to %v, about %v", k.w.text, k.sent.text(), out.Dst(), *out.Inner)
	}
}

var macMask = ofproto.IsMAC(ofproto.EthSrc, [6]byte{}).Mask
