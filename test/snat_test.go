package test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// partners gives out more addresses, behind the next hop.
func partners(t *testing.T, out *sandbox.Host, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		if _, err := out.Exec(t.Context(), "ip", "addr", "add", a, "dev", sandbox.HostDevice); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSNATsForSomeDestinations has h1 leave as one address for mail, as another to a partner, and
// as a third to all else.
func TestSNATsForSomeDestinations(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(
		snat("mail", "priority: 300, to: {protocol: tcp, ports: [25, 465-466]}, addresses: [203.0.113.25]"),
		snat("partner", "priority: 200, from: {endpoints: [h1]}, to: {cidrs: [198.51.100.0/24]}, addresses: [203.0.113.30]"),
		snat("rest", "addresses: [203.0.113.10]")))
	partners(t, out, "198.51.100.1/32")
	for _, address := range []string{"203.0.113.1:25", "203.0.113.1:24", "203.0.113.1:466", "198.51.100.1:25", "198.51.100.1:80"} {
		serve(t, out, address, address)
		gets(t, h1, address, address)
	}
	gets(t, h2, "198.51.100.1:80", "198.51.100.1:80")
	pings(t, h1, "198.51.100.1", 2, 2)
	pings(t, h1, "203.0.113.1", 2, 2)
	refusedUDP(t, h1, "203.0.113.1:25")
	wantTuples(t, n,
		"tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.25", "tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.25",
		"tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10", "tcp 10.1.1.11>198.51.100.1 198.51.100.1>203.0.113.25",
		"tcp 10.1.1.11>198.51.100.1 198.51.100.1>203.0.113.30", "tcp 10.1.1.12>198.51.100.1 198.51.100.1>203.0.113.10",
		"icmp 10.1.1.11>198.51.100.1 198.51.100.1>203.0.113.30", "icmp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10",
		"udp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10")
}

