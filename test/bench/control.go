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
	memory() (now, peak float64) // of its daemons, in MiB, without ovs-vswitchd
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

// A sizes is how much work there is.
type sizes struct {
	tenants, endpoints, rules int // endpoints and rules of each tenant
	groupRules, members       int
	routed, floating          int // tenants behind a router, and floating IPs of each
	balancers                 int
}

// load is part a with one peer, which is started anew: from file to programmed.
func (o options) load(ctx context.Context, r *report, p peer) error {
	c, err := p.compile(ctx)
	if err != nil {
		return err
	}
	_, err = o.loaded(ctx, r, c)
	return errors.Join(err, c.Close())
}

func (o options) loaded(ctx context.Context, r *report, c controlled) (policy, error) {
	p := tenantPolicy(o.sizes.tenants, o.sizes.endpoints, o.sizes.rules)
	if err := addPorts(c, p); err != nil {
		return p, err
	}
	topology, err := timed(func() error { return c.topology(ctx, p) })
	if err != nil {
		return p, err
	}
	first, err := flowCount(c)
	if err != nil {
		return p, err
	}
	rules, err := timed(func() error { return c.rules(ctx, p) })
	if err != nil {
		return p, err
	}
	all, err := flowCount(c)
	if err != nil {
		return p, err
	}
	add := func(what string, v float64) { r.add("a", what, c.name(), v) }
	add(aTopology, topology)
	add(aRules, rules)
	add(aFlows, all)
	add(aPerRule, (all-first)/float64(o.sizes.tenants*o.sizes.rules))
	add(aPerEndpoint, first/float64(o.sizes.tenants*o.sizes.endpoints))
	now, peak := c.memory()
	add(aMemory, now)
	add(aPeak, peak)
	return p, nil
}

// A contender is a peer that has been loaded, and changes one thing after the other.
type contender struct {
	controlled
	policy         policy
	added, removed []float64     // how long each change took, in milliseconds
	sent           []float64     // flow-mods of each that was added
	computed       time.Duration // by the control plane, for load balancers
}

// A contest is many single changes, made by all peers in turns, so that what else the
// machine does meets all of them.
type contest interface {
	prepare(context.Context, *contender) error
	change(ctx context.Context, c *contender, number int) error // there and back
	finish(*contender) error
}

// contend runs a contest. All peers are there at once; those that are slow take a turn only
// now and then. It returns what went wrong with each.
func (o options) contend(ctx context.Context, what contest, peers []peer) map[string]error {
	wrong := map[string]error{}
	there := map[string]*contender{}
	do := func(p peer, f func(*contender) error) {
		if c := there[p.title]; c != nil && wrong[p.title] == nil && ctx.Err() == nil {
			wrong[p.title] = f(c)
		}
	}
	for _, p := range peers {
		c, err := p.compile(ctx)
		if err != nil {
			wrong[p.title] = err
			continue
		}
		defer c.Close() // it has been measured: what can go wrong now changes nothing
		there[p.title] = &contender{controlled: c}
		do(p, func(c *contender) error { return what.prepare(ctx, c) })
	}
	for i := range o.times {
		for _, p := range peers {
			if i*p.times/o.times == (i+1)*p.times/o.times {
				continue
			}
			do(p, func(c *contender) error { return what.change(ctx, c, i) })
		}
	}
	for _, p := range peers {
		do(p, what.finish)
	}
	return wrong
}

// edits is part b: one rule added and removed, in another tenant each time.
type edits struct {
	options
	report *report
}

func (e edits) prepare(ctx context.Context, c *contender) (err error) {
	c.policy, err = e.loaded(ctx, e.report, c.controlled)
	return err
}

func (e edits) change(ctx context.Context, c *contender, number int) error {
	t := c.policy.tenants[number*7%len(c.policy.tenants)]
	r := rule{name: "extra", cidr: fmt.Sprintf("203.0.113.%d/32", number%250), port: 4444}
	ms, err := timed(func() error { return c.addRule(ctx, t, r) })
	if err != nil {
		return err
	}
	c.added = append(c.added, ms)
	ms, err = timed(func() error { return c.removeRule(ctx, t, r) })
	c.removed = append(c.removed, ms)
	return err
}

// finish fails if a peer has lost or kept what it should not: then its times are worth
// nothing.
func (e edits) finish(c *contender) error {
	e.report.quantiles("b", "a rule added", c.name(), c.added)
	e.report.quantiles("b", "a rule removed", c.name(), c.removed)
	now, _ := c.memory()
	e.report.add("b", bMemory, c.name(), now)
	all, err := flowCount(c)
	if err != nil {
		return err
	}
	if want := e.report.last("a", aFlows, c.name()); all != want {
		return fmt.Errorf("%v flows after all changes were undone, and %v before", all, want)
	}
	return nil
}

// members is part c: one endpoint joins a group that is used by many rules, and leaves it.
type members struct {
	options
	report *report
}

func (m members) prepare(ctx context.Context, c *contender) error {
	c.policy = groupPolicy(m.sizes.groupRules, m.sizes.members, m.sizes.members)
	return errors.Join(addPorts(c, c.policy), c.topology(ctx, c.policy), c.rules(ctx, c.policy))
}

func (m members) change(ctx context.Context, c *contender, number int) error {
	t := c.policy.tenants[0]
	spare := len(t.endpoints) - 1 - number%m.sizes.members
	before, err := mods(ctx, c)
	if err != nil {
		return err
	}
	ms, err := timed(func() error { return c.addMember(ctx, t, spare) })
	if err != nil {
		return err
	}
	after, err := mods(ctx, c)
	if err != nil {
		return err
	}
	c.added, c.sent = append(c.added, ms), append(c.sent, after-before)
	ms, err = timed(func() error { return c.removeMember(ctx, t, spare) })
	c.removed = append(c.removed, ms)
	return err
}

func (m members) finish(c *contender) error {
	m.report.quantiles("c", "a member added", c.name(), c.added)
	m.report.quantiles("c", "a member removed", c.name(), c.removed)
	if len(c.sent) > 0 {
		m.report.add("c", cMods, c.name(), slices.Max(c.sent))
	}
	all, err := flowCount(c)
	m.report.add("c", cFlows, c.name(), all)
	return err
}

// mods is a count that grows with the flow-mods of a peer: what it says itself, or else how
// many flows there are, which is less than what was sent.
func mods(ctx context.Context, c *contender) (float64, error) {
	if p, ok := c.controlled.(interface {
		sent(context.Context) (float64, error)
	}); ok {
		return p.sent(ctx)
	}
	return flowCount(c)
}
