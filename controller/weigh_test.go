package controller

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/drain"
	"weir/health"
	"weir/intent"
	"weir/ofproto"
)

const web = intent.ID("a/loadbalancer/web")

// withBackends is a model with a load balancer of h1 to h3, and what more it says.
func withBackends(t *testing.T, more string) *intent.Model {
	t.Helper()
	var b strings.Builder
	object := func(kind, meta, spec string) {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: %s\nmetadata: {%s}\nspec: {%s}\n", kind, meta, spec)
	}
	object("Bridge", "name: br0", "")
	object("Tenant", "name: a", "")
	object("Network", "name: net, tenant: a", "subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.254}]")
	for i := 1; i <= 3; i++ {
		object("Endpoint", fmt.Sprintf("name: h%d, tenant: a", i), fmt.Sprintf(`network: net, bind: {port: h%d}, mac: "02:00:00:00:00:0%d", ips: [10.0.0.%d]`, i, i, i))
	}
	object("LoadBalancer", "name: web, tenant: a", "address: 10.0.0.100, ports: [{port: 80, protocol: tcp}], "+more)
	m, err := intent.Read(intent.Source{Name: "test", Data: []byte(b.String())})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	two     = "backends: [{endpoint: h1}, {endpoint: h2}]"
	three   = "backends: [{endpoint: h1}, {endpoint: h2}, {endpoint: h3}]"
	checked = ", health: {type: tcp, slowStart: 9s}"
)

func at(i byte) netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, i}), 0) }

// A scale is Run's state without Run, in virtual time.
type scale struct {
	*testing.T
	*state
}

func weighed(t *testing.T, f func(scale)) {
	synctest.Test(t, func(t *testing.T) {
		s := &state{Controller: New(Config{}), weighing: newWeighing(), bridges: map[string]*bridge{"br0": {name: "br0"}}, stale: map[string]bool{}, numbers: memNumbers{}}
		f(scale{t, s})
	})
}

// take makes a model the one in force, and tells the bridge.
func (s scale) take(m *intent.Model) {
	s.model = m
	s.weightsOf(m, s.numbers)
}

// say has the bridge say who is asked of the model in force.
func (s scale) say(hosts ...byte) {
	keys := map[health.Key]bool{}
	for _, h := range hosts {
		keys[health.Key{Balancer: web, Backend: at(h)}] = true
	}
	probesSet{s.bridges["br0"], inquiry{s.model, keys}}.apply(s.state)
}

func (s scale) hear(host byte, up bool) {
	v := health.Verdict{Key: health.Key{Balancer: web, Backend: at(host)}, Up: up, At: time.Now()}
	if !up {
		v.Why = errors.New("refused")
	}
	verdictFound{v}.apply(s.state)
}

// want compares the weights of h1, h2, ...
func (s scale) want(what string, want ...uint16) {
	s.Helper()
	others, got := s.weightsOf(s.model, s.numbers)[web], []uint16{}
	for _, b := range s.model.Tenants()[0].LoadBalancers[0].Backends {
		w, other := others[pipeline.BackendKey(b)]
		if !other {
			w = b.Weight
		}
		got = append(got, w)
	}
	if !slices.Equal(got, want) {
		s.Errorf("%s: %v, want %v", what, got, want)
	}
}

// pass lets time pass, and what changes by itself does.
func (s scale) pass(d time.Duration) {
	end := time.After(d)
	for {
		select {
		case <-s.weighing.turn:
			s.weighDue()
		case <-end:
			return
		}
	}
}

func TestNobodyIsWellBeforeHeHasAnswered(t *testing.T) {
	weighed(t, func(s scale) {
		s.take(withBackends(t, two+checked))
		s.say(1, 2)
		s.want("at first", 0, 0)
		s.hear(1, true)
		s.want("h1 has answered", 10, 0)
		s.pass(4500 * time.Millisecond)
		s.want("half of its slow start later", 50, 0)
		s.hear(2, false)
		s.pass(5 * time.Second)
		s.want("h1 has begun", 100, 0)
		s.hear(1, false)
		s.want("both have failed", 0, 0)
		if !s.stale["br0"] {
			t.Error("the bridge is not told")
		}
	})
}

