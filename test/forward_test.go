package test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

func portForward(name, spec string) string {
	return object("PortForward", "name: "+name+", tenant: t", spec)
}

// TestForwardOfPortRanges reaches ranges of ports of the router's own address, as which h2 leaves
// too: the same ports of h1, and others of h2.
func TestForwardOfPortRanges(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.2]"),
		portForward("same", "address: 203.0.113.2, port: 8000-8010, protocol: tcp, to: {endpoint: h1}"),
		portForward("others", "address: 203.0.113.2, port: 8020-8022, protocol: tcp, to: {endpoint: h2, port: 8000-8002}"),
		portForward("media", "address: 203.0.113.2, port: 8000-8010, protocol: udp, to: {endpoint: h2}"),
		policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [7999-8022]}", "{name: media, direction: ingress, action: allow, protocol: udp}")))
	for h, addr := range map[*sandbox.Host]string{h1: "10.1.1.11", h2: "10.1.1.12"} {
		for _, port := range []int{7999, 8000, 8001, 8002, 8007, 8008, 8010, 8011, 8020} {
			serve(t, h, fmt.Sprint(addr, ":", port), fmt.Sprint(h.Name, " ", port))
		}
	}
	serve(t, out, "203.0.113.1:80", "out")
	for address, answer := range map[string]string{
		"203.0.113.2:8000": "h1 8000", "203.0.113.2:8007": "h1 8007", "203.0.113.2:8008": "h1 8008", "203.0.113.2:8010": "h1 8010",
		"203.0.113.2:8020": "h2 8000", "203.0.113.2:8021": "h2 8001", "203.0.113.2:8022": "h2 8002",
	} {
		gets(t, out, address, answer)
		gets(t, h2, address, answer) // from the tenant itself, by the same address
	}
	for _, port := range []string{"7999", "8011", "8019", "8023"} {
		timesOut(t, out, "203.0.113.2:"+port)
	}
	gets(t, h1, "203.0.113.1:80", "out")
	echoUDP(t, h2, "10.1.1.12:8005")
	c, err := out.Dial(t.Context(), "udp", "203.0.113.2:8005")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := say(c, "hello", ovstest.Patience); err != nil {
		t.Error(err)
	}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if moved := e.Orig.DstPort - e.Reply.SrcPort; e.Orig.Dst.String() == "203.0.113.2" && moved != 0 && moved != 20 {
			t.Errorf("%+v", e)
		}
	}
}

// TestRecirculationsOfForwards counts how often a forwarded packet comes back to the flow tables.
func TestRecirculationsOfForwards(t *testing.T) {
	n, h1, _, out := behind(t, natModel(
		portForward("same", "address: 203.0.113.10, port: 8000-8010, protocol: tcp, to: {endpoint: h1}"),
		portForward("others", "address: 203.0.113.10, port: 9000-9010, protocol: tcp, to: {endpoint: h1, port: 8000-8010}"),
		policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [8000-8010]}")))
	echo(t, h1, "10.1.1.11:8003")
	for _, port := range []int{8003, 9003} {
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		before := len(n.Entries(n.Weir.Zone("t")))
		talk(t, out, fmt.Sprint("203.0.113.10:", port))
		got, entries := n.Recirculations("dst=203.0.113.10", "eth_type(0x0800)"), len(n.Entries(n.Weir.Zone("t")))-before
		t.Logf("port %d: recirculations new / established / entries: %d / %d / %d", port, got.New, got.Established, entries)
		if got != (ovstest.Recirculations{New: 1, Established: 1}) || entries != 1 {
			t.Errorf("port %d: %+v, %d entries, want 1 / 1 / 1", port, got, entries)
		}
	}
}

// TestForwardedPortsThatMove changes ranges under open connections: those whose port is now
// another one end, and no others.
func TestForwardedPortsThatMove(t *testing.T) {
	model := func(forwards ...string) string {
		forwards = append(forwards, policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [8000-8020]}"))
		return strings.Replace(natModel(forwards...), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	}
	to := func(ports string) string {
		return portForward("range", "address: 203.0.113.10, port: 8000-8010, protocol: tcp, to: {endpoint: h1"+ports+"}")
	}
	other := portForward("other", "address: 203.0.113.10, port: 8020, protocol: tcp, to: {endpoint: h2, port: 8000}")
	n, h1, h2, out := behind(t, model(to(", port: 8001-8011"), other))
	for port := 8000; port <= 8011; port++ {
		echo(t, h1, fmt.Sprint("10.1.1.11:", port))
	}
	echo(t, h2, "10.1.1.12:8000")
	open := func(port int) net.Conn {
		return opened(t, out, fmt.Sprint("203.0.113.10:", port))
	}
	lives := func(c net.Conn, want bool) {
		t.Helper()
		patience := ovstest.Patience
		if !want {
			patience = time.Second
		}
		if err := say(c, "hello", patience); (err == nil) != want {
			t.Errorf("a connection to %v: %v; it should live: %v", c.RemoteAddr(), err, want)
		}
	}
	moved, beside := open(8000), open(8020)
	n.Weir.Apply(model(to(""), other)) // 8001 is in the range as before, and what 8000 is sent to no more
	lives(moved, false)
	lives(beside, true)
	kept := open(8005)
	n.Weir.Apply(model(to(""), other, portForward("one-more", "address: 203.0.113.10, port: 8011-8012, protocol: tcp, to: {endpoint: h1}")))
	lives(kept, true)
	n.Weir.Apply(model(strings.Replace(to(""), "8000-8010", "8000-8004", 1), other))
	lives(kept, false)
	lives(beside, true)
}

// routerMAC returns who answers for an address.
func routerMAC(t *testing.T, h *sandbox.Host, address string) (mac string) {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address+":9")
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("who has it?")) // nobody answers, but the kernel asks
	c.Close()
	ovstest.Eventually(t, "somebody has "+address, func() error {
		got, err := h.Exec(t.Context(), "ip", "neigh", "show", address)
		_, after, ok := strings.Cut(got, "lladdr ")
		if err == nil && !ok {
			err = fmt.Errorf("%q", got)
		}
		mac, _, _ = strings.Cut(after, " ")
		return err
	})
	return mac
}

