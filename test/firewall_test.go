package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

const httpRule = `{name: web, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: tcp, ports: [80]}`

// only limits a rule's policy to h2, so that what is said of h1's peers does not let h1 in.
func forH2(rules ...string) string {
	return object("Policy", "name: h2, tenant: t", "appliesTo: {endpoints: [h2]}, rules: ["+strings.Join(rules, ", ")+"]")
}

func TestOF01OneWayTCPService(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2(httpRule))
	serve(t, h1, "10.1.1.1:80", "one")
	serve(t, h2, "10.1.1.2:80", "two")
	serve(t, h2, "10.1.1.2:8080", "two")
	gets(t, h1, "10.1.1.2:80", "two")
	timesOut(t, h2, "10.1.1.1:80")
	timesOut(t, h1, "10.1.1.2:8080")

	ovstest.Eventually(t, "one entry, closed", func() error {
		all := n.Entries(w.Zone("t"))
		if len(all) != 1 || all[0].Protocol != conntrack.TCP || all[0].Orig.DstPort != 80 || !closed(all[0]) {
			return fmt.Errorf("%+v", all)
		}
		e := all[0]
		if e.Orig.Src != ovstest.Addr("10.1.1.1") || e.Orig.Dst != ovstest.Addr("10.1.1.2") || e.Reply.Src != e.Orig.Dst || e.Reply.DstPort != e.Orig.SrcPort {
			t.Fatalf("the tuples are %+v", e)
		}
		return nil
	})
	for _, c := range w.Connections("t") {
		if c.Ingress != "t/policy/h2/web" || c.Egress != "t/default/egress" {
			t.Errorf("admitted by %q and %q", c.Egress, c.Ingress)
		}
	}
}

// closed reports whether both sides have closed a connection. The userspace tracker, which
// keeps a state for each side, calls that FIN_WAIT_2 twice.
func closed(e conntrack.Entry) bool {
	return e.State == conntrack.TimeWait || e.StateOrig == conntrack.FinWait2 && e.StateReply == conntrack.FinWait2
}

func TestOF02OneWayTCPServiceOverIPv6(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"fc00::1/96"})
	h2 := n.Host("h2", mac(2), []string{"fc00::2/96"})
	w := n.Run(bridge + tenant("t", "", `{cidr: "fc00::/96"}`) + endpoint("t", "h1", 1, `"fc00::1"`) + endpoint("t", "h2", 2, `"fc00::2"`) + forH2(httpRule))
	wire1, wire2 := wire(t, h1), wire(t, h2)
	serve(t, h1, "[fc00::1]:80", "one")
	serve(t, h2, "[fc00::2]:80", "two")
	gets(t, h1, "[fc00::2]:80", "two")
	timesOut(t, h2, "[fc00::1]:80")

	const solicitation, advertisement = 135, 136
	if !sees(wire2, icmpv6Type(solicitation)) || !sees(wire1, icmpv6Type(advertisement)) {
		t.Error("neighbour discovery did not pass")
	}
	if all := n.Entries(w.Zone("t")); len(all) != 1 || all[0].Protocol != conntrack.TCP {
		t.Errorf("neighbour discovery, or what was denied, left entries: %+v", all)
	}
}

