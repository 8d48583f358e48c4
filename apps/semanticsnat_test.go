package apps

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// crossed are the states in which a packet crosses the router whose connection is not known.
var crossed = []reference.State{reference.New, reference.New, reference.New, reference.Invalid, reference.Overflow}

// TestSemanticsOfNAT compares the three opinions on packets that leave for an outside, come
// from there, or are for an address there: where they leave, with which addresses and ports,
// what is remembered, and by whose leave.
func TestSemanticsOfNAT(t *testing.T) {
	drawn.Cases(t, 60, 600)
	tr := startTracer(t)
	n, tally := 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newTranslatingWorld(t, drawDatapath(t))
		tr.install(t, w.program)
		for range packetsOfAModel {
			c, ok := drawCrossing(t, w.model)
			if !ok {
				continue
			}
			state := w.drawState(t, crossed)
			wants := w.possible(c, state)
			if c.asksItself(wants) {
				continue
			}
			w.eachChoice(t, c, state, wants)
			if state != reference.Overflow && !slices.ContainsFunc(wants, crossedOpinion.shared) {
				tr.cross(t, w, c, state, wants)
			}
			n++
			tally[wants[0].kind(c)]++
			if i := slices.IndexFunc(wants, crossedOpinion.toBackendOutside); i > 0 {
				tally[wants[i].kind(c)]++
			}
		}
	})
	t.Logf("%d packets: %v", n, tally)
}

// newTranslatingWorld draws a model with an outside, or one that has load balancers, perhaps.
func newTranslatingWorld(t *rapid.T, on pipeline.Features) *world {
	if rapid.IntRange(0, 5).Draw(t, "no outside") == 5 {
		return drawnWorld(t, drawModelWith(t, ""), on)
	}
	return drawnWorld(t, drawModelWith(t, rapid.Custom(drawOutside).Filter(func(s string) bool { return s != "" }).Draw(t, "outside")), on)
}

// A crossedOpinion is the reference's.
type crossedOpinion struct {
	opinion
	way   reference.Way
	first reference.Way // in the tenant that it comes to first
	last  string        // what was remembered last, if it was in two tenants
}

// path is the part of o that a trace shows.
func (o crossedOpinion) path() opinion {
	seen := o.opinion.path()
	seen.commit = o.last
	return seen
}

// toBackendOutside reports whether a load balancer sends the packet out.
func (o crossedOpinion) toBackendOutside() bool { return o.first.Leaves != "" || o.way.Leaves != "" }

// shared reports whether the packet leaves as what tenants share: there the flows ask for whom an entry was made, which a trace
// does not know.
func (o crossedOpinion) shared() bool { return o.first.Shared }

// asksItself reports whether a backend outside would get what it has sent, from the port on which it serves: such a
// connection has the same tuple in both directions, and is none.
func (c crossing) asksItself(wants []crossedOpinion) bool {
	return slices.ContainsFunc(wants, func(o crossedOpinion) bool {
		return o.toBackendOutside() && o.way.Seen.Dst == c.Src && o.way.Seen.DstPort == c.SrcPort
	})
}

// kind is what w is, for a tally.
func (o crossedOpinion) kind(c crossing) string {
	in := "out"
	switch {
	case c.by != nil:
		in = "in"
	case o.way.Then != nil:
		in = "across"
	case o.way.To != nil && o.way.As == "":
		in = "routed"
	case o.way.To != nil:
		in = "itself or neighbour"
	}
	if o.toBackendOutside() {
		in += ", to a backend outside"
	}
	switch {
	case o.stray:
		return in + ", to nobody"
	case o.told && o.by == "" && o.port == 0:
		return in + ", rejected, for nobody serves"
	case o.by != "":
		return in + ", denied"
	case o.port == 0:
		return in + ", dropped"
	}
	kind := strings.Split(string(o.way.As)+"//", "/")[1]
	if strings.HasSuffix(string(o.first.As), "/common") {
		kind += map[bool]string{true: ", shared", false: " with a block"}[o.first.Shared]
	}
	return in + ", passes " + kind
}

