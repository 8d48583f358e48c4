package test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/api"
	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// routerOut is the MAC address of the router on the outside of explainedModel.
var routerOut, router = net.HardwareAddr{2, 0, 0, 0, 0xff, 1}, net.HardwareAddr(pipeline.RouterMAC[:])

const explainedBridge = `---
apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec:
  external:
    network: public
    port: out
    mac: "02:00:00:00:ff:01"
    subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1, address: 203.0.113.2}]
    nextHops: [{address: 203.0.113.1, mac: "02:00:00:00:00:09"}]
`

// explainedModel is what the explained packets are sent through: tenant t with two networks, a port without addresses,
// what translates, and policies of each kind; tenant u, with the addresses of t; and v, which is only audited.
func explainedModel(more ...string) string {
	end := func(tenant, network string, number int, labels, ips string) string {
		return object("Endpoint", fmt.Sprintf("name: h%d, tenant: %s, labels: {%s}", number, tenant, labels),
			fmt.Sprintf("network: %s, bind: {ifaceID: h%d}, mac: %q, ips: [%s]", network, number, mac(number), ips))
	}
	lan := `{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}`
	return explainedBridge + tenant("t", "allowDisruption: true", lan) + object("Network", "name: back, tenant: t", "subnets: [{cidr: 10.1.2.0/24, gateway: 10.1.2.1}]") +
		end("t", "lan", 1, "tier: web", `10.1.1.11, "fd00:1::11"`) + end("t", "lan", 2, "tier: app", `10.1.1.12, "fd00:1::12"`) +
		end("t", "back", 3, "tier: db", "10.1.2.13") + end("t", "lan", 4, "tier: plain", "") +
		object("Policy", "name: guard, tenant: t", "tier: admin, rules: [{name: no-telnet, description: nobody logs in without encryption, direction: ingress, action: deny, protocol: tcp, ports: [23]}, {name: no-irc, direction: egress, action: deny, protocol: tcp, ports: [6667]}]") +
		policy("t", "web", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80, 443]}", "{name: ping, direction: ingress, action: allow, protocol: icmp}",
			"{name: mail, direction: ingress, action: reject, protocol: tcp, ports: [25]}", "{name: telnet, direction: ingress, action: allow, protocol: tcp, ports: [23]}",
			"{name: dns-out, direction: egress, action: stateless, protocol: udp, ports: [53]}", "{name: dns-in, direction: ingress, action: stateless, protocol: udp, ports: [53]}",
			"{name: ssh, direction: ingress, action: allow, from: {cidrs: [203.0.113.0/24]}, protocol: tcp, ports: [22]}") +
		object("Policy", "name: db, tenant: t", "appliesTo: {labels: {tier: db}}, rules: [{name: app, direction: ingress, action: allow, from: {labels: {tier: app}}, protocol: tcp, ports: [5432]}, "+
			"{name: range, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: udp, ports: [7000-7010]}]") +
		snat("out", "addresses: [203.0.113.10]") + floatingIP("web-ip", "203.0.113.20", "h1") +
		object("PortForward", "name: ssh-in, tenant: t", "address: 203.0.113.21, port: 2222, protocol: tcp, to: {endpoint: h2, port: 22}") +
		balancer("one", "address: 10.1.1.100, ports: [{port: 443, protocol: tcp}], backends: [{endpoint: h1}]") +
		balancer("empty", "address: 10.1.1.102, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h1, weight: 0}]") +
		object("SNAT", "name: out, tenant: u", "addresses: [203.0.113.11]") + tenant("u", "defaults: {ingress: allow}, limits: {connections: 1000, newPerSecond: 1000}", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + end("u", "lan", 5, "tier: web", "10.1.1.11") + end("u", "lan", 6, "tier: app", "10.1.1.12") +
		tenant("v", "mode: audit", "{cidr: 10.1.3.0/24}") + end("v", "lan", 7, "tier: web", "10.1.3.11") + end("v", "lan", 8, "tier: app", "10.1.3.12") +
		strings.Join(more, "")
}

// An explained packet is one that weir explain is asked about, and that is sent then.
type explained struct {
	name string
	ask  string // the arguments of weir explain
	packet
}

