package test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// balancer returns a load balancer of tenant t.
func balancer(name, spec string) string {
	return object("LoadBalancer", "name: "+name+", tenant: t", spec)
}

// balancedModel has a client, 10.1.1.11, and backends h2, h3 and h4, 10.2.1.12 and so on, behind
// the router, in both versions of IP; the address 10.1.1.64 is free.
func balancedModel(more ...string) string {
	return bridge + tenant("t", "", `{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}`) +
		object("Network", "name: back, tenant: t", `subnets: [{cidr: 10.2.1.0/24, gateway: 10.2.1.1}, {cidr: "fd00:2::/64", gateway: "fd00:2::1"}]`) +
		endpoint("t", "h1", 1, `10.1.1.11, "fd00:1::11"`) + backendModel(2) + backendModel(3) + backendModel(4) +
		policy("t", "web", "{name: web, direction: ingress, action: allow, protocol: tcp, ports: [80, 8080]}", "{name: ping, direction: ingress, action: allow, protocol: icmp}") +
		strings.Join(more, "")
}

func backendModel(number int) string {
	return object("Endpoint", fmt.Sprintf("name: h%d, tenant: t, labels: {tier: web}", number),
		fmt.Sprintf(`network: back, bind: {ifaceID: h%d}, mac: %q, ips: [10.2.1.%d, "fd00:2::%d"]`, number, mac(number), 10+number, 10+number))
}

// balanced is a net with a client, and three backends that serve their names on ports 80 and 8080.
func balanced(t *testing.T, model string) (n *ovstest.Net, client *sandbox.Host, backends []*sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	client = n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	for i := 2; i <= 4; i++ {
		h := n.Host(fmt.Sprintf("h%d", i), mac(i), []string{fmt.Sprintf("10.2.1.%d/24", 10+i), fmt.Sprintf("fd00:2::%d/64", 10+i)}, "10.2.1.1", "fd00:2::1")
		backends = append(backends, h)
	}
	n.Run(model)
	for i, h := range backends {
		for _, address := range []string{fmt.Sprintf("10.2.1.%d:80", 12+i), fmt.Sprintf("10.2.1.%d:8080", 12+i), fmt.Sprintf("[fd00:2::%d]:80", 12+i)} {
			serve(t, h, address, h.Name)
		}
	}
	return n, client, backends
}

// served counts which backends answer so many requests.
func served(t *testing.T, client *sandbox.Host, address string, requests int) map[string]int {
	t.Helper()
	by := map[string]int{}
	for range requests {
		page, err := fetch(client, address, ovstest.Patience)
		if err != nil {
			t.Fatalf("after %v: %v", by, err)
		}
		by[page]++
	}
	return by
}

// TestOL01AllBackendsServe spreads requests over three backends, in both versions of IP, on their
// own port and on another one.
func TestOL01AllBackendsServe(t *testing.T) {
	n, h1, _ := balanced(t, balancedModel(
		balancer("web", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp}, {port: 81, protocol: tcp, targetPort: 8080}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}]"),
		balancer("web6", `address: "fd00:1::64", ports: [{port: 80, protocol: tcp}], backends: [{labels: {tier: web}}]`)))
	for _, address := range []string{"10.1.1.64:80", "10.1.1.64:81", "[fd00:1::64]:80"} {
		by := served(t, h1, address, 60)
		if len(by) != 3 || by["h2"] < 4 || by["h3"] < 4 || by["h4"] < 4 { // once in a million times by chance
			t.Errorf("%s: served by %v", address, by)
		}
		t.Log(address, by)
	}
	names := map[string]int{}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.Dst.String() == "10.1.1.64" && e.Orig.DstPort == 81 && e.Reply.SrcPort == 8080 {
			names[e.Reply.Src.String()]++
		}
	}
	if len(names) != 3 || names["10.2.1.12"]+names["10.2.1.13"]+names["10.2.1.14"] != 60 {
		t.Errorf("entries: %v", names)
	}
	ovstest.Eventually(t, "the groups have counted the first packet of each connection", func() error {
		if got := chosenByGroups(t, n); got != 180 {
			return fmt.Errorf("%d packets, want 180", got)
		}
		return nil
	})
	timesOut(t, h1, "10.1.1.64:82")
	pings(t, h1, "10.1.1.64", 2, 2)
	pings(t, h1, "fd00:1::64", 2, 2)
}

