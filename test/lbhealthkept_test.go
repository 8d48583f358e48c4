package test

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestADaemonThatStartsChangesNothingOfHealth kills the daemon while a backend is out and another
// one well: the next one sends nothing until it knows better, and no connection fails.
func TestADaemonThatStartsChangesNothingOfHealth(t *testing.T) {
	for _, algorithm := range []string{"hash", "consistent"} {
		t.Run(algorithm, func(t *testing.T) {
			n, h1, hosts := balanced(t, balancedModel(balancer("web",
				"address: 10.1.1.64, algorithm: "+algorithm+", ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], "+asked("type: tcp, slowStart: 1s")),
				policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
			for _, i := range []int{0, 1} {
				serveUntil(t, hosts[i], fmt.Sprintf("10.2.1.%d:8000", 12+i), hosts[i].Name)
			}
			become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
			n.Weir.Kill()
			served(t, h1, "10.1.1.64:8000", 20)
			n.Weir.Start()
			s := n.Weir.Programmed(1)
			served(t, h1, "10.1.1.64:8000", 50)
			know(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
			if s, _ = n.Weir.Status(); s.Bridges[0].FlowModsSent != 0 {
				t.Errorf("%d modifications were sent", s.Bridges[0].FlowModsSent)
			}
			if log := n.Weir.Log(); strings.Contains(log, "no backend takes connections") {
				t.Error("no backend was there for a while")
			}
		})
	}
}

// TestHealthThatIsAskedForLaterEndsNothing adds checks to a load balancer that has none, with backends
// that are well and one that is not; and a backend to one that has checks.
func TestHealthThatIsAskedForLaterEndsNothing(t *testing.T) {
	model := func(backends, health string) string {
		return balancedModel(balancer("web", "address: 10.1.1.64, whenEmpty: reject, ports: [{port: 8000, protocol: tcp}], backends: ["+backends+"]"+health),
			policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}"))
	}
	n, h1, hosts := balanced(t, model("{endpoint: h2}, {endpoint: h3}", ""))
	serveUntil(t, hosts[0], "10.2.1.12:8000", "h2")
	one := serveUntil(t, hosts[1], "10.2.1.13:8000", "h3")
	epoch := n.Weir.Programmed(1).Tenants[0].Epoch
	stop := keepFetching(t, h1, "10.1.1.64:8000")
	health := ", " + asked("type: tcp")
	n.Weir.Apply(model("{endpoint: h2}, {endpoint: h3}", health))
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100")
	n.Weir.Apply(model("{endpoint: h2}, {endpoint: h3}, {endpoint: h4}", health))
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	stop()
	one.Close()
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 down 0", "10.2.1.14 down 0")
	n.Weir.Apply(model("{endpoint: h2}", health))
	gets(t, h1, "10.1.1.64:8000", "h2")
	if now := n.Weir.Programmed(1).Tenants[0].Epoch; now != epoch {
		t.Errorf("connections were judged again: epoch %d, %d before", now, epoch)
	}
}

// keepFetching fetches from an address until stop is called; each time has to succeed.
func keepFetching(t *testing.T, h *sandbox.Host, address string) (stop func()) {
	t.Helper()
	done, end := make(chan int), make(chan struct{})
	go func() {
		n := 0
		defer func() { done <- n }()
		for {
			select {
			case <-end:
				return
			default:
			}
			if _, err := fetch(h, address, ovstest.Patience); err != nil {
				t.Errorf("after %d: %v", n, err)
				return
			}
			n++
		}
	}()
	return func() { close(end); t.Logf("%d connections", <-done) }
}

// TestBackendsOutliveARestartOfOVS starts ovs-vswitchd anew: no backend is taken for one that is not well.
func TestBackendsOutliveARestartOfOVS(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], "+asked("type: tcp")),
		policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
	for _, i := range []int{0, 1} {
		serveUntil(t, hosts[i], fmt.Sprintf("10.2.1.%d:8000", 12+i), hosts[i].Name)
	}
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	before := len(n.Weir.Log())
	n.RestartVswitchd()
	n.Weir.Programmed(1)
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	served(t, h1, "10.1.1.64:8000", 20)
	know(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	if log := n.Weir.Log()[before:]; strings.Contains(log, "is not well") || strings.Contains(log, "no backend takes") {
		t.Error(log)
	}
}
