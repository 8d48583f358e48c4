package test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestASiteWithOneAddress has all that a tenant has outside at one address: what it opens leaves
// as that, a port is forwarded, others are a load balancer's. Each of the three comes and goes
// without the others' connections.
func TestASiteWithOneAddress(t *testing.T) {
	const address = "203.0.113.10"
	model := func(more ...string) string {
		in := policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")
		return strings.Replace(natModel(append(more, in)...), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	}
	all := snat("all", "addresses: ["+address+"]")
	shell := portForward("shell", "address: "+address+", port: 22, protocol: tcp, to: {endpoint: h1, port: 8090}")
	web := balancer("web", "address: "+address+", ports: [{port: 80, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h1}, {endpoint: h2}]")
	n, h1, h2, out := behind(t, model(all, shell, web))
	for h, at := range map[*sandbox.Host]string{h1: "10.1.1.11:8090", h2: "10.1.1.12:8090", out: "203.0.113.1:8090"} {
		echo(t, h, at)
	}
	serve(t, out, "203.0.113.1:80", "out")
	gets(t, h1, "203.0.113.1:80", "out")
	pings(t, out, address, 1, 1)
	pings(t, h2, "203.0.113.1", 1, 1)
	timesOut(t, out, address+":81")
	timesOut(t, out, address+":8090")
	leaves, byPort, byService, within := opened(t, h2, "203.0.113.1:8090"), opened(t, out, address+":22"), opened(t, out, address+":80"), opened(t, h2, address+":80")
	wantTuplesTo(t, n, 8090, "tcp 10.1.1.12>203.0.113.1 203.0.113.1>"+address)
	both := func(when string, left bool) {
		t.Helper()
		err := errors.Join(say(byService, when, ovstest.Patience), say(within, when, ovstest.Patience), say(opened(t, out, address+":80"), when, ovstest.Patience))
		if left {
			err = errors.Join(err, say(leaves, when, ovstest.Patience), say(opened(t, h1, "203.0.113.1:8090"), when, ovstest.Patience))
		}
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	both("at first", true)
	n.Weir.Apply(model(all, web))
	both("without the forward", true)
	if err := say(byPort, "hello", time.Second); err == nil {
		t.Error("what was forwarded goes on")
	}
	timesOut(t, out, address+":22")
	n.Weir.Apply(model(web))
	both("without the SNAT", false)
	if err := say(leaves, "hello", time.Second); err == nil {
		t.Error("what left as the address goes on")
	}
	n.Weir.Apply(model(all, web))
	leaves = opened(t, h2, "203.0.113.1:8090")
	both("with the SNAT again", true)
	n.Weir.Apply(model(all))
	if err := say(leaves, "hello", ovstest.Patience); err != nil {
		t.Errorf("without the load balancer: %v", err)
	}
	if err := errors.Join(say(byService, "hello", time.Second), say(within, "hello", time.Second)); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("connections of the load balancer that is gone: %v", err)
	}
	timesOut(t, out, address+":80")
}

// wantTuplesTo fails unless the connections of tenant t to a port are some, in order.
func wantTuplesTo(t *testing.T, n *ovstest.Net, port uint16, want ...string) {
	t.Helper()
	var got []string
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.DstPort == port {
			got = append(got, fmt.Sprintf("%s %v>%v %v>%v", e.Protocol, e.Orig.Src, e.Orig.Dst, e.Reply.Src, e.Reply.Dst))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("connections to port %d: %q, want %q", port, got, want)
	}
}
