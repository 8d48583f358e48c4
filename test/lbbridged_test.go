package test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// bridgedModel has h1 to h4 on a link without a gateway, in both versions of IP, of which h2 to h4 are web; and far in a
// network of its own with a gateway.
func bridgedModel(more ...string) string {
	all := bridge + tenant("t", "", `{cidr: 10.1.1.0/24}, {cidr: "fd00:1::/64"}`) +
		object("Network", "name: away, tenant: t", "subnets: [{cidr: 10.2.1.0/24, gateway: 10.2.1.1}]") +
		object("Endpoint", "name: far, tenant: t", fmt.Sprintf("network: away, bind: {ifaceID: far}, mac: %q, ips: [10.2.1.9]", mac(9))) +
		policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [80, 8080, 8090]}", "{name: names, direction: ingress, action: allow, protocol: udp, ports: [123, 5353]}")
	for i := 1; i <= 4; i++ {
		e := endpoint("t", fmt.Sprint("h", i), i, fmt.Sprintf(`10.1.1.%d, "fd00:1::%d"`, 10+i, 10+i))
		if i > 1 {
			e = strings.Replace(e, "tenant: t", "tenant: t, labels: {tier: web}", 1)
		}
		all += e
	}
	return all + strings.Join(more, "")
}

// bridged is a net of that model. Its hosts have no routes but that of their link.
func bridged(t *testing.T, model string) (n *ovstest.Net, client *sandbox.Host, backends []*sandbox.Host, far *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	for i := 1; i <= 4; i++ {
		backends = append(backends, n.Host(fmt.Sprint("h", i), mac(i), []string{fmt.Sprintf("10.1.1.%d/24", 10+i), fmt.Sprintf("fd00:1::%d/64", 10+i)}))
	}
	far = n.Host("far", mac(9), []string{"10.2.1.9/24"}, "10.2.1.1")
	n.Run(model)
	for _, h := range backends {
		for _, address := range addressesOf(h) {
			serve(t, h, net.JoinHostPort(address, "80"), h.Name)
			accept(t, h, net.JoinHostPort(address, "8080"), func(c net.Conn) { fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP) })
			echo(t, h, net.JoinHostPort(address, "8090"))
		}
	}
	return n, backends[0], backends[1:], far
}

// addressesOf are those of a host of a bridged net.
func addressesOf(h *sandbox.Host) []string {
	number := 10 + int(h.Name[1]-'0')
	return []string{fmt.Sprint("10.1.1.", number), fmt.Sprint("fd00:1::", number)}
}

// TestLoadBalancersWithoutAGateway asks those in a subnet that has none: by each algorithm, in both versions of IP. The
// backends see who asks; who is on another link gets nowhere.
func TestLoadBalancersWithoutAGateway(t *testing.T) {
	const web = "backends: [{labels: {tier: web}}]"
	n, h1, backends, far := bridged(t, bridgedModel(
		balancer("hash", "address: 10.1.1.64, ports: [{port: 81, protocol: tcp, targetPort: 80}, {port: 8080, protocol: tcp}], "+web),
		balancer("consistent", "address: 10.1.1.65, ports: [{port: 81, protocol: tcp, targetPort: 80}], algorithm: consistent, "+web),
		balancer("source", "address: 10.1.1.66, ports: [{port: 81, protocol: tcp, targetPort: 80}], algorithm: sourceIP, "+web),
		balancer("hash6", `address: "fd00:1::64", ports: [{port: 81, protocol: tcp, targetPort: 80}, {port: 8080, protocol: tcp}], `+web),
		balancer("names", "address: 10.1.1.64, ports: [{port: 53, protocol: udp, targetPort: 5353}], "+web),
		balancer("closed", "address: 10.1.1.67, ports: [{port: 81, protocol: tcp}], whenEmpty: reject, backends: []")))
	for _, h := range backends {
		answerUDP(t, h, addressesOf(h)[0]+":5353", h.Name)
	}
	for _, at := range []string{"10.1.1.64", "10.1.1.65", "[fd00:1::64]"} {
		if by := served(t, h1, at+":81", 60); len(by) != 3 || by["h2"] < 4 || by["h3"] < 4 || by["h4"] < 4 {
			t.Errorf("%s: served by %v", at, by)
		}
	}
	if by := served(t, h1, "10.1.1.66:81", 10); len(by) != 1 {
		t.Errorf("sourceIP: served by %v", by)
	}
	names := map[string]int{}
	for range 30 {
		names[askUDP(t, h1, "10.1.1.64:53")]++
	}
	if len(names) != 3 || names[""] != 0 {
		t.Errorf("UDP: %v", names)
	}
	gets(t, h1, "10.1.1.64:8080", "10.1.1.11")
	gets(t, h1, "[fd00:1::64]:8080", "fd00:1::11")
	for _, a := range []string{"10.1.1.64", "10.1.1.65", "fd00:1::64"} {
		pings(t, h1, a, 2, 2)
	}
	timesOut(t, h1, "10.1.1.64:82")
	refuses(t, h1, "10.1.1.67:81")
	timesOut(t, far, "10.1.1.64:81")
	// Nothing else is routed onto the link: not even what is sent to the router from there.
	if err := routedByHand(t, h1, "10.1.1.12:80"); err == nil {
		t.Error("the router leads from the link to an endpoint on it that nobody balances")
	}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.Dst.String() == "10.1.1.64" && e.Reply.Src == e.Orig.Dst {
			t.Errorf("not translated: %+v", e)
		}
	}
}

