package apps

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
)

// changed compiles another model in the place of p's, and has those judged again that it takes
// something back from.
func (p *passage) changed(t *testing.T, bridge string, objects ...string) {
	t.Helper()
	was, err := Compile(p.in)
	if err != nil {
		t.Fatal(err)
	}
	m, err := intent.Read(intent.Source{Name: "passage.yaml", Data: []byte(bridge + strings.Join(objects, ""))})
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = inputOf(m, p.numbers); err != nil {
		t.Fatal(err)
	}
	is, err := Compile(p.in)
	if err != nil {
		t.Fatal(err)
	}
	p.compile(t)
	for _, id := range pipeline.Narrowed(is.Tables().Flows, was.Tables().Flows, p.in.Numbers, m) {
		p.judgedAgain(t, id)
	}
}

// TestWhatHasLeftForABackendOutsideStaysWhatItIs has a client ask a backend outside, changes what such connections leave
// as, and wants this one to go on as what it has left as, or to end.
func TestWhatHasLeftForABackendOutsideStaysWhatItIs(t *testing.T) {
	const (
		all    = "addresses: [203.0.113.10]"
		first  = "priority: 200, addresses: [203.0.113.11]"
		exempt = ", exempt: {cidrs: [198.51.100.0/24]}"
		to     = ", to: {cidrs: [198.51.100.0/24]}"
		in     = "address: 10.1.0.64"
		never  = "address: 203.0.113.64, snat: never"
		auto   = "address: 203.0.113.64"
		gone   = "gone"
	)
	for _, c := range []struct {
		name           string
		balancer, then string // if it is another one
		before, after  []string
		as             string // after the change; empty: it ends
	}{
		{"nothing is changed", in, "", []string{all}, []string{all}, "203.0.113.10"},
		{"another SNAT comes first", in, "", []string{all}, []string{all, first}, "203.0.113.10"},
		{"a pool comes first", in, "", []string{all}, []string{all, "priority: 200, addresses: [203.0.113.12-203.0.113.15]"}, "203.0.113.10"},
		{"an address comes before a pool", in, "", []string{"addresses: [203.0.113.12-203.0.113.15]"}, []string{"addresses: [203.0.113.12-203.0.113.15]", first}, "203.0.113.12"},
		{"it is exempt by now", in, "", []string{all}, []string{all + exempt}, "203.0.113.10"},
		{"a floating IP is its client's by now", in, "", []string{all}, []string{all, "floating"}, "203.0.113.10"},
		{"it was exempt, and another SNAT comes first", in, "", []string{all + exempt}, []string{all + exempt, first}, "10.1.0.11"},
		{"it was exempt, and a floating IP is its client's by now", in, "", []string{all + exempt}, []string{all + exempt, "floating"}, "10.1.0.11"},
		{"it was exempt", in, "", []string{all + exempt}, []string{all}, ""},
		{"it was exempt, as another prefix is", in, "", []string{all + exempt}, []string{all + ", exempt: {cidrs: [192.0.2.0/24]}"}, ""},
		{"an SNAT for backends alone", in, "", []string{all + to}, []string{all + to, first}, "203.0.113.10"},
		{"outside, another SNAT comes first", never, "", []string{all}, []string{all, first}, "203.0.113.10"},
		{"outside, it was exempt, and another SNAT comes first", never, "", []string{all + exempt}, []string{all + exempt, first}, "10.1.0.11"},
		{"outside, it was exempt", never, "", []string{all + exempt}, []string{all}, ""},
		{"outside, others leave as the load balancer", never, auto, []string{all}, []string{all}, "203.0.113.10"},
		{"outside, it was exempt, and others leave as the load balancer", never, auto, []string{all + exempt}, []string{all + exempt}, "10.1.0.11"},
		{"an SNAT that is shared comes first", in, "", []string{all}, []string{all, first + ", shared: true"}, "203.0.113.10"},
		{"it was shared, and another SNAT comes first", in, "", []string{all + ", shared: true"}, []string{all + ", shared: true", first}, "203.0.113.10"},
		{"it was shared, and another that is comes first", in, "", []string{all + ", shared: true"}, []string{all + ", shared: true", first + ", shared: true"}, "203.0.113.10"},
		{"it was shared, and is exempt by now", in, "", []string{all + ", shared: true"}, []string{all + ", shared: true" + exempt}, "203.0.113.10"},
		{"it was exempt, and one that is shared comes first", in, "", []string{all + exempt}, []string{all + exempt, first + ", shared: true"}, "10.1.0.11"},
		{"its load balancer is deleted", in, gone, []string{all}, []string{all}, ""},
		{"it was exempt, and its load balancer is deleted", in, gone, []string{all + exempt}, []string{all + exempt}, ""},
		{"outside, what is exempt is of no matter", auto, "", []string{all + exempt}, []string{all}, "203.0.113.64"},
	} {
		model := func(balancer string, snats []string) []string {
			objects := []string{crossingTenant("blue", "", 1)}
			if balancer != gone {
				objects = append(objects, crossingObject("blue", "LoadBalancer", "web", balancer+", ports: [{port: 80, protocol: tcp}], backends: [{address: 198.51.100.7}]"))
			}
			for i, s := range snats {
				if s == "floating" {
					objects = append(objects, crossingObject("blue", "FloatingIP", "ip", "address: 203.0.113.20, endpoint: h1"))
					continue
				}
				objects = append(objects, crossingObject("blue", "SNAT", fmt.Sprint("s", i), s))
			}
			return objects
		}
		p := passageOf(t, model(c.balancer, c.before)...)
		at, _, _ := strings.Cut(strings.TrimPrefix(c.balancer, "address: "), ",")
		ask := func() *flowsim.Trace { return p.says("blue-h1", "10.1.0.11", at, 40000) }
		left := ask()
		if back := p.hears(t, left); !p.comesBy(back, "blue-h1") {
			t.Fatalf("%s: an answer comes to %v\n%s", c.name, delivered(back), stepsOf(back))
		}
		objects := p.objects(left)
		if c.then == "" {
			c.then = c.balancer
		}
		p.changed(t, crossedBridge, model(c.then, c.after)...)
		for i := range 3 {
			again := ask()
			if c.as == "" {
				if len(delivered(again)) > 0 {
					t.Errorf("%s: packet %d leaves as %v\n%s", c.name, i, again.Outputs[0].Packet.Src(), stepsOf(again))
				}
				continue
			}
			back := p.hears(t, again)
			if as := again.Outputs[0].Packet.Src(); as != netip.MustParseAddr(c.as) || !p.comesBy(back, "blue-h1") {
				t.Errorf("%s: packet %d leaves as %v, and is answered by %v\n%s", c.name, i, as, delivered(back), stepsOf(again))
			}
			for _, is := range p.objects(again) {
				if !slices.Contains(objects, is) {
					t.Errorf("%s: it was remembered by %v, and is by %v", c.name, objects, is)
				}
			}
		}
	}
}

