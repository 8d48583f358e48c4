package apps

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
	"weir/store"
)

// packetsOfAModel is how many packets are drawn for each model.
const packetsOfAModel = 10

// TestSemantics compares three opinions on random policies and packets: package
// reference, which reads the rules from the top; package flowsim, which sends the packet
// through the flows; and Open vSwitch's ofproto/trace. In the integration tests it draws
// 5,000 pairs, else a few hundred. What fails is made small: the message has the model,
// the packet and the opinions.
func TestSemantics(t *testing.T) {
	drawn.Cases(t, 30, 510)
	tr := startTracer(t)
	n, passed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		tr.install(t, w.program)
		for range packetsOfAModel {
			p, ok := drawPacket(t, w.model)
			if !ok {
				continue
			}
			state := rapid.SampledFrom(traced).Draw(t, "state")
			want := w.reference(p, state)
			if got := w.simulated(p, state).beside(want); got != want {
				w.disagree(t, w.frame(p), state, want, "flowsim", got, "")
			}
			if got, trace := tr.trace(t, w, p, state); got.beside(want) != want.path() {
				w.disagree(t, w.frame(p), state, want, "trace", got, trace)
			}
			n++
			if want.port != 0 {
				passed++
			}
		}
	})
	t.Logf("%d pairs, of which %d pass; three opinions on each", n, passed)
}

// disagree fails: somebody's opinion on a packet is not the reference's.
func (w *world) disagree(t *rapid.T, f frame, s reference.State, want fmt.Stringer, whose string, got opinion, trace string) {
	t.Fatalf("%s\n%s, %s\nreference: %s\n%-10s %s\n%s", w.text, f.text(), s, want, whose+":", got, trace)
}

// A world is a model, and what it is compiled to.
type world struct {
	text    string
	model   *intent.Model
	numbers *store.Numbers
	cache   *pipeline.Cache
	in      pipeline.Input
	program *pipeline.Program
	sim     *flowsim.Switch
	ports   map[intent.ID]uint32
}

func drawWorld(t *rapid.T) *world { return drawnWorld(t, drawModel(t), drawDatapath(t)) }

func drawnWorld(t *rapid.T, text string, on pipeline.Features) *world {
	return newWorld(t, text, on, store.Mem(), new(pipeline.Cache))
}