// explainedPackets are the cases: what is asked, and the packet that it means. What the answer is to be is nowhere
// here: it is compared with what becomes of the packet.
func explainedPackets() []explained {
	in := func(p packet, src, dst string) packet { return p.between(src, dst, hardware(p.to)) }
	via := func(p packet, src, dst string) packet { return p.between(src, dst, router) }
	outside := func(p packet, dst string) packet { return p.between("203.0.113.1", dst, routerOut) }
	unknown := net.HardwareAddr{2, 0, 0, 0xff, 0xff, 0xfe}
	const h1, h2, h3, h1v6, h2v6 = "10.1.1.11", "10.1.1.12", "10.1.2.13", "fd00:1::11", "fd00:1::12"
	return []explained{
		{"allowed by a rule", "tcp h1:1001 h2:80 -t t", in(tcp(1, 2, 1001, 80, "S"), h1, h2)},
		{"allowed by a rule, by addresses", "tcp 10.1.1.11:1002 10.1.1.12:443 -t t", in(tcp(1, 2, 1002, 443, "S"), h1, h2)},
		{"allowed by a rule, over IPv6", "tcp [fd00:1::11]:1003 [fd00:1::12]:80", in(tcp(1, 2, 1003, 80, "S").over6(), h1v6, h2v6)},
		{"denied by the default", "tcp h1:1004 h2:81 -t t", in(tcp(1, 2, 1004, 81, "S"), h1, h2)},
		{"denied by the default, over IPv6", "udp [fd00:1::11]:1005 [fd00:1::12]:81", in(udp(1, 2, 1005, 81).over6(), h1v6, h2v6)},
		{"denied by a rule of a tier before", "tcp h1:1006 h2:23 -t t", in(tcp(1, 2, 1006, 23, "S"), h1, h2)},
		{"denied on its way out", "tcp h1:1007 h2:6667 -t t", in(tcp(1, 2, 1007, 6667, "S"), h1, h2)},
		{"rejected", "tcp h1:1008 h2:25 -t t", in(tcp(1, 2, 1008, 25, "S"), h1, h2)},
		{"stateless", "udp h1:1009 h2:53 -t t", in(udp(1, 2, 1009, 53), h1, h2)},
		{"stateless, over IPv6", "udp [fd00:1::11]:1010 [fd00:1::12]:53", in(udp(1, 2, 1010, 53).over6(), h1v6, h2v6)},
		{"a ping", "icmp h1 h2 -t t", in(icmp(1, 2, 8, 0, nil), h1, h2)},
		{"a ping over IPv6", "icmp [fd00:1::11] [fd00:1::12]", in(icmp6(1, 2, 128, 0, nil), h1v6, h2v6)},
		{"an answer that nobody has asked for", "icmp:0 h1 h2 -t t", in(icmp(1, 2, 0, 0, nil), h1, h2)},
		{"an error about nothing", "icmp:3/1 h1 h2 -t t", in(icmp(1, 2, 3, 1, nil), h1, h2)},
		{"a protocol without ports", "gre h1 h2 -t t", in(raw(1, 2, 47, 0, 0, 8, 0), h1, h2)},
		{"from an address that is not its own", "tcp h1:1011 h2:80 -t t --as 10.1.1.99", in(tcp(1, 2, 1011, 80, "S"), "10.1.1.99", h2)},
		{"from the address of another endpoint", "tcp h1:1012 h3:5432 -t t --as 10.1.1.12", via(tcp(1, 3, 1012, 5432, "S"), h2, h3)},
		{"from a MAC address that is not its own", "tcp h1:1013 h2:80 -t t --from-mac 02:00:00:00:00:02", in(packet{from: 2, to: 2, proto: 6, rest: tcp(1, 2, 1013, 80, "S").rest}, h1, h2)},
		{"for an address that nobody has", "tcp h1:1014 10.1.1.77:80 -t t", tcp(1, 2, 1014, 80, "S").between(h1, "10.1.1.77", unknown)},
		{"routed for an address that nobody has", "tcp h1:1015 10.1.2.77:80 -t t", via(tcp(1, 3, 1015, 80, "S"), h1, "10.1.2.77")},
		{"where no route leads", "tcp 10.1.3.11:1016 10.9.9.9:80", via(tcp(7, 8, 1016, 80, "S"), "10.1.3.11", "10.9.9.9")},
		{"where no route leads, over IPv6", "tcp [fd00:1::11]:1017 [2001:db8::1]:80", via(tcp(1, 2, 1017, 80, "S").over6(), h1v6, "2001:db8::1")},
		{"routed, and allowed by the sender's label", "tcp h2:1018 h3:5432 -t t", via(tcp(2, 3, 1018, 5432, "S"), h2, h3)},
		{"routed, and denied for want of a label", "tcp h1:1019 h3:5432 -t t", via(tcp(1, 3, 1019, 5432, "S"), h1, h3)},
		{"allowed in a range of ports", "udp h1:1020 h3:7005 -t t", via(udp(1, 3, 1020, 7005), h1, h3)},
		{"denied behind a range of ports", "udp h1:1021 h3:7011 -t t", via(udp(1, 3, 1021, 7011), h1, h3)},
		{"denied for being another endpoint", "udp h2:1022 h3:7005 -t t", via(udp(2, 3, 1022, 7005), h2, h3)},
		{"leaves by an SNAT", "tcp h2:1023 203.0.113.1:80 -t t", via(tcp(2, 9, 1023, 80, "S"), h2, "203.0.113.1")},
		{"leaves as its floating IP", "tcp h1:1024 203.0.113.1:80 -t t", via(tcp(1, 9, 1024, 80, "S"), h1, "203.0.113.1")},
		{"leaves, and is denied before", "tcp h2:1025 203.0.113.1:6667 -t t", via(tcp(2, 9, 1025, 6667, "S"), h2, "203.0.113.1")},
		{"a ping that leaves", "icmp h3 203.0.113.1 -t t", via(icmp(3, 9, 8, 0, nil), h3, "203.0.113.1")},
		{"comes in by a floating IP", "tcp outside/203.0.113.1:1026 web-ip:80", outside(tcp(9, 1, 1026, 80, "S"), "203.0.113.20")},
		{"comes in by a floating IP, and is denied", "tcp outside/203.0.113.1:1027 web-ip:81", outside(tcp(9, 1, 1027, 81, "S"), "203.0.113.20")},
		{"comes in by a forwarded port", "tcp outside/203.0.113.1:1028 ssh-in", outside(tcp(9, 2, 1028, 2222, "S"), "203.0.113.21")},
		{"comes in for a port that is not forwarded", "tcp outside/203.0.113.1:1029 203.0.113.21:2223", outside(tcp(9, 2, 1029, 2223, "S"), "203.0.113.21")},
		{"comes in for the address of an SNAT", "tcp outside/203.0.113.1:1030 203.0.113.10:80", outside(tcp(9, 2, 1030, 80, "S"), "203.0.113.10")},
		{"comes in for an address that nobody has", "tcp outside/203.0.113.1:1031 203.0.113.99:80", outside(tcp(9, 2, 1031, 80, "S"), "203.0.113.99")},
		{"comes in for an address inside", "tcp outside/203.0.113.1:1032 10.1.1.11:80", outside(tcp(9, 1, 1032, 80, "S"), h1)},
		{"for a load balancer", "tcp h2:1033 one -t t", via(tcp(2, 1, 1033, 443, "S"), h2, "10.1.1.100")},
		{"for a load balancer, by its backend", "tcp h1:1034 one -t t", via(tcp(1, 1, 1034, 443, "S"), h1, "10.1.1.100")},
		{"for a port that a load balancer has not", "tcp h2:1035 one:444 -t t", via(tcp(2, 1, 1035, 444, "S"), h2, "10.1.1.100")},
		{"for a load balancer without a backend", "tcp h2:1036 empty -t t", via(tcp(2, 1, 1036, 80, "S"), h2, "10.1.1.102")},
		{"for its own floating IP", "tcp h1:1037 web-ip:80 -t t", via(tcp(1, 1, 1037, 80, "S"), h1, "203.0.113.20")},
		{"for a floating IP of its tenant", "tcp h2:1038 web-ip:80 -t t", via(tcp(2, 1, 1038, 80, "S"), h2, "203.0.113.20")},
		{"in another tenant with the same addresses", "tcp u/h5:1039 u/h6:81", in(tcp(5, 6, 1039, 81, "S"), h1, h2)},
		{"for a floating IP of another tenant", "tcp u/h5:1045 203.0.113.20:80", via(tcp(5, 1, 1045, 80, "S"), h1, "203.0.113.20")},
		{"for a floating IP of another tenant, and denied there", "tcp u/h6:1046 203.0.113.20:81", via(tcp(6, 1, 1046, 81, "S"), h2, "203.0.113.20")},
		{"comes in by a floating IP that is not named", "tcp outside/203.0.113.1:1047 203.0.113.20:443", outside(tcp(9, 1, 1047, 443, "S"), "203.0.113.20")},
		{"for an endpoint of another tenant", "tcp u/h5:1040 10.1.2.13:5432", via(tcp(5, 3, 1040, 5432, "S"), h1, h3)},
		{"what an audit lets pass", "tcp v/h7:1041 v/h8:80", in(tcp(7, 8, 1041, 80, "S"), "10.1.3.11", "10.1.3.12")},
		{"from a port without addresses", "tcp h4:1042 h2:80 -t t --as 10.1.1.44", in(tcp(4, 2, 1042, 80, "S"), "10.1.1.44", h2)},
		{"from a port without addresses, as somebody else", "tcp h4:1043 h2:80 -t t --as 10.1.1.11", in(tcp(4, 2, 1043, 80, "S"), h1, h2)},
		{"a ping of the gateway", "icmp h1 10.1.1.1 -t t", via(icmp(1, 1, 8, 0, nil), h1, "10.1.1.1")},
		{"something else for the gateway", "tcp h1:1044 10.1.1.1:80 -t t", via(tcp(1, 1, 1044, 80, "S"), h1, "10.1.1.1")},
	}
}