// objects names what translates what a packet has had remembered.
func (p *passage) objects(trace *flowsim.Trace) (all []string) {
	for _, c := range trace.Commits {
		id, _ := p.in.Numbers.Origin(pipeline.ObjectOf(c.Label, c.Mark))
		all = append(all, string(id))
	}
	return all
}

// TestASecondHalfIsNamedAfterItsOwnLoadBalancer has two load balancers with one address outside.
func TestASecondHalfIsNamedAfterItsOwnLoadBalancer(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "", 1),
		crossingObject("blue", "LoadBalancer", "a", "address: 203.0.113.64, ports: [{port: 81, protocol: tcp}], backends: [{address: 198.51.100.7}]"),
		crossingObject("blue", "LoadBalancer", "b", "address: 203.0.113.64, ports: [{port: 80, protocol: tcp}], backends: [{address: 198.51.100.8}]"))
	for range 2 {
		got := p.objects(p.says("blue-h1", "10.1.0.11", "203.0.113.64", 40000))
		if last := got[len(got)-1]; last != "blue/loadbalancer/b/tcp/80" {
			t.Errorf("remembered is %v", got)
		}
		p.hears(t, p.says("blue-h1", "10.1.0.11", "203.0.113.64", 40000))
	}
}

// TestAFloatingIPTakesNoConnectionOverThatWentToAnotherPort has the address of a load balancer become its backend's floating IP.
func TestAFloatingIPTakesNoConnectionOverThatWentToAnotherPort(t *testing.T) {
	for target, lives := range map[string]bool{"": true, ", targetPort: 443": false} {
		tenant := crossingTenant("blue", "defaults: {ingress: allow}", 1)
		p := passageOf(t, tenant, crossingObject("blue", "LoadBalancer", "web", "address: 203.0.113.64, ports: [{port: 80, protocol: tcp"+target+"}], backends: [{endpoint: h1}]"))
		came := p.comes("203.0.113.1", "203.0.113.64", 40000)
		if !p.comesBy(came, "blue-h1") {
			t.Fatalf("comes to %v\n%s", delivered(came), stepsOf(came))
		}
		tuple, _ := flowsim.TupleOf(came.Outputs[0].Packet)
		p.sim.Send(segmentOf(portOn(p.in, "blue-h1"), [6]byte{2, 0, 0, 0, 0, 0x11}, pipeline.RouterMAC, tuple.Reversed()), &p.ct)
		p.changed(t, crossedBridge, tenant, crossingObject("blue", "FloatingIP", "ip", "address: 203.0.113.64, endpoint: h1"))
		if again := p.comes("203.0.113.1", "203.0.113.64", 40000); p.comesBy(again, "blue-h1") != lives {
			t.Errorf("%q: comes to %v\n%s", target, delivered(again), stepsOf(again))
		}
	}
}

