package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/sandbox"
)

// What is measured of each path of balanced traffic, and the paths. One of OVN's is as good as
// another: it has groups only.
const (
	kUpcalls     = "upcalls per 1,000 new connections"
	kAgain       = "recirculations per packet"
	byGroup      = "VIP from inside"
	byGroupOut   = "VIP from outside"
	byStrangers  = "VIP from all over the Internet"
	bySlots      = "VIP by slots, from inside"
	bySlotsOut   = "VIP by slots, from outside"
	byHash       = "a group with selection_method=hash: " + kUpcalls
	byDatapath   = "the same group with dp_hash: " + kUpcalls
	groupVIP     = "172.16.1.9"
	slotsVIP     = "172.16.1.10"
	otherHost    = "172.16.0.101" // beside outsideHost, where nothing is balanced
	groupOfNames = "type=select,%sbucket=actions=NORMAL,bucket=actions=NORMAL"
)

var balancedPaths = []string{byGroup, byGroupOut, bySlots, bySlotsOut}

// balanced is the part k with one peer.
type balanced struct{ traffic }

// balanceTrafficPolicy is a client and two backends behind an outside. An address there stands for
// the two; another one does, with another algorithm.
func balanceTrafficPolicy() policy {
	p := natTrafficPolicy()
	t := &p.tenants[0]
	third := endpoint{name: "h3", mac: "02:00:00:00:01:03", ip: "10.0.1.13", groups: t.endpoints[1].groups}
	t.endpoints = append(t.endpoints, third)
	t.nat = nat{}
	t.rules = append(slices.Clip(t.rules), rule{name: "all", cidr: "0.0.0.0/0", port: connectPort})
	for _, x := range []balancer{{name: "group", address: groupVIP}, {name: "slots", address: slotsVIP, algorithm: "consistent"}} {
		x.port, x.to = connectPort, connectPort
		x.backends = []string{t.endpoints[1].ip, t.endpoints[2].ip}
		t.balancers = append(t.balancers, x)
	}
	return p
}

// run starts a peer with three hosts inside and one outside.
func (b balanced) run(ctx context.Context) error {
	f, err := b.start(ctx)
	if err != nil {
		return err
	}
	return errors.Join(b.through(ctx, f), f.Close())
}

func (b balanced) through(ctx context.Context, f forwarding) error {
	peer, ok := f.(balancing)
	if !ok {
		return b.alone(ctx, f)
	}
	p := balanceTrafficPolicy()
	h, x, err := hostsOf(f, p, peer.(translating))
	if err != nil {
		return err
	}
	before := p.withoutBalancers().withoutNAT()
	if err := errors.Join(peer.topology(ctx, before), peer.rules(ctx, before), peer.balanceOutside(ctx, p)); err != nil {
		return err
	}
	return serving(ctx, h[1:], func(ctx context.Context) error {
		return errors.Join(
			b.path(ctx, f, h[0], []string{groupVIP}, byGroup),
			b.path(ctx, f, x, []string{groupVIP}, byGroupOut),
			b.path(ctx, f, h[0], []string{slotsVIP}, bySlots),
			b.path(ctx, f, x, []string{slotsVIP}, bySlotsOut),
			b.strangers(ctx, f, x),
			closed(ctx, f, x, netip.MustParseAddr(groupVIP)))
	})
}

// hostsOf are the endpoints of a policy, and the host outside.
func hostsOf(f forwarding, p policy, peer translating) (h []*sandbox.Host, x *sandbox.Host, err error) {
	for _, e := range p.endpoints() {
		host, err := f.AddHost(sandbox.HostConfig{Name: e.name, Bridge: f.bridge(), Port: e.name, IfaceID: e.name, MAC: e.mac,
			IPs: []string{e.ip + "/24"}, Gateways: []string{p.tenants[0].gateway}})
		if err != nil {
			return nil, nil, err
		}
		h = append(h, host)
	}
	x, err = outsideHostOn(f, peer.outsideBridge())
	return h, x, err
}