func wire(t *testing.T, h *sandbox.Host) *sandbox.Wire {
	t.Helper()
	w, err := h.Wire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// sees reports whether a frame that is wanted has come so far.
func sees(w *sandbox.Wire, wanted func([]byte) bool) bool {
	for {
		select {
		case f := <-w.Frames():
			if wanted(f) {
				return true
			}
		default:
			return false
		}
	}
}

func icmpv6Type(typ byte) func([]byte) bool {
	return func(f []byte) bool {
		return len(f) > 54 && f[12] == 0x86 && f[13] == 0xdd && f[20] == 58 && f[54] == typ
	}
}

func isARP(f []byte) bool { return len(f) > 14 && f[12] == 0x08 && f[13] == 0x06 }

func TestOF03TwoTenantsWithIdenticalAddresses(t *testing.T) {
	n := ovstest.New(t)
	var hosts []*sandbox.Host
	for i := range 4 {
		hosts = append(hosts, n.Host(fmt.Sprintf("h%d", i+1), mac(i+1), []string{fmt.Sprintf("10.1.1.%d/24", i%2+1)}))
	}
	model := bridge
	for i, name := range []string{"a", "b"} {
		model += tenant(name, "", "{cidr: 10.1.1.0/24}") +
			endpoint(name, hosts[2*i].Name, 2*i+1, "10.1.1.1") + endpoint(name, hosts[2*i+1].Name, 2*i+2, "10.1.1.2") +
			policy(name, "p", fmt.Sprintf("{name: web, direction: ingress, action: allow, protocol: tcp, ports: [80], mark: %d}", 0x11*(i+1)))
	}
	w := n.Run(model)
	serve(t, hosts[1], "10.1.1.2:80", "h2's")
	serve(t, hosts[3], "10.1.1.2:80", "h4's")
	gets(t, hosts[0], "10.1.1.2:80", "h2's")
	gets(t, hosts[2], "10.1.1.2:80", "h4's")

	a, b := w.Zone("a"), w.Zone("b")
	if a == b || a == 0 {
		t.Fatalf("zones %d and %d", a, b)
	}
	for name, class := range map[string]uint16{"a": 17, "b": 34} {
		all := w.Connections(name)
		if len(all) != 1 || all[0].Class != class || all[0].Orig.Src != "10.1.1.1" || all[0].Orig.Dst != "10.1.1.2" {
			t.Errorf("tenant %s: %+v; want one connection of class %d", name, all, class)
		}
	}
	if _, err := n.Appctl("dpctl/flush-conntrack", fmt.Sprintf("zone=%d", a)); err != nil {
		t.Fatal(err)
	}
	if len(n.Entries(a)) != 0 || len(n.Entries(b)) != 1 {
		t.Errorf("after flushing zone %d: %v and %v", a, n.Entries(a), n.Entries(b))
	}
}

func TestOF04RelatedICMPErrorComesBack(t *testing.T) {
	n, h1, _ := pair(t)
	w := n.Run(pairModel("") + forH2("{name: udp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: udp}"))
	refusedUDP(t, h1, "10.1.1.2:9999")
	all := n.Entries(w.Zone("t"))
	if len(ovstest.Protocol(all, "udp")) != 1 || len(all) != 1 {
		t.Errorf("entries: %+v; want one of udp", all)
	}
	related := n.Packets(func(f ofproto.Flow) bool { return f.Table == pipeline.CtState && f.Priority == 390 })
	if related != 1 {
		t.Errorf("the flow for related traffic counts %d packets", related)
	}
}

// refusedUDP sends a datagram to where nobody listens, and wants to hear of it.
func refusedUDP(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(ovstest.Patience))
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("h1's socket says %v; want connection refused", err)
	}
}

func TestOF08DefaultDenyIncludesARPUnlessAllowed(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("implicitARP: false"))
	heard := wire(t, h2)
	pings(t, h1, "10.1.1.2", 1, 0)
	if sees(heard, isARP) {
		t.Fatal("h2 saw ARP that no rule lets pass")
	}

	arp := "{name: arp, direction: ingress, action: allow, protocol: arp}"
	w.Apply(pairModel("implicitARP: false", arp))
	forgetNeighbours(t, h1)
	pings(t, h1, "10.1.1.2", 1, 0)
	if text, err := h1.Exec(t.Context(), "ip", "neigh"); err != nil || !strings.Contains(text, mac(2)) {
		t.Fatalf("ARP does not resolve: %q, %v", text, err)
	}

	w.Apply(pairModel("implicitARP: false", arp, "{name: ping, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: icmp}"))
	pings(t, h1, "10.1.1.2", 1, 1)
}

func forgetNeighbours(t *testing.T, h *sandbox.Host) {
	t.Helper()
	if _, err := h.Exec(t.Context(), "ip", "neigh", "flush", "all"); err != nil {
		t.Fatal(err)
	}
}

