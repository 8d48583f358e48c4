package drain_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/drain"
	"weir/intent"
)

// numbers knows a service by its tag.
type numbers map[uint32]intent.ID

func (numbers) Zone(intent.ID) uint16                 { return 1 }
func (numbers) Epoch(intent.ID) uint8                 { return 1 }
func (numbers) Tag(intent.ID) uint32                  { return 1 }
func (numbers) Group(intent.ID) uint32                { return 1 }
func (n numbers) Origin(tag uint32) (intent.ID, bool) { id, ok := n[tag]; return id, ok }

const (
	shop, gone, port, rule = 7, 8, 9, 10 // tags
	tcp, udp               = pipeline.ProtoTCP, pipeline.ProtoUDP
)

var known = numbers{shop: "t/loadbalancer/shop", gone: "t/loadbalancer/gone", port: "t/loadbalancer/shop/tcp/80", rule: "t/portforward/shop"}

// backend returns 10.0.0.N, with a weight.
func backend(n byte, weight uint16) intent.Backend {
	return intent.Backend{IP: netip.AddrFrom4([4]byte{10, 0, 0, n}), Weight: weight}
}

// balanced returns the tenant t with the load balancer 10.0.0.100, of tcp 80 to 8080 and udp 53.
func balanced(change func(*intent.LoadBalancer), backends ...intent.Backend) *intent.Tenant {
	l := &intent.LoadBalancer{
		Tenant: "t", Name: "shop", Address: netip.MustParseAddr("10.0.0.100"), Backends: backends, Drain: 60 * intent.Second, Stale: intent.StaleFlush,
		Ports: []intent.LBPort{{Protocol: intent.TCP, Port: 80, Target: 8080}, {Protocol: intent.UDP, Port: 53, Target: 53}, {Protocol: intent.SCTP, Port: 36412, Target: 36412}},
	}
	if change != nil {
		change(l)
	}
	return &intent.Tenant{Name: "t", LoadBalancers: []*intent.LoadBalancer{l}}
}

// to returns a connection that 10.0.0.N was given.
func to(protocol uint8, n byte, from uint16) pipeline.Connection {
	service, target := uint16(80), uint16(8080)
	if protocol == udp {
		service, target = 53, 53
	}
	client, at := netip.MustParseAddr("10.0.0.1"), netip.AddrFrom4([4]byte{10, 0, 0, n})
	return pipeline.Connection{
		Protocol: protocol, Object: shop, Mark: pipeline.MarkCommitted | pipeline.MarkDNAT,
		Orig:  pipeline.CTTuple{Src: client, Dst: netip.MustParseAddr("10.0.0.100"), SrcPort: from, DstPort: service},
		Reply: pipeline.CTTuple{Src: at, Dst: client, SrcPort: target, DstPort: from},
	}
}

func with(c pipeline.Connection, change func(*pipeline.Connection)) pipeline.Connection {
	change(&c)
	return c
}

// failed says that 10.0.0.N has failed.
func failed(n byte) drain.Weights {
	return drain.Weights{"t/loadbalancer/shop": {netip.AddrPortFrom(backend(n, 0).IP, 0): 0}}
}

// portless makes a connection one of SCTP as the userspace datapath knows it.
func portless(c *pipeline.Connection) {
	c.Protocol, c.Orig.SrcPort, c.Orig.DstPort, c.Reply.SrcPort, c.Reply.DstPort = 132, 0, 0, 0, 0
}

