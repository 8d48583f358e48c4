package apps

import (
	"testing"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
)

// TestWhatNobodyAnswersGoesOnAsItBegan has a host send a segment again and again, as who is not answered does, on both
// datapaths: the kernel's translates a known connection that nobody has answered in a commit alone. Each leaves as the first, and an
// answer to the last comes back.
func TestWhatNobodyAnswersGoesOnAsItBegan(t *testing.T) {
	of := func(tenant, kind, spec string) string { return crossingObject(tenant, kind, "a", spec) }
	blue, red := crossingTenant("blue", "", 2), crossingTenant("red", "defaults: {ingress: allow}", 1)
	open := crossingTenant("blue", "defaults: {ingress: allow}", 2)
	for _, c := range []struct {
		name, dst string
		to        string // the port by which it leaves
		objects   []string
	}{
		{"to the outside", "198.51.100.7", "out", []string{blue, of("blue", "SNAT", "addresses: [203.0.113.10]")}},
		{"to the outside, and an SNAT that comes behind says that it is exempt", "198.51.100.7", "out", []string{blue, of("blue", "SNAT", "addresses: [203.0.113.10]"),
			crossingObject("blue", "SNAT", "b", "exempt: {cidrs: [198.51.100.0/24]}, addresses: [203.0.113.10]")}},
		{"to the outside, exempt", "198.51.100.7", "out", []string{blue, of("blue", "SNAT", "exempt: {cidrs: [198.51.100.0/24]}, addresses: [203.0.113.10]")}},
		{"to the outside, as an address that tenants share", "198.51.100.7", "out", []string{blue, of("blue", "SNAT", "addresses: [203.0.113.10], shared: true")}},
		{"to the outside, as an address that tenants share, with ports", "198.51.100.7", "out", []string{blue, of("blue", "SNAT", "addresses: [203.0.113.10-203.0.113.12], shared: true, ports: 32768-40000")}},
		{"to a tenant with the same network", "203.0.113.20", "red-h1", []string{blue, red, of("blue", "SNAT", "addresses: [203.0.113.10]"), of("red", "FloatingIP", "address: 203.0.113.20, endpoint: h1")}},
		{"to a tenant with the same network, as an address that both share", "203.0.113.20", "red-h1", []string{blue, red, of("blue", "SNAT", "addresses: [203.0.113.10], shared: true"),
			of("red", "SNAT", "addresses: [203.0.113.10], shared: true"), of("red", "FloatingIP", "address: 203.0.113.20, endpoint: h1")}},
		{"to a floating IP of its own tenant", "203.0.113.20", "blue-h2", []string{open, of("blue", "FloatingIP", "address: 203.0.113.20, endpoint: h2")}},
		{"to its own floating IP", "203.0.113.20", "blue-h1", []string{open, of("blue", "FloatingIP", "address: 203.0.113.20, endpoint: h1")}},
		{"to a floating IP of its own tenant, which sees the gateway", "203.0.113.20", "blue-h2", []string{open, of("blue", "FloatingIP", "address: 203.0.113.20, endpoint: h2, snat: always")}},
		{"to a forwarded port of its own tenant", "203.0.113.20", "blue-h2", []string{open, of("blue", "PortForward", "address: 203.0.113.20, protocol: tcp, port: 80, to: {endpoint: h2, port: 8080}")}},
		{"to a load balancer", "10.1.0.64", "blue-h2", []string{open, of("blue", "LoadBalancer", "address: 10.1.0.64, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h2}]")}},
		{"to a backend outside", "10.1.0.64", "out", []string{open, of("blue", "SNAT", "addresses: [203.0.113.10]"), of("blue", "LoadBalancer", "address: 10.1.0.64, ports: [{port: 80, protocol: tcp}], backends: [{address: 198.51.100.7}]")}},
	} {
		for datapath, features := range map[string]pipeline.Features{"userspace": onUserspace, "kernel": onKernel} {
			p := passageOf(t, c.objects...)
			p.in.Facts.Features = features
			p.compile(t)
			var first flowsim.Tuple
			var last *flowsim.Trace
			for i := range 3 {
				last = p.says("blue-h1", "10.1.0.11", c.dst, 40000)
				if len(last.Outputs) != 1 || !p.comesBy(last, c.to) || len(last.Odd) > 0 {
					t.Errorf("%s, %s: packet %d leaves by %v %v\n%s", datapath, c.name, i, delivered(last), last.Odd, stepsOf(last))
					break
				}
				is, _ := flowsim.TupleOf(last.Outputs[0].Packet)
				if i == 0 {
					first = is
				}
				if is != first {
					t.Errorf("%s, %s: packet %d leaves as %v, and the first as %v\n%s", datapath, c.name, i, is, first, stepsOf(last))
				}
			}
			if c.to != "out" || !p.comesBy(last, c.to) {
				continue
			}
			if back := p.hears(t, last); !p.comesBy(back, "blue-h1") {
				t.Errorf("%s, %s: an answer comes to %v\n%s", datapath, c.name, delivered(back), stepsOf(back))
			}
		}
	}
}
