package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// More verdicts: of packets that no rule has judged.
const (
	Dropped  Verdict = "dropped"  // before policy was asked, or behind it
	Answered Verdict = "answered" // by the bridge itself, which sends it back to its sender's port
	Handed   Verdict = "handed"   // to the controller, and to nobody else
)

// An Explanation is what becomes of a packet, and why.
type Explanation struct {
	Sent    Sent
	Verdict Verdict
	By      intent.ID       // the rule, the default or what else decides; empty: nothing that is written anywhere
	Reason  pipeline.Reason // of a packet that is stopped
	At      ofproto.Table   // where it was decided
	Packets uint64          // that the flow which decides has counted
	Zone    uint16          // of the tracker, that was asked first; zero: it was not
	State   string          // "new", "established"; empty: it was not asked
	Egress  intent.ID       // the rule or default that lets it out, or does not
	Ingress intent.ID       // the rule or default that lets it in, or does not
	To      intent.ID       // the endpoint, or the outside, that it gets to, or would; empty: nobody
	Port    uint32          // by which it leaves; zero: by none
	Target  intent.ID       // the floating IP, forward or port of a load balancer that it is for; empty: none
	SNAT    intent.ID       // what gives it another source; empty: nothing
	Src     netip.AddrPort  // as it leaves, or as it was when it was stopped
	Dst     netip.AddrPort
	Nearest *Near // of a packet that policy stops; nil: there is no rule that would let such packets pass
	Steps   []Step
	Others  []Outcome // what becomes of it at other backends; empty: there are none
	Assumed []string  // on what the answer rests
}

// An Outcome is what becomes of a packet at one of several backends.
type Outcome struct {
	Backend netip.AddrPort
	To      intent.ID
	Verdict Verdict
	By      intent.ID
}

// A Scene is what an explanation is given with: what is wanted, and the numbers that it has.
type Scene struct {
	Model   *intent.Model
	Numbers pipeline.Numbers
}

// Explain says what becomes of a packet at a bridge as it is now.
func (c Scene) Explain(b *Bridge, s Sent) (*Explanation, error) {
	x, buckets, err := c.explain(b, s, 0)
	if err != nil {
		return nil, err
	}
	for k := 1; k < buckets; k++ {
		y, _, err := c.explain(b, s, k)
		if err != nil {
			return nil, err
		}
		x.Others = append(x.Others, Outcome{y.Dst, y.To, y.Verdict, y.By})
	}
	if buckets > 1 {
		x.Assumed = append(x.Assumed, fmt.Sprintf("a hash of the connection chooses one of %d backends: this is what happens at %v", buckets, x.Dst))
	}
	return x, nil
}

// explain is Explain with the k-th bucket chosen, where a hash of the datapath chooses.
func (c Scene) explain(b *Bridge, s Sent, k int) (*Explanation, int, error) {
	ct := &flowsim.Tracker{}
	x := &Explanation{Sent: s, Assumed: slices.Clone(s.Assumed)}
	if s.Question.Established {
		if err := c.establish(b, x, ct, k); err != nil {
			return nil, 0, err
		}
	}
	w, err := b.follow(s.packet, ct, k)
	if err != nil {
		return nil, 0, err
	}
	c.judge(x, w)
	return x, w.buckets, nil
}

// establish has the tracker know the connection of a packet: as it would be by the flows that there are, or, if these
// let none be, as it was under an older policy.
func (c Scene) establish(b *Bridge, x *Explanation, ct *flowsim.Tracker, k int) error {
	first := x.Sent.packet
	if x.Sent.Protocol == pipeline.ProtoTCP {
		first.SetUint(ofproto.TCPFlags, synFlag)
	}
	w, err := b.follow(first, ct, k)
	if err != nil {
		return err
	}
	switch {
	case ct.Empty() && len(w.asked) == 0:
		x.Assumed = append(x.Assumed, "the connection tracker is not asked about such packets: this is as good as the first")
	case ct.Empty():
		x.Assumed = append(x.Assumed, "no such connection can be opened now: one that an older policy has admitted")
		tuple, _ := flowsim.TupleOf(&first)
		ct.Put(flowsim.Connection{Zone: w.asked[0].zone, Orig: tuple, Mark: pipeline.MarkCommitted})
	default:
		c.judge(x, w)
		x.Assumed = append(x.Assumed, "the connection was opened under the flows that there are, and has been answered")
	}
	ct.Answer()
	return nil
}

