package apps

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/reference"
	"weir/store"
)

// TestWhatIsTakenBackIsNamed draws a model and two changes of it, one after the other, and
// asks the reference about every packet at a boundary: if what some model admitted is denied
// by a later one, one of the changes between them has named the tenant. It says how often a
// change was named by which nothing is taken back.
func TestWhatIsTakenBackIsNamed(t *testing.T) {
	drawn.Cases(t, 30, 300)
	var changes, named, needed int
	rapid.Check(t, func(t *rapid.T) {
		worlds, ok := drawHistory(t)
		if !ok {
			t.Skip("the change is none that an operator could make")
		}
		last := worlds[len(worlds)-1]
		var judged []map[string]bool // by change: the tenants that are judged again
		for i, w := range worlds[1:] {
			again := map[string]bool{}
			for _, id := range pipeline.Narrowed(w.program.Tables().Flows, worlds[i].program.Tables().Flows, w.in.Numbers, w.model) {
				again[string(id)] = true
			}
			judged = append(judged, again)
		}
		for from, w := range worlds[:len(worlds)-1] {
			lost := lostBetween(w, last)
			for tenant, p := range lost {
				if !slices.ContainsFunc(judged[from:], func(again map[string]bool) bool { return again[tenant] }) {
					t.Fatalf("%s\nchanged by way of\n%s\nto\n%s\n%s was admitted, is not now, and %s is not judged again", w.text, worlds[1].text, last.text, last.frame(p).text(), tenant)
				}
			}
			if from != len(worlds)-2 || w.text == last.text {
				continue
			}
			changes++
			named += len(judged[from])
			needed += len(lost)
		}
	})
	t.Logf("%d changes: in %d tenants something was taken back, and %d were judged again", changes, needed, named)
}

// lostBetween returns for each tenant a packet that a admits and b denies, if there is one.
func lostBetween(a, b *world) map[string]reference.Packet {
	lost := map[string]reference.Packet{}
	for _, t := range b.model.Tenants() {
		for p := range packetsOf(t) {
			if a.admits(p) && !b.lets(p) {
				lost[t.Name] = p
				break
			}
		}
	}
	return lost
}

// packetsOf yields a packet for each two endpoints of a tenant, their addresses, and each
// service that rules can tell apart.
func packetsOf(t *intent.Tenant) func(func(reference.Packet) bool) {
	return func(yield func(reference.Packet) bool) {
		for _, from := range t.Endpoints {
			for _, to := range t.Endpoints {
				for _, pair := range addressPairs(t, from, to) {
					p := reference.Packet{From: from, To: to, Src: pair[0], Dst: pair[1]}
					if from == to || !reference.MayBe(t, from, p.Src) {
						continue
					}
					for _, p := range servicesOf(p) {
						if !yield(p) {
							return
						}
					}
				}
			}
		}
	}
}

// servicesOf returns p for each service that rules can tell apart.
func servicesOf(p reference.Packet) (all []reference.Packet) {
	add := func(protocol uint8, port uint16, typ, code uint8) {
		p.Protocol, p.SrcPort, p.DstPort, p.Type, p.Code = protocol, 0, port, typ, code
		all = append(all, p)
	}
	for _, protocol := range []uint8{reference.TCP, reference.UDP, reference.SCTP} {
		for _, port := range []uint16{80, 81, 82, 79, 443, 1, 500, 1000, 1500, 2001, 65535} {
			add(protocol, port, 0, 0)
		}
	}
	for _, protocol := range []uint8{33, 47, 89} {
		add(protocol, 0, 0, 0)
	}
	for _, typ := range []uint8{8, 13} {
		if p.Src.Is4() {
			add(reference.ICMP, 0, typ, 0)
			add(reference.ICMP, 0, typ, 1)
		}
	}
	if p.Src.Is6() {
		add(reference.ICMPv6, 0, 128, 0)
	}
	return all
}

