package test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// outwardBridge is natBridge with IPv6, too.
var outwardBridge = strings.NewReplacer("address: 203.0.113.2}]", `address: 203.0.113.2}, {cidr: "2001:db8::/64", gateway: "2001:db8::1", address: "2001:db8::2"}]`,
	"02:00:00:00:00:09\"}]", "02:00:00:00:00:09\"}, {address: \"2001:db8::1\", mac: \"02:00:00:00:00:09\"}]").Replace(natBridge)

// outwardModel has h1 and h2 of tenant t, which leaves as 203.0.113.10, and h5 of tenant u, which has two
// addresses; both have the same network.
func outwardModel(more ...string) string {
	lan := `{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}`
	return outwardBridge + tenant("t", "", lan) + endpoint("t", "h1", 1, `10.1.1.11, "fd00:1::11"`) + endpoint("t", "h2", 2, `10.1.1.12, "fd00:1::12"`) +
		snat("all", `addresses: [203.0.113.10, "2001:db8::10"]`) +
		tenant("u", "", lan) + endpoint("u", "h5", 5, `10.1.1.11, "fd00:1::11"`) + object("SNAT", "name: all, tenant: u", `addresses: [203.0.113.50-203.0.113.51, "2001:db8::50"]`) +
		strings.Join(more, "")
}

// abroad are who is outside: clients at 203.0.113.1, and backends that say from where they are
// asked, on the link and behind it.
func abroad(t *testing.T, model string) (n *ovstest.Net, h1, h2, h5, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 = n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	h5 = n.Host("h5", mac(5), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24", "203.0.113.7/24", "198.51.100.7/32", "2001:db8::1/64", "2001:db8::7/64", "2001:db8:7::7/128"}, "203.0.113.2", "2001:db8::2")
	n.Run(model)
	return n, h1, h2, h5, out
}

var backendsAbroad = map[bool][]string{true: {"203.0.113.7", "198.51.100.7"}, false: {"2001:db8::7", "2001:db8:7::7"}}

// tellsAsker has backends say who they are and by whom they are asked.
func tellsAsker(t *testing.T, h *sandbox.Host, port int, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		accept(t, h, net.JoinHostPort(a, fmt.Sprint(port)), func(c net.Conn) {
			fmt.Fprint(c, a, " asked by ", c.RemoteAddr().(*net.TCPAddr).IP)
		})
	}
}

// TestBackendsOutside has clients inside, outside and of another tenant reach backends on the link and
// behind a route, by a load balancer inside and one outside, in both versions of IP.
func TestBackendsOutside(t *testing.T) {
	ends := ", backends: [{address: %s}, {address: %s}], ports: [{port: 80, protocol: tcp, targetPort: 8090}, {port: 8090, protocol: tcp}]"
	four, six := fmt.Sprintf(ends, "203.0.113.7", "198.51.100.7"), fmt.Sprintf(ends, `"2001:db8::7"`, `"2001:db8:7::7"`)
	n, h1, h2, h5, out := abroad(t, outwardModel(
		balancer("in", "address: 10.1.1.64"+four), balancer("in6", `address: "fd00:1::64"`+six),
		balancer("out", "address: 203.0.113.64"+four), balancer("out6", `address: "2001:db8::64"`+six+", algorithm: sourceIP"),
		balancer("always", "address: 203.0.113.65, snat: always"+four)))
	for _, addresses := range backendsAbroad {
		tellsAsker(t, out, 8090, addresses...)
	}
	const asks = 30 // of two backends that all get to one of them happens once in 500 million times
	for _, c := range []struct {
		from    *sandbox.Host
		to, as  string
		several bool
	}{
		{h1, "10.1.1.64:80", "203.0.113.10", true},
		{h2, "10.1.1.64:8090", "203.0.113.10", true},
		{h1, "[fd00:1::64]:80", "2001:db8::10", true},
		{h1, "203.0.113.64:80", "203.0.113.64", true},
		{h2, "203.0.113.65:8090", "203.0.113.65", true},
		{h1, "[2001:db8::64]:80", "2001:db8::64", false},
		{out, "203.0.113.64:80", "203.0.113.64", true},
		{out, "203.0.113.65:80", "203.0.113.65", true},
		{out, "[2001:db8::64]:80", "2001:db8::64", false},
		{h5, "203.0.113.64:80", "203.0.113.64", true},
		{h5, "203.0.113.65:8090", "203.0.113.65", true},
		{h5, "[2001:db8::64]:8090", "2001:db8::64", false},
	} {
		by := served(t, c.from, c.to, asks)
		t.Log(c.from.Name, c.to, by)
		for said := range by {
			if !strings.HasSuffix(said, " asked by "+c.as) {
				t.Errorf("%s asks %s: %q, want %s", c.from.Name, c.to, said, c.as)
			}
		}
		if (len(by) > 1) != c.several {
			t.Errorf("%s asks %s: %v", c.from.Name, c.to, by)
		}
	}
	names := map[string]int{}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.Dst.String() == "10.1.1.64" && slices.Contains(backendsAbroad[true], e.Reply.Src.String()) {
			names[e.Reply.Src.String()]++
		}
	}
	if len(names) != 2 || names["203.0.113.7"]+names["198.51.100.7"] != 2*asks {
		t.Errorf("entries: %v", names)
	}
}

