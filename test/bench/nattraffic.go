package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"weir/internal/sandbox"
)

// What is measured of each path of translated traffic, and the paths.
const (
	hConnections = "connections/s, 16 in parallel"
	hCPU         = "CPU of ovs-vswitchd per connection, us"
	hOwn         = "of it not in the kernel, us"
	hSearched    = "subtables searched each time that a packet is looked up"
	hNew         = "recirculations of a new packet"
	hEstablished = "recirculations of an established one"
	hEntries     = "entries of the tracker per connection"
	bySNAT       = "SNAT"
	fromOutside  = "floating IP from outside"
	toOutside    = "floating IP to outside"
	ownTenant    = "floating IP of the own tenant"
)

var paths = []string{bySNAT, fromOutside, toOutside, ownTenant}

// translated is the part h with one peer.
type translated struct{ traffic }

// run starts a peer with two hosts inside and one outside.
func (t translated) run(ctx context.Context) error {
	f, err := t.start(ctx)
	if err != nil {
		return err
	}
	return errors.Join(t.through(ctx, f), f.Close())
}

func (t translated) through(ctx context.Context, f forwarding) error {
	if peer, ok := f.(translating); ok {
		return t.behind(ctx, f, peer)
	}
	from, to, err := t.direct(f)
	if err != nil {
		return err
	}
	return serving(ctx, []*sandbox.Host{to}, func(ctx context.Context) error {
		return t.path(ctx, f, from, outsideHost, paths...)
	})
}

// direct is two hosts on one link: no router, and nothing is translated.
func (t translated) direct(f forwarding) (from, to *sandbox.Host, err error) {
	from, err = f.AddHost(sandbox.HostConfig{Name: "h1", Bridge: f.bridge(), Port: "h1", MAC: "02:00:00:00:01:01", IPs: []string{"172.16.1.1/16"}})
	if err != nil {
		return nil, nil, err
	}
	to, err = outsideHostOn(f, f.bridge())
	return from, to, err
}

func outsideHostOn(f forwarding, bridge string) (*sandbox.Host, error) {
	return f.AddHost(sandbox.HostConfig{Name: "x", Bridge: bridge, Port: outsidePort, MAC: outsideHostMAC, IPs: []string{outsideHost + "/16"}})
}

// behind measures each path.
func (t translated) behind(ctx context.Context, f forwarding, peer translating) error {
	p := natTrafficPolicy()
	var h []*sandbox.Host
	for _, e := range p.endpoints() {
		host, err := f.AddHost(sandbox.HostConfig{Name: e.name, Bridge: f.bridge(), Port: e.name, IfaceID: e.name, MAC: e.mac,
			IPs: []string{e.ip + "/24"}, Gateways: []string{p.tenants[0].gateway}})
		if err != nil {
			return err
		}
		h = append(h, host)
	}
	x, err := outsideHostOn(f, peer.outsideBridge())
	if err != nil {
		return err
	}
	if err := errors.Join(peer.topology(ctx, p.withoutNAT()), peer.rules(ctx, p.withoutNAT()), peer.nat(ctx, p)); err != nil {
		return err
	}
	float := p.tenants[0].nat.floating[0].address
	return serving(ctx, []*sandbox.Host{h[1], x}, func(ctx context.Context) error {
		return errors.Join(
			t.path(ctx, f, h[0], outsideHost, bySNAT),
			t.path(ctx, f, x, float, fromOutside),
			t.path(ctx, f, h[1], outsideHost, toOutside),
			t.path(ctx, f, h[0], float, ownTenant),
			closed(ctx, f, x, netip.MustParseAddr(float)))
	})
}

// path is the traffic from a host to an address: its figures are those of some paths.
func (t translated) path(ctx context.Context, f forwarding, from *sandbox.Host, to string, names ...string) error {
	a := netip.MustParseAddr(to)
	target := netip.AddrPortFrom(a, connectPort)
	if err := warm(ctx, from, target); err != nil {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	d, err := depthOf(ctx, f, from, a)
	if err != nil {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	b, err := t.burst(ctx, f, from, manyFirst, manyLast, target)
	if err != nil {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	if err := t.lookInto(f, "h", names[0]); err != nil {
		return err
	}
	for _, name := range names {
		add := func(what string, v float64) { t.report.add("h", name+": "+what, f.name(), v) }
		add(hConnections, b.PerSecond)
		add(hCPU, b.cpu)
		add(hOwn, b.own)
		add(hSearched, b.searched)
		add(hNew, d.fresh)
		add(hEstablished, d.established)
		add(hEntries, d.entries)
		t.report.add("h", dFailed, f.name(), float64(b.Failed))
	}
	return nil
}