// TestFragmentsToForwardedPorts sends datagrams of several frames to forwarded ports, from
// outside and from the tenant itself. Where one endpoint has all ports of a protocol, as they are,
// they arrive; where the first fragment alone says whose they are, the userspace datapath
// can only drop them, until a datagram in one piece has opened the connection.
func TestFragmentsToForwardedPorts(t *testing.T) {
	for name, six := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) { fragmentsToForwardedPorts(t, six) })
	}
}

func fragmentsToForwardedPorts(t *testing.T, six bool) {
	address := map[bool]func(four, six string) string{false: func(four, _ string) string { return four }, true: func(_, six string) string { return "[" + six + "]" }}[six]
	one, two, only := address("203.0.113.10", "2001:db8::10"), address("203.0.113.11", "2001:db8::11"), address("203.0.113.12", "2001:db8::12")
	forward := func(name, at, ports, to string) string {
		return portForward(name, fmt.Sprintf("address: %q, port: %s, protocol: udp, to: {%s}", strings.Trim(at, "[]"), ports, to))
	}
	model := func(rules string) string {
		return strings.Replace(pathMTUModel[:strings.Index(pathMTUModel, "kind: SNAT")-len("---\napiVersion: weir/v1\n")], "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1) +
			snat("all", "addresses: [203.0.113.10, \"2001:db8::10\"]") +
			forward("range", one, "7000-7010", "endpoint: h1") + forward("more", one, "7020", "endpoint: h1") +
			forward("first", two, "7000", "endpoint: h1") + forward("second", two, "7001", "endpoint: h2") +
			forward("moved", only, "8000", "endpoint: h1, port: 7000") + policy("t", "in", rules)
	}
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
	const all = "{name: udp, direction: ingress, action: allow, protocol: udp, ports: [7000-7020]}"
	n.Run(model(all))
	for _, port := range []string{"7000", "7001", "7005", "7011", "7020"} {
		echoUDP(t, h1, address("10.1.1.11", "fd00:1::11")+":"+port)
		echoUDP(t, h2, address("10.1.1.12", "fd00:1::12")+":"+port)
	}
	wires := []*sandbox.Wire{wire(t, h1), wire(t, h2), wire(t, out)}
	for _, from := range []*sandbox.Host{out, h2} {
		for _, c := range []struct {
			to      string
			arrives bool // at once; else after a small one
		}{{one + ":7000", true}, {one + ":7005", true}, {one + ":7020", true}, {only + ":8000", true}, {two + ":7000", n.Kernel()}, {two + ":7001", n.Kernel()}} {
			if from == h2 && c.to == two+":7001" {
				continue // its own: the source is rewritten behind the tracker, in every fragment
			}
			ask := asks(t, from, c.to)
			text := fmt.Sprint("large ", c.to, " of ", from.Name)
			if got := ask(4000, text); got != c.arrives {
				t.Errorf("%s sends a large datagram to %s: it arrives: %v", from.Name, c.to, got)
			}
			if !c.arrives && (sees(wires[0], saying(text)) || sees(wires[1], saying(text))) {
				t.Errorf("%s sends a large datagram to %s: some of it arrives", from.Name, c.to)
			}
			if !ask(100, "small") || !ask(4000, "large again") {
				t.Errorf("%s sends a small datagram to %s, and then a large one: there is no answer", from.Name, c.to)
			}
		}
		for _, to := range []string{one + ":7011", two + ":7020", only + ":7000"} { // nobody forwards these
			if asks(t, from, to)(4000, "nobody's") || sees(wires[0], saying("nobody's")) || sees(wires[1], saying("nobody's")) {
				t.Errorf("%s sends a large datagram to %s: it arrives", from.Name, to)
			}
		}
	}
	own := func(f []byte) bool {
		src, _, _ := icmpError(f)
		return src.IsValid() && inside(src)
	}
	if sees(wires[2], own) {
		t.Error("a packet has left untranslated")
	}
	// Judged again in fragments, connections live on as long as they may.
	known, ended := asks(t, out, one+":7001"), asks(t, out, one+":7002")
	echoUDP(t, h1, address("10.1.1.11", "fd00:1::11")+":7002")
	if !known(4000, "new") || !ended(4000, "new") {
		t.Error("no answer")
	}
	n.Weir.Apply(model("{name: not-this, direction: ingress, action: deny, protocol: udp, ports: [7002]}" + ", " + all))
	if !known(4000, "judged again") || !known(4000, "once more") {
		t.Error("a connection of large datagrams has ended with the change of a policy that admits it")
	}
	if _, err := n.Appctl("revalidator/wait"); err != nil { // a datapath may go by what it knew for a moment
		t.Fatal(err)
	}
	if ended(4000, "denied") || sees(wires[0], saying("denied")) {
		t.Error("what is denied comes to its port in fragments")
	}
}

// inside reports whether an address is of h1's and h2's networks.
func inside(a netip.Addr) bool {
	return netip.MustParsePrefix("10.0.0.0/8").Contains(a) || netip.MustParsePrefix("fd00::/8").Contains(a)
}

// TestWhoIsBehindAnAddressOutside asks for connections by what translates them and by as what they
// are known outside, and has the tracker forget one so.
func TestWhoIsBehindAnAddressOutside(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10], ports: 40000-40099"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		portForward("web", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")))
	echo(t, out, "203.0.113.1:80")
	echo(t, h1, "10.1.1.11:80")
	echo(t, h2, "10.1.1.12:80")
	for _, c := range []struct {
		from *sandbox.Host
		to   string
	}{{h2, "203.0.113.1:80"}, {h1, "203.0.113.1:80"}, {out, "203.0.113.20:80"}, {out, "203.0.113.10:8080"}, {h2, "10.1.1.11:80"}} {
		talk(t, c.from, c.to)
	}
	var leftAs string // by h2
	for _, c := range n.Weir.Connections("t") {
		if c.NAT == "t/snat/all" {
			leftAs = c.SourceTo()
		}
	}
	ask := func(want string, args ...string) {
		t.Helper()
		got, err := n.Weir.Tool(append([]string{"connections"}, args...)...)
		lines := strings.Split(strings.TrimSpace(got), "\n")[1:]
		var short []string
		for _, line := range lines {
			fields := strings.Fields(line)
			short = append(short, fields[2][:strings.LastIndex(fields[2], ":")]+" "+fields[len(fields)-1])
		}
		if text := strings.Join(short, ", "); err != nil || text != want {
			t.Errorf("weir connections %s: %v: %q, want %q\n%s", strings.Join(args, " "), err, text, want, got)
		}
	}
	ask("10.1.1.12 snat/all", "--as", leftAs)
	ask("10.1.1.12 snat/all", "--nat", "all")
	ask("203.0.113.1 portforward/web", "--as", "203.0.113.10:8080")
	ask("203.0.113.1 portforward/web", "--nat", "t/portforward/web", "-t", "t")
	ask("10.1.1.11 floatingip/h1-ip", "--as", "203.0.113.20", "--src", "10.1.1.11")
	ask("", "--as", "203.0.113.99")
	if got, err := n.Weir.Tool("connections", "--as", "nobody"); err == nil || !strings.Contains(err.Error()+got, "neither an address") {
		t.Errorf("--as nobody: %q, %v", got, err)
	}
	if got, err := n.Weir.Tool("connections", "kill", "-t", "t", "--nat", "web"); err != nil || !strings.HasPrefix(got, "1 connection of t") {
		t.Errorf("%q, %v", got, err)
	}
	ask("", "--nat", "web")
	if got := len(n.Weir.Connections("t")); got != 4 {
		t.Errorf("%d connections are left, want 4", got)
	}
}

// TestFTPThroughAForwardedPort downloads from h1 by a port of an address that it does not leave
// as, and that nobody else has: what the server opens itself comes from that address, too.
func TestFTPThroughAForwardedPort(t *testing.T) {
	rules := policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}")
	for name, more := range map[string]string{"alone": "", "beside an SNAT": snat("all", "addresses: [203.0.113.10]")} {
		t.Run(name, func(t *testing.T) {
			n, h1, h2, out := behind(t, natModel(rules, more, portForward("ftp", "address: 203.0.113.30, port: 21, protocol: tcp, to: {endpoint: h1}")))
			serveFTP(t, h1, "10.1.1.11")
			for _, way := range []string{"PASV", "PORT"} {
				for _, from := range []*sandbox.Host{out, h2} {
					if from == h2 && name == "alone" {
						continue
					}
					if got, err := download(t, from, way, "203.0.113.30"); err != nil || got != theFile {
						t.Errorf("%s from %s: %q, %v", way, from.Name, got, err)
					}
				}
			}
			t.Log(strings.Join(tuples(n), "\n"))
		})
	}
}