// chosenByGroups is how many packets the buckets of all groups have counted that choose.
func chosenByGroups(t *testing.T, n *ovstest.Net) (sum int) {
	t.Helper()
	groups, err := n.Ofctl("-O", "OpenFlow13", "dump-groups", n.Bridge)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`group_id=(\d+),type=select`).FindAllStringSubmatch(groups, -1) {
		stats, err := n.Ofctl("-O", "OpenFlow13", "dump-group-stats", n.Bridge, "group_id="+m[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, bucket := range regexp.MustCompile(`bucket\d+:packet_count=(\d+)`).FindAllStringSubmatch(stats, -1) {
			packets, _ := strconv.Atoi(bucket[1])
			sum += packets
		}
	}
	return sum
}

// TestOL02Weights leaves one backend out, and gives another three times as much as the third.
func TestOL02Weights(t *testing.T) {
	_, h1, _ := balanced(t, balancedModel(balancer("web", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h2, weight: 300}, {endpoint: h3}, {endpoint: h4, weight: 0}]")))
	by := served(t, h1, "10.1.1.64:80", 200)
	if t.Log(by); by["h4"] != 0 || by["h2"] < 120 || by["h2"] > 178 { // 150, and five standard deviations
		t.Errorf("served by %v", by)
	}
}

// TestRecirculationsOfLoadBalancers counts how often a packet for a load balancer comes back to the flow tables.
func TestRecirculationsOfLoadBalancers(t *testing.T) {
	n, h1, backends := balanced(t, balancedModel(
		balancer("hash", "address: 10.1.1.64, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{labels: {tier: web}}]"),
		balancer("one", "address: 10.1.1.65, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]"),
		balancer("source", "address: 10.1.1.66, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{labels: {tier: web}}], algorithm: sourceIP"),
		balancer("consistent", "address: 10.1.1.67, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{labels: {tier: web}}], algorithm: consistent"),
		balancer("itself", "address: 10.1.1.68, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}, {endpoint: h3, weight: 0}]"),
		policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")))
	for i, h := range backends {
		echo(t, h, fmt.Sprintf("10.2.1.%d:8090", 12+i))
	}
	for _, c := range []struct {
		what, address string
		from          *sandbox.Host
		want          ovstest.Recirculations
	}{
		{"a group", "10.1.1.64", h1, ovstest.Recirculations{New: 2, Established: 1}},
		{"one backend", "10.1.1.65", h1, ovstest.Recirculations{New: 1, Established: 1}},
		{"slots by source", "10.1.1.66", h1, ovstest.Recirculations{New: 1, Established: 1}},
		{"slots", "10.1.1.67", h1, ovstest.Recirculations{New: 1, Established: 1}},
		{"one backend, itself", "10.1.1.65", backends[0], ovstest.Recirculations{New: 1, Established: 1}},
		{"a group, itself", "10.1.1.68", backends[0], ovstest.Recirculations{New: 2, Established: 1}},
	} {
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		before := len(n.Entries(n.Weir.Zone("t")))
		talk(t, c.from, c.address+":90")
		got, entries := n.Recirculations("eth(src="+c.from.MAC, "eth_type(0x0800)"), len(n.Entries(n.Weir.Zone("t")))-before
		t.Logf("%-20s recirculations new / established / entries: %d / %d / %d", c.what, got.New, got.Established, entries)
		if got != c.want || entries != 1 {
			t.Errorf("%s: %+v, %d entries, want %+v", c.what, got, entries, c.want)
		}
	}
}

// connectionsTo returns who answers the connections of a host to an address, sorted.
func connectionsTo(n *ovstest.Net, address string) (all []string) {
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.Dst.String() == address {
			all = append(all, e.Reply.Src.String())
		}
	}
	slices.Sort(all)
	return all
}

// TestOL04NoBackend asks one without backends, which drops, and one that rejects.
func TestOL04NoBackend(t *testing.T) {
	n, h1, _ := balanced(t, balancedModel(
		balancer("drops", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp}], backends: []"),
		balancer("rejects", `address: 10.1.1.65, ports: [{port: 80, protocol: tcp}, {port: 53, protocol: udp}], backends: [{endpoint: h2, weight: 0}], whenEmpty: reject`)))
	timesOut(t, h1, "10.1.1.64:80")
	w, resets := wire(t, h1), 0
	refuses(t, h1, "10.1.1.65:80")
	c, err := h1.Dial(t.Context(), "udp", "10.1.1.65:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := say(c, "hello", ovstest.Patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("UDP: %v, want connection refused", err)
	}
	ovstest.Eventually(t, "the answer to the datagram, behind what came before", func() error {
		if !sees(w, func(f []byte) bool {
			src, _, ok := icmpError(f)
			if !ok && len(f) >= 54 && f[12] == 8 && f[13] == 0 && f[23] == 6 && src == ovstest.Addr("10.1.1.65") && f[47]&4 != 0 {
				resets++
			}
			return ok && src == ovstest.Addr("10.1.1.65")
		}) {
			return errors.New("none so far")
		}
		return nil
	})
	if resets != 1 {
		t.Errorf("%d resets, want 1", resets)
	}
	if e := n.Entries(n.Weir.Zone("t")); len(e) != 0 {
		t.Errorf("connections: %v", e)
	}
}

// refuses fails the test unless a host is told at once that nobody listens.
func refuses(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	if _, err := fetch(h, address, ovstest.Patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s fetches %s: %v, want connection refused", h.Name, address, err)
	}
}

// TestOL05SessionAffinity has each of several clients go to one backend with all of its
// connections, and stay there when another one leaves.
func TestOL05SessionAffinity(t *testing.T) {
	model := func(backends string) string {
		return strings.Replace(balancedModel(balancer("web", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp}], backends: ["+backends+"], algorithm: sourceIP"),
			balancer("web6", `address: "fd00:1::64", ports: [{port: 80, protocol: tcp}], backends: [{labels: {tier: web}}], algorithm: sourceIP`)),
			`ips: [10.1.1.11,`, `ips: [10.1.1.11, 10.1.1.21, 10.1.1.22, 10.1.1.23, 10.1.1.24, 10.1.1.25, 10.1.1.26, 10.1.1.27,`, 1)
	}
	n, h1, _ := balanced(t, model("{endpoint: h2}, {endpoint: h3}, {endpoint: h4}"))
	who := func(from string) string {
		t.Helper()
		by := map[string]bool{}
		for range 10 {
			c, err := h1.DialFrom(t.Context(), &net.TCPAddr{IP: net.ParseIP(from)}, "tcp", "10.1.1.64:80")
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(c)
			if c.Close(); err != nil {
				t.Fatal(err)
			}
			by[string(page)] = true
		}
		if len(by) != 1 {
			t.Errorf("%s is served by %v", from, by)
		}
		return slices.Collect(maps.Keys(by))[0]
	}
	before, clients := map[string]string{}, []string{"10.1.1.11"}
	for i := 21; i <= 27; i++ {
		address := fmt.Sprint("10.1.1.", i)
		if _, err := h1.Exec(t.Context(), "ip", "address", "add", address+"/24", "dev", sandbox.HostDevice); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, address)
	}
	all := map[string]bool{}
	for _, c := range clients {
		before[c] = who(c)
		all[before[c]] = true
	}
	if t.Log(before); len(all) < 2 {
		t.Errorf("all clients are on %v", all)
	}
	if by := served(t, h1, "[fd00:1::64]:80", 5); len(by) != 1 {
		t.Errorf("IPv6: %v", by)
	}
	n.Weir.Apply(model("{endpoint: h2}, {endpoint: h3}"))
	for _, c := range clients {
		if now := who(c); now != before[c] && before[c] != "h4" {
			t.Errorf("%s was on %s, and is on %s", c, before[c], now)
		}
	}
}

