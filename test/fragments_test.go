package test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestOF14FragmentedPingThroughAStatefulZone pings with more than a frame holds: the tracker
// puts the fragments together, and sees one connection for each run.
func TestOF14FragmentedPingThroughAStatefulZone(t *testing.T) {
	n, h1, _ := pair(t)
	w := n.Run(pairModel("") + forH2("{name: ping, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: icmp}"))
	zone := w.Zone("t")
	for i, size := range []int{1600, 3200} {
		pingsWith(t, h1, "10.1.1.2", size, 3, 3)
		if all := ovstest.Protocol(n.Entries(zone), "icmp"); len(all) != i+1 {
			t.Errorf("%d entries after %d runs: %+v", len(all), i+1, all)
		}
	}
	if n.Kernel() {
		return // it counts fragments elsewhere
	}
	status, err := n.Appctl("dpctl/ipf-get-status")
	if err != nil {
		t.Fatal(err)
	}
	accepted, completed, expired := count(t, status, "v4 frags accepted"), count(t, status, "v4 frags completed"), count(t, status, "v4 frags expired")
	// There and back, three times, 1600 bytes in two and 3200 in three; and what is sent there
	// once more, to be committed: no question is without fragments, and each is judged.
	const looked = 2*3*(2+3) + 3*(2+3)
	if accepted != looked || completed != looked || expired != 0 {
		t.Errorf("%d fragments accepted, %d completed, %d expired; want %d, all completed", accepted, completed, expired, looked)
	}
}

// pingsWith fails the test unless so many of n echo requests of a size are answered.
func pingsWith(t *testing.T, h *sandbox.Host, to string, size, n, want int) {
	t.Helper()
	seconds := map[bool]string{true: "10", false: "1"}[want == n]
	out, err := h.Exec(context.Background(), "ping", "-n", "-c", strconv.Itoa(n), "-i", "0.2", "-W", seconds, "-s", strconv.Itoa(size), to)
	if m := regexp.MustCompile(`(\d+) received`).FindStringSubmatch(out); m == nil || m[1] != strconv.Itoa(want) {
		t.Fatalf("%s pings %s with %d bytes: %v: %s", h.Name, to, size, err, out)
	}
}

// count reads a number out of a text: "NAME: 30".
func count(t *testing.T, text, name string) (number int) {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(name) + `: (\d+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %q in %q", name, text)
	}
	fmt.Sscan(m[1], &number)
	return number
}

// TestLargeDatagramsAreJudgedByTheirPorts sends datagrams of several frames, of which only the
// first fragment has ports, to a port that is open and to one that is not.
func TestLargeDatagramsAreJudgedByTheirPorts(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.1/24", "fd00:1::1/64"})
	h2 := n.Host("h2", mac(2), []string{"10.1.1.2/24", "fd00:1::2/64"})
	w := n.Run(labModel("") + forH2("{name: udp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: udp, ports: [7000]}"))
	heard := wire(t, h2)
	for _, server := range []string{"10.1.1.2", "[fd00:1::2]"} {
		echoUDP(t, h2, server+":7000")
		echoUDP(t, h2, server+":7001")
		open, denied := asks(t, h1, server+":7000"), asks(t, h1, server+":7001")
		for _, size := range []int{4000, 4000, 3000, 100, 4000} {
			if !open(size, "open") {
				t.Errorf("%s:7000 does not answer %d bytes", server, size)
			}
		}
		if denied(4000, "denied") || sees(heard, saying("denied")) {
			t.Errorf("what is denied comes to %s:7001", server)
		}
	}
	for _, c := range w.Connections("t") { // named by the one datagram without fragments
		if c.Ingress != "t/policy/h2/udp" || c.Orig.Dport != 7000 {
			t.Errorf("%s -> %s:%d was let in by %q", c.Orig.Src, c.Orig.Dst, c.Orig.Dport, c.Ingress)
		}
	}
	// What is taken back is not delivered either: every fragment of it is judged again.
	server := "10.1.1.2:7000"
	ask := asks(t, h1, server)
	if !ask(4000, "open") {
		t.Errorf("%s does not answer", server)
	}
	w.Apply(labModel(""))
	if ask(4000, "taken back") || sees(heard, saying("taken back")) {
		t.Errorf("what is denied comes to %s, though its rule is gone", server)
	}
}

// saying looks for frames that carry a text.
func saying(text string) func([]byte) bool {
	return func(f []byte) bool { return bytes.Contains(f, []byte(text)) }
}

func echoUDP(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	c := listenUDP(t, h, address)
	go func() {
		buf := make([]byte, 8000)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(buf[:n], from)
		}
	}()
}

// asks opens a socket to an address. What it returns sends a datagram of a size, with a
// text again and again, and reports whether it is answered.
func asks(t *testing.T, h *sandbox.Host, address string) func(size int, text string) bool {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func(size int, text string) bool {
		c.SetDeadline(time.Now().Add(3 * time.Second))
		if _, err := c.Write(bytes.Repeat([]byte(text+" "), size)[:size]); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(make([]byte, 8000))
		return err == nil && n == size
	}
}

// TestDatagramsInFragmentsAndStatelessRules sends datagrams of several frames by rules that are not
// tracked: nobody puts them together, and each frame is looked at by itself. Those that do not say
// what a rule asks for do not pass.
func TestDatagramsInFragmentsAndStatelessRules(t *testing.T) {
	stateless := func(from, to string) string {
		return policy("t", "p", "{name: in, direction: ingress, action: stateless, "+from+"}", "{name: out, direction: egress, action: stateless, "+to+"}")
	}
	const udp, port, all = "protocol: udp", "protocol: udp, ports: [7000]", ": {cidrs: [10.1.1.0/24, \"fd00::/64\"]}"
	for name, c := range map[string]struct {
		rules     string
		four, six bool // large ones pass
	}{
		"all of it":  {stateless("from"+all, "to"+all), true, true},
		"a protocol": {stateless(udp, udp), true, false},
		"a port":     {stateless(port, port), false, false},
		"tracked":    {policy("t", "p", "{name: in, direction: ingress, action: allow, protocol: udp, ports: [7000]}"), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			n, h1, h2 := dual(t)
			n.Run(dualModel("", c.rules))
			for address, large := range map[string]bool{"10.1.1.2:7000": c.four, "[fd00::2]:7000": c.six} {
				echoUDP(t, h2, address)
				ask := asks(t, h1, address)
				if !ask(100, "small") {
					t.Errorf("a small datagram does not come to %s", address)
				}
				if got := ask(4000, "large"); got != large {
					t.Errorf("a large datagram comes to %s: %v", address, got)
				}
			}
		})
	}
}
