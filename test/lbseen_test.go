package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/api"
	"weir/test/ovstest"
)

// TestThatNobodyServesIsSeen has all backends of a load balancer fail, and one come back: status, metrics and
// weir status -w say so, and since when.
func TestThatNobodyServesIsSeen(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], whenEmpty: reject, "+asked("type: tcp")),
		balancer("none", "address: 10.1.1.65, ports: [{port: 80, protocol: tcp}], backends: []"),
		policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
	one, other := serveUntil(t, hosts[0], "10.2.1.12:8000", "h2"), serveUntil(t, hosts[1], "10.2.1.13:8000", "h3")
	alwaysServed(t, n, "web", 2)
	one.Close()
	alwaysServed(t, n, "web", 1)
	before := time.Now()
	other.Close()
	lost := serves(t, n, "t/loadbalancer/web", 0, 1)
	if lost.Since.Before(before) || lost.Since.After(time.Now()) || lost.WhenEmpty != "reject" || lost.Backends != 2 {
		t.Errorf("%+v", lost)
	}
	refuses(t, h1, "10.1.1.64:8000")
	if text, err := n.Weir.Tool("status"); err != nil || !strings.Contains(text, "  t/loadbalancer/web: since ") || !strings.Contains(text, "  t/loadbalancer/none: since ") {
		t.Errorf("weir status does not say that nobody serves: %v\n%s", err, text)
	}
	serveUntil(t, hosts[0], "10.2.1.12:8000", "h2")
	if back := serves(t, n, "t/loadbalancer/web", 1, 1); !back.Since.After(lost.Since) {
		t.Errorf("served since %v, and not since %v", back.Since, lost.Since)
	}
	know(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 down 0")
	now, err := n.Weir.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		`weir_lb_backends{lb="web",tenant="t"}`: 2, `weir_lb_backends_usable{lb="web",tenant="t"}`: 1, `weir_lb_unserved_total{lb="web",tenant="t"}`: 1,
		`weir_lb_backends_usable{lb="none",tenant="t"}`:               0,
		`weir_lb_backend_up{backend="10.2.1.12",lb="web",tenant="t"}`: 1, `weir_lb_backend_up{backend="10.2.1.13",lb="web",tenant="t"}`: 0,
		`weir_lb_backend_weight{backend="10.2.1.12",lb="web",tenant="t"}`: 100, `weir_lb_backend_weight{backend="10.2.1.13",lb="web",tenant="t"}`: 0,
	} {
		if got, there := now[name]; !there || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := now[`weir_packet_ins_total{bridge="`+n.Bridge+`",reason="probe"}`]; n == 0 {
		t.Error("no answers of backends are counted")
	}
}

// alwaysServed waits until so many backends of a load balancer serve that has always been served by some. Of that a status
// says nothing.
func alwaysServed(t *testing.T, n *ovstest.Net, name string, usable float64) {
	t.Helper()
	ovstest.Eventually(t, fmt.Sprint(usable, " backends serve"), func() error {
		now, err := n.Weir.Metrics()
		if err != nil {
			return err
		}
		if got := now[`weir_lb_backends_usable{lb="`+name+`",tenant="t"}`]; got != usable {
			return fmt.Errorf("%v do", got)
		}
		s, err := n.Weir.Status()
		for _, b := range s.Balancers {
			if strings.HasSuffix(b.ID, "/"+name) {
				return fmt.Errorf("%+v", b)
			}
		}
		return err
	})
}

// serves waits until so many backends of a load balancer serve, and returns what status says then.
func serves(t *testing.T, n *ovstest.Net, name string, usable int, lost uint64) (state api.BalancerState) {
	t.Helper()
	ovstest.Eventually(t, fmt.Sprint(usable, " backends serve"), func() error {
		s, err := n.Weir.Status()
		if err != nil {
			return err
		}
		for _, b := range s.Balancers {
			if state = b; b.ID == name && b.Usable == usable && b.Lost == lost {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Balancers)
	})
	return state
}