// TestOL06BackendReachesItself has the only backend ask its own load balancer.
func TestOL06BackendReachesItself(t *testing.T) {
	n, _, backends := balanced(t, balancedModel(
		balancer("web", "address: 10.1.1.64, ports: [{port: 81, protocol: tcp, targetPort: 80}, {port: 90, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]"),
		balancer("web6", `address: "fd00:2::64", ports: [{port: 80, protocol: tcp}, {port: 90, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]`),
		policy("t", "peers", "{name: peers, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")))
	gets(t, backends[0], "10.1.1.64:81", "h2")
	gets(t, backends[0], "[fd00:2::64]:80", "h2")
	wantTuples(t, n, "tcp 10.2.1.12>10.1.1.64 10.2.1.12>10.2.1.12", "tcp fd00:2::12>fd00:2::64 fd00:2::12>fd00:2::12")
	for _, address := range []string{"10.2.1.12:8090", "[fd00:2::12]:8090"} {
		accept(t, backends[0], address, func(c net.Conn) { fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP) })
	}
	gets(t, backends[0], "10.1.1.64:90", "169.254.254.1")
	gets(t, backends[0], "[fd00:2::64]:90", "fd77:6569:7200::1")
}

// TestOL08AddressAndBackendFromOnePort asks a backend by the load balancer's address and then by
// its own, from one port, and the other way round.
func TestOL08AddressAndBackendFromOnePort(t *testing.T) {
	n, h1, backends := balanced(t, balancedModel(balancer("web", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]"),
		policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")))
	echo(t, backends[0], "10.2.1.12:8090")
	from := func(port int, address string) error {
		c, err := dialAt(t, h1, port, address)
		if err == nil {
			err = say(c, "to "+address, ovstest.Patience)
		}
		return err
	}
	if err := errors.Join(from(33333, "10.2.1.12:8090"), from(33333, "10.1.1.64:80")); err != nil {
		t.Errorf("directly, and then by the address: %v", err)
	}
	if err := from(33334, "10.1.1.64:80"); err != nil {
		t.Error(err)
	}
	if err := from(33334, "10.2.1.12:8090"); (err == nil) == has(t, n, quirk.IdentityNAT) { // without it a translation of nothing may be asked for
		t.Errorf("by the address, and then directly: %v", err)
	}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		second := e.Orig.SrcPort == 33333 && e.Orig.DstPort == 80 || e.Orig.SrcPort == 33334 && e.Orig.DstPort == 8090
		if n.Kernel() && second == (e.Reply.DstPort == e.Orig.SrcPort) {
			t.Errorf("%+v: that it has another port: %v", e, !second)
		}
	}
}

// TestOL09BackendsSeeTheirGateway has backends see connections as their gateway's.
func TestOL09BackendsSeeTheirGateway(t *testing.T) {
	n, h1, backends := balanced(t, balancedModel(balancer("web", "address: 10.1.1.64, ports: [{port: 90, protocol: tcp, targetPort: 80}], backends: [{endpoint: h2}, {endpoint: h3}], snat: always"),
		balancer("peers", "address: 10.1.1.65, ports: [{port: 90, protocol: tcp, targetPort: 90}], backends: [{labels: {tier: web}}], snat: always"),
		policy("t", "peers", "{name: peers, direction: ingress, action: allow, protocol: tcp, ports: [90]}")))
	served(t, h1, "10.1.1.64:90", 8)
	if got := len(connectionsTo(n, "10.1.1.64")); got != 8 {
		t.Errorf("%d connections to the address, want 8", got)
	}
	others := 0
	for _, e := range n.Entries(sourceZone(n)) {
		if backend := e.Orig.Dst.String(); e.Orig.Src.String() == "10.1.1.11" && (backend == "10.2.1.12" || backend == "10.2.1.13") && e.Reply.Src == e.Orig.Dst && e.Reply.Dst.String() == "10.2.1.1" {
			others++
		}
	}
	if others != 8 {
		t.Errorf("%d other halves, from the client to a backend that answers its gateway, want 8", others)
	}
	for i, h := range backends {
		accept(t, h, fmt.Sprintf("10.2.1.%d:90", 12+i), func(c net.Conn) { fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP) })
	}
	for peer := range served(t, h1, "10.1.1.65:90", 8) {
		if peer != "10.2.1.1" {
			t.Errorf("a backend sees %s, want its gateway", peer)
		}
	}
	gets(t, backends[0], "10.1.1.65:90", "10.2.1.1") // itself, perhaps
}