// routedByHand has a host send what is for an address to the router, and reports whether that answers.
func routedByHand(t *testing.T, h *sandbox.Host, address string) error {
	t.Helper()
	host, _, _ := net.SplitHostPort(address)
	for _, command := range []string{"replace", "show"} {
		args := []string{"neigh", command, host, "dev", sandbox.HostDevice}
		if command == "replace" {
			args = append(args, "lladdr", "02:77:65:69:72:01", "nud", "permanent")
		}
		out, err := h.Exec(t.Context(), "ip", args...)
		if err != nil || command == "show" && !strings.Contains(out, "PERMANENT") {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	defer h.Exec(t.Context(), "ip", "neigh", "del", host, "dev", sandbox.HostDevice)
	_, err := fetch(h, address, time.Second)
	return err
}

// TestBackendsWithoutAGatewayReachThemselves has the only backend ask its own load balancer: it sees it as that, by TCP and by
// UDP, also where both ends of a protocol have one port, so that what it asks and what it answers look alike.
func TestBackendsWithoutAGatewayReachThemselves(t *testing.T) {
	n, h1, backends, _ := bridged(t, bridgedModel(
		balancer("web", "address: 10.1.1.64, ports: [{port: 81, protocol: tcp, targetPort: 80}, {port: 8080, protocol: tcp}, {port: 90, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]"),
		balancer("group", "address: 10.1.1.66, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}, {endpoint: h3, weight: 0}]"),
		balancer("time", "address: 10.1.1.64, ports: [{port: 123, protocol: udp}], backends: [{endpoint: h2}]"),
		balancer("web6", `address: "fd00:1::64", ports: [{port: 81, protocol: tcp, targetPort: 80}, {port: 8080, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3, weight: 0}]`),
		balancer("never", "address: 10.1.1.65, ports: [{port: 81, protocol: tcp, targetPort: 80}], backends: [{endpoint: h3}], snat: never")))
	h2, h3 := backends[0], backends[1]
	gets(t, h2, "10.1.1.64:81", "h2")
	gets(t, h2, "[fd00:1::64]:81", "h2")
	gets(t, h2, "10.1.1.64:8080", "10.1.1.64")
	gets(t, h2, "[fd00:1::64]:8080", "fd00:1::64")
	gets(t, h1, "10.1.1.64:8080", "10.1.1.11")
	wantTuplesTo(t, n, 81, "tcp 10.1.1.12>10.1.1.64 10.1.1.12>10.1.1.12", "tcp fd00:1::12>fd00:1::64 fd00:1::12>fd00:1::12")
	timesOut(t, h3, "10.1.1.65:81")
	if _, err := n.Appctl("revalidator/purge"); err != nil {
		t.Fatal(err)
	}
	talk(t, h2, "10.1.1.66:90")
	if got, want := n.Recirculations("eth(src="+h2.MAC, "eth_type(0x0800)"), (ovstest.Recirculations{New: 2, Established: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	c := opened(t, h2, "10.1.1.64:90")
	large := strings.Repeat("much ", 20_000)
	if err := say(c, large, ovstest.Patience); err != nil {
		t.Errorf("much of a backend to itself: %v", err)
	}
	// From the port that it serves, twice: what comes is a question, and what goes back an answer.
	l, err := h2.ListenPacket("udp", "10.1.1.12:123")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetDeadline(time.Now().Add(ovstest.Patience))
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.1.1.64:123"))
	hears := func(want string) (from netip.AddrPort) {
		t.Helper()
		buf := make([]byte, 100)
		k, a, err := l.ReadFrom(buf)
		if err != nil || string(buf[:k]) != want {
			t.Fatalf("hears %q, %v; want %q", buf[:k], err, want)
		}
		return netip.MustParseAddrPort(a.String())
	}
	for range 3 {
		if _, err := l.WriteTo([]byte("what time is it?"), to); err != nil {
			t.Fatal(err)
		}
		from := hears("what time is it?")
		if from.Addr().String() != "10.1.1.64" || from.Port() == 123 {
			t.Errorf("a question comes from %v", from)
		}
		if _, err := l.WriteTo([]byte("noon"), net.UDPAddrFromAddrPort(from)); err != nil {
			t.Fatal(err)
		}
		if from := hears("noon"); from.String() != "10.1.1.64:123" {
			t.Errorf("the answer comes from %v", from)
		}
	}
	// Nobody listens: what it says of that comes back from the load balancer.
	l.Close()
	u, err := h2.Dial(t.Context(), "udp", "10.1.1.64:123")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if err := say(u, "hello", ovstest.Patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port at which nobody listens: %v, want connection refused", err)
	}
}

// TestLoadBalancersWithoutAGatewayDrain lets a backend's connections go on for a while, and no longer; judges others again;
// and deletes a load balancer, with its own connections and no others.
func TestLoadBalancersWithoutAGatewayDrain(t *testing.T) {
	one := func(backends, more string) string {
		return balancer("one", "address: 10.1.1.64, ports: [{port: 90, protocol: tcp, targetPort: 8090}], drain: {timeout: 2s}, backends: ["+backends+"]"+more)
	}
	two := balancer("two", "address: 10.1.1.65, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]")
	model := func(more ...string) string {
		return strings.Replace(bridgedModel(more...), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	}
	other := policy("t", "other", "{name: other, direction: ingress, action: allow, protocol: tcp, ports: [9999]}")
	n, h1, backends, _ := bridged(t, model(one("{endpoint: h2}", ""), two, other))
	h2 := backends[0]
	first, itself, second, own := opened(t, h1, "10.1.1.64:90"), opened(t, h2, "10.1.1.64:90"), opened(t, h1, "10.1.1.65:90"), opened(t, h2, "10.1.1.65:90")
	all := func(when string) {
		t.Helper()
		if err := errors.Join(say(first, when, ovstest.Patience), say(itself, when, ovstest.Patience), say(second, when, ovstest.Patience), say(own, when, ovstest.Patience)); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	all("at first")
	n.Weir.Apply(model(one("{endpoint: h2}", ""), two)) // in another epoch
	all("judged again")
	all("and once more")
	n.Weir.Apply(model(one("{endpoint: h3}, {endpoint: h2, weight: 0}", ""), two))
	all("without a weight")
	gets(t, h1, "10.1.1.12:80", "h2")
	ovstest.Eventually(t, "what drains has ended", func() error {
		for _, e := range n.Entries(n.Weir.Zone("t")) {
			if e.Orig.Dst.String() == "10.1.1.64" && e.Reply.Src.String() == "10.1.1.12" {
				return fmt.Errorf("%+v", e)
			}
		}
		return nil
	})
	if err := errors.Join(say(first, "hello", time.Second), say(itself, "hello", time.Second)); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("what has drained: %v", err)
	}
	if err := errors.Join(say(second, "hello", ovstest.Patience), say(own, "hello", ovstest.Patience)); err != nil {
		t.Errorf("another one's: %v", err)
	}
	n.Weir.Apply(model(two))
	if err := errors.Join(say(second, "hello", ovstest.Patience), say(own, "hello", ovstest.Patience), say(opened(t, h2, "10.1.1.65:90"), "hello", ovstest.Patience)); err != nil {
		t.Errorf("another one's, when the first is gone: %v", err)
	}
	n.Weir.Apply(model())
	if err := errors.Join(say(second, "hello", time.Second), say(own, "hello", time.Second)); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("what was deleted: %v", err)
	}
}

// TestBackendsWithoutAGatewayAreAsked has them asked how they are from the load balancer's own address, in both versions of IP.
func TestBackendsWithoutAGatewayAreAsked(t *testing.T) {
	health := "health: {type: tcp, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}"
	n, h1, backends, _ := bridged(t, bridgedModel(
		balancer("web", "address: 10.1.1.64, ports: [{port: 81, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}, {endpoint: h3}], algorithm: sourceIP, "+health),
		balancer("web6", `address: "fd00:1::64", ports: [{port: 81, protocol: tcp, targetPort: 80}], backends: [{endpoint: h4}], `+health)))
	well := func(name string, want ...string) {
		t.Helper()
		ovstest.Eventually(t, "backends of "+name, func() error {
			if got := states(n, "t/loadbalancer/"+name); !slices.Equal(got, want) {
				return fmt.Errorf("%v, want %v", got, want)
			}
			return nil
		})
	}
	well("web", "10.1.1.12 up 100", "10.1.1.13 up 100")
	well("web6", "fd00:1::14 up 100")
	gets(t, h1, "[fd00:1::64]:81", "h4")
	c := opened(t, h1, "10.1.1.64:81")
	has, want := 0, []string{"10.1.1.12 down 0", "10.1.1.13 up 100"}
	if connectionsTo(n, "10.1.1.64")[0] == "10.1.1.13" {
		has, want = 1, []string{"10.1.1.12 up 100", "10.1.1.13 down 0"}
	}
	if out, err := backends[has].Exec(t.Context(), "ip", "link", "set", sandbox.HostDevice, "down"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	well("web", want...)
	ovstest.Eventually(t, "a connection of a backend that has failed is reset", func() error {
		if err := say(c, "hello", time.Second); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
}

// TestStormThroughLoadBalancersWithoutAGateway is the storm on each way through one, while weights change and backends
// drain and come back.
func TestStormThroughLoadBalancersWithoutAGateway(t *testing.T) {
	model := func(w2, w3, w4 int) string {
		ends := func(address, more string) string {
			return fmt.Sprintf("address: %s, ports: [{port: 80, protocol: tcp, targetPort: 8090}, {port: 8090, protocol: tcp}], backends: [{endpoint: h2, weight: %d}, {endpoint: h3, weight: %d}, {endpoint: h4, weight: %d}]%s", address, w2, w3, w4, more)
		}
		return bridgedModel(balancer("hash", ends("10.1.1.64", "")), balancer("consistent", ends("10.1.1.65", ", algorithm: consistent")), balancer("source", ends("10.1.1.66", ", algorithm: sourceIP")),
			balancer("hash6", ends(`"fd00:1::64"`, "")), balancer("one", "address: 10.1.1.68, ports: [{port: 80, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]"))
	}
	n, h1, backends, _ := bridged(t, model(100, 100, 100))
	_, changes := newStorm(t, []stormPath{
		{name: "hash", from: h1, address: "10.1.1.64:80"},
		{name: "hash, the same port", from: h1, address: "10.1.1.64:8090"},
		{name: "hash, IPv6", from: h1, address: "[fd00:1::64]:80"},
		{name: "consistent", from: h1, address: "10.1.1.65:80"},
		{name: "by source", from: h1, address: "10.1.1.66:80"},
		{name: "one backend", from: h1, address: "10.1.1.68:80"},
		{name: "a backend itself", from: backends[0], address: "10.1.1.64:80"},
		{name: "a backend itself, IPv6", from: backends[1], address: "[fd00:1::64]:80"},
		{name: "the one backend itself", from: backends[0], address: "10.1.1.68:80"},
	}...).blow(t, n, stormTime(t)/4, func(edit int) {
		w := [][3]int{{1, 100, 3}, {100, 0, 100}, {0, 1, 100}, {100, 100, 100}, {65535, 1, 7}}[edit%5]
		n.Weir.Apply(model(w[0], w[1], w[2]))
	})
	t.Logf("%d changes", changes.edits)
}
