package apps

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/explain"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
	"weir/store"
)

// TestSemanticsOfChangesOfNAT draws a model and a change of what is translated there, or of its
// policy, and connections that were opened before it. Those that the new model still makes go on
// as they were; the others are judged again, and end. What is compiled after the change is what
// a new start compiles, and a sweep says of each connection what the flows do with it.
func TestSemanticsOfChangesOfNAT(t *testing.T) {
	drawn.Cases(t, 100, 1500)
	var stay, end, balanced, calm int
	rapid.Check(t, func(t *rapid.T) {
		a, b, ok := drawChangeOfNAT(t)
		if !ok {
			t.Skip("the change is none that an operator could make")
		}
		anew := newWorld(t, b.text, b.in.Facts.Features, b.numbers, new(pipeline.Cache))
		if left := ofproto.Diff(unranked(anew.program.Tables()), unranked(b.program.Tables())); !left.Empty() {
			t.Fatalf("%s\nchanged to\n%s\na new start makes something else: %+v", a.text, b.text, left)
		}
		var open []talk
		for range packetsOfAModel {
			c, ok := drawCrossing(t, a.model)
			if !ok {
				continue
			}
			if k, ok := a.open(t, c); ok {
				k.lives(t, "before the change", 0)
				open = append(open, k)
			}
		}
		again := pipeline.Narrowed(b.program.Tables().Flows, a.program.Tables().Flows, b.in.Numbers, b.model)
		if len(again) == 0 {
			calm++
		}
		b.raiseOf(t, again)
		for _, k := range open {
			lives := b.goesOn(t, k, again)
			if strings.Contains(string(k.want.way.As), "/loadbalancer/") {
				balanced++
			}
			if lives {
				stay++
			} else {
				end++
			}
		}
	})
	t.Logf("%d connections stay and %d end, %d of them a load balancer's; %d changes take nothing back", stay, end, balanced, calm)
}

// unranked is t without rules: those have the priorities that they had.
func unranked(t ofproto.Tables) ofproto.Tables {
	ranked := []ofproto.Table{pipeline.Stateless, pipeline.StatelessReply, pipeline.StatelessIn, pipeline.StatelessInReply, pipeline.PolOut, pipeline.PolIn}
	t.Flows = slices.DeleteFunc(slices.Clone(t.Flows), func(f ofproto.Flow) bool { return slices.Contains(ranked, f.Table) })
	return t
}

// raiseOf gives some tenants another epoch.
func (w *world) raiseOf(t *rapid.T, tenants []intent.ID) {
	in, epochs := w.in, map[intent.ID]uint8{}
	for _, id := range tenants {
		epochs[id] = in.Numbers.Epoch(id)
	}
	var err error
	if in.Numbers, err = w.numbers.Raise(epochs); err != nil {
		t.Fatal(err)
	}
	w.compile(t, in)
}