// drawHistory draws a model and two that came of it. In some, an endpoint goes and comes
// again as another.
func drawHistory(t *rapid.T) (worlds []*world, ok bool) {
	texts := []string{drawModel(t)}
	if rapid.IntRange(0, 3).Draw(t, "an endpoint goes") == 0 {
		texts = append(texts, withoutEndpoint(t, texts[0]), drawEdit(t, texts[0]))
	} else {
		for range 2 {
			texts = append(texts, drawEdit(t, texts[len(texts)-1]))
		}
	}
	numbers, cache, on := store.Mem(), new(pipeline.Cache), drawDatapath(t)
	for _, text := range texts {
		if _, err := intent.Read(intent.Source{Name: "changed.yaml", Data: []byte(text)}); err != nil {
			return nil, false
		}
		worlds = append(worlds, newWorld(t, text, on, numbers, cache))
	}
	return worlds, true
}

// withoutEndpoint takes an endpoint out of a model.
func withoutEndpoint(t *rapid.T, text string) string {
	docs := strings.Split(text, "---\n")
	var ends []int
	for i, d := range docs {
		if strings.Contains(d, "kind: Endpoint") {
			ends = append(ends, i)
		}
	}
	i := rapid.SampledFrom(ends).Draw(t, "endpoint")
	return strings.Join(slices.Delete(docs, i, i+1), "---\n")
}

// TestOnlyWhatTakesBackIsNamed makes changes that operators make every day, most of which
// take nothing back.
func TestOnlyWhatTakesBackIsNamed(t *testing.T) {
	const ports = "  - {name: a, direction: ingress, action: allow, from: {groups: [peers]}, protocol: tcp, ports: [80]}\n"
	const deny = "  - {name: no, direction: ingress, action: deny, protocol: tcp, ports: [81]}\n"
	const more = "  - {name: b, direction: ingress, action: allow, from: {cidrs: [10.0.0.0/25]}, protocol: tcp, ports: [\"80-90\"]}\n"
	for name, c := range map[string]struct {
		from, to change
		named    bool
	}{
		"an endpoint joins a group that only allows":       {change{peers: "e1", rules: ports}, change{peers: "e1, e2", rules: ports}, false},
		"an endpoint leaves it":                            {change{peers: "e1, e2", rules: ports}, change{peers: "e1", rules: ports}, true},
		"a subject joins its own peers":                    {change{peers: "e1", rules: ports}, change{peers: "e1, db", rules: ports}, false},
		"an endpoint joins a group that something denies":  {change{peers: "e1", rules: denied(ports)}, change{peers: "e1, e2", rules: denied(ports)}, true},
		"an endpoint is new in a group that is denied":     {change{peers: "e1", rules: denied(ports)}, change{peers: "e1, new", rules: denied(ports), more: "new"}, false},
		"an endpoint goes":                                 {change{peers: "e1", rules: ports, more: "new"}, change{peers: "e1", rules: ports}, true},
		"a rule is put before a deny that it overlaps not": {change{peers: "e1", rules: deny}, change{peers: "e1", rules: ports + deny}, false},
		"an allow comes before what denies it":             {change{peers: "e1", rules: deny + more}, change{peers: "e1", rules: more + deny}, false},
		"an allow falls behind what denies it":             {change{peers: "e1", rules: more + deny}, change{peers: "e1", rules: deny + more}, true},
		"an allow is put in front":                         {change{peers: "e1", rules: deny + more}, change{peers: "e1", rules: ports + deny + more}, false},
		"a prefix is widened":                              {change{peers: "e1", rules: deny + more}, change{peers: "e1", rules: deny + strings.Replace(more, "/25", "/24", 1)}, false},
		"a prefix is narrowed":                             {change{peers: "e1", rules: deny + strings.Replace(more, "/25", "/24", 1)}, change{peers: "e1", rules: deny + more}, true},
		"what a deny is for is less":                       {change{peers: "e1", rules: denied(more)}, change{peers: "e1", rules: strings.Replace(denied(more), "/25", "/26", 1)}, false},
		"a deny is replaced by an allow":                   {change{peers: "e1", rules: denied(ports)}, change{peers: "e1", rules: ports}, false},
		"a deny goes":                                      {change{peers: "e1", rules: deny + more}, change{peers: "e1", rules: more}, false},
		"a rule is to report":                              {change{peers: "e1", rules: ports}, change{peers: "e1", rules: reporting(ports)}, false},
		"a rule no longer reports":                         {change{peers: "e1", rules: reporting(ports)}, change{peers: "e1", rules: ports}, false},
		"a deny is to report":                              {change{peers: "e1", rules: deny + more}, change{peers: "e1", rules: reporting(deny) + more}, false},
		"a deny tells the sender":                          {change{peers: "e1", rules: deny + more}, change{peers: "e1", rules: strings.Replace(deny, "deny", "reject", 1) + more}, false},
		"an allow becomes a reject":                        {change{peers: "e1", rules: ports}, change{peers: "e1", rules: strings.Replace(ports, "allow", "reject", 1)}, true},
		"a deny comes":                                     {change{peers: "e1", rules: more}, change{peers: "e1", rules: deny + more}, true},
	} {
		t.Run(name, func(t *testing.T) {
			before, after, in := changed(t, c.from.model(t), c.to.model(t))
			got := pipeline.Narrowed(after.Tables().Flows, before.Tables().Flows, in.Numbers, in.Model)
			if len(got) > 0 != c.named {
				t.Errorf("named: %v", got)
			}
		})
	}
}