// judge says what a way comes to. What x knows already of the rules that have admitted the connection stays, where
// they are not asked again.
func (c Scene) judge(x *Explanation, w *way) {
	x.Steps, x.Assumed = w.steps, append(x.Assumed, w.notes...)
	x.Reason, x.By, x.Port, x.Nearest = 0, "", 0, nil
	end := w.end
	x.tracked(w, c.Model, c.Numbers)
	for _, s := range w.steps {
		switch s.Table {
		case pipeline.PolOut:
			x.Egress = c.rule(s, x.Egress)
		case pipeline.PolIn:
			x.Ingress = c.rule(s, x.Ingress)
		}
	}
	c.outcome(x, w)
	if out := leaving(w); out != nil {
		end = *out.Packet
	}
	c.translations(x, w, end)
	x.Src, x.Dst = portsOf(end)
	x.assumeLimits(w)
	x.spread(w)
	if x.Verdict == Denied || x.Verdict == Rejected || x.Verdict == Audited {
		c.nearest(x, w, end)
	}
}

// tracked says what the tracker was asked first.
func (x *Explanation) tracked(w *way, m *intent.Model, n pipeline.Numbers) {
	x.Zone, x.State = 0, ""
	if len(w.asked) == 0 {
		return
	}
	first := w.asked[0]
	x.Zone = first.zone
	if x.Sent.Tenant == nil { // it has come from outside, for an address: the zone says whose
		i := slices.IndexFunc(m.Tenants(), func(t *intent.Tenant) bool { return n.Zone(t.ID()) == first.zone })
		if i >= 0 {
			x.Sent.Tenant = m.Tenants()[i]
		}
	}
	switch {
	case first.state&ofproto.Inv != 0:
		x.State = "invalid"
	case first.state&ofproto.New != 0:
		x.State = "new"
	case first.state&ofproto.Rpl != 0:
		x.State = "an answer"
	default:
		x.State = "established"
	}
	for _, s := range w.steps {
		if s.Table == pipeline.CtState && strings.Contains(ActionsText(s.Flow.Actions), pipeline.JudgeAgain.Set().String()) {
			x.State += ", judged again"
		}
	}
}

// rule returns the rule or default whose flow a step is, or what it was before.
func (c Scene) rule(s Step, was intent.ID) intent.ID {
	id := c.origin(s)
	if strings.Contains(string(id), "/policy/") || strings.Contains(string(id), "/default/") {
		return id
	}
	return was
}

// origin returns the intent that the flow of a step serves; empty: none, or nobody knows.
func (c Scene) origin(s Step) intent.ID {
	tag, owned := pipeline.TagOf(s.Flow.Cookie)
	if !owned || !s.Hit {
		return ""
	}
	id, _ := c.Numbers.Origin(tag)
	return id
}

// leaving returns the copy of a packet that leaves by a port, or nil.
func leaving(w *way) *flowsim.Output {
	for i, o := range w.outputs {
		if o.Port != ofproto.PortController {
			return &w.outputs[i]
		}
	}
	return nil
}

// outcome says whether the packet gets through, and who decides.
func (c Scene) outcome(x *Explanation, w *way) {
	out := leaving(w)
	last := -1
	for i, s := range w.steps {
		if s.Table == pipeline.Drop {
			last = i
		}
	}
	switch {
	case out != nil:
		x.Verdict, x.Port = Allowed, out.Port
		c.letThrough(x, w, *out)
	case last > 0:
		c.stopped(x, w, last)
	case len(w.outputs) > 0:
		x.Verdict = Handed
		c.decided(x, w.steps[len(w.steps)-1])
	default:
		x.Verdict = Dropped
		if len(w.steps) > 0 {
			c.decided(x, w.steps[len(w.steps)-1])
		}
	}
}