func TestWhatTheBridgeHasStaysUntilSomethingIsKnown(t *testing.T) {
	has := pipeline.InstalledIn(ofproto.Tables{Groups: []ofproto.Group{{ID: 1, Buckets: []ofproto.Bucket{
		{Weight: 1, Actions: []ofproto.Action{ofproto.SetAddr(ofproto.IPv4Dst, at(1).Addr())}},
		{Weight: 1, Actions: []ofproto.Action{ofproto.SetAddr(ofproto.IPv4Dst, at(3).Addr())}},
	}}}})
	for name, begin := range map[string]func(scale){
		"the bridge comes first": func(s scale) { s.takeOver("br0", has); s.take(withBackends(t, three+checked)) },
		"the model comes first":  func(s scale) { s.take(withBackends(t, three+checked)); s.takeOver("br0", has) },
	} {
		t.Run(name, func(t *testing.T) {
			weighed(t, func(s scale) {
				begin(s)
				s.want("at first", 100, 0, 100)
				s.say(1, 2, 3)
				s.want("when they are asked", 100, 0, 100)
				s.hear(1, true)
				s.hear(2, true)
				s.hear(3, false)
				s.want("when they have answered", 100, 10, 0)
			})
		})
	}
}

func TestOneThatHasNoPortIsNotWell(t *testing.T) {
	weighed(t, func(s scale) {
		s.take(withBackends(t, two))
		s.say()
		s.want("nobody asks", 100, 100)
		s.take(withBackends(t, two+checked))
		s.want("nothing is known yet", 100, 100)
		s.say(1)
		s.want("h2 is not there", 100, 0)
		s.say(1, 2)
		s.hear(2, true)
		s.pass(10 * time.Second)
		s.want("it has come", 100, 100)
		s.say(1)
		s.want("it has gone", 100, 0)
		s.say(1, 2)
		s.want("it has come again, and nothing is known of it", 100, 0)
	})
}

func TestAnotherModelKeepsWhatIsKnown(t *testing.T) {
	weighed(t, func(s scale) {
		s.take(withBackends(t, two+checked))
		s.say(1, 2)
		s.hear(1, true)
		s.hear(2, true)
		s.pass(10 * time.Second)
		s.want("before", 100, 100)

		next := withBackends(t, strings.Replace(three, "h1}", "h1, weight: 300}", 1)+checked)
		s.next = &candidate{model: next}
		if w := s.weightsOf(next, s.numbers)[web]; !maps.Equal(w, map[netip.AddrPort]uint16{at(3): 0}) {
			t.Errorf("for the model that is reviewed: %v", w)
		}
		s.hear(2, false)
		s.want("of the one in force", 100, 0)
		s.next = nil
		s.take(next)
		s.want("of the next", 300, 0, 0)
		s.say(1, 2, 3)
		s.want("when the bridge asks", 300, 0, 0)
		s.take(withBackends(t, three))
		s.want("nobody is asked any more", 100, 100, 100)
	})
}

func TestABackendThatDrainsKeepsNoWeight(t *testing.T) {
	weighed(t, func(s scale) {
		s.take(withBackends(t, "backends: [{endpoint: h1, weight: 0}, {endpoint: h2}]"+checked))
		s.say(1, 2)
		s.hear(1, true)
		s.hear(2, true)
		s.pass(10 * time.Second)
		s.want("h1 is well, and drains", 0, 100)
		if states := s.backendStates()[web]; states[0].Health != HealthUp || states[0].Weight != 0 || states[1].Weight != 100 {
			t.Errorf("%+v", states)
		}
	})
}

func TestWhatIsKnownIsToldSoon(t *testing.T) {
	weighed(t, func(s scale) {
		s.take(withBackends(t, two+checked))
		s.say(1, 2)
		if got := s.backendStates()[web][0].Health; got != HealthUnknown {
			t.Errorf("at first: %s", got)
		}
		s.hear(1, false)
		s.backendStates()
		s.pass(2 * tellStates)
		if got := s.backendStates()[web][0]; got.Health != HealthDown || got.Why != "refused" {
			t.Errorf("%+v", got)
		}
	})
}