func reporting(rule string) string { return strings.Replace(rule, "}\n", ", log: new}\n", 1) }

func denied(rule string) string { return strings.Replace(rule, "action: allow", "action: deny", 1) }

// A change is a model of a tenant with endpoints db, e1 and e2, and perhaps one more, and
// with rules for all of them.
type change struct{ peers, rules, more string }

func (c change) model(t testing.TB) *intent.Model {
	t.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\n" +
		"---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: lan, tenant: t}\nspec: {subnets: [{cidr: 10.0.0.0/24}]}\n")
	for i, name := range strings.Fields("db e1 e2 " + c.more) {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: %s, tenant: t}\nspec: {network: lan, bind: {port: p%d}, mac: \"02:00:00:00:00:%02x\", ips: [10.0.0.%d]}\n", name, i, i, i+10)
	}
	fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Group\nmetadata: {name: peers, tenant: t}\nspec: {endpoints: [%s]}\n", c.peers)
	b.WriteString("---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: t}\nspec:\n  rules:\n" + c.rules)
	m, err := intent.Read(intent.Source{Name: "change", Data: []byte(b.String())})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAPortThatGoesIsRemembered takes the port of a group's member from the bridge: while it
// is away nothing is judged again, unless its endpoint leaves the group meanwhile.
func TestAPortThatGoesIsRemembered(t *testing.T) {
	const rule = "  - {name: a, direction: ingress, action: allow, from: {groups: [peers]}, protocol: tcp, ports: [80]}\n"
	numbers := store.Mem()
	member, stranger := change{peers: "e1, e2", rules: rule}.model(t), change{peers: "e2", rules: rule}.model(t)
	compiled := func(m *intent.Model, away string) (*pipeline.Program, pipeline.Input) {
		in, err := inputOf(m, numbers)
		if err != nil {
			t.Fatal(err)
		}
		in.Facts.Ports = slices.DeleteFunc(in.Facts.Ports, func(p pipeline.Port) bool { return p.Name == away })
		p, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		return p, in
	}
	whole, in := compiled(member, "")
	away, _ := compiled(member, "p1")
	left, after := compiled(stranger, "p1")
	for name, c := range map[string]struct {
		from, to *pipeline.Program
		named    int
	}{
		"it goes":                          {whole, away, 0},
		"it comes back":                    {away, whole, 0},
		"its endpoint leaves the group":    {away, left, 1},
		"it goes as its endpoint does so":  {whole, left, 1},
		"its endpoint joins the group":     {left, away, 0},
		"it comes as its endpoint does so": {left, whole, 0},
	} {
		if got := pipeline.Narrowed(c.to.Tables().Flows, c.from.Tables().Flows, after.Numbers, in.Model); len(got) != c.named {
			t.Errorf("%s: %v are judged again", name, got)
		}
	}
}
