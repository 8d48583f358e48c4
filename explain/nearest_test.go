package explain

import (
	"net/netip"
	"testing"

	"weir/intent"
)

func TestTheNearestRuleSaysWhatItLacks(t *testing.T) {
	m, _ := asked(t)
	web, db := m.Tenant("t").Endpoints[2], m.Tenant("t").Endpoints[0]
	if web.Name != "web-1" || db.Name != "db-1" {
		t.Fatalf("%s and %s", web.Name, db.Name)
	}
	group := &intent.Group{Tenant: "t", Name: "apps", Members: intent.Selector{Labels: map[string][]string{"tier": {"app"}}}}
	labels := func(v ...string) intent.Selector { return intent.Selector{Labels: map[string][]string{"tier": v}} }
	cidr := intent.Selector{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}}
	rule := func(name string, action intent.Action, peer intent.Selector, p intent.Protocol, ports ...uint16) *intent.Rule {
		r := &intent.Rule{Name: name, Direction: intent.Ingress, Action: action, Peer: peer, Service: intent.Service{Protocol: p}}
		for _, n := range ports {
			r.Ports = append(r.Ports, intent.PortRange{Lo: n, Hi: n})
		}
		return r
	}
	e := Ends{From: web, To: db, Src: netip.MustParseAddr("10.1.1.11"), Dst: netip.MustParseAddr("10.1.1.12"), Protocol: 6, Port: 5432}
	for name, c := range map[string]struct {
		to    intent.Selector
		rules []*intent.Rule
		by    intent.ID
		open  bool // the default allows
		e     Ends
		want  string
	}{
		"a label":                       {labels("db"), []*intent.Rule{rule("a", intent.Allow, labels("app"), intent.TCP, 5432)}, "t/default/ingress", false, e, "t/policy/p/a needs tier=app; web-1 has tier=web"},
		"a label that is not there":     {intent.Selector{}, []*intent.Rule{rule("a", intent.Allow, intent.Selector{Labels: map[string][]string{"zone": {"a", "b"}}}, intent.AnyProtocol)}, "", false, e, "t/policy/p/a needs zone=a|b; web-1 has no label zone"},
		"a port":                        {labels("db"), []*intent.Rule{rule("far", intent.Allow, labels("app"), intent.TCP, 1), rule("a", intent.Allow, labels("web"), intent.TCP, 5433, 5440)}, "", false, e, "t/policy/p/a needs port 5433 or 5440; it is port 5432"},
		"a protocol":                    {labels("db"), []*intent.Rule{rule("a", intent.Allow, labels("web"), intent.UDP, 5432)}, "", false, e, "t/policy/p/a needs udp; it is tcp"},
		"a peer rather than a protocol": {labels("db"), []*intent.Rule{rule("far", intent.Allow, labels("web"), intent.UDP), rule("a", intent.Allow, labels("app"), intent.TCP)}, "", false, e, "t/policy/p/a needs tier=app; web-1 has tier=web"},
		"an address":                    {labels("db"), []*intent.Rule{rule("a", intent.Allow, cidr, intent.TCP, 5432)}, "", false, e, "t/policy/p/a needs 10.9.0.0/16; it is 10.1.1.11"},
		"a group":                       {labels("db"), []*intent.Rule{rule("a", intent.Allow, intent.Selector{Groups: []*intent.Group{group}}, intent.TCP)}, "", false, e, "t/policy/p/a needs group apps; web-1 has tier=web"},
		"other endpoints":               {labels("web"), []*intent.Rule{rule("a", intent.Allow, intent.Selector{}, intent.TCP)}, "", false, e, "t/policy/p/a needs to be for tier=web; db-1 has tier=db"},
		"nobody of the tenant":          {labels("db"), []*intent.Rule{rule("a", intent.Allow, labels("app"), intent.TCP)}, "", false, Ends{To: db, Src: netip.MustParseAddr("203.0.113.1"), Dst: e.Dst, Protocol: 6, Port: 5432}, "t/policy/p/a needs tier=app; 203.0.113.1 is none of the tenant's endpoints"},
		"two things":                    {labels("db"), []*intent.Rule{rule("a", intent.Allow, labels("app"), intent.TCP, 80)}, "", false, e, "t/policy/p/a needs tier=app; web-1 has tier=web; and port 80; it is port 5432"},
		"a rule before it":              {labels("db"), []*intent.Rule{rule("no", intent.Deny, intent.Selector{}, intent.TCP), rule("a", intent.Allow, labels("web"), intent.TCP)}, "t/policy/p/no", false, e, "t/policy/p/a would allow it, but t/policy/p/no comes before it"},
		"a rule before it, and a label": {labels("db"), []*intent.Rule{rule("no", intent.Deny, intent.Selector{}, intent.TCP), rule("a", intent.Allow, labels("app"), intent.TCP)}, "t/policy/p/no", false, e, "t/policy/p/a needs tier=app; web-1 has tier=web; and t/policy/p/no comes before it"},
		"the default":                   {labels("db"), []*intent.Rule{rule("no", intent.Deny, intent.Selector{}, intent.TCP), rule("a", intent.Allow, labels("app"), intent.TCP)}, "t/policy/p/no", true, e, "t/default/ingress would allow it, but t/policy/p/no comes before it"},
		"none":                          {labels("db"), []*intent.Rule{rule("no", intent.Deny, intent.Selector{}, intent.TCP)}, "", false, e, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &intent.Policy{Tenant: "t", Name: "p", AppliesTo: c.to, Rules: c.rules}
			for _, r := range c.rules {
				r.Policy = p
			}
			tenant := &intent.Tenant{Name: "t", Ingress: intent.Deny, Policies: []*intent.Policy{p}}
			if c.open {
				tenant.Ingress = intent.Allow
			}
			got := ""
			if near, found := Nearest(tenant, intent.Ingress, c.e, c.by); found {
				got = near.String()
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
