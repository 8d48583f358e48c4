package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestStormWithChecks is the storm through load balancers whose backends are asked how they are and how busy,
// while one of them fails and comes back, and policy is replaced: what is open goes on, and what is new
// goes to others.
func TestStormWithChecks(t *testing.T) {
	asked := fmt.Sprintf(", onRemove: keep, health: {type: tcp, port: 9000, interval: %dms, timeout: %dms, fall: 2, rise: 1}", (5 * pace).Milliseconds(), (4 * pace).Milliseconds())
	lb := func(name, address, more string) string {
		return balancer(name, "address: "+address+", ports: [{port: 80, protocol: tcp, targetPort: 8080}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}]"+more+asked)
	}
	model := balancedModel(lb("hash", "10.1.1.64", ""), lb("consistent", "10.1.1.65", ", algorithm: consistent, load: {type: connections, interval: 1s}"),
		lb("gateway", "10.1.1.66", ", snat: always"), lb("hash6", `"fd00:1::64"`, ""))
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	var hosts []*sandbox.Host
	for i := 2; i <= 4; i++ {
		hosts = append(hosts, n.Host(fmt.Sprintf("h%d", i), mac(i), []string{fmt.Sprintf("10.2.1.%d/24", 10+i), fmt.Sprintf("fd00:2::%d/64", 10+i)}, "10.2.1.1", "fd00:2::1"))
	}
	n.Run(model)
	for i, h := range hosts {
		for _, ip := range []string{fmt.Sprintf("10.2.1.%d", 12+i), fmt.Sprintf("[fd00:2::%d]", 12+i)} {
			echo(t, h, ip+":8080")
			if i > 0 {
				serveUntil(t, h, ip+":9000", "")
			}
		}
	}
	for _, name := range []string{"hash", "consistent", "gateway"} {
		know(t, n, "t/loadbalancer/"+name, "10.2.1.12 down 0", "10.2.1.13 up 100", "10.2.1.14 up 100")
	}
	know(t, n, "t/loadbalancer/hash6", "fd00:2::12 down 0", "fd00:2::13 up 100", "fd00:2::14 up 100")
	before := len(n.Weir.Log())
	stop := comeAndGo(t, hosts[0], "10.2.1.12:9000", "[fd00:2::12]:9000")
	newStorm(t, []stormPath{
		{name: "hash", from: h1, address: "10.1.1.64:80"},
		{name: "consistent", from: h1, address: "10.1.1.65:80"},
		{name: "snat: always", from: h1, address: "10.1.1.66:80"},
		{name: "IPv6", from: h1, address: "[fd00:1::64]:80"},
		{name: "a backend itself", from: hosts[1], address: "10.1.1.64:80"},
		{name: "a backend itself, snat: always", from: hosts[1], address: "10.1.1.66:80"},
	}...).blow(t, n, stormTime(t)/4, func(edit int) {
		n.Weir.Apply(model + []string{unrest[1], ""}[edit%2])
	})
	stop()
	log := n.Weir.Log()[before:]
	t.Logf("%d times a backend came, %d times it went", strings.Count(log, "a backend is well"), strings.Count(log, "a backend is not well"))
	for _, b := range []string{"10.2.1.13", "10.2.1.14", `"fd00:2::13"`, `"fd00:2::14"`} {
		if strings.Contains(log, `is not well, and gets no new connections" backend=`+b) {
			t.Errorf("%s has been taken for one that is not well", b)
		}
	}
}

// comeAndGo has a host listen at addresses for some intervals, and not for some, until it is stopped.
func comeAndGo(t *testing.T, h *sandbox.Host, addresses ...string) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * pace)
		defer tick.Stop()
		var open []net.Listener
		for {
			if len(open) == 0 {
				for _, a := range addresses {
					if l, err := h.Listen("tcp", a); err == nil {
						open = append(open, l)
					}
				}
			} else {
				for _, l := range open {
					l.Close()
				}
				open = nil
			}
			select {
			case <-tick.C:
			case <-end:
				for _, l := range open {
					l.Close()
				}
				return
			}
		}
	}()
	return func() { close(end); <-done }
}

// TestMoreBackendsThanABridgeCanAsk asks 1,200 times a second if it may: less often is said in the log, and
// nobody who is well is taken for one that is not. A guest has not the processor to ask as often as a bridge can be: there it is only
// seen that fewer questions are asked than the model wants.
func TestMoreBackendsThanABridgeCanAsk(t *testing.T) {
	balancers, interval, guest := 400, 1000, os.Getenv("WEIR_DATAPATH") != ""
	if guest {
		balancers, interval = 20, 100
	}
	var more []string
	for i := range balancers {
		more = append(more, balancer(fmt.Sprint("lb", i), fmt.Sprintf("address: 10.1.1.64, ports: [{port: %d, protocol: tcp, targetPort: 80}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], health: {type: tcp, interval: %dms, timeout: %dms}", 1000+i, interval+i, interval/2)))
	}
	n, _, _ := balanced(t, balancedModel(more...))
	ovstest.Eventually(t, "the log says that they are asked less often", func() error {
		if !strings.Contains(n.Weir.Log(), "so many backends are asked") {
			return errors.New("it does not")
		}
		return nil
	})
	if !guest {
		staysUp(t, n, 3*balancers)
	}
}

// staysUp waits until so many backends are well, and fails unless they are when each has been asked twice more.
func staysUp(t *testing.T, n *ovstest.Net, all int) {
	t.Helper()
	ovstest.Within(t, 3*ovstest.Patience, "all are well", func() error { return allUp(n, all) }) // they are asked as fast as the machine can
	before, asked := len(n.Weir.Log()), answersOf(t, n)
	ovstest.Within(t, 3*ovstest.Patience, "each is asked twice more", func() error {
		if now := answersOf(t, n); now < asked+3000 {
			return fmt.Errorf("%d answers, %d before", now, asked)
		}
		return nil
	})
	if err := allUp(n, all); err != nil || strings.Contains(n.Weir.Log()[before:], "is not well") {
		t.Error("backends that are well are taken for such as are not: ", err)
	}
}

// allUp returns an error unless so many backends are well.
func allUp(n *ovstest.Net, want int) error {
	s, err := n.Weir.Status()
	if err != nil {
		return err
	}
	up := 0
	for _, b := range s.Backends {
		if b.Health == "up" {
			up++
		}
	}
	if up != want {
		return fmt.Errorf("%d are up, want %d", up, want)
	}
	return nil
}

// answersOf returns how many packets backends have answered.
func answersOf(t *testing.T, n *ovstest.Net) uint64 {
	t.Helper()
	s, err := n.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Bridges[0].Meters {
		if m.ID == "t/probes" {
			return m.Packets
		}
	}
	return 0
}