// alone is a client and two servers on one link: nothing is balanced, the client asks one after the other. Then a
// group does, by each of the two ways in which Open vSwitch chooses a bucket.
func (b balanced) alone(ctx context.Context, f forwarding) error {
	from, to, err := translated{b.traffic}.direct(f)
	if err != nil {
		return err
	}
	other, err := f.AddHost(sandbox.HostConfig{Name: "y", Bridge: f.bridge(), Port: "y", MAC: "02:00:00:00:09:0a", IPs: []string{otherHost + "/16"}})
	if err != nil {
		return err
	}
	return serving(ctx, []*sandbox.Host{to, other}, func(ctx context.Context) error {
		if err := b.path(ctx, f, from, []string{outsideHost, otherHost}, balancedPaths...); err != nil {
			return err
		}
		return errors.Join(
			b.group(ctx, f, from, byHash, "selection_method=hash,fields(ip_src,ip_dst,tcp_src,tcp_dst),"),
			b.group(ctx, f, from, byDatapath, "selection_method=dp_hash,"))
	})
}

// group counts the upcalls of a group.
func (b balanced) group(ctx context.Context, f forwarding, from *sandbox.Host, what, method string) error {
	ofctl := f.(interface {
		Ofctl(args ...string) (string, error)
	})
	if _, err := ofctl.Ofctl("-O", "OpenFlow15", "--may-create", "mod-group", f.bridge(), "group_id=1,"+fmt.Sprintf(groupOfNames, method)); err != nil {
		return err
	}
	if _, err := ofctl.Ofctl("add-flow", f.bridge(), fmt.Sprintf("priority=40000,tcp,nw_dst=%s,tp_dst=%d,actions=group:1", outsideHost, connectPort)); err != nil {
		return err
	}
	target := netip.AddrPortFrom(netip.MustParseAddr(outsideHost), connectPort)
	r, err := b.burst(ctx, f, from, manyFirst, manyLast, target)
	if err == nil {
		b.report.add("k", what, f.name(), r.upcalls)
	}
	return err
}

// strangers is the traffic of clients all over the Internet to a group, behind the host outside. Nobody of them comes
// twice.
func (b balanced) strangers(ctx context.Context, f forwarding, x *sandbox.Host) error {
	if _, err := x.Exec(ctx, "ip", "route", "add", "local", "default", "dev", "lo"); err != nil {
		return err
	}
	b.strange = true
	return b.path(ctx, f, x, []string{groupVIP}, byStrangers)
}

// portsFor returns the source ports for an address: to the backends, which both addresses stand for, each port is
// to be one of a connection. They are as many as there are, for a burst ends with them.
func portsFor(address string) (first, last int) {
	const half = (oneFirst + manyLast) / 2
	if address == slotsVIP {
		return half + 1, manyLast
	}
	return oneFirst, half
}

// path is the traffic from a host to an address, or to some in turn: its figures are those of some paths.
func (b balanced) path(ctx context.Context, f forwarding, from *sandbox.Host, to []string, names ...string) error {
	var targets []netip.AddrPort
	for _, a := range to {
		targets = append(targets, netip.AddrPortFrom(netip.MustParseAddr(a), connectPort))
		if err := warm(ctx, from, targets[len(targets)-1]); err != nil {
			return fmt.Errorf("%s: %w", names[0], err)
		}
	}
	first, last := portsFor(to[0])
	r, err := b.burst(ctx, f, from, first, last, targets...)
	if err != nil {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	if err := b.lookInto(f, "k", names[0]); err != nil {
		return err
	}
	for _, name := range names {
		add := func(what string, v float64) { b.report.add("k", name+": "+what, f.name(), v) }
		add(hConnections, r.PerSecond)
		add(hCPU, r.cpu)
		add(hOwn, r.own)
		add(kUpcalls, r.upcalls)
		add(kAgain, r.again)
		add(hSearched, r.searched)
		b.report.add("k", dFailed, f.name(), float64(r.Failed))
	}
	return nil
}

func (w *weir) balanceOutside(ctx context.Context, p policy) error { return w.apply(ctx, p.tenants...) }

// balanceOutside has the switch balance for those inside, and the router for those outside.
func (o *ovn) balanceOutside(ctx context.Context, p policy) error {
	args := balancerArgs(p.tenants[0])
	for _, x := range p.tenants[0].balancers {
		args = append(args, "--", "lr-lb-add", "r", x.name)
	}
	if err := o.change(ctx, args...); err != nil {
		return err
	}
	return o.settled(ctx)
}