// TestAnSNATForLessEndsWhatItNoLongerCovers takes back a prefix, and then a port, and then a
// sender of an SNAT: each ends the connections that are no longer covered, and no others.
func TestAnSNATForLessEndsWhatItNoLongerCovers(t *testing.T) {
	model := func(spec string) string {
		return strings.Replace(natModel(snat("some", "priority: 200, addresses: [203.0.113.20-203.0.113.23], "+spec), snat("rest", "addresses: [203.0.113.10]")),
			"name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	}
	n, h1, h2, out := behind(t, model("to: {cidrs: [198.51.100.0/24, 192.0.2.0/24], protocol: tcp, ports: [80, 443]}"))
	partners(t, out, "198.51.100.1/32", "192.0.2.1/32")
	conns := map[string]net.Conn{}
	for _, address := range []string{"198.51.100.1:80", "198.51.100.1:443", "192.0.2.1:80", "203.0.113.1:80"} {
		echo(t, out, address)
		conns[address] = opened(t, h1, address)
	}
	conns["h2"] = opened(t, h2, "198.51.100.1:80")
	for _, step := range []struct{ spec, ends string }{
		{"to: {cidrs: [198.51.100.0/24], protocol: tcp, ports: [80, 443]}", "192.0.2.1:80"},
		{"to: {cidrs: [198.51.100.0/24], protocol: tcp, ports: [80]}", "198.51.100.1:443"},
		{"from: {endpoints: [h1]}, to: {cidrs: [198.51.100.0/24]}", "h2"},
	} {
		for name, c := range conns {
			if err := say(c, "hello", ovstest.Patience); err != nil {
				t.Errorf("before %s: %s: %v", step.spec, name, err)
			}
		}
		local := conns[step.ends].LocalAddr().String()
		n.Weir.Apply(model(step.spec))
		ovstest.Eventually(t, "the connection to "+step.ends+" is not that of the pool", func() error { // it may have begun anew
			for _, e := range n.Entries(n.Weir.Zone("t")) {
				if fmt.Sprintf("%v:%d", e.Orig.Src, e.Orig.SrcPort) == local && e.Reply.Dst.String() != "203.0.113.10" {
					return errors.New(e.Reply.Dst.String())
				}
			}
			return nil
		})
		if err := say(conns[step.ends], "hello", time.Second); err == nil {
			t.Errorf("%s: the connection to %s goes on", step.spec, step.ends)
		}
		delete(conns, step.ends)
	}
	for name, c := range conns {
		if err := say(c, "hello", ovstest.Patience); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// exemptModel has h1 and h2 reach 198.51.100.0/24 with their own addresses.
func exemptModel(tenantSpec, exempt string) string {
	return natBridge + tenant("t", tenantSpec, "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("t", "h1", 1, "10.1.1.11") +
		endpoint("t", "h2", 2, "10.1.1.12") + snat("all", "addresses: [203.0.113.10]"+exempt)
}

// TestWhatIsExemptKeepsItsAddress talks to a partner untranslated, and to all others not; nobody
// comes in that is not asked, and when the exemption is taken back it ends just its connections.
func TestWhatIsExemptKeepsItsAddress(t *testing.T) {
	const exempt = ", exempt: {cidrs: [198.51.100.0/24]}"
	n, h1, h2, out := behind(t, exemptModel("allowDisruption: true", exempt))
	partners(t, out, "198.51.100.1/32")
	for _, address := range []string{"198.51.100.1:80", "203.0.113.1:80"} {
		echo(t, out, address)
	}
	echo(t, h1, "10.1.1.11:80")
	conns := map[string]net.Conn{}
	for _, address := range []string{"198.51.100.1:80", "203.0.113.1:80"} {
		c := opened(t, h1, address)
		if conns[address] = c; say(c, "hello", ovstest.Patience) != nil {
			t.Errorf("%s does not answer", address)
		}
	}
	pings(t, h2, "198.51.100.1", 2, 2)
	refusedUDP(t, h1, "198.51.100.1:9999")
	wantTuples(t, n, "tcp 10.1.1.11>198.51.100.1 198.51.100.1>10.1.1.11", "tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10",
		"icmp 10.1.1.12>198.51.100.1 198.51.100.1>10.1.1.12", "udp 10.1.1.11>198.51.100.1 198.51.100.1>10.1.1.11")
	for _, from := range []string{"203.0.113.1", "198.51.100.1"} {
		if text, err := out.Exec(t.Context(), "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-I", from, "10.1.1.11"); err == nil {
			t.Errorf("h1 is reached by its own address from %s: %s", from, text)
		}
	}
	timesOut(t, out, "10.1.1.11:80")
	n.Weir.Apply(exemptModel("allowDisruption: true", ""))
	ovstest.Eventually(t, "nothing is exempt", func() error {
		got := strings.Join(tuples(n), "\n")
		if strings.Contains(got, ">10.1.1.11") || strings.Contains(got, ">10.1.1.12") {
			return errors.New(got)
		}
		return nil
	})
	if err := say(conns["198.51.100.1:80"], "hello", time.Second); err == nil {
		t.Error("the connection that was exempt goes on")
	}
	if err := say(conns["203.0.113.1:80"], "hello", ovstest.Patience); err != nil {
		t.Error(err)
	}
}

// TestOnlyAnswersComeToInnerAddresses sends all sorts of packets from outside to the address of an
// endpoint that leaves as itself, also where the tenant lets pass what the tracker cannot place.
func TestOnlyAnswersComeToInnerAddresses(t *testing.T) {
	for _, spec := range []string{"defaults: {ingress: allow}", "defaults: {ingress: allow, invalid: allow}", "mode: audit", "mode: audit, defaults: {strictTCP: true}", "defaults: {ingress: allow, strictTCP: true, invalid: allow}"} {
		t.Run(spec, func(t *testing.T) {
			n := ovstest.New(t)
			h1 := wire(t, n.Host("h1", mac(1), nil))
			n.Host("h2", mac(2), nil)
			out := wire(t, n.Host("out", mac(9), nil))
			n.Run(exemptModel(spec, ", exempt: {cidrs: [0.0.0.0/0]}"))
			router := routerOutside(t, n)
			inward := func(p packet) packet { return p.between("198.51.100.1", "10.1.1.11", router) }
			for i, p := range []packet{
				tcp(9, 1, 4000, 80, "S"), tcp(9, 1, 4000, 80, "SA"), tcp(9, 1, 4000, 80, "A"), tcp(9, 1, 4000, 80, "R"), udp(9, 1, 53, 4000),
				icmp(9, 1, 8, 0, nil), icmp(9, 1, 0, 0, nil), icmp(9, 1, 3, 3, make([]byte, 28)), raw(9, 1, layers.IPProtocolGRE, 0, 0, 0, 0),
			} {
				if err := out.Send(inward(p).frame(t, uint16(1000+i))); err != nil {
					t.Fatal(err)
				}
			}
			// What answers h1 comes behind them.
			ask := udp(1, 9, 4001, 53).between("10.1.1.11", "198.51.100.1", net.HardwareAddr{0x02, 'w', 'e', 'i', 'r', 0x01})
			if err := h1.Send(ask.frame(t, 2000)); err != nil {
				t.Fatal(err)
			}
			comes(t, out, carries(2000))
			if err := out.Send(inward(udp(9, 1, 53, 4001)).frame(t, 2001)); err != nil {
				t.Fatal(err)
			}
			var came []uint16
			comes(t, h1, func(f []byte) bool {
				for i := range uint16(20) {
					if carries(1000 + i)(f) {
						came = append(came, i)
					}
				}
				return carries(2001)(f)
			})
			if len(came) > 0 {
				t.Errorf("packets %v have come in", came)
			}
		})
	}
}

// comes waits for a frame.
func comes(t *testing.T, w *sandbox.Wire, is func([]byte) bool) {
	t.Helper()
	deadline := time.After(ovstest.Patience)
	for {
		select {
		case f := <-w.Frames():
			if is(f) {
				return
			}
		case <-deadline:
			t.Fatal("a frame does not come")
		}
	}
}

// routerOutside returns the router's address on the link outside, from the flows that answer for it.
func routerOutside(t *testing.T, n *ovstest.Net) net.HardwareAddr {
	t.Helper()
	text, err := n.Ofctl("-O", "OpenFlow13", "dump-flows", n.Bridge, "table=8,arp,arp_op=1,arp_tpa=203.0.113.2")
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(text, "02:77:")
	if i < 0 {
		t.Fatalf("nobody answers for the router: %s", text)
	}
	router, err := net.ParseMAC(text[i : i+17])
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// TestOneWayTrafficOutlivesAChange has h1 send to a server that never answers, while a rule is taken
// back that has nothing to do with it, and then ends it with its SNAT. It leaves as the same address
// throughout, and a connection that no answer has come of is new to the tracker for ever.
func TestOneWayTrafficOutlivesAChange(t *testing.T) {
	other := policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")
	as := snat("some", "priority: 200, from: {endpoints: [h1]}, addresses: [203.0.113.20-203.0.113.23], ports: 20000-30000")
	n, h1, _, out := behind(t, natModel(as, other))
	heard, err := out.ListenPacket("udp", "203.0.113.1:514")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { heard.Close() })
	c, err := h1.Dial(t.Context(), "udp", "203.0.113.1:514")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	hears := func(what string) string { // says it again until it is heard
		buf := make([]byte, 100)
		for end := time.Now().Add(ovstest.Patience); time.Now().Before(end); {
			fmt.Fprint(c, what)
			heard.SetReadDeadline(time.Now().Add(time.Second))
			for {
				k, from, err := heard.ReadFrom(buf)
				if err != nil {
					break
				}
				if string(buf[:k]) == what {
					return from.String()
				}
			}
		}
		return ""
	}
	w := wire(t, out)
	first := hears("at first")
	if got := hears("and once more"); got != first || first == "" {
		t.Errorf("comes from %q, came from %q", got, first)
	}
	n.Weir.Apply(natModel(as))
	if got := hears("a rule was taken back"); got != first || first == "" {
		t.Errorf("comes from %q, came from %q", got, first)
	}
	n.Weir.Apply(natModel(snat("rest", "addresses: [203.0.113.10]")))
	ovstest.Eventually(t, "it leaves as another", func() error {
		if got := hears("the SNAT is another"); !strings.HasPrefix(got, "203.0.113.10:") {
			return fmt.Errorf("from %q", got)
		}
		return nil
	})
	if sees(w, hasInnerSource) {
		t.Error("a packet has left untranslated")
	}
}

// TestOneWayTrafficComesIn sends to a floating IP and to a forwarded port, and nobody answers.
func TestOneWayTrafficComesIn(t *testing.T) {
	_, h1, _, out := behind(t, natModel(floatingIP("h1-ip", "203.0.113.20", "h1"), portForward("log", "address: 203.0.113.2, port: 5514, protocol: udp, to: {endpoint: h1, port: 514}"),
		policy("t", "in", "{name: log, direction: ingress, action: allow, protocol: udp, ports: [514]}")))
	heard, err := h1.ListenPacket("udp", "10.1.1.11:514")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { heard.Close() })
	for _, to := range []string{"203.0.113.20:514", "203.0.113.2:5514"} {
		c, err := out.Dial(t.Context(), "udp", to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		for i := range 3 {
			what, buf := fmt.Sprint(to, " says ", i), make([]byte, 100)
			fmt.Fprint(c, what)
			heard.SetReadDeadline(time.Now().Add(ovstest.Patience))
			if n, _, err := heard.ReadFrom(buf); err != nil || string(buf[:n]) != what {
				t.Errorf("%q, %v; want %q", buf[:n], err, what)
			}
		}
	}
}