// decided notes the flow that decides.
func (c Scene) decided(x *Explanation, s Step) {
	x.At, x.Packets = s.Table, s.Flow.Packets
	if id := c.origin(s); !strings.HasPrefix(string(id), "bridge/") || strings.Contains(string(id), "/external/") {
		x.By = id
	}
}

// letThrough is about a packet that leaves.
func (c Scene) letThrough(x *Explanation, w *way, out flowsim.Output) {
	judged, missed := -1, false
	for i, s := range w.steps {
		switch s.Table {
		case pipeline.PolOut, pipeline.PolIn, pipeline.Stateless, pipeline.StatelessReply, pipeline.StatelessIn, pipeline.StatelessInReply:
			if id := c.rule(s, ""); id != "" {
				judged = i
			}
		case pipeline.PolMiss:
			missed = true
		}
	}
	last := w.steps[len(w.steps)-1]
	for _, s := range w.steps {
		if s.Table == pipeline.Out {
			last = s
		}
	}
	in := w.steps[0].Table == pipeline.PhyIn && out.Port == uint32(x.Sent.Port)
	switch {
	case in && last.Table != pipeline.Out:
		x.Verdict = Answered
		c.decided(x, last)
	case judged >= 0 && missed:
		x.Verdict, x.Reason = Audited, pipeline.Reason(w.end.Uint(pipeline.RegReason))
		c.decided(x, w.steps[judged])
	case judged >= 0:
		c.decided(x, w.steps[judged])
	default:
		c.decided(x, last)
		if x.By = x.Ingress; x.By == "" {
			x.By = x.Egress
		}
	}
}

// stopped is about a packet that comes to DROP, by the i-th step.
func (c Scene) stopped(x *Explanation, w *way, i int) {
	x.Reason = reasonOf(w.steps[i], w.end)
	switch x.Reason {
	case pipeline.DeniedByRule, pipeline.DeniedByDefault, pipeline.RefusedRule:
		x.Verdict = Denied
	case pipeline.RejectedByRule:
		x.Verdict = Rejected
	default:
		x.Verdict = Dropped
	}
	for i > 0 && (w.steps[i].Table == pipeline.Drop || w.steps[i].Table == pipeline.Reject || w.steps[i].Table == pipeline.PolMiss) {
		i--
	}
	c.decided(x, w.steps[i])
	if x.At <= pipeline.ArpNd && x.Sent.From != nil { // what its port may send: that the address is another's does not matter
		x.By = x.Sent.From.ID()
	}
}

// reasonOf returns the reason that the flow of DROP counts, or that the packet has.
func reasonOf(s Step, end flowsim.Packet) pipeline.Reason {
	if r := pipeline.CountedBy(s.Flow.Flow); r != pipeline.NoReason {
		return r
	}
	return pipeline.Reason(end.Uint(pipeline.RegReason))
}

// translations says where the packet gets to, and what stands between.
func (c Scene) translations(x *Explanation, w *way, end flowsim.Packet) {
	if id, known := c.Numbers.Origin(uint32(end.Uint(pipeline.RegOut))); known {
		x.To = id
	}
	if id := c.numbered(end, pipeline.RegTarget); isOne(id, "/floatingip/", "/portforward/", "/loadbalancer/") {
		x.Target = id
	}
	if id := c.numbered(end, pipeline.RegSNAT); isOne(id, "/snat/", "/floatingip/") {
		x.SNAT = id
	}
	for _, m := range w.commits {
		id, _ := c.Numbers.Origin(pipeline.ObjectOf(m.Label, m.Mark))
		switch {
		case m.Reply.Src != m.Orig.Dst && isOne(id, "/floatingip/", "/portforward/", "/loadbalancer/"):
			x.Target = id
		case m.Reply.Dst != m.Orig.Src && isOne(id, "/snat/", "/floatingip/"):
			x.SNAT = id
		}
	}
}

func (c Scene) numbered(p flowsim.Packet, f ofproto.Field) intent.ID {
	id, _ := c.Numbers.Origin(uint32(p.Uint(f)))
	return id
}