//go:embed testdata/explain.txt
var explainedTexts string

// TestWhatIsExplainedIsWhatHappens asks about packets, and sends each of them. Where the explanation says that it leaves, it comes to
// the host that is at that port; where it says that it is dropped, it comes to nobody, and the reason that
// it says is counted; and the flow that it says decides has counted it. The rules that it names are those that the
// connection is remembered with. WEIR_UPDATE=1 writes what is said of each into testdata.
func TestWhatIsExplainedIsWhatHappens(t *testing.T) {
	n, wires := explainedNet(t)
	n.Run(explainedModel())
	var texts strings.Builder
	for i, c := range explainedPackets() {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"explain"}, strings.Fields(c.ask)...)
			text := explainedText(t, n.Weir, args)
			fmt.Fprintf(&texts, "# %s\n$ weir %s\n%s\n", c.name, strings.Join(args, " "), text)
			if want := goldenOf(c.name); os.Getenv("WEIR_UPDATE") == "" && text != want {
				t.Errorf("said:\n%s\nwant:\n%s", text, want)
			}
			happens(t, n, wires, c.packet, uint16(1000+i), explanation(t, n.Weir, args), func() api.Explanation { return explanation(t, n.Weir, args) })
		})
	}
	if os.Getenv("WEIR_UPDATE") != "" {
		if err := os.WriteFile(filepath.Join("testdata", "explain.txt"), []byte(texts.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// explainedNet is the net of explainedModel, with what is on the wires of its hosts. The port of a host has its number.
func explainedNet(t *testing.T) (*ovstest.Net, map[int]*sandbox.Wire) {
	t.Helper()
	n := ovstest.New(t)
	wires := map[int]*sandbox.Wire{}
	for i := 1; i <= 9; i++ {
		name := fmt.Sprint("h", i)
		if i == 9 {
			name = "out"
		}
		h := n.Host(name, mac(i), nil)
		if at, err := n.Vsctl("get", "interface", name, "ofport"); err != nil || strings.TrimSpace(at) != fmt.Sprint(i) {
			t.Fatalf("%s is at port %s, %v: ports are given in order", name, at, err)
		}
		wires[i] = wire(t, h)
	}
	return n, wires
}

var (
	countedText = regexp.MustCompile(`\d+ packets so far`)
	folder      = regexp.MustCompile(`/\S*/(\S+\.yaml)`)
)

// explainedText is what weir explain says, without what is other each time.
func explainedText(t *testing.T, w *ovstest.Daemon, args []string) string {
	t.Helper()
	text, err := w.Tool(args...)
	if err != nil {
		t.Fatal(err)
	}
	return folder.ReplaceAllString(countedText.ReplaceAllString(text, "N packets so far"), "$1")
}

// goldenOf is what is to be said of a case.
func goldenOf(name string) string {
	_, of, _ := strings.Cut("\n"+explainedTexts, "\n# "+name+"\n")
	_, of, _ = strings.Cut(of, "\n")
	of, _, _ = strings.Cut(of, "\n\n")
	return of + "\n"
}

func explanation(t *testing.T, w *ovstest.Daemon, args []string) (x api.Explanation) {
	t.Helper()
	text, err := w.Tool(append(args, "-o", "json")...)
	if err == nil {
		err = json.Unmarshal([]byte(text), &x)
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// happens sends a packet, and fails the test unless what x says becomes of it.
func happens(t *testing.T, n *ovstest.Net, wires map[int]*sandbox.Wire, p packet, serial uint16, x api.Explanation, again func() api.Explanation) {
	t.Helper()
	for _, w := range wires {
		sees(w, func([]byte) bool { return false })
	}
	from := p.from
	if strings.HasPrefix(x.From, "t/endpoint/h1") { // also with the MAC address of another
		from = 1
	}
	reason := reasonCalled(x.Reason)
	before := droppedFor(n, reason)
	if err := wires[from].Send(p.frame(t, serial)); err != nil {
		t.Fatal(err)
	}
	is, to := carries(serial), int(x.OFPort)
	ovstest.Eventually(t, "what is explained happens", func() error {
		switch {
		case to != 0:
			if !sees(wires[to], is) {
				return fmt.Errorf("it does not come to h%d: %+v", to, x)
			}
		case droppedFor(n, reason) == before:
			return fmt.Errorf("no packet is dropped for %q (%d): %+v", x.Reason, reason, x)
		}
		return nil
	})
	for i, w := range wires {
		if i != to && sees(w, is) {
			t.Errorf("it comes to h%d: %+v", i, x)
		}
	}
	ovstest.Eventually(t, "the flow that decides has counted it", func() error {
		if y := again(); y.Packets <= x.Packets {
			return fmt.Errorf("%d packets, and before %d", y.Packets, x.Packets)
		}
		return nil
	})
	if across := x.SNAT != nil && x.Target != nil; x.State == "new" && to != 0 && x.Verdict == "allowed" && !across {
		remembered(t, n, x)
	}
}

// reasonCalled returns a reason by its words.
func reasonCalled(words string) pipeline.Reason {
	for r, w := range pipeline.Reasons {
		if w == words {
			return r
		}
	}
	return pipeline.NoReason
}

// droppedFor counts the packets that were dropped for a reason.
func droppedFor(n *ovstest.Net, r pipeline.Reason) uint64 {
	return n.Packets(func(f ofproto.Flow) bool {
		return f.Table == pipeline.Drop && pipeline.CountedBy(f) == r
	})
}

// remembered fails the test unless the connection has the rules that an explanation names.
func remembered(t *testing.T, n *ovstest.Net, x api.Explanation) {
	t.Helper()
	id := func(i *api.Intent) string {
		if i == nil {
			return ""
		}
		return i.ID
	}
	nat := id(x.Target)
	if nat == "" {
		nat = id(x.SNAT)
	}
	var all []string
	for _, c := range n.Weir.Connections(x.Tenant) {
		if c.Egress == id(x.Egress) && c.Ingress == id(x.Ingress) && c.NAT == nat && c.Reply.From() == x.Dst {
			return
		}
		all = append(all, fmt.Sprintf("%v -> %v by %s, %s, %s", c.Orig.From(), c.Reply.From(), c.Egress, c.Ingress, c.NAT))
	}
	slices.Sort(all)
	t.Errorf("no connection was remembered as %s, %s, %s to %s:\n%s", id(x.Egress), id(x.Ingress), nat, x.Dst, strings.Join(all, "\n"))
}
