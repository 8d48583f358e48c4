package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A controlled is a peer that compiles policies. All its methods return when the change is
// in the bridge.
type controlled interface {
	name() string
	bridge() string
	topology(context.Context, policy) error // endpoints and their ports
	rules(context.Context, policy) error    // of endpoints that are there
	addRule(context.Context, tenant, rule) error
	removeRule(context.Context, tenant, rule) error
	addMember(ctx context.Context, t tenant, number int) error // to the group of t's rules
	removeMember(ctx context.Context, t tenant, number int) error
	memory() float64 // of its daemons, in MiB, without ovs-vswitchd
	Vsctl(args ...string) (string, error)
	Ofctl(args ...string) (string, error)
	Close() error
}

// addPorts makes a port for each endpoint. They are there before a peer is timed.
func addPorts(s controlled, p policy) error {
	for some := range slices.Chunk(p.endpoints(), 250) {
		var args []string
		for _, e := range some {
			args = append(args, "--", "add-port", s.bridge(), e.name, "--", "set", "interface", e.name, "type=internal", "external_ids:iface-id="+e.name)
		}
		if _, err := s.Vsctl(args[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// flowCount asks the bridge itself.
func flowCount(peer controlled) (float64, error) {
	text, err := peer.Ofctl("dump-aggregate", peer.bridge())
	if err != nil {
		return 0, err
	}
	_, count, ok := strings.Cut(text, "flow_count=")
	if !ok {
		return 0, fmt.Errorf("no flow_count in %q", text)
	}
	return strconv.ParseFloat(strings.TrimSpace(count), 64)
}

// timed is how long f takes, in milliseconds.
func timed(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return time.Since(start).Seconds() * 1e3, err
}

// control is the parts a, b and c with one peer, which is started anew for each round.
type control struct {
	sizes  sizes
	report *report
	start  func(context.Context) (controlled, error)
	times  int // so many single changes; a peer that is slow is given fewer
}

// A sizes is how much work there is.
type sizes struct {
	tenants, endpoints, rules int // endpoints and rules of each tenant
	groupRules, members       int
}

// load is part a: from file to programmed.
func (c control) load(ctx context.Context) error {
	return c.with(ctx, func(peer controlled) error {
		_, err := c.loaded(ctx, peer)
		return err
	})
}

func (c control) with(ctx context.Context, do func(controlled) error) error {
	peer, err := c.start(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(peer), peer.Close())
}

func (c control) loaded(ctx context.Context, peer controlled) (policy, error) {
	p := tenantPolicy(c.sizes.tenants, c.sizes.endpoints, c.sizes.rules)
	if err := addPorts(peer, p); err != nil {
		return p, err
	}
	topology, err := timed(func() error { return peer.topology(ctx, p) })
	if err != nil {
		return p, err
	}
	first, err := flowCount(peer)
	if err != nil {
		return p, err
	}
	rules, err := timed(func() error { return peer.rules(ctx, p) })
	if err != nil {
		return p, err
	}
	all, err := flowCount(peer)
	if err != nil {
		return p, err
	}
	add := func(what string, v float64) { c.report.add("a", what, peer.name(), v) }
	add(aTopology, topology)
	add(aRules, rules)
	add(aFlows, all)
	add(aPerRule, (all-first)/float64(c.sizes.tenants*c.sizes.rules))
	add(aPerEndpoint, first/float64(c.sizes.tenants*c.sizes.endpoints))
	add(aMemory, peer.memory())
	return p, nil
}

// edit is part b, after part a: one rule added and removed, in another tenant each time.
func (c control) edit(ctx context.Context) error {
	return c.with(ctx, func(peer controlled) error {
		p, err := c.loaded(ctx, peer)
		if err != nil {
			return err
		}
		var added, removed []float64
		for i := range c.times {
			t := p.tenants[i*7%len(p.tenants)]
			r := rule{name: "extra", cidr: fmt.Sprintf("203.0.113.%d/32", i%250), port: 4444}
			if err := alternate(&added, &removed, func() error { return peer.addRule(ctx, t, r) }, func() error { return peer.removeRule(ctx, t, r) }); err != nil {
				return err
			}
		}
		c.report.quantiles("b", "a rule added", peer.name(), added)
		c.report.quantiles("b", "a rule removed", peer.name(), removed)
		c.report.add("b", bMemory, peer.name(), peer.memory())
		return c.unchanged(peer, p)
	})
}

// unchanged fails if a peer has lost or kept what it should not: then its times are worth
// nothing.
func (c control) unchanged(peer controlled, p policy) error {
	all, err := flowCount(peer)
	if err != nil {
		return err
	}
	if want := c.report.last("a", aFlows, peer.name()); all != want {
		return fmt.Errorf("%s has %v flows after all changes were undone, and had %v", peer.name(), all, want)
	}
	return nil
}

func alternate(there, back *[]float64, do, undo func() error) error {
	for _, step := range []struct {
		took *[]float64
		do   func() error
	}{{there, do}, {back, undo}} {
		ms, err := timed(step.do)
		if err != nil {
			return err
		}
		*step.took = append(*step.took, ms)
	}
	return nil
}

// group is part c: a member added to a group that is used by many rules, and removed.
func (c control) group(ctx context.Context) error {
	return c.with(ctx, func(peer controlled) error {
		p := groupPolicy(c.sizes.groupRules, c.sizes.members, c.sizes.members)
		if err := errors.Join(addPorts(peer, p), peer.topology(ctx, p), peer.rules(ctx, p)); err != nil {
			return err
		}
		var added, removed, sent []float64
		for i := range c.times {
			number := len(p.tenants[0].endpoints) - 1 - i%c.sizes.members // one of the spare
			before, err := mods(ctx, peer)
			if err != nil {
				return err
			}
			count := func() error {
				after, err := mods(ctx, peer)
				sent = append(sent, max(after-before, before-after))
				return err
			}
			if err := c.member(ctx, peer, p.tenants[0], number, &added, &removed, count); err != nil {
				return err
			}
		}
		c.report.quantiles("c", "a member added", peer.name(), added)
		c.report.quantiles("c", "a member removed", peer.name(), removed)
		c.report.add("c", cMods, peer.name(), slices.Max(sent))
		all, err := flowCount(peer)
		c.report.add("c", cFlows, peer.name(), all)
		return err
	})
}

// member adds and removes one, and has counted in between what was sent for the first.
func (c control) member(ctx context.Context, peer controlled, t tenant, number int, added, removed *[]float64, count func() error) error {
	ms, err := timed(func() error { return peer.addMember(ctx, t, number) })
	if err != nil {
		return err
	}
	*added = append(*added, ms)
	if err := count(); err != nil {
		return err
	}
	ms, err = timed(func() error { return peer.removeMember(ctx, t, number) })
	*removed = append(*removed, ms)
	return err
}

// mods is a count that grows with the flow-mods of a peer: what it says itself, or else how
// many flows there are, which is less than what was sent.
func mods(ctx context.Context, peer controlled) (float64, error) {
	if p, ok := peer.(interface {
		sent(context.Context) (float64, error)
	}); ok {
		return p.sent(ctx)
	}
	return flowCount(peer)
}