func TestOF10StatelessRuleLeavesNoTrace(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("defaults: {egress: deny}",
		"{name: out, direction: egress, action: stateless, protocol: tcp}", "{name: in, direction: ingress, action: stateless, protocol: tcp}"))
	serve(t, h2, "10.1.1.2:80", "two")
	gets(t, h1, "10.1.1.2:80", "two")
	flows, err := n.Appctl("dpctl/dump-flows", "-m")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(flows) {
		if !strings.Contains(line, "eth_type(0x0800)") || !strings.Contains(line, "packets:") {
			continue
		}
		seen++
		if strings.Contains(line, "ct(") || strings.Contains(line, "+new") || strings.Contains(line, "+est") {
			t.Errorf("a packet was tracked: %s", line)
		}
	}
	if seen == 0 {
		t.Errorf("no flow of the packets is in the datapath:\n%s", flows)
	}
	if all := n.Entries(w.Zone("t")); len(all) != 0 {
		t.Errorf("entries: %+v", all)
	}
	pings(t, h1, "10.1.1.2", 1, 0) // what is not tcp is denied as before
}

func TestOF11TenantRemovalFlushesItsZoneOnce(t *testing.T) {
	n := ovstest.New(t)
	if _, err := n.Appctl("vlog/set", "vconn:file:dbg"); err != nil {
		t.Fatal(err)
	}
	var hosts []*sandbox.Host
	models := map[string]string{}
	for i, name := range []string{"t", "u"} {
		for j := range 2 {
			number := 2*i + j + 1
			hosts = append(hosts, n.Host(fmt.Sprintf("h%d", number), mac(number), []string{fmt.Sprintf("10.1.1.%d/24", j+1)}))
		}
		models[name] = tenant(name, "", "{cidr: 10.1.1.0/24}") + endpoint(name, hosts[2*i].Name, 2*i+1, "10.1.1.1") +
			endpoint(name, hosts[2*i+1].Name, 2*i+2, "10.1.1.2") + policy(name, "p", "{name: udp, direction: ingress, action: allow, protocol: udp}")
	}
	w := n.Run(bridge + models["t"] + models["u"])
	zoneT, zoneU := w.Zone("t"), w.Zone("u")
	for port := 7001; port <= 7003; port++ {
		refusedUDP(t, hosts[0], fmt.Sprintf("10.1.1.2:%d", port))
	}
	for port := 7001; port <= 7002; port++ {
		refusedUDP(t, hosts[2], fmt.Sprintf("10.1.1.2:%d", port))
	}
	if a, b := len(n.Entries(zoneT)), len(n.Entries(zoneU)); a != 3 || b != 2 {
		t.Fatalf("%d and %d entries, want 3 and 2", a, b)
	}
	w.Apply(bridge + models["u"])
	ovstest.Eventually(t, "zone flushed", func() error {
		if left := n.Entries(zoneT); len(left) > 0 {
			return fmt.Errorf("%d entries are left", len(left))
		}
		return nil
	})
	if len(n.Entries(zoneU)) != 2 {
		t.Errorf("the other tenant lost entries: %+v", n.Entries(zoneU))
	}
	// Another tenant may have the zone now: its packets must not meet the flush.
	w.Apply(bridge + models["t"] + models["u"])
	refusedUDP(t, hosts[0], "10.1.1.2:7001")
	if len(n.Entries(w.Zone("t"))) != 1 {
		t.Errorf("entries of the tenant that came back: %+v", n.Entries(w.Zone("t")))
	}
	said, err := os.ReadFile(filepath.Join(n.RunDir(), "ovs-vswitchd.log"))
	if err != nil {
		t.Fatal(err)
	}
	want := 1
	if n.Kernel() { // where the connections are taken out of the kernel's table, one by one
		want = 0
	}
	if flushes := strings.Count(string(said), "received: NXT_CT_FLUSH_ZONE"); flushes != want {
		t.Errorf("%d zones were flushed, want %d", flushes, want)
	}
}

func TestOF16ICMPBookkeeping(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2("{name: ping, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: icmp}"))
	pings(t, h1, "10.1.1.2", 3, 3)
	pings(t, h2, "10.1.1.1", 2, 0)
	all := n.Entries(w.Zone("t"))
	if len(all) != 1 {
		t.Fatalf("entries: %+v; want one", all)
	}
	e := all[0]
	if e.Protocol != conntrack.ICMP || e.Orig.ICMPType != 8 || e.Reply.ICMPType != 0 || e.Orig.ICMPID != e.Reply.ICMPID ||
		e.Orig.Src != ovstest.Addr("10.1.1.1") || e.Reply.Src != ovstest.Addr("10.1.1.2") {
		t.Errorf("%+v", e)
	}
}