// possible asks the reference about a packet for the router: for each backend that may get it.
func (w *world) possible(c crossing, s reference.State) (all []crossedOpinion) {
	r := w.router()
	for _, b := range r.Backends(c.Packet, c.by) {
		r.Backend = b
		all = append(all, w.expected(r, c, s))
	}
	if all == nil {
		all = append(all, w.expected(r, c, s))
	}
	return all
}

// expected asks a router of the reference about a packet.
func (w *world) expected(r reference.Router, c crossing, s reference.State) crossedOpinion {
	way := r.Forward(c.Packet, c.by, s)
	o, came := w.said(way, c.by == nil), way
	first := way // as if there was room
	if s == reference.Overflow {
		first = r.Forward(c.Packet, c.by, reference.New)
	}
	o.logged = o.tracked && s != reference.Invalid && (w.reports(first.Verdict) || w.logs(first.Audited))
	last := lastOf(way, o.commit)
	if then := way.Then; then != nil && o.port != 0 {
		there := w.said(*then, false)
		last = cmp.Or(lastOf(*then, there.commit), last)
		o.commit += there.commit
		o.port, o.by, o.told, o.logged = there.port, there.by, o.told || there.told, o.logged || w.reports(first.Then.Verdict)
		if there.stray {
			o.stray, o.tracked, o.by, o.told, o.logged = true, false, "", false, false
		}
		way.To, way.Seen, way.Both, way.Mirrored, way.As = then.To, then.Seen, then.Both, then.Mirrored, cmp.Or(then.As, way.As)
		way.Leaves = cmp.Or(then.Leaves, way.Leaves)
	}
	return crossedOpinion{o, way, came, last}
}

// said puts in common words what the reference says of a packet, which may be from an endpoint.
func (w *world) said(v reference.Way, inside bool) (o opinion) {
	o.tracked = v.Result != reference.Refused && v.Result != reference.Untracked
	switch {
	case v.Unserved:
		o.told = v.Told
		return o
	case v.Lost, v.Result == reference.Astray, v.To == nil && v.Out == nil && v.Result != reference.Refused:
		o.stray, o.tracked = true, false
		return o
	case v.Result == reference.Admitted:
		o.commit = admitted(v.Egress, v.Ingress, w.classOf(v.Verdict))
		if v.Keep {
			o.commit = "kept: " + o.commit
		}
		if v.Reset {
			o.commit = "reset: " + o.commit
		}
	case v.Result == reference.Audited && v.Egress == "" && inside:
		o.commit = "audited: " + admitted(v.By, "", 0)
	case v.Result == reference.Audited:
		o.commit = "audited: " + admitted(v.Egress, v.By, w.mark(v.Egress))
	}
	if o.commit != "" && v.As != "" {
		o.commit += translatedBy(v.As)
	}
	if o.commit != "" && v.Twice() {
		o.commit += admitted("", "", 0)
	}
	if o.commit != "" && v.Leaves != "" {
		o.commit += admitted("", "", 0) + translatedBy(v.Leaves)
	}
	if o.commit != "" && v.Shared {
		o.commit += admitted("", "", 0)
	}
	o.by, o.told = v.By, v.Told
	switch {
	case !v.Passes() || v.Back || v.Third:
	case v.To != nil:
		o.port = w.ports[v.To.ID()]
	default:
		o.port = w.ports[v.Out.ID()]
	}
	return o
}

// reports reports whether a rule with a say in a verdict reports it.
func (w *world) reports(v reference.Verdict) bool {
	return w.logs(v.Egress) || w.logs(v.Ingress) || w.logs(v.By)
}

// lastOf is what is remembered last.
func lastOf(v reference.Way, commit string) string {
	if commit != "" && (v.Twice() || v.Shared) {
		return admitted("", "", 0)
	}
	if commit != "" && v.Leaves != "" {
		return admitted("", "", 0) + translatedBy(v.Leaves)
	}
	return commit
}

// classOf is the class of a connection that two rules admit.
func (w *world) classOf(v reference.Verdict) uint16 {
	if class := w.mark(v.Ingress); class != 0 {
		return class
	}
	return w.mark(v.Egress)
}

func translatedBy(id intent.ID) string { return fmt.Sprintf(", translated by %s", id) }