// goesOn reports whether a connection that was opened in another model goes on in w's, and fails
// unless it does just if it should, and the sweep says so.
func (w *world) goesOn(t *rapid.T, k talk, again []intent.ID) bool {
	was := k.w
	k.w = w
	if k.From != nil {
		k.From = w.endpoint(k.From)
	}
	if k.by != nil {
		k.by = w.model.Bridges()[0].External(k.by.Network)
	}
	tenants := slices.DeleteFunc([]*intent.Tenant{w.tenantOf(k.From), w.tenantOf(k.want.way.To)}, func(t *intent.Tenant) bool { return t == nil })
	for last := &k.want.first; last != nil; last = last.Then {
		if of, _, is := pipeline.ServiceOf(last.As); is { // both of its ends may be outside, or another tenant's
			name, _, _ := strings.Cut(string(of), "/")
			tenants = append(tenants, w.model.Tenant(name))
		}
	}
	if slices.ContainsFunc(tenants, func(t *intent.Tenant) bool { return t.Mode != was.model.Tenant(t.Name).Mode }) {
		return true // which the other tests change
	}
	if strings.HasSuffix(string(k.want.first.As), "/exempt") && !w.exempted(k) {
		return true // it is let out, and not answered (docs/nat.md)
	}
	if w.publicNoMore(k, was) {
		return true // it leaves for the outside by now, where nobody knows it
	}
	if w.cutOff(k) {
		return true // of a load balancer, the controller ends it (docs/loadbalancer.md)
	}
	if to := k.want.way.To; to != nil {
		k.want.way.To = w.endpoint(to)
	}
	if !w.answerable(k.crossing, k.want.way) {
		return true // both ends have said stateless by now, so that an answer is not known to be one
	}
	lives := w.stillMakes(k)
	w.sweeps(t, was.text, k, lives)
	if lives {
		k.lives(t, "after the change of "+was.text, -1)
		return true
	}
	if leaves := k.want.first.Leaves; leaves != "" && !strings.Contains(string(leaves), "/loadbalancer/") {
		return false // its second half is the sweep's to end
	}
	if !slices.ContainsFunc(tenants, func(t *intent.Tenant) bool { return slices.Contains(again, t.ID()) }) {
		t.Fatalf("%s\nchanged to\n%s\n%s is not to go on, and its tenant is not judged again", was.text, w.text, k.sent.text())
	}
	packets := 2
	if slices.ContainsFunc(tenants, func(t *intent.Tenant) bool { return t.Mode == intent.Audit }) {
		packets = 1 // what is blocked passes there, until the sweep removes it
	}
	for range packets {
		trace := w.sim.Send(k.sent.Packet, k.ct)
		if got := delivered(trace); len(got) > 0 {
			t.Fatalf("%s\nchanged to\n%s\n%s is not to go on, and leaves by %v\n%s", was.text, w.text, k.sent.text(), got, stepsOf(trace))
		}
	}
	return false
}

// exempted reports whether an SNAT that has an address on the outside by which a connection has left
// still exempts it.
func (w *world) exempted(k talk) bool {
	x := k.want.first.Out
	return slices.ContainsFunc(w.tenantOf(k.From).SNATs, func(s *intent.SNAT) bool {
		return slices.ContainsFunc(s.Exempt, func(p netip.Prefix) bool { return p.Contains(k.Dst) }) &&
			slices.ContainsFunc(s.PoolsOn(x.Bridge, x.Network), func(p intent.Pool) bool { return p.Is4() == k.Src.Is4() })
	})
}

// sweeps fails unless a sweep has the same to say of a connection, or nothing. What is to be
// kept it asks elsewhere, unless its address is gone.
func (w *world) sweeps(t *rapid.T, was string, k talk, lives bool) {
	var rulings []pipeline.Ruling
	kept := false
	for _, c := range k.made {
		for _, tenant := range w.model.Tenants() {
			if w.in.Numbers.Zone(tenant.ID()) == c.Zone {
				conn := pipeline.Connection{Protocol: c.Orig.Protocol, Orig: ctTuple(c.Orig), Reply: ctTuple(c.Reply), Zone: c.Zone, Mark: c.Mark}
				if k.Protocol == reference.ICMP || k.Protocol == reference.ICMPv6 {
					conn.Orig.ICMPType, conn.Orig.ICMPCode = k.Type, k.Code
				}
				conn.RuleOut, conn.RuleIn = pipeline.RulesOf(c.Label, c.Mark)
				conn.Object, conn.AsItself = pipeline.ObjectOf(c.Label, c.Mark), pipeline.AsItselfOf(c.Label, c.Mark)
				kept = kept || conn.Kept()
				if ruling := explain.NewJudge(w.program, w.in, tenant).Rule(conn); !conn.Second() || ruling != pipeline.Unclear { // it ends with its first half
					rulings = append(rulings, ruling)
				}
			}
		}
	}
	is := func(some ...pipeline.Ruling) bool {
		return slices.ContainsFunc(rulings, func(r pipeline.Ruling) bool { return slices.Contains(some, r) })
	}
	ends := is(pipeline.Unmapped) || !kept && is(pipeline.Denied, pipeline.Answers)
	if ends == lives && !is(pipeline.Unclear) {
		t.Fatalf("%s\nchanged to\n%s\n%s is to go on: %v; kept: %v; the sweep says %v", was, w.text, k.sent.text(), lives, kept, rulings)
	}
}