// TestBackendsOutsideLeaveRoom has tenants with load balancers that have backends outside leave in several ways, and no packet be sent
// back too often for it.
func TestBackendsOutsideLeaveRoom(t *testing.T) {
	const inside, outside = "10.1.0.64", "203.0.113.%d4"
	for _, c := range []struct {
		name, limits, balancer string
		kernel                 bool
		snats                  []string
	}{
		{"limited, with a floating IP", "limits: {connections: 5}", outside, false, []string{"addresses: [203.0.113.%d0]"}},
		{"limited, with two SNATs", "limits: {connections: 5}", outside, false, []string{"addresses: [203.0.113.%d0]", "priority: 200, addresses: [203.0.113.%d1]"}},
		{"limited, with a shared SNAT", "limits: {connections: 5}", inside, false, []string{"addresses: [203.0.113.9], shared: true", "priority: 200, addresses: [203.0.113.%d1]"}},
		{"limited, with a shared SNAT, in the kernel", "limits: {connections: 5}", inside, true, []string{"addresses: [203.0.113.9], shared: true", "priority: 200, addresses: [203.0.113.%d1]"}},
		{"with a shared SNAT, in the kernel", "", inside, true, []string{"addresses: [203.0.113.9], shared: true"}},
		{"with two SNATs, in the kernel", "", inside, true, []string{"addresses: [203.0.113.%d0]", "priority: 200, addresses: [203.0.113.%d1]"}},
	} {
		objects := []string{}
		for i, name := range []string{"blue", "red"} {
			of := func(spec string) string { return strings.ReplaceAll(spec, "%d", fmt.Sprint(5+i)) }
			objects = append(objects, crossingTenant(name, c.limits, 1), crossingObject(name, "FloatingIP", "ip", of("address: 203.0.113.%d2, endpoint: h1")),
				crossingObject(name, "LoadBalancer", "web", of("address: "+c.balancer+", ports: [{port: 80, protocol: tcp}], backends: [{address: 198.51.100.7}]")))
			for k, s := range c.snats {
				objects = append(objects, crossingObject(name, "SNAT", fmt.Sprint("s", k), of(s)))
			}
		}
		p := passageOf(t, objects...)
		if c.kernel {
			p.in.Facts.Features = onKernel
		}
		if _, err := Compile(p.in); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