func isOne(id intent.ID, kinds ...string) bool {
	return slices.ContainsFunc(kinds, func(k string) bool { return strings.Contains(string(id), k) })
}

// assumeLimits notes what is not known of rates and limits.
func (x *Explanation) assumeLimits(w *way) {
	t := x.Sent.Tenant
	passed := slices.ContainsFunc(w.steps, func(s Step) bool { return s.Table == pipeline.LBVIP })
	if t == nil || !passed {
		return
	}
	if t.Limits.Connections > 0 {
		x.Assumed = append(x.Assumed, fmt.Sprintf("tenant %s is below its limit of %d connections", t.Name, t.Limits.Connections))
	}
	if t.Limits.NewPerSecond > 0 || x.Sent.From != nil && x.Sent.From.NewPerSecond > 0 {
		x.Assumed = append(x.Assumed, "no rate of new connections is exceeded")
	}
}

// spread notes that a packet leaves by several ports: for a whole network, or for whoever may be behind some.
func (x *Explanation) spread(w *way) {
	var to []uint32
	for _, o := range w.outputs {
		if o.Port != ofproto.PortController && !slices.Contains(to, o.Port) {
			to = append(to, o.Port)
		}
	}
	if len(to) > 1 {
		x.Assumed = append(x.Assumed, fmt.Sprintf("it leaves by %d ports, %v: the first is shown", len(to), to))
	}
}

// nearest finds the rule that comes nearest to letting the packet pass.
func (c Scene) nearest(x *Explanation, w *way, end flowsim.Packet) {
	d := intent.Egress
	if x.At == pipeline.PolIn {
		d = intent.Ingress
	} else if x.At != pipeline.PolOut {
		return
	}
	owner, _, _ := strings.Cut(string(x.By), "/")
	t := c.Model.Tenant(owner)
	if t == nil {
		return
	}
	e := Ends{Protocol: uint8(end.Uint(ofproto.IPProto)), Src: end.Src(), Dst: end.Dst(), Type: x.Sent.Type, Code: x.Sent.Code}
	_, dst := portsOf(end)
	e.Port = dst.Port()
	e.From, e.To = endpointOf(t, c.numbered(end, pipeline.RegIn)), endpointOf(t, x.To)
	if near, found := Nearest(t, d, e, x.By); found {
		x.Nearest = &near
	}
}

// endpointOf returns an endpoint of t by its id, or nil.
func endpointOf(t *intent.Tenant, id intent.ID) *intent.Endpoint {
	i := slices.IndexFunc(t.Endpoints, func(e *intent.Endpoint) bool { return e.ID() == id })
	if i < 0 {
		return nil
	}
	return t.Endpoints[i]
}

// portsOf returns the addresses of a packet, with its ports; these are zero where it has none.
func portsOf(p flowsim.Packet) (src, dst netip.AddrPort) {
	var sport, dport uint16
	if f, ok := ports[uint8(p.Uint(ofproto.IPProto))]; ok {
		sport, dport = uint16(p.Uint(f[0])), uint16(p.Uint(f[1]))
	}
	return netip.AddrPortFrom(p.Src(), sport), netip.AddrPortFrom(p.Dst(), dport)
}

// PlaceOf returns where an intent is written: a default with its tenant, a port of a load balancer with that. It
// is zero if it is nowhere, as is what is gone.
func PlaceOf(m *intent.Model, id intent.ID) intent.Position {
	for s := string(id); s != ""; {
		if at := m.Position(intent.ID(s)); at.File != "" {
			return at
		}
		i := strings.LastIndexByte(s, '/')
		if i < 0 {
			break
		}
		s = s[:i]
	}
	return intent.Position{}
}

// DescriptionOf returns what is said of a rule, why it is there; empty: nothing.
func DescriptionOf(m *intent.Model, id intent.ID) string {
	tenant, _, _ := strings.Cut(string(id), "/")
	t := m.Tenant(tenant)
	if t == nil || !strings.Contains(string(id), "/policy/") {
		return ""
	}
	for _, p := range t.Policies {
		for _, r := range p.Rules {
			if r.ID() == id {
				return r.Description
			}
		}
	}
	return ""
}
