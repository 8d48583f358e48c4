package test

import (
	"slices"
	"testing"
	"time"

	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// TestAGroupIsThereAsLongAsItsService has the backends of a load balancer come and go, until there is one or none
// that takes connections: the group is modified each time, with at most one flow, and never made anew.
func TestAGroupIsThereAsLongAsItsService(t *testing.T) {
	model := func(backends string) string {
		return balancedModel(balancer("web", "address: 10.1.1.64, whenEmpty: reject, ports: [{port: 80, protocol: tcp}], backends: ["+backends+"]"))
	}
	n, h1, _ := balanced(t, model("{endpoint: h2}, {endpoint: h3}"))
	session := n.Session()
	theGroup(t, session)
	seen := time.Now()
	for _, c := range []struct {
		backends string
		buckets  int
		serves   string // empty: one of them; "-": nobody
		flows    int    // that come or go, of one that has been there or is gone: its COMMIT and those of its own address
	}{
		{"{endpoint: h2}, {endpoint: h3, weight: 0}", 1, "h2", 0},
		{"{endpoint: h2, weight: 0}, {endpoint: h3, weight: 0}", 0, "-", 1},
		{"{endpoint: h2}, {endpoint: h3}", 2, "", 1},
		{"{endpoint: h2}", 1, "h2", 4},
		{"", 0, "-", 5},
		{"{endpoint: h2}, {endpoint: h3}", 2, "", 8},
	} {
		before := n.Weir.Programmed(1).Bridges[0].FlowModsSent
		n.Weir.Apply(model(c.backends))
		if _, err := n.Appctl("revalidator/wait"); err != nil { // the datapath may go by what it knew for a moment
			t.Fatal(err)
		}
		if sent := n.Weir.Programmed(1).Bridges[0].FlowModsSent - before; int(sent) > c.flows+1 {
			t.Errorf("[%s]: %d modifications, want %d and that of the group", c.backends, sent, c.flows)
		}
		since := time.Since(seen)
		if age, buckets := theGroup(t, session); buckets != c.buckets || age < since {
			t.Errorf("[%s]: the group has %d buckets, and is there for %v; want %d, for %v at least", c.backends, buckets, age, c.buckets, since)
		}
		switch c.serves {
		case "-":
			refuses(t, h1, "10.1.1.64:80")
		case "":
			served(t, h1, "10.1.1.64:80", 5)
		default:
			gets(t, h1, "10.1.1.64:80", c.serves)
		}
	}
}

// theGroup returns for how long the one group is there that chooses, and how many buckets it has.
func theGroup(t *testing.T, c *ofconn.Conn) (age time.Duration, buckets int) {
	t.Helper()
	groups, _, err := c.GroupsAndMeters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stats, err := c.GroupStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	groups = slices.DeleteFunc(groups, func(g ofproto.Group) bool { return g.Type != ofproto.GroupSelect })
	if len(groups) != 1 {
		t.Fatalf("%d groups choose, want one: %v", len(groups), groups)
	}
	i := slices.IndexFunc(stats, func(s ofproto.GroupStats) bool { return s.Group == groups[0].ID })
	if i < 0 {
		t.Fatalf("group %d has no counters", groups[0].ID)
	}
	return time.Duration(stats[i].DurationSec)*time.Second + time.Duration(stats[i].DurationNsec), len(groups[0].Buckets)
}
