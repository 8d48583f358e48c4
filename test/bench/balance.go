package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A balancer is an address with a port that stands for some backends, which are addresses: no
// endpoint has them.
type balancer struct {
	name      string
	address   string
	port      int
	backends  []string
	to        int    // their port
	algorithm string // empty: the default
}

// balancePolicy is n load balancers of ten backends each, on one network with ten endpoints.
func balancePolicy(n int) policy {
	t := tenant{name: "b", subnet: "10.0.0.0/8", gateway: "10.0.0.1"}
	for i := range 10 {
		t.endpoints = append(t.endpoints, endpoint{
			name: fmt.Sprintf("bp%d", i+1), mac: fmt.Sprintf("02:00:00:00:01:%02x", i+1), ip: fmt.Sprintf("10.0.1.%d", 10+i)})
	}
	for i := range n {
		x := balancer{name: fmt.Sprintf("lb%d", i), address: fmt.Sprintf("10.200.%d.%d", i/250, i%250+1), port: 80, to: connectPort}
		for j := i * 10; j < i*10+10; j++ {
			x.backends = append(x.backends, fmt.Sprintf("10.%d.%d.%d", 1+j/62500, j/250%250, j%250+1))
		}
		t.balancers = append(t.balancers, x)
	}
	return policy{tenants: []tenant{t}}
}

// withoutBalancers is the same endpoints, before anything is balanced.
func (p policy) withoutBalancers() policy {
	p.tenants = slices.Clone(p.tenants)
	for i := range p.tenants {
		p.tenants[i].balancers = nil
	}
	return p
}

// with is x with one backend more.
func (x balancer) with(backend string) balancer {
	x.backends = append(slices.Clip(x.backends), backend)
	return x
}

// inFile is how many load balancers are in one file: of ten thousand it would be too long.
const inFile = 1000

// balancerFiles is what Weir is given of a tenant's load balancers.
func (t tenant) balancerFiles() map[string]string {
	files := map[string]string{}
	for i := 0; i < len(t.balancers); i += inFile {
		files[t.balancerFile(i)] = balancerText(t, t.balancers[i:min(i+inFile, len(t.balancers))])
	}
	return files
}

// balancerFile is the name of the file that has a load balancer.
func (t tenant) balancerFile(number int) string {
	return fmt.Sprintf("%s-balancers-%d", t.name, number/inFile)
}

func balancerText(t tenant, some []balancer) string {
	var b strings.Builder
	for _, x := range some {
		spec := fmt.Sprintf("  address: %s\n  ports: [{port: %d, protocol: tcp, targetPort: %d}]\n", x.address, x.port, x.to)
		if x.algorithm != "" {
			spec += fmt.Sprintf("  algorithm: %s\n", x.algorithm)
		}
		spec += "  backends:\n"
		for _, a := range x.backends {
			spec += fmt.Sprintf("  - {address: %s}\n", a)
		}
		b.WriteString(object("LoadBalancer", x.name, t.of(), spec))
	}
	return b.String()
}

// balance returns what has Weir balance for a tenant.
func (w *weir) balance(ctx context.Context, t tenant) func() error {
	return w.replacing(ctx, t.balancerFiles())
}

// rebalance returns what has Weir change one load balancer.
func (w *weir) rebalance(ctx context.Context, t tenant, number int, x balancer) func() error {
	first := number / inFile * inFile
	some := slices.Clone(t.balancers[first:min(first+inFile, len(t.balancers))])
	some[number-first] = x
	return w.replacing(ctx, map[string]string{t.balancerFile(number): balancerText(t, some)})
}

func (w *weir) computed() time.Duration { return cpuTime(w.daemon.cmd.Process.Pid) }

func (o *ovn) computed() (all time.Duration) {
	for _, c := range o.measured {
		all += cpuTime(c.cmd.Process.Pid)
	}
	return all
}

// vip is x as OVN writes it: its address, and its backends.
func (x balancer) vip() (address, backends string) {
	var all []string
	for _, a := range x.backends {
		all = append(all, fmt.Sprintf("%s:%d", a, x.to))
	}
	return fmt.Sprintf("%s:%d", x.address, x.port), strings.Join(all, ",")
}

// balancerArgs make load balancers, and have a switch use them. Ten thousand lb-add take
// ovn-nbctl seconds.
func balancerArgs(t tenant) (args []string) {
	use := []string{"--", "add", "logical_switch", t.name, "load_balancer"}
	for _, x := range t.balancers {
		address, backends := x.vip()
		args = append(args, "--", "--id=@"+x.name, "create", "load_balancer", "name="+x.name, "protocol=tcp", fmt.Sprintf("vips={%q=%q}", address, backends))
		use = append(use, "@"+x.name)
	}
	return append(args, use...)[1:]
}

// balance returns what has OVN balance for a tenant.
func (o *ovn) balance(ctx context.Context, t tenant) func() error {
	args := balancerArgs(t)
	return func() error {
		if err := o.change(ctx, args...); err != nil {
			return err
		}
		return o.settled(ctx)
	}
}

// rebalance returns what has OVN change one load balancer.
func (o *ovn) rebalance(ctx context.Context, _ tenant, _ int, x balancer) func() error {
	address, backends := x.vip()
	return func() error { return o.change(ctx, "--wait=hv", "--may-exist", "lb-add", x.name, address, backends) }
}