// eachChoice asks package flowsim, for what may be chosen. That is what the reference says, and if
// a group chooses, all of it.
func (w *world) eachChoice(t *rapid.T, c crossing, s reference.State, wants []crossedOpinion) {
	of := 1
	w.sending(c, s, func(n int) int { of = max(of, n); return 0 })
	made := make([]bool, len(wants))
	for i := 0; i < of; i += max(1, of/maxChoices) {
		trace := w.sending(c, s, func(int) int { return i })
		at := slices.IndexFunc(wants, func(want crossedOpinion) bool { return w.forwarded(trace, want) == want.opinion })
		if at < 0 {
			w.disagree(t, w.crossing(c), s, wants[0], "flowsim", w.forwarded(trace, wants[0]), fmt.Sprintf("choice %d of %d\n%s", i, of, stepsOf(trace)))
		}
		for j, want := range wants {
			made[j] = made[j] || want.same(wants[at])
		}
	}
	if i := slices.Index(made, false); i >= 0 && of <= maxChoices {
		t.Fatalf("%s\n%s: nobody gets to %v, of %d choices", w.text, w.crossing(c).text(), wants[i].way.Seen, of)
	}
}

// maxChoices is how many of the things that may be chosen are.
const maxChoices = 32

// same reports whether two opinions cannot be told apart.
func (o crossedOpinion) same(as crossedOpinion) bool {
	return o.opinion == as.opinion && (o.port == 0 || o.way.Seen.Dst == as.way.Seen.Dst && o.way.Seen.DstPort == as.way.Seen.DstPort)
}

// sending has package flowsim send a packet.
func (w *world) sending(c crossing, s reference.State, choose func(n int) int) *flowsim.Trace {
	f, ct := w.crossing(c), &flowsim.Tracker{}
	f.Invalid = s == reference.Invalid
	if s == reference.Overflow {
		ct.Limits = map[uint16]int{}
		for _, t := range w.model.Tenants() {
			if t.Limits.Connections > 0 {
				ct.Limits[w.in.Numbers.Zone(t.ID())] = 0
			}
		}
	}
	return w.sim.Choosing(choose).Send(f.Packet, ct)
}

// forwarded is flowsim's opinion, beside one that is wanted.
func (w *world) forwarded(trace *flowsim.Trace, want crossedOpinion) opinion {
	o := w.opinionOf(trace)
	if want.port != 0 && o.port == want.port {
		for _, out := range trace.Outputs {
			if out.Port != ofproto.PortController {
				o.odd += misfit(out.Packet, want.way.Seen)
				if ttl := int(out.Packet.Uint(ofproto.IPTTL)); ttl != 64-want.way.Hops() {
					o.odd += fmt.Sprint("has a TTL of ", ttl)
				}
			}
		}
	}
	return o.beside(want.opinion)
}

// misfit says what a packet looks like that is not as it should be seen.
func misfit(p *flowsim.Packet, want reference.Sight) string {
	tuple, _ := flowsim.TupleOf(p)
	if _, ok := portsOf[tuple.Protocol]; !ok {
		tuple.SrcPort, tuple.DstPort = 0, 0
	}
	if want.Fits(tuple.Src, tuple.Dst, tuple.SrcPort, tuple.DstPort) {
		return ""
	}
	return fmt.Sprintf("seen as %v, not as %+v", tuple, want)
}

// portsOf are the protocols that have ports, as datapath actions name them.
var portsOf = map[uint8]string{reference.TCP: "tcp", reference.UDP: "udp", reference.SCTP: "sctp"}

// cross fails unless Open vSwitch does what is wanted.
func (tr *tracer) cross(t *rapid.T, w *world, c crossing, s reference.State, wants []crossedOpinion) {
	f := w.crossing(c)
	out, err := tr.ctl.Call(t.Context(), "ofproto/trace", "br", f.text(), "--names", "--ct-next", ctNext[s])
	if err != nil {
		t.Fatalf("%s\n%s: %v", w.text, f.text(), err)
	}
	if !slices.ContainsFunc(wants, func(want crossedOpinion) bool { return w.traced(f, out, want) == want.path() }) {
		w.disagree(t, f, s, wants[0], "trace", w.traced(f, out, wants[0]), out)
	}
}