func TestWhatABackendIsToAConnection(t *testing.T) {
	services := drain.ServicesOf(balanced(nil, backend(2, 100), backend(3, 0), backend(4, 100)), known, failed(4))
	for name, c := range map[string]struct {
		connection pipeline.Connection
		want       drain.State // empty: it is nobody's
	}{
		"one of a backend with a weight":                             {to(tcp, 2, 1), drain.Serving},
		"one of a backend with weight 0":                             {to(tcp, 3, 1), drain.Draining},
		"one of a backend that has failed":                           {to(udp, 4, 1), drain.Failed},
		"one of a backend that is not listed":                        {to(tcp, 5, 1), drain.Removed},
		"one to another port of a backend that is":                   {with(to(tcp, 2, 1), func(c *pipeline.Connection) { c.Reply.SrcPort = 8081 }), drain.Removed},
		"one whose label names the port of the service":              {with(to(tcp, 2, 1), func(c *pipeline.Connection) { c.Object = port }), drain.Serving},
		"one of a service that is gone":                              {with(to(tcp, 2, 1), func(c *pipeline.Connection) { c.Object = gone }), ""},
		"one of a port forward with the service's name":              {with(to(tcp, 2, 1), func(c *pipeline.Connection) { c.Object = rule }), ""},
		"one of SCTP, of which the datapath knows no ports":          {with(to(tcp, 2, 1), portless), drain.Serving},
		"one of SCTP without ports, of a backend that is not listed": {with(to(tcp, 5, 1), portless), drain.Removed},
		"one that nothing has translated":                            {with(to(tcp, 2, 1), func(c *pipeline.Connection) { c.Object = 0 }), ""},
		"one to a port that the service no longer has":               {with(to(tcp, 5, 1), func(c *pipeline.Connection) { c.Orig.DstPort = 81 }), ""},
		"one to an address that the service has not now":             {with(to(tcp, 5, 1), func(c *pipeline.Connection) { c.Orig.Dst = backend(101, 0).IP }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			key, state, ok := services.Backend(c.connection)
			if ok != (c.want != "") || state != c.want || ok && key.Service != "t/loadbalancer/shop" {
				t.Errorf("is %q of %v, want %q", state, key, c.want)
			}
		})
	}
}

// told writes findings in one line: who has how many connections, and what happens.
func told(f drain.Finding) string {
	var parts []string
	list := func(what string, some []drain.Backend) {
		for _, b := range some {
			parts = append(parts, fmt.Sprintf("%s %s %v %d/%d", what, b.State, b.Key.Backend.Addr(), b.Connections, b.Ended))
		}
	}
	list("began", f.Began)
	list("has", f.Backends)
	for _, c := range f.End {
		parts = append(parts, fmt.Sprint("end ", c.Orig.SrcPort))
	}
	for _, c := range f.Reset {
		parts = append(parts, fmt.Sprint("reset ", c.Orig.SrcPort))
	}
	list("over", f.Over)
	if f.Next > 0 {
		parts = append(parts, "next "+f.Next.String())
	}
	return strings.Join(parts, ", ")
}

// A step is what is there at a time, and what is found.
type step struct {
	after    time.Duration
	services drain.Services
	all      []pipeline.Connection
	want     string
}

func services(change func(*intent.LoadBalancer), weight drain.Weights, backends ...intent.Backend) drain.Services {
	return drain.ServicesOf(balanced(change, backends...), known, weight)
}

