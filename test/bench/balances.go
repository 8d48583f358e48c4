package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A balancing is a peer that balances load.
type balancing interface {
	controlled
	balance(context.Context, tenant) func() error
	rebalance(ctx context.Context, t tenant, number int, x balancer) func() error // the one of a number is x from then on
	computed() time.Duration                                                      // by its daemons, without ovs-vswitchd
	VswitchdPID() int
	balanceOutside(context.Context, policy) error // with addresses that are there, for all who come
}

// balances is the part i or j: load balancers in one go, and then one backend more and less, of
// another one each time.
type balances struct {
	options
	report *report
	part   string
	number int // of load balancers
}

func (b balances) prepare(ctx context.Context, c *contender) error {
	c.policy = balancePolicy(b.number)
	peer, ok := c.controlled.(balancing)
	if !ok {
		return fmt.Errorf("%s does not balance", c.name())
	}
	if err := addPorts(c, c.policy); err != nil {
		return err
	}
	if err := c.topology(ctx, c.policy.withoutBalancers()); err != nil {
		return err
	}
	return b.load(peer.balance(ctx, c.policy.tenants[0]), c)
}

func (b balances) load(balance func() error, c *contender) error {
	before, err := flowCount(c)
	if err != nil {
		return err
	}
	peer := c.controlled.(balancing) // prepare has seen to it
	own, switched := peer.computed(), cpuTime(peer.VswitchdPID())
	ms, err := timed(balance)
	if err != nil {
		return err
	}
	own, switched = peer.computed()-own, cpuTime(peer.VswitchdPID())-switched
	all, err := flowCount(c)
	if err != nil {
		return err
	}
	b.report.add(b.part, iLoad, c.name(), ms)
	b.report.add(b.part, iOwnCPU, c.name(), own.Seconds()*1e3)
	b.report.add(b.part, iSwitchCPU, c.name(), switched.Seconds()*1e3)
	b.report.add(b.part, iAll, c.name(), all)
	b.report.add(b.part, iFlows, c.name(), all-before)
	now, peak := c.memory()
	b.report.add(b.part, aMemory, c.name(), now)
	b.report.add(b.part, aPeak, c.name(), peak)
	return nil
}

func (b balances) change(ctx context.Context, c *contender, number int) error {
	peer := c.controlled.(balancing) // prepare has seen to it
	t := c.policy.tenants[0]
	number = number * 7 % len(t.balancers)
	x, before := t.balancers[number], peer.computed()
	ms, err := timed(peer.rebalance(ctx, t, number, x.with(fmt.Sprintf("10.99.0.%d", 1+number%250))))
	if err != nil {
		return err
	}
	c.added = append(c.added, ms)
	ms, err = timed(peer.rebalance(ctx, t, number, x))
	c.removed = append(c.removed, ms)
	c.computed += peer.computed() - before
	return err
}

// finish fails if a peer has lost or kept what it should not.
func (b balances) finish(c *contender) error {
	b.report.quantiles(b.part, iAdded, c.name(), c.added)
	b.report.quantiles(b.part, iRemoved, c.name(), c.removed)
	b.report.add(b.part, iCPU, c.name(), c.computed.Seconds()*1e3/float64(2*max(len(c.added), 1)))
	all, err := flowCount(c)
	if err != nil {
		return err
	}
	if want := b.report.last(b.part, iAll, c.name()); all != want {
		return fmt.Errorf("%v flows after all backends were taken away again, and %v before", all, want)
	}
	return nil
}

// roomForArguments lets ovn-nbctl be called with megabytes of them, which the kernel bounds by a
// quarter of the stack.
func roomForArguments() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_STACK, &l); err != nil {
		return fmt.Errorf("stack limit: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_STACK, &l); err != nil {
		return fmt.Errorf("stack limit: %w", err)
	}
	return nil
}