// newWorld compiles a model for a datapath. The cache is that of the daemon which has compiled the models
// before it.
func newWorld(t *rapid.T, text string, on pipeline.Features, numbers *store.Numbers, cache *pipeline.Cache) *world {
	m, err := intent.Read(intent.Source{Name: "drawn.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	w := &world{text: text, model: m, numbers: numbers, cache: cache, ports: map[intent.ID]uint32{}}
	in, err := drawnInput(m, on, numbers)
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range m.Tenants() {
		for _, e := range tenant.Endpoints {
			w.ports[e.ID()] = uint32(len(w.ports) + 1)
		}
	}
	for _, x := range m.Bridges()[0].Externals {
		w.ports[x.ID()] = uint32(len(w.ports) + 1)
	}
	w.compile(t, in)
	return w
}

func (w *world) compile(t *rapid.T, in pipeline.Input) {
	p, err := Recompile(w.cache, in)
	if err != nil && strings.Contains(err.Error(), "a packet could be sent back to the flow tables") {
		t.Skip("the datapath could not do it")
	}
	if err != nil {
		t.Fatalf("%s\n%v", w.text, err)
	}
	w.in, w.program, w.sim = in, p, switchOn(in.Facts.Features, p.Tables())
}

// An opinion is what becomes of a packet, in the words that all three have in common.
type opinion struct {
	port    uint32 // by which it leaves; zero: it does not
	tracked bool   // the tracker was asked
	commit  string // what was remembered: "", "admitted by EGRESS and INGRESS as CLASS", "blocked"
	by      intent.ID
	told    bool   // the sender is sent an answer
	logged  bool   // a copy is reported
	odd     string // what flowsim finds strange
	stray   bool   // it is for nobody: dropped, and it does not matter where
}

func (o opinion) String() string {
	s := "dropped"
	if o.port != 0 {
		s = fmt.Sprint("port ", o.port)
	}
	if !o.tracked {
		s += ", untracked"
	}
	if o.commit != "" {
		s += ", " + o.commit
	}
	if o.by != "" {
		s += ", denied by " + string(o.by)
	}
	if o.told {
		s += ", and its sender told"
	}
	if o.logged {
		s += ", reported"
	}
	if o.odd != "" {
		s += ", " + o.odd
	}
	return s
}

// beside returns o as it is compared with what is wanted.
func (o opinion) beside(want opinion) opinion {
	if want.stray && o.port == 0 {
		o.stray, o.tracked, o.by, o.told, o.logged = true, false, "", false, false
	}
	if !want.tracked { // what is not tracked may be reported, or was about to be by a rule that did not decide
		o.logged = false
	}
	return o
}

// path is the part of o that a trace of datapath actions shows.
func (o opinion) path() opinion {
	o.by = ""
	return o
}

// reference asks package reference.
func (w *world) reference(p reference.Packet, s reference.State) opinion {
	v := reference.Judge(w.model, p, s)
	o := opinion{tracked: v.Result != reference.Refused && v.Result != reference.Untracked}
	switch {
	case v.Result == reference.Astray: // may be dropped before the tracker is asked, or after
		o.stray, o.tracked = true, false
		return o
	case !reference.Reaches(p):
		return o
	case v.Result == reference.Admitted:
		o.commit = admitted(v.Egress, v.Ingress, cmp.Or(w.mark(v.Ingress), w.mark(v.Egress)))
		if v.Keep {
			o.commit = "kept: " + o.commit
		}
		if v.Reset {
			o.commit = "reset: " + o.commit
		}
	case v.Result == reference.Known && (s == reference.OldKept || s == reference.OldKeptOneWay):
		o.commit = "kept: " + admitted("", "", 0) // it stays what it was
	case v.Result == reference.Audited && v.Egress == "":
		o.commit = "audited: " + admitted(v.By, "", 0)
	case v.Result == reference.Audited:
		o.commit = "audited: " + admitted(v.Egress, v.By, w.mark(v.Egress))
	case v.Result == reference.Denied && (s == reference.OldOriginal || s == reference.OldBlocked):
		o.commit = "blocked"
	}
	o.by, o.told = v.By, v.Told
	o.logged = o.tracked && w.reported(p, s)
	if v.Passes() {
		o.port = w.ports[p.To.ID()]
	}
	return o
}

// reported reports whether a rule reports what becomes of a packet: of one that is judged for
// the first time, also if there is no room for its connection then.
func (w *world) reported(p reference.Packet, s reference.State) bool {
	if s != reference.New && s != reference.Overflow {
		return false
	}
	v := reference.Judge(w.model, p, reference.New)
	return w.logs(v.Egress) || w.logs(v.Ingress) || w.logs(v.By)
}

// simulated asks package flowsim.
func (w *world) simulated(p reference.Packet, s reference.State) opinion {
	packet, ct := w.frame(p), w.tracker(p, s)
	packet.Invalid = s == reference.Invalid
	if tuple, ok := flowsim.TupleOf(&packet.Packet); ok && slices.Contains(related, s) {
		inner := tuple.Reversed()
		packet.Inner = &inner
	}
	return w.opinionOf(w.sim.Send(packet.Packet, ct))
}

// commit says what a connection carries.
func (w *world) commit(mark uint32, label ofproto.Bits) string {
	if mark&pipeline.MarkBlocked != 0 {
		return "blocked"
	}
	audited := ""
	if mark&pipeline.MarkAudited != 0 {
		audited = "audited: "
	}
	if mark&pipeline.MarkReset != 0 && audited == "" { // what an audit let pass was not asked to the end
		audited = "reset: "
	}
	if mark&pipeline.MarkKeep != 0 {
		audited += "kept: "
	}
	ids := [2]intent.ID{}
	for i, at := range []int{12, 8} {
		ids[i], _ = w.in.Numbers.Origin(be32(label[at:]))
	}
	return audited + admitted(ids[0], ids[1], uint16(mark>>pipeline.MarkClassShift)) + w.objectOf(label)
}

func admitted(egress, ingress intent.ID, class uint16) string {
	return fmt.Sprintf("admitted by %s and %s as %d", egress, ingress, class)
}

// logs reports whether a rule reports what it decides.
func (w *world) logs(id intent.ID) bool { return w.rule(id).Log != "" }

// mark returns the class that a rule gives to connections.
func (w *world) mark(id intent.ID) uint16 { return w.rule(id).Mark }

// rule returns a rule, or none for a default.
func (w *world) rule(id intent.ID) intent.Rule {
	for _, t := range w.model.Tenants() {
		for _, p := range t.Policies {
			for _, r := range p.Rules {
				if r.ID() == id {
					return *r
				}
			}
		}
	}
	return intent.Rule{}
}

// denier returns the rule or default that has denied a packet: the last that a register
// names on its way to the table Drop.
func (w *world) denier(trace *flowsim.Trace) intent.ID {
	regs := trace.Steps[len(trace.Steps)-1].Regs
	switch pipeline.Reason(regs[11]) {
	case pipeline.DeniedByRule, pipeline.RejectedByRule, pipeline.DeniedByDefault:
	default:
		return ""
	}
	tag := regs[7]
	if tag == 0 {
		tag = regs[6]
	}
	id, _ := w.in.Numbers.Origin(tag)
	return id
}