// traced is Open vSwitch's opinion, beside one that is wanted.
func (w *world) traced(f frame, trace string, want crossedOpinion) opinion {
	o := w.read(trace)
	if want.port != 0 && o.port == want.port {
		seen := f.Packet
		follow(&seen, trace)
		o.odd += misfit(&seen, want.way.Seen)
	}
	return o.beside(want.opinion)
}

var (
	rewrites = regexp.MustCompile(`set\((ipv4|ipv6|tcp|udp|sctp)\(([^)]*)\)\)|nat\((src|dst)=([^)]*)\)`)
	natTo    = regexp.MustCompile(`^\[?([0-9a-f:.]+?)\]?(?:-\[?([0-9a-f:.]+?)\]?)?(?::(\d+)(?:-(\d+))?)?$`)
)

// follow does to a packet what the datapath actions of a trace do, in their order. Of the
// addresses and ports of a translation it takes the first.
func follow(p *flowsim.Packet, trace string) {
	for _, actions := range datapathActions.FindAllStringSubmatch(trace, -1) {
		for _, m := range rewrites.FindAllStringSubmatch(actions[1], -1) {
			tuple, _ := flowsim.TupleOf(p)
			if m[3] != "" {
				translateAs(&tuple, m[3], m[4])
			} else {
				rewrite(&tuple, m[2])
			}
			tuple.Stamp(p)
		}
	}
}

// rewrite does "src=10.0.0.1,dst=10.0.0.2,ttl=63".
func rewrite(tuple *flowsim.Tuple, fields string) {
	for _, field := range strings.Split(fields, ",") {
		name, value, _ := strings.Cut(field, "=")
		a, err := netip.ParseAddr(value)
		port, _ := strconv.ParseUint(value, 0, 16)
		switch {
		case name == "src" && err == nil:
			tuple.Src = a
		case name == "dst" && err == nil:
			tuple.Dst = a
		case name == "src":
			tuple.SrcPort = uint16(port)
		case name == "dst":
			tuple.DstPort = uint16(port)
		}
	}
}

// translateAs does "10.0.0.1-10.0.0.4:1024-65535".
func translateAs(tuple *flowsim.Tuple, end, to string) {
	if strings.Count(to, ":") > 1 && !strings.Contains(to, "[") { // IPv6, without ports
		to, _, _ = strings.Cut(to, "-")
		to = "[" + to + "]"
	}
	m := natTo.FindStringSubmatch(to)
	if m == nil {
		return
	}
	a, _ := netip.ParseAddr(m[1])
	port, _ := strconv.ParseUint(m[3], 10, 16)
	if end == "src" {
		if tuple.Src = a; port != 0 {
			tuple.SrcPort = uint16(port)
		}
		return
	}
	if tuple.Dst = a; port != 0 {
		tuple.DstPort = uint16(port)
	}
}

// objectOf returns what has translated a connection, by its label.
func (w *world) objectOf(label ofproto.Bits) string {
	tag := be32(label[4:])
	if tag == 0 {
		return ""
	}
	id, _ := w.in.Numbers.Origin(tag)
	return translatedBy(id)
}

// opinionOf reads a trace of flowsim.
func (w *world) opinionOf(trace *flowsim.Trace) opinion {
	o := opinion{tracked: slices.ContainsFunc(trace.Steps, func(s flowsim.Step) bool { return s.Table == pipeline.CtIn })}
	o.odd = strings.Join(trace.Odd, "; ")
	for _, out := range trace.Outputs {
		if out.Port == ofproto.PortController {
			flags := out.Packet.Uint(ofproto.Reg0)
			isReport := flags&(1<<pipeline.LogNew|1<<pipeline.LogSampled) != 0 && flags&(1<<pipeline.JudgeAgain) == 0
			o.logged, o.told = o.logged || isReport, o.told || !isReport
			continue
		}
		o.port += out.Port // one, or the sum is not a port
	}
	for _, c := range trace.Commits {
		o.commit += w.commit(c.Mark, c.Label)
	}
	o.by = w.denier(trace)
	return o
}