// TestStormThroughBackendsOutside is the storm on each way to a backend outside, while weights change, backends
// drain and come back, and policy is replaced.
func TestStormThroughBackendsOutside(t *testing.T) {
	model := func(w [3]int) string {
		ends := fmt.Sprintf(", ports: [{port: 80, protocol: tcp, targetPort: 8090}, {port: 8090, protocol: tcp}], backends: [{address: 203.0.113.7, weight: %d}, {address: 198.51.100.7, weight: %d}", w[0], w[1])
		inside := fmt.Sprintf(", {endpoint: h2, weight: %d}]", w[2])
		all := policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")
		for i, algorithm := range []string{"hash", "consistent", "sourceIP"} {
			all += balancer(fmt.Sprint("in", i), fmt.Sprintf("address: 10.1.1.%d%s], algorithm: %s", 64+i, ends, algorithm)) +
				balancer(fmt.Sprint("out", i), fmt.Sprintf("address: 203.0.113.%d%s], algorithm: %s", 64+i, ends, algorithm))
		}
		return outwardModel(all, balancer("mixed", "address: 203.0.113.67"+ends+inside),
			balancer("always", "address: 203.0.113.68, snat: always"+ends+inside),
			balancer("six", `address: "2001:db8::64", ports: [{port: 80, protocol: tcp, targetPort: 8090}], backends: [{address: "2001:db8::7"}, {address: "2001:db8:7::7"}]`))
	}
	n, h1, h2, h5, out := abroad(t, model([3]int{100, 100, 100}))
	for _, addresses := range backendsAbroad {
		for _, a := range addresses {
			echo(t, out, net.JoinHostPort(a, "8090"))
		}
	}
	echo(t, h2, "10.1.1.12:8090")
	var paths []stormPath
	for i, algorithm := range []string{"hash", "consistent", "sourceIP"} {
		paths = append(paths, stormPath{name: "inside, " + algorithm, from: h1, address: fmt.Sprintf("10.1.1.%d:80", 64+i)})
		for whose, from := range map[string]*sandbox.Host{"the tenant's": h1, "another tenant's": h5, "from outside": out} {
			paths = append(paths, stormPath{name: "outside, " + algorithm + ", " + whose, from: from, address: fmt.Sprintf("203.0.113.%d:80", 64+i)})
		}
	}
	paths = append(paths,
		stormPath{name: "inside and outside, from outside", from: out, address: "203.0.113.67:80"},
		stormPath{name: "inside and outside, the tenant's", from: h1, address: "203.0.113.67:8090"},
		stormPath{name: "snat: always, from outside", from: out, address: "203.0.113.68:80"},
		stormPath{name: "IPv6, from outside", from: out, address: "[2001:db8::64]:80"},
		stormPath{name: "IPv6, the tenant's", from: h1, address: "[2001:db8::64]:80"},
		stormPath{name: "IPv6, another tenant's", from: h5, address: "[2001:db8::64]:80"})
	_, changes := newStorm(t, paths...).blow(t, n, stormTime(t)/4, func(edit int) {
		w := [][3]int{{1, 100, 3}, {100, 0, 100}, {0, 1, 100}, {100, 100, 100}, {65535, 1, 7}}[edit%5]
		another := snat("first", `priority: 200, addresses: [203.0.113.11, "2001:db8::11"]`) // for what is new from then on
		n.Weir.Apply(model(w) + []string{"", unrest[1]}[edit/2%2] + []string{another, ""}[edit%2])
	})
	t.Logf("%d changes", changes.edits)
}

