package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What is asked in part l, by the verb that asks it.
const (
	lExplain  = "weir explain, ms"
	lDenied   = "weir explain, of what is denied, ms"
	lBalanced = "weir explain, to a load balancer, ms"
	lFlows    = "weir flows, ms"
	lTable    = "weir flows of one table, ms"
	lRules    = "weir get rules, ms"
	lTenant   = "weir get rules of one tenant, ms"
	lTop      = "weir top, ms"
	lOwnCPU   = "CPU of the control plane for all of these, ms"
	lAll      = "flows in all, with rules and load balancers"
)

// asks is part l: what a daemon answers that has all rules and load balancers at once. Nobody else is asked
// the like.
func (o options) asks(ctx context.Context, r *report) (err error) {
	w, err := startWeir(ctx, o.weir, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	p := tenantPolicy(o.sizes.tenants, o.sizes.endpoints, o.sizes.rules)
	t := &p.tenants[len(p.tenants)/2]
	t.rules = append(t.rules, rule{name: "own", cidr: t.subnet, port: connectPort})
	asked := *t
	b := balancePolicy(o.sizes.balancers)
	p.tenants = append(p.tenants, b.tenants...)
	if err := errors.Join(addPorts(w, p), w.topology(ctx, p.withoutBalancers()), w.rules(ctx, p.withoutBalancers()), w.balance(ctx, b.tenants[0])()); err != nil {
		return err
	}
	all, err := flowCount(w)
	if err != nil {
		return err
	}
	r.add("l", lAll, w.name(), all)
	before := w.computed()
	for range askedTimes {
		for _, q := range questionsOf(asked, b.tenants[0]) {
			took, err := timed(func() error { return w.says(ctx, q.want, q.args...) })
			if err != nil {
				return err
			}
			r.add("l", q.what, w.name(), took)
		}
	}
	r.add("l", lOwnCPU, w.name(), float64((w.computed()-before).Milliseconds())/askedTimes)
	return nil
}

// askedTimes is how often each question is asked.
const askedTimes = 10

// An inquiry is a verb with its arguments, and what its answer has.
type inquiry struct {
	what, want string
	args       []string
}

// questionsOf are asked about a tenant with rules, and one with load balancers.
func questionsOf(t, x tenant) []inquiry {
	from, to := t.endpoints[0], t.endpoints[len(t.endpoints)-1]
	return []inquiry{
		{lExplain, "allowed", []string{"explain", "tcp", from.name, fmt.Sprintf("%s:%d", to.name, connectPort)}},
		{lDenied, "denied", []string{"explain", "tcp", from.name, fmt.Sprintf("%s:%d", to.name, streamPort)}},
		{lBalanced, x.balancers[0].name, []string{"explain", "tcp", x.endpoints[0].name, fmt.Sprintf("%s:%d", x.balancers[0].address, x.balancers[0].port)}},
		{lFlows, "POL_IN", []string{"flows"}},
		{lTable, "POL_IN", []string{"flows", "--table", "POL_IN"}},
		{lRules, t.name, []string{"get", "rules"}},
		{lTenant, t.name, []string{"get", "rules", "-t", t.name}},
		{lTop, t.name, []string{"top"}},
	}
}

// says runs a verb as an operator does, and fails if the answer lacks something.
func (w *weir) says(ctx context.Context, want string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var said, wrong bytes.Buffer
	cmd := exec.CommandContext(ctx, w.daemon.cmd.Path, append(args, "-o", "json", "--socket", filepath.Join(w.dir, "weir.sock"))...)
	cmd.Stdout, cmd.Stderr = &said, &wrong
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("weir %s: %w: %s", strings.Join(args, " "), err, wrong.String())
	}
	if !strings.Contains(said.String(), want) {
		return fmt.Errorf("weir %s does not say %q", strings.Join(args, " "), want)
	}
	return nil
}
