package test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/api"
	"weir/internal/frame"
	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestConnectionsAreOpenedNoFasterThanTheirLimits has h1, which may open 20 connections in a
// second, and its tenant, which may open 40, try 100: of endpoint h1, and of h2.
func TestConnectionsAreOpenedNoFasterThanTheirLimits(t *testing.T) {
	n, h1, h2 := pair(t)
	h3 := n.Host("h3", mac(3), []string{"10.1.1.3/24"})
	limited := func(tenantRate, h1Rate int) string {
		return bridge + tenant("t", fmt.Sprintf("defaults: {ingress: allow}, limits: {newPerSecond: %d}", tenantRate), "{cidr: 10.1.1.0/24}") +
			object("Endpoint", "name: h1, tenant: t", fmt.Sprintf("network: lan, bind: {ifaceID: h1}, mac: %q, ips: [10.1.1.1], limits: {newPerSecond: %d}", mac(1), h1Rate)) +
			endpoint("t", "h2", 2, "10.1.1.2") + endpoint("t", "h3", 3, "10.1.1.3")
	}
	w := n.Run(limited(40, 20))
	c, err := h1.Dial(t.Context(), "tcp", listening(t, h3, "10.1.1.3:80"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const seconds, rate = 2, 100
	for _, x := range []struct {
		host *sandbox.Host
		most int // a second
		id   string
	}{{h1, 20, "t/endpoint/h1/newPerSecond"}, {h2, 40, "t/newPerSecond"}} {
		got, in := arrivals(t, x.host, h3, "10.1.1.3", seconds*rate, rate, func(got int) error { return dropping(w, x.id, seconds*rate-got) })
		took := max(seconds, int(in/time.Second)) // a guest is slow at times
		t.Logf("%s opens %d connections a second for %d s: %d pass", x.host.Name, rate, seconds, got)
		// A second's worth passes at once; two of them in the kernel's datapath.
		if got < x.most*seconds || got > x.most*(took+2)+10 {
			t.Errorf("%d connections of %s passed in %d s; it may open %d a second", got, x.host.Name, seconds, x.most)
		}
	}
	if err := say(c, "a connection that is known is not counted", ovstest.Patience); err != nil {
		t.Error(err)
	}

	w.Apply(limited(1000, 1000))
	arrivals(t, h1, h3, "10.1.1.3", rate, rate, allOf(rate)) // with a limit of 1,000
	w.Apply(pairModel("defaults: {ingress: allow}") + endpoint("t", "h3", 3, "10.1.1.3"))
	if meters, err := n.Ofctl("-O", "OpenFlow13", "dump-meters", n.Bridge); err != nil || strings.Contains(meters, "meter=") {
		t.Errorf("meters are left over: %s, %v", meters, err)
	}
}

// listening echoes at an address of a host.
func listening(t *testing.T, h *sandbox.Host, address string) string {
	echo(t, h, address)
	return address
}

// arrivals opens connections of UDP, so many in a second, and returns how many arrive, as soon as all are accounted for, and in
// what time they were opened.
func arrivals(t *testing.T, from, to *sandbox.Host, address string, n, rate int, all func(arrived int) error) (arrived int, in time.Duration) {
	t.Helper()
	heard, began := wire(t, to), time.Now()
	pace := time.NewTicker(time.Second / time.Duration(rate))
	defer pace.Stop()
	for range n {
		<-pace.C
		c, err := from.Dial(t.Context(), "udp", net.JoinHostPort(address, "9"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		c.Close()
	}
	in = time.Since(began)
	ovstest.Eventually(t, "each has arrived, or is told to be dropped", func() error {
		for {
			select {
			case f := <-heard.Frames():
				if p, ok := frame.Parse(f); ok && p.Protocol == 17 && p.DstPort == 9 {
					arrived++
				}
				continue
			default:
			}
			return all(arrived)
		}
	})
	return arrived, in
}

// allOf wants that so many arrive, and not one less.
func allOf(n int) func(int) error {
	return func(arrived int) error {
		if arrived != n {
			return fmt.Errorf("%d of %d have arrived", arrived, n)
		}
		return nil
	}
}

// dropping is nil if the daemon says that a meter has dropped so many packets.
func dropping(w *ovstest.Daemon, id string, want int) error {
	s, err := w.Status()
	if err != nil {
		return err
	}
	var all []api.Meter
	for _, m := range s.Bridges[0].Meters {
		if all = append(all, m); m.ID == id && m.Dropped == uint64(want) {
			return nil
		}
	}
	return fmt.Errorf("the meters are %+v; want %s to have dropped %d", all, id, want)
}