func ctTuple(t flowsim.Tuple) pipeline.CTTuple {
	return pipeline.CTTuple{Src: t.Src, Dst: t.Dst, SrcPort: t.SrcPort, DstPort: t.DstPort}
}

func (w *world) tenantOf(e *intent.Endpoint) *intent.Tenant {
	if e == nil {
		return nil
	}
	return w.model.Tenant(e.Tenant)
}

// publicNoMore reports whether a connection has gone to another tenant's public address that is public no more.
func (w *world) publicNoMore(k talk, was *world) bool {
	if k.want.first.Then == nil {
		return false
	}
	public := func(w *world) bool {
		x := w.model.Bridges()[0].External(k.want.first.Out.Network)
		return slices.ContainsFunc(w.model.Tenants(), func(t *intent.Tenant) bool { return reference.PublicAt(t, x, k.want.first.Seen.Dst) != nil })
	}
	return public(was) && !public(w)
}

// stillMakes asks the reference whether a connection is to go on, in each tenant that it goes
// through.
func (w *world) stillMakes(k talk) bool {
	way, r := k.want.first, w.router()
	if way.Then == nil {
		return r.Keeps(k.Packet, k.by, reference.Mapping{Src: k.seen.Src, Dst: k.seen.Dst, DstPort: k.seen.DstPort, As: way.As, Keep: way.Keep, Both: way.Both, Leaves: way.Leaves, Shared: way.Shared, Range: k.sharedRange()})
	}
	on, last := k.Packet, 0
	if way.Leaves != "" || way.Shared { // which the second half says
		last = 1
	}
	as := k.made[last].Reply // as it is known between the two
	on.From, on.Src, on.SrcPort, on.Dst, on.DstPort = nil, as.Dst, as.DstPort, way.Seen.Dst, way.Seen.DstPort
	return r.Keeps(k.Packet, k.by, reference.Mapping{Src: as.Dst, Dst: on.Dst, DstPort: on.DstPort, As: way.As, Keep: way.Keep, Leaves: way.Leaves, Shared: way.Shared, Range: k.sharedRange()}) &&
		r.Keeps(on, w.model.Bridges()[0].External(way.Out.Network), reference.Mapping{Src: k.seen.Src, Dst: k.seen.Dst, DstPort: k.seen.DstPort, As: way.Then.As, Keep: way.Then.Keep, Both: way.Then.Both, Leaves: way.Then.Leaves})
}

// sharedRange is the one of the ranges as one of which k has left, which tenants share, that has its address.
func (k *talk) sharedRange() (its intent.AddrRange) {
	for _, c := range k.made {
		for _, r := range k.want.first.Seen.Sources {
			if k.want.first.Shared && r.Contains(c.Reply.Dst) {
				its = r
			}
		}
	}
	return its
}

// drawChangeOfNAT draws a model and one that differs from it in an object or two.
func drawChangeOfNAT(t *rapid.T) (a, b *world, ok bool) {
	text := drawModelWith(t, rapid.Custom(drawOutside).Filter(func(s string) bool { return s != "" }).Draw(t, "outside"))
	changed := text
	for range rapid.IntRange(1, 2).Draw(t, "changes") {
		changed = drawEditOfNAT(t, changed)
	}
	if _, err := intent.Read(intent.Source{Name: "changed.yaml", Data: []byte(changed)}); err != nil {
		return nil, nil, false
	}
	numbers, cache := store.Mem(), new(pipeline.Cache)
	on := drawDatapath(t)
	return newWorld(t, text, on, numbers, cache), newWorld(t, changed, on, numbers, cache), true
}