func TestBusyBackendsLoseWeight(t *testing.T) {
	weighed(t, func(s scale) {
		s.take(withBackends(t, three+", load: {type: reported, strength: 80, interval: 2s}"))
		s.say()
		load := func(host byte, load float64, said bool) {
			loadFound{health.Verdict{Key: health.Key{Balancer: web, Backend: at(host)}, Up: said, Load: load}}.apply(s.state)
		}
		load(1, 1, true)
		load(2, 0.25, true)
		load(3, 0.25, true)
		s.want("before it is looked at", 100, 100, 100)
		s.pass(2500 * time.Millisecond)
		s.want("a little later", 78, 94, 94)
		s.pass(time.Minute)
		s.want("in the end", 26, 80, 80)
		load(1, 0.98, true)
		s.pass(10 * time.Second)
		s.want("what is little is not followed", 26, 80, 80)
		s.take(withBackends(t, strings.Replace(three, "h3}", "h3, weight: 0}", 1)+", load: {type: reported, strength: 80, interval: 2s}"))
		s.want("another model: what is known stays", 25, 80, 0)
		load(1, 0, false)
		load(2, 0.25, true)
		s.pass(time.Minute)
		s.want("one that says nothing is like the others", 79, 80, 0)
	})
}

func TestConnectionsAreCountedForEachBackend(t *testing.T) {
	weighed(t, func(s scale) {
		s.take(withBackends(t, two+", load: {type: connections, strength: 100, interval: 5s}"))
		for range 30 {
			connectionsCounted{tenant: "a", open: map[health.Key]int{{Balancer: web, Backend: at(1)}: 90, {Balancer: web, Backend: at(2)}: 10}}.apply(s.state)
		}
		s.want("one has nine times as many", 61, 100)
		connectionsCounted{tenant: "a", open: nil, err: errors.New("no tracker")}.apply(s.state)
		connectionsCounted{tenant: "b", open: nil}.apply(s.state)
		s.want("what could not be read changes nothing", 61, 100)
		for range 30 {
			connectionsCounted{tenant: "a", open: map[health.Key]int{{Balancer: web, Backend: at(1)}: 50, {Balancer: web, Backend: at(2)}: 50}}.apply(s.state)
		}
		s.want("they are even", 100, 100)
	})
}

func TestOpenConnectionsAreThoseOfTheirBackend(t *testing.T) {
	m := withBackends(t, "backends: [{endpoint: h1}, {endpoint: h2, port: 8080}], load: {type: connections}")
	n := tagOf{7: web + "/tcp/80"}
	conn := func(to string, change func(*pipeline.Connection)) pipeline.Connection {
		at := netip.MustParseAddrPort(to)
		c := pipeline.Connection{Protocol: 6, Object: 7}
		c.Orig.Dst, c.Orig.DstPort = netip.MustParseAddr("10.0.0.100"), 80
		c.Reply.Src, c.Reply.SrcPort = at.Addr(), at.Port()
		if change != nil {
			change(&c)
		}
		return c
	}
	got := openTo(m.Tenants()[0], drain.ServicesOf(m.Tenants()[0], n, nil), []pipeline.Connection{
		conn("10.0.0.1:80", nil), conn("10.0.0.1:80", nil), conn("10.0.0.2:8080", nil), conn("10.0.0.2:80", nil), conn("10.0.0.3:80", nil),
		conn("10.0.0.1:80", func(c *pipeline.Connection) { c.Over = true }), conn("10.0.0.1:80", func(c *pipeline.Connection) { c.Object = 0 }),
	})
	want := map[health.Key]int{{Balancer: web, Backend: at(1)}: 2, {Balancer: web, Backend: netip.AddrPortFrom(at(2).Addr(), 8080)}: 1}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A tagOf knows tags alone.
type tagOf map[uint32]intent.ID

func (tagOf) Zone(intent.ID) uint16                 { return 1 }
func (tagOf) Epoch(intent.ID) uint8                 { return 1 }
func (tagOf) Tag(intent.ID) uint32                  { return 1 }
func (tagOf) Group(intent.ID) uint32                { return 1 }
func (n tagOf) Origin(tag uint32) (intent.ID, bool) { id, ok := n[tag]; return id, ok }