// TestLoadBalancersOfUDP sends datagrams from many ports, to a hash, which spreads them on both
// datapaths, and to Maglev's table.
func TestLoadBalancersOfUDP(t *testing.T) {
	_, h1, backends := balanced(t, balancedModel(
		balancer("hash", "address: 10.1.1.64, ports: [{port: 53, protocol: udp, targetPort: 5353}], backends: [{labels: {tier: web}}]"),
		balancer("consistent", "address: 10.1.1.65, ports: [{port: 53, protocol: udp, targetPort: 5353}], backends: [{labels: {tier: web}}], algorithm: consistent"),
		policy("t", "dns", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [5353]}")))
	for i, h := range backends {
		answerUDP(t, h, fmt.Sprintf("10.2.1.%d:5353", 12+i), h.Name)
	}
	for _, address := range []string{"10.1.1.64:53", "10.1.1.65:53"} {
		by := map[string]int{}
		for range 60 {
			by[askUDP(t, h1, address)]++
		}
		if t.Log(address, by); len(by) != 3 || by[""] != 0 {
			t.Errorf("%s: %v", address, by)
		}
	}
}

// answerUDP answers each datagram with a name, until the test ends.
func answerUDP(t *testing.T, h *sandbox.Host, address, name string) {
	t.Helper()
	l, err := h.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			l.WriteTo([]byte(name), from)
		}
	}()
}