// abroadModel is outwardModel with load balancers inside and outside of TCP and UDP. ends says who their backends are.
func abroadModel(ends string, more ...string) string {
	ports := fmt.Sprintf(", ports: [{port: 90, protocol: tcp, targetPort: 8090}, {port: 53, protocol: udp, targetPort: 5353}], backends: [%s], onRemove: reset", ends)
	return strings.ReplaceAll(outwardModel(append(more, balancer("in", "address: 10.1.1.64"+ports), balancer("out", "address: 203.0.113.64"+ports))...), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}")
}

// echoAbroad has both backends of IPv4 say back what they hear.
func echoAbroad(t *testing.T, out *sandbox.Host) {
	t.Helper()
	for _, a := range backendsAbroad[true] {
		echo(t, out, a+":8090")
		answerUDP(t, out, a+":5353", a)
	}
}

// TestRecirculationsToBackendsOutside counts how often a packet for a backend outside comes back to the flow
// tables, and how many entries a connection has.
func TestRecirculationsToBackendsOutside(t *testing.T) {
	n, h1, _, h5, out := abroad(t, abroadModel("{address: 203.0.113.7}, {address: 198.51.100.7}"))
	echoAbroad(t, out)
	for _, c := range []struct {
		what, address string
		from          *sandbox.Host
		want          ovstest.Recirculations
	}{
		{"inside", "10.1.1.64", h1, ovstest.Recirculations{New: 1, Established: 1}},
		{"outside, from its tenant", "203.0.113.64", h1, ovstest.Recirculations{New: 1, Established: 1}},
		{"outside, from outside", "203.0.113.64", out, ovstest.Recirculations{New: 1, Established: 1}},
		{"outside, from another tenant", "203.0.113.64", h5, ovstest.Recirculations{New: 3, Established: 2}},
		{"inside, of a tenant that has another address", "10.1.1.64", h1, ovstest.Recirculations{New: 1, Established: 2}},
	} {
		if strings.Contains(c.what, "another address") {
			n.Weir.Apply(abroadModel("{address: 203.0.113.7}, {address: 198.51.100.7}", snat("last", "priority: 1, addresses: [203.0.113.12]")))
		}
		talk(t, c.from, c.address+":90") // so that all neighbours are known
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		before := len(n.Entries(n.Weir.Zone("t")))
		talk(t, c.from, c.address+":90")
		sent := "eth(src=" + c.from.MAC
		if c.from == out {
			sent = "dst=203.0.113.64" // no flow looks at its MAC address
		}
		got, entries := n.Recirculations(sent, "eth_type(0x0800)"), len(n.Entries(n.Weir.Zone("t")))-before
		t.Logf("%-45s recirculations new / established / entries: %d / %d / %d", c.what, got.New, got.Established, entries)
		if got != c.want || entries != 2 {
			t.Errorf("%s: %+v, %d entries, want %+v", c.what, got, entries, c.want)
		}
	}
}