// editsOfNAT are what an operator may do to an object of NAT.
var editsOfNAT = [][2]string{
	{", shared: true", ""}, {", ports: ", ", shared: true, ports: "}, {"203.0.113.12\"", "203.0.113.13-203.0.113.14\""}, {"203.0.113.13-203.0.113.14\"", "203.0.113.12\""}, {"2001:db8::c\"", "2001:db8::10\""},
	{"endpoint: e00", "endpoint: e01"}, {"endpoint: e01", "endpoint: e00"}, {"203.0.113.36", "203.0.113.37"}, {"203.0.113.37", "203.0.113.36"}, {"2001:db8::24", "2001:db8::25"},
	{"203.0.113.16\"", "203.0.113.17\""}, {"203.0.113.16\"", "203.0.113.16-203.0.113.19\""}, {"203.0.113.16-203.0.113.19\"", "203.0.113.20\""}, {"203.0.113.16-203.0.113.19\"", "203.0.113.16\""},
	{"2001:db8::10\"", "2001:db8::11\""}, {", port: 80,", ", port: 443,"}, {", port: 80}", ", port: 443}"}, {"protocol: tcp", "protocol: udp"}, {"priority: 1,", "priority: 200,"}, {"priority: 200,", "priority: 1,"},
	{", ports: 1024-65535", ""}, {", ports: 32768-40000", ", ports: 20000"}, {"endpoints: [e00]", "endpoints: [e01]"}, {"endpoints: [e01]", "endpoints: [e00, e01]"}, {"tier: [app]", "tier: [db]"},
	{", snat: always", ""}, {"ports: [79-443]", "ports: [80]"}, {", protocol: tcp}", "}"}, {"0.0.0.0/0", "203.0.113.0/24"}, {"203.0.113.5/32", "203.0.113.4/31"}, {"100.64.0.16\"", "100.64.0.17\""},
	{", weight: 0", ""}, {", weight: 30", ", weight: 0"}, {"backends: [{endpoint: e00", "backends: [{endpoint: e02"}, {"algorithm: consistent", "algorithm: hash"}, {", targetPort: 443", ""}, {", snat: never", ""}, {", snat: never", ", snat: always"}, {"weight: 300", "weight: 0"},
	{", network: net0", ""}, {", network: net0", ", network: net1"}, {"/25", "/26"},
}

// drawEditOfNAT changes, removes or adds an object of NAT, or a line of the policy.
func drawEditOfNAT(t *rapid.T, text string) string {
	docs := strings.Split(text, "---\n")
	var at []int
	for i, d := range docs {
		if strings.Contains(d, "kind: SNAT") || strings.Contains(d, "kind: FloatingIP") || strings.Contains(d, "kind: PortForward") || strings.Contains(d, "kind: LoadBalancer") {
			at = append(at, i)
		}
	}
	kind := rapid.IntRange(0, 9).Draw(t, "edit of NAT")
	if len(at) == 0 || kind == 9 {
		return drawEdit(t, text)
	}
	if routed := strings.Index(text, "    prefixes: ["); routed > 0 && kind == 8 {
		line := text[routed : routed+strings.Index(text[routed:], "\n")+1]
		less := rapid.SampledFrom([]string{"", "    prefixes: [192.0.2.0/24]\n", "    prefixes: [10.0.1.0/24]\n", "    prefixes: [10.0.0.0/24, \"fd00:0::/64\"]\n"}).Draw(t, "prefixes then")
		return strings.Replace(text, line, less, 1)
	}
	i := rapid.SampledFrom(at).Draw(t, "object")
	if kind%3 == 0 {
		return strings.Join(slices.Delete(docs, i, i+1), "---\n")
	}
	var some [][2]string
	for _, e := range editsOfNAT {
		if strings.Contains(docs[i], e[0]) {
			some = append(some, e)
		}
	}
	if some != nil {
		e := rapid.SampledFrom(some).Draw(t, "words of NAT")
		docs[i] = strings.Replace(docs[i], e[0], e[1], 1)
	}
	return strings.Join(docs, "---\n")
}