// askUDP returns what answers a datagram, or "".
func askUDP(t *testing.T, h *sandbox.Host, address string) string {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(ovstest.Patience))
	buf := make([]byte, 100)
	if _, err := c.Write([]byte("who?")); err != nil {
		t.Fatal(err)
	}
	got, _ := c.Read(buf)
	return string(buf[:got])
}

// TestLoadBalancersOutside asks one from outside, from its own tenant, from another one, and from a
// backend; it answers ARP and pings, and nothing else is reached by it.
func TestLoadBalancersOutside(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	h3 := n.Host("h3", mac(3), []string{"10.1.1.13/24"}, "10.1.1.1")
	other := n.Host("h4", mac(4), []string{"10.1.1.11/24"}, "10.1.1.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	in := policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [8080]}")
	web := balancer("web", "address: 203.0.113.40, ports: [{port: 80, protocol: tcp, targetPort: 8080}], backends: [{endpoint: h2}, {endpoint: h3}]")
	rest := balancer("consistent", "address: 203.0.113.41, ports: [{port: 80, protocol: tcp, targetPort: 8080}], backends: [{endpoint: h2}, {endpoint: h3}], algorithm: consistent") +
		portForward("shell", "address: 203.0.113.41, port: 8080, protocol: tcp, to: {endpoint: h1}") +
		endpoint("t", "h3", 3, "10.1.1.13") + tenant("u", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("u", "h4", 4, "10.1.1.11") +
		object("SNAT", "name: all, tenant: u", "addresses: [203.0.113.50]")
	n.Run(natModel(in, web, rest))
	for host, address := range map[*sandbox.Host]string{h2: "10.1.1.12:8080", h3: "10.1.1.13:8080", h1: "10.1.1.11:8080"} {
		serve(t, host, address, host.Name)
	}
	for _, from := range []*sandbox.Host{out, h1, other, h2} {
		for _, address := range []string{"203.0.113.40", "203.0.113.41"} {
			by := served(t, from, address+":80", 20)
			if t.Log(from.Name, address, by); len(by) != 2 || by["h2"]+by["h3"] != 20 {
				t.Errorf("from %s, %s is served by %v", from.Name, address, by)
			}
			pings(t, from, address, 1, 1)
		}
	}
	gets(t, out, "203.0.113.41:8080", "h1")
	timesOut(t, out, "203.0.113.40:81")
	timesOut(t, out, "203.0.113.41:81")
	timesOut(t, out, "203.0.113.40:8080")
	for e := range slices.Values(n.Entries(n.Weir.Zone("t"))) {
		if strings.HasPrefix(e.Orig.Dst.String(), "203.0.113.4") && e.Reply.Src == e.Orig.Dst {
			t.Errorf("not translated: %+v", e)
		}
	}
}

// TestALoadBalancerThatIsDeletedEndsItsOwnConnections deletes one of two, under open connections;
// backends that come, go and change in weight have nobody judged again.
func TestALoadBalancerThatIsDeletedEndsItsOwnConnections(t *testing.T) {
	echoes := policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")
	one := func(backends string) string {
		return balancer("one", "address: 10.1.1.64, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: ["+backends+"]")
	}
	two := balancer("two", "address: 10.1.1.64, ports: [{port: 91, protocol: tcp, targetPort: 8090}], backends: [{labels: {tier: web}}]")
	disrupt := func(model string) string {
		return strings.Replace(model, "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	}
	n, h1, backends := balanced(t, disrupt(balancedModel(echoes, one("{endpoint: h2}, {endpoint: h3}"), two)))
	for i, h := range backends {
		echo(t, h, fmt.Sprintf("10.2.1.%d:8090", 12+i))
	}
	open := func(address string) net.Conn {
		t.Helper()
		c, err := h1.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := say(c, "at first", ovstest.Patience); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := open("10.1.1.64:90"), open("10.1.1.64:91")
	epoch := n.Entries(n.Weir.Zone("t"))[0].Mark & 0xff
	for _, list := range []string{"{endpoint: h2}, {endpoint: h3, weight: 7}", "{endpoint: h2, weight: 0}, {endpoint: h3}", "{endpoint: h2}, {endpoint: h3}, {endpoint: h4}", "{labels: {tier: web}}", "{endpoint: h3}, {endpoint: h2}"} {
		n.Weir.Apply(disrupt(balancedModel(echoes, one(list), two)))
		if err := errors.Join(say(first, list, ovstest.Patience), say(second, list, ovstest.Patience)); err != nil {
			t.Errorf("backends %s: %v", list, err)
		}
	}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Mark&0xff != epoch {
			t.Errorf("judged again: %+v", e)
		}
	}
	n.Weir.Apply(disrupt(balancedModel(echoes, two)))
	if err := say(first, "hello", time.Second); err == nil {
		t.Error("a connection to what has been deleted goes on")
	}
	if err := say(second, "hello", ovstest.Patience); err != nil {
		t.Errorf("another one's: %v", err)
	}
	ovstest.Eventually(t, "the connection is forgotten", func() error {
		for _, e := range n.Entries(n.Weir.Zone("t")) {
			if e.Orig.DstPort == 90 {
				return fmt.Errorf("%+v", e)
			}
		}
		return nil
	})
	n.Weir.Apply(disrupt(balancedModel(echoes)))
	if err := say(second, "hello", time.Second); err == nil {
		t.Error("a connection to the last one goes on when that is deleted")
	}
}

// TestConnectionsThroughLoadBalancersAreJudgedAgain takes something else back, which open connections
// outlive, with the backend that they have, which is not the one that would be chosen by now; and then what lets them in.
func TestConnectionsThroughLoadBalancersAreJudgedAgain(t *testing.T) {
	model := func(backends string, rules ...string) string {
		return strings.NewReplacer("name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", "%s", backends).Replace(balancedModel(
			balancer("hash", "address: 10.1.1.64, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [%s]"),
			balancer("source", "address: 10.1.1.65, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [%s], algorithm: sourceIP"),
			balancer("gateway", "address: 10.1.1.66, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [%s], snat: always"),
			balancer("hash6", `address: "fd00:1::64", ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [%s]`),
			policy("t", "echo", rules...)))
	}
	echoes, other := "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}", "{name: other, direction: ingress, action: allow, protocol: tcp, ports: [9999]}"
	first, second := "{endpoint: h2}, {endpoint: h3, weight: 0}", "{endpoint: h2, weight: 0}, {endpoint: h3}"
	n, h1, backends := balanced(t, model(first, echoes, other))
	for i, h := range backends {
		echo(t, h, fmt.Sprintf("10.2.1.%d:8090", 12+i))
		echo(t, h, fmt.Sprintf("[fd00:2::%d]:8090", 12+i))
	}
	var open []net.Conn
	for _, address := range []string{"10.1.1.64:90", "10.1.1.65:90", "10.1.1.66:90", "[fd00:1::64]:90"} {
		c, err := h1.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := say(c, "at first", ovstest.Patience); err != nil {
			t.Fatal(address, err)
		}
		open = append(open, c)
	}
	n.Weir.Apply(model(second, echoes)) // in another epoch
	for _, c := range open {
		if err := say(c, "go on", ovstest.Patience); err != nil {
			t.Errorf("to %v, judged again: %v", c.RemoteAddr(), err)
		}
	}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.DstPort == 90 && e.Mark&0xff == 1 {
			t.Errorf("not judged again: %+v", e)
		}
	}
	n.Weir.Apply(model(second, other))
	for _, c := range open {
		if err := say(c, "no more", time.Second); err == nil {
			t.Errorf("to %v: goes on, and nothing lets it in", c.RemoteAddr())
		}
	}
}

// TestOneWayTrafficThroughALoadBalancer sends datagrams that nobody answers, which go where the first
// went, whatever would be chosen by now.
func TestOneWayTrafficThroughALoadBalancer(t *testing.T) {
	model := func(weights ...int) string {
		backends := fmt.Sprintf("{endpoint: h2, weight: %d}, {endpoint: h3, weight: %d}", weights[0], weights[1])
		return balancedModel(
			balancer("hash", "address: 10.1.1.64, ports: [{port: 514, protocol: udp, targetPort: 5514}], backends: ["+backends+"]"),
			balancer("source", "address: 10.1.1.65, ports: [{port: 514, protocol: udp}], backends: ["+backends+"], algorithm: sourceIP"),
			policy("t", "syslog", "{name: syslog, direction: ingress, action: allow, protocol: udp, ports: [514, 5514]}"))
	}
	n, h1, backends := balanced(t, model(100, 0))
	heard := make(chan string, 100)
	for i, h := range backends[:2] {
		for _, port := range []int{514, 5514} {
			l, err := h.ListenPacket("udp", fmt.Sprintf("10.2.1.%d:%d", 12+i, port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for buf := make([]byte, 100); ; {
					k, _, err := l.ReadFrom(buf)
					if err != nil {
						return
					}
					heard <- h.Name + " " + string(buf[:k])
				}
			}()
		}
	}
	want := func(what string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != what {
				t.Errorf("heard: %s, want %s", got, what)
			}
		case <-time.After(ovstest.Patience):
			t.Errorf("%s: nobody hears it", what)
		}
	}
	for _, address := range []string{"10.1.1.64:514", "10.1.1.65:514"} {
		n.Weir.Apply(model(100, 0))
		c, err := h1.Dial(t.Context(), "udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i := range 3 {
			fmt.Fprint(c, address, " ", i)
			want(fmt.Sprint("h2 ", address, " ", i))
		}
		n.Weir.Apply(model(0, 100))
		for i := range 3 {
			fmt.Fprint(c, address, " after ", i)
			want(fmt.Sprint("h2 ", address, " after ", i))
		}
	}
}

// TestFragmentsToLoadBalancers sends datagrams of several frames. The kernel's datapath puts them
// together; on the userspace datapath they pass where one in one piece has opened the connection,
// and nowhere else.
func TestFragmentsToLoadBalancers(t *testing.T) {
	n, h1, backends := balanced(t, balancedModel(
		balancer("hash", "address: 10.1.1.64, ports: [{port: 53, protocol: udp, targetPort: 5353}], backends: [{labels: {tier: web}}]"),
		balancer("consistent", "address: 10.1.1.65, ports: [{port: 53, protocol: udp}], backends: [{labels: {tier: web}}], algorithm: consistent"),
		policy("t", "dns", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53, 5353]}")))
	for i, h := range backends {
		echoUDP(t, h, fmt.Sprintf("10.2.1.%d:5353", 12+i))
		echoUDP(t, h, fmt.Sprintf("10.2.1.%d:53", 12+i))
	}
	for _, address := range []string{"10.1.1.64:53", "10.1.1.65:53"} {
		if first := asks(t, h1, address); first(4000, "large") != n.Kernel() {
			t.Errorf("%s, a large one that comes first: passes is %v", address, !n.Kernel())
		}
		then := asks(t, h1, address)
		if !then(100, "small") || !then(4000, "large") || !then(100, "small") {
			t.Errorf("%s: a large one does not pass after a small one", address)
		}
	}
	for _, e := range ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "udp") {
		if e.Reply.Src == e.Orig.Dst {
			t.Errorf("not translated: %+v", e)
		}
	}
}