// TestBackendsOutsideComeAndGo has backends drain, go, and come back, under clients inside and outside; policy is
// taken back and given; and what is said of each connection is looked at.
func TestBackendsOutsideComeAndGo(t *testing.T) {
	n, h1, _, h5, out := abroad(t, abroadModel("{address: 203.0.113.7}"))
	echoAbroad(t, out)
	from := map[string]net.Conn{}
	open := func() {
		t.Helper()
		for name, c := range from {
			c.Close()
			delete(from, name)
		}
		from["inside"], from["its tenant"] = opened(t, h1, "10.1.1.64:90"), opened(t, h1, "203.0.113.64:90")
		from["outside"], from["another tenant"] = opened(t, out, "203.0.113.64:90"), opened(t, h5, "203.0.113.64:90")
	}
	all := func(when string) {
		t.Helper()
		for name, c := range from {
			if err := say(c, "hello", ovstest.Patience); err != nil {
				t.Errorf("%s, %s: %v", when, name, err)
			}
		}
	}
	open()
	for _, h := range []struct {
		from    *sandbox.Host
		address string
	}{{h1, "10.1.1.64:53"}, {h1, "203.0.113.64:53"}, {out, "203.0.113.64:53"}, {h5, "203.0.113.64:53"}} {
		if got := askUDP(t, h.from, h.address); got != "203.0.113.7" {
			t.Errorf("%s asks %s: %q", h.from.Name, h.address, got)
		}
	}
	list, err := n.Weir.Tool("connections", "-t", "t")
	if t.Log(list); err != nil || strings.Count(list, "loadbalancer/out/tcp/90") < 4 || !strings.Contains(list, "loadbalancer/in/tcp/90") {
		t.Errorf("weir connections: %v, %s", err, list)
	}
	n.Weir.Apply(abroadModel("{address: 203.0.113.7, weight: 0}, {address: 198.51.100.7}"))
	all("draining")
	for _, l := range n.Weir.Balancers("t") {
		for _, b := range l.Backends {
			if want := map[string]int{"t/loadbalancer/in": 1, "t/loadbalancer/out": 3}[l.ID]; strings.HasPrefix(b.Address, "203.0.113.7") && (b.State != "draining" || b.Connections < want) {
				t.Errorf("%s: %+v", l.ID, b)
			}
		}
	}
	if got := askUDP(t, out, "203.0.113.64:53"); got != "198.51.100.7" {
		t.Errorf("asked while the other one drains: %q", got)
	}
	n.Weir.Apply(abroadModel("{address: 198.51.100.7}"))
	ovstest.Eventually(t, "nothing of the backend that is gone is left", func() error {
		for _, e := range n.Entries(n.Weir.Zone("t")) {
			if (e.Reply.Src.String() == "203.0.113.7" || e.Orig.Dst.String() == "203.0.113.7") && !e.Over() && e.Orig.DstPort != 5353 && e.Orig.DstPort != 53 {
				return fmt.Errorf("%+v", e)
			}
		}
		return nil
	})
	for name, c := range from {
		if name != "another tenant" { // whose tracker drops what it is told
			c.SetReadDeadline(time.Now().Add(ovstest.Patience))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s was not told: %v", name, err)
			}
		}
	}
	open()
	all("with the other one")
	deny := policy("t", "no", "{name: no, direction: egress, action: deny, protocol: tcp, ports: [8090], to: {cidrs: [198.51.100.0/24]}}")
	n.Weir.Apply(abroadModel("{address: 198.51.100.7}", deny))
	for _, name := range []string{"inside", "its tenant"} {
		silent(t, from[name])
		delete(from, name)
	}
	all("which the tenant's endpoints may not ask")
	timesOut(t, h1, "203.0.113.64:90")
	n.Weir.Apply(abroadModel("{address: 198.51.100.7}"))
	open()
	all("which they may ask again")
}