func TestWhatBecomesOfConnections(t *testing.T) {
	stale := func(s intent.Stale) func(*intent.LoadBalancer) {
		return func(l *intent.LoadBalancer) { l.Stale = s }
	}
	forever := func(l *intent.LoadBalancer) { l.Drain = 0 }
	reset := func(l *intent.LoadBalancer) { l.Drain, l.Stale = 0, intent.StaleReset }
	opening := func(c *pipeline.Connection) { c.Opening = true }
	all := []pipeline.Connection{to(tcp, 2, 1), to(tcp, 3, 2)}
	well := services(nil, nil, backend(2, 100), backend(3, 100))
	drained := services(nil, nil, backend(2, 100), backend(3, 0))
	removed := services(nil, nil, backend(2, 100))
	for name, steps := range map[string][]step{
		"all serve": {{0, well, all, ""}},
		"weight 0: they go on until the deadline, and then exactly they are ended": {
			{0, drained, all, "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
			{59500 * time.Millisecond, drained, all, "has draining 10.0.0.3 1/0, next 500ms"},
			{60 * time.Second, drained, all, "end 2, over draining 10.0.0.3 0/1, next 1s"},
			{61 * time.Second, drained, all[:1], ""},
		},
		"weight 0, and the last one ends by itself": {
			{0, drained, all, "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
			{10 * time.Second, drained, all[:1], "over draining 10.0.0.3 0/0"},
		},
		"weight 0, and back, and again: the time begins anew": {
			{0, drained, all, "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
			{50 * time.Second, well, all, ""},
			{70 * time.Second, drained, all, "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
		},
		"weight 0, and then removed: the time goes on": {
			{0, drained, all, "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
			{59 * time.Second, removed, all, "has removed 10.0.0.3 1/0, next 1s"},
			{60 * time.Second, removed, all, "end 2, over removed 10.0.0.3 0/1, next 1s"},
		},
		"weight 0 without a deadline: for ever": {
			{0, services(forever, nil, backend(2, 100), backend(3, 0)), all, "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
			{time.Hour, services(forever, nil, backend(2, 100), backend(3, 0)), all, "has draining 10.0.0.3 1/0, next 10s"},
		},
		"removed without a deadline: at once": {
			{0, services(forever, nil, backend(2, 100)), all, "began removed 10.0.0.3 0/1, end 2, over removed 10.0.0.3 0/1, next 1s"},
		},
		"removed, keep: TCP stays, whatever the time to drain is": {
			{0, services(stale(intent.StaleKeep), nil, backend(2, 100)), append(all, to(udp, 3, 3)), "began removed 10.0.0.3 0/1, began removed 10.0.0.3 1/0, has removed 10.0.0.3 1/0, end 3, over removed 10.0.0.3 0/1, next 1s"},
			{time.Hour, services(stale(intent.StaleKeep), nil, backend(2, 100)), all, "has removed 10.0.0.3 1/0, next 10s"},
			{2 * time.Hour, services(stale(intent.StaleKeep), nil, backend(2, 100)), append(all, with(to(tcp, 3, 4), opening)), "has removed 10.0.0.3 2/0, next 1s"},
		},
		"removed: TCP drains, a datagram's sender is given another at once": {
			{0, removed, append(all, to(udp, 3, 3)), "began removed 10.0.0.3 0/1, began removed 10.0.0.3 1/0, has removed 10.0.0.3 1/0, end 3, over removed 10.0.0.3 0/1, next 1s"},
		},
		"removed: one that nobody answers for a second does not wait": {
			{0, removed, []pipeline.Connection{with(to(tcp, 3, 2), opening), with(to(tcp, 3, 3), opening)}, "began removed 10.0.0.3 2/0, has removed 10.0.0.3 2/0, next 1s"},
			{time.Second / 2, removed, []pipeline.Connection{with(to(tcp, 3, 2), opening), to(tcp, 3, 3)}, "has removed 10.0.0.3 2/0, next 1s"},
			{time.Second, removed, []pipeline.Connection{with(to(tcp, 3, 2), opening), with(to(tcp, 3, 3), opening)}, "has removed 10.0.0.3 1/1, end 2, next 1s"},
		},
		"removed: a connection that comes late does not begin the time anew": {
			{0, removed, all, "began removed 10.0.0.3 1/0, has removed 10.0.0.3 1/0, next 1s"},
			{time.Second, removed, all[:1], "over removed 10.0.0.3 0/0, next 1s"},
			{2 * time.Second, removed, all, "began removed 10.0.0.3 1/0, has removed 10.0.0.3 1/0, next 1s"},
			{60 * time.Second, removed, all, "end 2, over removed 10.0.0.3 0/1, next 1s"},
			{70 * time.Second, removed, all[:1], ""},
			{80 * time.Second, removed, []pipeline.Connection{with(to(tcp, 3, 2), opening)}, "began removed 10.0.0.3 1/0, has removed 10.0.0.3 1/0, next 1s"},
			{90 * time.Second, removed, []pipeline.Connection{with(to(tcp, 3, 4), opening)}, "has removed 10.0.0.3 1/0, next 1s"},
		},
		"failed, and then removed: the time begins with that": {
			{0, services(nil, failed(3), backend(2, 100), backend(3, 100)), all[:1], "next 1s"},
			{time.Minute, removed, all, "began removed 10.0.0.3 1/0, has removed 10.0.0.3 1/0, next 1s"},
			{119 * time.Second, removed, all, "has removed 10.0.0.3 1/0, next 1s"},
			{120 * time.Second, removed, all, "end 2, over removed 10.0.0.3 0/1, next 1s"},
		},
		"failed, flush: all end": {
			{0, services(nil, failed(3), backend(2, 100), backend(3, 100)), append(all, to(udp, 3, 3)), "began failed 10.0.0.3 0/1, began failed 10.0.0.3 0/1, end 2, end 3, over failed 10.0.0.3 0/1, over failed 10.0.0.3 0/1, next 1s"},
		},
		"failed, keep: TCP stays, but what is not answered": {
			{0, services(stale(intent.StaleKeep), failed(3), backend(2, 100), backend(3, 100)), append(all, to(udp, 3, 3), with(to(tcp, 3, 4), opening)),
				"began failed 10.0.0.3 0/1, began failed 10.0.0.3 2/0, has failed 10.0.0.3 2/0, end 3, over failed 10.0.0.3 0/1, next 1s"},
			{time.Second, services(stale(intent.StaleKeep), failed(3), backend(2, 100), backend(3, 100)), append(all, with(to(tcp, 3, 4), opening)), "has failed 10.0.0.3 1/1, end 4, next 1s"},
			{time.Minute, services(stale(intent.StaleKeep), failed(3), backend(2, 100), backend(3, 100)), all, "has failed 10.0.0.3 1/1"},
		},
		"failed, reset: the clients of TCP are told": {
			{0, services(stale(intent.StaleReset), failed(3), backend(2, 100), backend(3, 100)), append(all, to(udp, 3, 3)), "began failed 10.0.0.3 0/1, began failed 10.0.0.3 0/1, end 2, end 3, reset 2, over failed 10.0.0.3 0/1, over failed 10.0.0.3 0/1, next 1s"},
		},
		"removed, reset: a client whose answer has come to the backend that is gone is told once more": {
			{0, services(reset, nil, backend(2, 100)), all, "began removed 10.0.0.3 0/1, end 2, reset 2, over removed 10.0.0.3 0/1, next 1s"},
			{time.Second, services(reset, nil, backend(2, 100)), []pipeline.Connection{all[0], with(to(tcp, 3, 2), opening), with(to(tcp, 3, 3), opening)}, "began removed 10.0.0.3 0/2, end 2, end 3, reset 2, over removed 10.0.0.3 0/2, next 1s"},
			{2 * time.Second, services(reset, nil, backend(2, 100)), all[:1], "next 1s"},
			{4 * time.Second, services(reset, nil, backend(2, 100)), []pipeline.Connection{with(to(tcp, 3, 2), opening)}, "began removed 10.0.0.3 0/1, end 2, over removed 10.0.0.3 0/1, next 1s"},
		},
		"what has been closed, or stopped by policy, is no connection": {
			{0, removed, []pipeline.Connection{with(to(tcp, 3, 2), func(c *pipeline.Connection) { c.Over = true }), with(to(tcp, 3, 3), func(c *pipeline.Connection) { c.Mark |= pipeline.MarkBlocked })}, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l drain.Ledger
			begin := time.Unix(1e9, 0)
			for i, s := range steps {
				if got := told(l.Look(s.all, s.services, begin.Add(s.after))); got != s.want {
					t.Errorf("look %d:\n got %s\nwant %s", i, got, s.want)
				}
			}
		})
	}
}

func TestWhetherAChangeHasConnectionsLookedAt(t *testing.T) {
	a := services(nil, nil, backend(2, 100), backend(3, 100))
	for name, c := range map[string]struct {
		services drain.Services
		want     bool
	}{
		"another weight":              {services(nil, nil, backend(2, 50), backend(3, 100)), true},
		"weight 0":                    {services(nil, nil, backend(2, 0), backend(3, 100)), false},
		"one has failed":              {services(nil, failed(2), backend(2, 100), backend(3, 100)), false},
		"one more":                    {services(nil, nil, backend(2, 100), backend(3, 100), backend(4, 100)), true},
		"one more, with weight 0":     {services(nil, nil, backend(2, 100), backend(3, 100), backend(4, 0)), false},
		"another order":               {services(nil, nil, backend(3, 100), backend(2, 100)), true},
		"none is left":                {services(nil, nil), false},
		"one less":                    {services(nil, nil, backend(2, 100)), false},
		"another one":                 {services(nil, nil, backend(2, 100), backend(4, 100)), false},
		"a shorter drain":             {services(func(l *intent.LoadBalancer) { l.Drain = 1 }, nil, backend(2, 100), backend(3, 100)), false},
		"something else for the rest": {services(func(l *intent.LoadBalancer) { l.Stale = intent.StaleKeep }, nil, backend(2, 100), backend(3, 100)), false},
	} {
		t.Run(name, func(t *testing.T) {
			if a.Settles(c.services) != c.want {
				t.Errorf("it is settled: %v", !c.want)
			}
		})
	}
}

func TestALookDoesNotDependOnOrder(t *testing.T) {
	s := services(nil, nil)
	all := []pipeline.Connection{to(tcp, 3, 1), to(tcp, 2, 2), to(tcp, 4, 3), to(tcp, 2, 4)}
	var l, m drain.Ledger
	now := time.Unix(1e9, 0)
	one := told(l.Look(all, s, now))
	slices.Reverse(all)
	if two := told(m.Look(all, s, now)); one != two {
		t.Errorf("%s\n%s", one, two)
	}
}

// TestWhatWasKnownIsRecalled looks with a new Ledger at what another one has known for 50 s of 60.
func TestWhatWasKnownIsRecalled(t *testing.T) {
	const before = 50 * time.Second
	all := []pipeline.Connection{to(tcp, 2, 1), to(tcp, 3, 2), to(tcp, 4, 3)}
	well := services(nil, nil, backend(2, 100), backend(3, 100))
	drained := services(nil, nil, backend(2, 100), backend(3, 0))
	broken := services(nil, failed(3), backend(2, 100), backend(3, 100))
	start := time.Unix(1_000_000, 0)
	var old drain.Ledger
	old.Look(all, drained, start)
	since := old.Since()
	if len(since) != 4 { // that of TCP, of UDP and of SCTP, and that of TCP which has been removed
		t.Fatalf("known is %v", since)
	}
	for name, steps := range map[string][]step{
		"they go on": {
			{before, drained, all, "began draining 10.0.0.3 1/0, began removed 10.0.0.4 1/0, has draining 10.0.0.3 1/0, has removed 10.0.0.4 1/0, next 1s"},
			{60 * time.Second, drained, all, "end 2, end 3, over draining 10.0.0.3 0/1, over removed 10.0.0.4 0/1, next 1s"},
		},
		"the time was over before": {
			{2 * time.Hour, drained, all, "end 2, end 3"},
		},
		"one serves by now: later it begins anew": {
			{before, well, all[:2], ""},
			{60 * time.Second, drained, all[:2], "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
		},
		"one has failed by now, and drains later: it begins anew": {
			{before, broken, all[:2], "began failed 10.0.0.3 0/1, end 2, over failed 10.0.0.3 0/1, next 1s"},
			{61 * time.Second, drained, all[:2], "began draining 10.0.0.3 1/0, has draining 10.0.0.3 1/0, next 1s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l drain.Ledger
			l.Recall(since)
			for _, s := range steps {
				got := told(l.Look(s.all, s.services, start.Add(s.after)))
				if !strings.Contains(got, s.want) || s.want == "" && got != "" {
					t.Errorf("after %v: %s, want %s", s.after, got, s.want)
				}
			}
		})
	}
	if len(new(drain.Ledger).Since()) != 0 {
		t.Error("an empty Ledger knows something")
	}
}
