package main

import (
	"context"
	"fmt"
	"slices"
)

// A translating is a peer with an outside.
type translating interface {
	controlled
	outsideBridge() string
	nat(context.Context, policy) error // of endpoints that are there
	addFloating(context.Context, tenant, floating) error
	removeFloating(context.Context, tenant, floating) error
}

// floats is the parts f and g: floating IPs and SNATs in one go, and then one floating IP more
// and less, of another tenant each time.
type floats struct {
	options
	report *report
}

func (f floats) prepare(ctx context.Context, c *contender) error {
	c.policy = natPolicy(f.sizes.routed, f.sizes.floating)
	peer, ok := c.controlled.(translating)
	if !ok {
		return fmt.Errorf("%s has no outside", c.name())
	}
	if err := addPorts(c, c.policy); err != nil {
		return err
	}
	if _, err := c.Vsctl("add-port", peer.outsideBridge(), outsidePort, "--", "set", "interface", outsidePort, "type=internal"); err != nil {
		return err
	}
	if err := c.topology(ctx, c.policy.withoutNAT()); err != nil {
		return err
	}
	return f.load(ctx, peer, c)
}

func (f floats) load(ctx context.Context, peer translating, c *contender) error {
	before, err := flowCount(c)
	if err != nil {
		return err
	}
	ms, err := timed(func() error { return peer.nat(ctx, c.policy) })
	if err != nil {
		return err
	}
	all, err := flowCount(c)
	if err != nil {
		return err
	}
	f.report.add("f", fLoad, c.name(), ms)
	f.report.add("f", fAll, c.name(), all)
	f.report.add("f", fFlows, c.name(), all-before)
	now, _ := c.memory()
	f.report.add("f", fMemory, c.name(), now)
	return nil
}

func (f floats) change(ctx context.Context, c *contender, number int) error {
	peer := c.controlled.(translating) // prepare has seen to it
	t := c.policy.tenants[number*7%len(c.policy.tenants)]
	ms, err := timed(func() error { return peer.addFloating(ctx, t, t.spare()) })
	if err != nil {
		return err
	}
	c.added = append(c.added, ms)
	ms, err = timed(func() error { return peer.removeFloating(ctx, t, t.spare()) })
	c.removed = append(c.removed, ms)
	return err
}

// finish fails if a peer has lost or kept what it should not.
func (f floats) finish(c *contender) error {
	f.report.quantiles("g", gAdded, c.name(), c.added)
	f.report.quantiles("g", gRemoved, c.name(), c.removed)
	all, err := flowCount(c)
	if err != nil {
		return err
	}
	if want := f.report.last("f", fAll, c.name()); all != want {
		return fmt.Errorf("%v flows after all floating IPs were taken away again, and %v before", all, want)
	}
	return nil
}

func (w *weir) outsideBridge() string { return w.bridge() }

func (w *weir) nat(ctx context.Context, p policy) error { return w.apply(ctx, p.tenants...) }

func (w *weir) addFloating(ctx context.Context, t tenant, f floating) error {
	t.nat.floating = append(slices.Clip(t.nat.floating), f)
	return w.apply(ctx, t)
}

func (w *weir) removeFloating(ctx context.Context, t tenant, _ floating) error {
	return w.apply(ctx, t)
}

func (o *ovn) outsideBridge() string { return "br-ex" }

func (o *ovn) nat(ctx context.Context, p policy) error {
	var args []string
	for _, t := range p.tenants {
		args = append(args, natArgs(t)...)
	}
	if err := o.change(ctx, args[1:]...); err != nil {
		return err
	}
	return o.settled(ctx)
}

func (o *ovn) addFloating(ctx context.Context, _ tenant, f floating) error {
	return o.change(ctx, "--wait=hv", "lr-nat-add", "r", "dnat_and_snat", f.address, f.endpoint.ip)
}

func (o *ovn) removeFloating(ctx context.Context, _ tenant, f floating) error {
	return o.change(ctx, "--wait=hv", "lr-nat-del", "r", "dnat_and_snat", f.address)
}