// TestBackendsOutsideWithAnSNATAtTheSameAddress has a client ask a backend by a load balancer and directly, from the
// same port of two hosts, where both leave as one address.
func TestBackendsOutsideWithAnSNATAtTheSameAddress(t *testing.T) {
	ports := ", ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{address: 203.0.113.7}]"
	n, h1, h2, _, out := abroad(t, outwardModel(balancer("in", "address: 10.1.1.64"+ports), balancer("out", "address: 203.0.113.10"+ports)))
	echo(t, out, "203.0.113.7:8090")
	talk(t, h1, "203.0.113.7:8090") // so that it is known on the link
	var all []net.Conn
	for _, c := range []struct {
		from    *sandbox.Host
		address string
	}{{h1, "203.0.113.7:8090"}, {h2, "10.1.1.64:90"}, {out, "203.0.113.10:90"}, {h2, "203.0.113.7:8090"}} {
		port := 33333
		if c.from == h2 && len(all) == 3 {
			port = 33334 // one host asks the same backend from another port
		}
		conn, err := dialAt(t, c.from, port, c.address)
		if err != nil {
			t.Fatalf("%s: %v", c.address, err)
		}
		all = append(all, conn)
	}
	for i, c := range all {
		if err := say(c, fmt.Sprint("hello ", i), ovstest.Patience); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	t.Log(strings.Join(tuples(n), "\n"))
}

// TestConnectionsToBackendsOutsideStayWhatTheyAre has clients with open connections to a backend outside, and changes what such
// connections leave as: another SNAT comes first, the backend is exempt, the client gets a floating IP. Those go on as what they have
// left as; one that was exempt ends when it no longer is.
func TestConnectionsToBackendsOutsideStayWhatTheyAre(t *testing.T) {
	const pool = `addresses: [203.0.113.10, "2001:db8::10"]`
	exempt := pool + ", exempt: {cidrs: [203.0.113.7/32]}"
	first := snat("first", "priority: 200, addresses: [203.0.113.11]")
	floating := object("FloatingIP", "name: h1-ip, tenant: t", "address: 203.0.113.20, endpoint: h1")
	never := balancer("never", "address: 203.0.113.65, snat: never, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [{address: 203.0.113.7}]")
	model := func(all string, more ...string) string {
		return strings.Replace(abroadModel("{address: 203.0.113.7}", append(more, never)...), snat("all", pool), snat("all", all), 1)
	}
	n, h1, _, _, out := abroad(t, model(pool))
	echoAbroad(t, out)
	open := map[string]net.Conn{}
	ask := func(as string) {
		t.Helper()
		for _, address := range []string{"10.1.1.64:90", "203.0.113.65:90"} {
			before := len(tuplesOf(n, "t"))
			open[as+" by "+address] = opened(t, h1, address)
			host, _, _ := strings.Cut(address, ":")
			if got := strings.Join(tuplesOf(n, "t"), "\n"); !strings.Contains(got, "203.0.113.7>"+as) {
				t.Errorf("%s was asked as somebody else than %s, %d entries before:\n%s", host, as, before, got)
			}
		}
	}
	goOn := func(when string) {
		t.Helper()
		for name, c := range open {
			if err := say(c, "hello", ovstest.Patience); err != nil {
				t.Errorf("%s: %s: %v\n%s", when, name, err, strings.Join(tuplesOf(n, "t"), "\n"))
			}
		}
	}
	ask("203.0.113.10")
	for _, c := range []struct{ when, model string }{
		{"another SNAT comes first", model(pool, first)},
		{"it is gone again", model(pool)},
		{"the client has a floating IP", model(pool, floating)},
		{"the backend is exempt", model(exempt)},
	} {
		n.Weir.Apply(c.model)
		goOn(c.when)
	}
	ask("10.1.1.11")
	for _, c := range []struct{ when, model string }{
		{"exempt, and another SNAT comes first", model(exempt, first)},
		{"exempt, and the client has a floating IP", model(exempt, floating)},
		{"exempt again", model(exempt)},
	} {
		n.Weir.Apply(c.model)
		goOn(c.when)
	}
	n.Weir.Apply(model(pool))
	for name, c := range open {
		if strings.HasPrefix(name, "10.1.1.11") {
			silent(t, c)
			delete(open, name)
		}
	}
	goOn("the backend is not exempt any more")
}
