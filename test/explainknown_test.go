package test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/api"
	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// tool decodes what a command says with -o json.
func tool[T any](t *testing.T, w *ovstest.Daemon, args ...string) (v T) {
	t.Helper()
	text, err := w.Tool(append(args, "-o", "json")...)
	if err == nil {
		err = json.Unmarshal([]byte(text), &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// getsThere sends a packet, and waits until it comes to a host.
func getsThere(t *testing.T, wires map[int]*sandbox.Wire, p packet, serial uint16) {
	t.Helper()
	if err := wires[p.from].Send(p.frame(t, serial)); err != nil {
		t.Fatal(err)
	}
	ovstest.Eventually(t, p.String()+" arrives", func() error {
		if !sees(wires[p.to], carries(serial)) {
			return fmt.Errorf("it does not come")
		}
		return nil
	})
}

// TestTheNextPacketOfAConnectionIsExplained opens a connection, has what becomes of its next packet explained, by its id and as
// that of any established one, and sends that.
func TestTheNextPacketOfAConnectionIsExplained(t *testing.T) {
	n, wires := explainedNet(t)
	w := n.Run(explainedModel())
	in := func(p packet) packet {
		return p.between(fmt.Sprintf("10.1.1.%d", 10+p.from), fmt.Sprintf("10.1.1.%d", 10+p.to), hardware(p.to))
	}
	getsThere(t, wires, in(tcp(1, 2, 2001, 80, "S")), 1)
	getsThere(t, wires, in(tcp(2, 1, 80, 2001, "SA")), 2)
	c := w.Connections("t")
	if len(c) != 1 {
		t.Fatalf("%+v", c)
	}
	ask := []string{"explain", "connection", c[0].Ref}
	v := tool[api.KnownExplanation](t, w, ask...)
	if v.Error != "" || !v.Same || v.Egress.ID != "t/default/egress" || v.Ingress.ID != "t/policy/web/http" || v.Next.Verdict != "allowed" || v.Next.State != "established" || v.Epoch != c[0].Epoch {
		t.Fatalf("%+v, its next packet %+v", v, v.Next)
	}
	again := func() api.Explanation { return *tool[api.KnownExplanation](t, w, ask...).Next }
	happens(t, n, wires, in(tcp(1, 2, 2001, 80, "A")), 3, *v.Next, again)

	args := strings.Fields("explain tcp h1:2001 h2:80 -t t --established")
	x := explanation(t, w, args)
	if x.State != "established" || x.OFPort != 2 || len(x.Assumptions) == 0 {
		t.Errorf("%+v", x)
	}
	happens(t, n, wires, in(tcp(1, 2, 2001, 80, "A")), 4, x, func() api.Explanation { return explanation(t, w, args) })
	if _, err := w.Tool("explain", "connection", "nothing"); err == nil || !strings.Contains(err.Error(), `no tenant has a connection "nothing" now`) {
		t.Error(err)
	}
}

// TestWhatIsStoppedIsExplained takes back what has admitted a ping over IPv6, of which some versions of the userspace datapath's tracker cannot be told to forget a
// connection: its next packet is judged again, and denied, and those after that are stopped before policy is
// asked. What becomes of each is said before it is sent.
func TestWhatIsStoppedIsExplained(t *testing.T) {
	n, wires := explainedNet(t)
	if n.Kernel() || !n.Has(quirk.FlushICMPv6) {
		t.Skip("this tracker can be told to forget such a connection, and does at once")
	}
	w := n.Run(explainedModel(policy("t", "zz", "{name: ping6, direction: ingress, action: allow, protocol: icmpv6}")))
	ping := icmp6(1, 2, 128, 0, nil).between("fd00:1::11", "fd00:1::12", hardware(2))
	getsThere(t, wires, ping, 1)
	getsThere(t, wires, icmp6(2, 1, 129, 0, nil).between("fd00:1::12", "fd00:1::11", hardware(1)), 2)
	ref := w.Connections("t")[0].Ref
	w.Apply(explainedModel())
	for i, want := range []string{"denied by the tenant's default", "connection stopped by a change of policy"} {
		ask := []string{"explain", "connection", ref}
		v := tool[api.KnownExplanation](t, w, ask...)
		if v.Next == nil || v.Next.Reason != want || v.Same || v.Anew.Verdict != "denied" || (v.Connection.Epoch != v.Epoch) != (i == 0) || v.Ingress.ID != "t/policy/zz/ping6" {
			t.Fatalf("packet %d: %+v, next %+v", i, v, v.Next)
		}
		happens(t, n, wires, ping, uint16(10+i), *v.Next, func() api.Explanation {
			x := *tool[api.KnownExplanation](t, w, ask...).Next
			if x.Reason != want { // it is another flow that decides of the packet after this one
				x.Packets = v.Next.Packets + 1
			}
			return x
		})
		ovstest.Eventually(t, "it is blocked", func() error {
			if c := w.Connections("t"); len(c) != 1 || !c[0].Blocked {
				return fmt.Errorf("%+v", c)
			}
			return nil
		})
	}
}

// TestEachBackendIsExplained asks about a load balancer of which one backend is allowed and one is denied. Each
// packet meets one of the two outcomes that are said, and both are met.
func TestEachBackendIsExplained(t *testing.T) {
	n, wires := explainedNet(t)
	w := n.Run(explainedModel(balancer("many", "address: 10.1.1.101, ports: [{port: 5432, protocol: tcp}], backends: [{endpoint: h1}, {endpoint: h3}]")))
	x := explanation(t, w, strings.Fields("explain tcp h2 many -t t"))
	if x.Verdict != "denied" || x.To != "t/endpoint/h1" || len(x.Backends) != 1 || x.Backends[0].To != "t/endpoint/h3" || x.Backends[0].Verdict != "allowed" || x.Backends[0].By != "t/policy/db/app" ||
		x.Target == nil || x.Target.ID != "t/loadbalancer/many/tcp/5432" {
		t.Fatalf("%+v", x)
	}
	came, before := 0, droppedFor(n, reasonCalled(x.Reason))
	const all = 32
	for i := range uint16(all) {
		p := tcp(2, 3, layers.TCPPort(3000+i), 5432, "S").between("10.1.1.12", "10.1.1.101", router)
		if err := wires[2].Send(p.frame(t, 100+i)); err != nil {
			t.Fatal(err)
		}
	}
	ovstest.Eventually(t, "all packets have come, or are dropped", func() error {
		for sees(wires[3], func(f []byte) bool { return isTCP(f) }) {
			came++
		}
		if dropped := int(droppedFor(n, reasonCalled(x.Reason)) - before); came+dropped != all || came == 0 || dropped == 0 {
			return fmt.Errorf("%d have come, and %d are dropped", came, dropped)
		}
		return nil
	})
	if sees(wires[1], isTCP) {
		t.Error("one has come to h1, which denies it")
	}
}

func isTCP(f []byte) bool { return len(f) > 23 && f[12] == 8 && f[13] == 0 && f[23] == 6 }

// TestFragmentsAreExplained asks about both fragments of a datagram, to a port that is open and to one that is not, and sends them.
func TestFragmentsAreExplained(t *testing.T) {
	n, wires := explainedNet(t)
	w := n.Run(explainedModel())
	for port, verdict := range map[uint16]string{7005: "allowed", 7011: "denied"} {
		first := explanation(t, w, strings.Fields(fmt.Sprintf("explain udp h1:4000 h3:%d -t t --fragment first", port)))
		later := explanation(t, w, strings.Fields(fmt.Sprintf("explain udp h1:4000 h3:%d -t t --fragment later", port)))
		if first.Verdict != verdict || len(later.Assumptions) == 0 {
			t.Errorf("port %d: the first is %+v, the later %+v", port, first, later)
		}
		before := droppedFor(n, reasonCalled(first.Reason))
		for _, f := range fragments(t, port) {
			if err := wires[1].Send(f); err != nil {
				t.Fatal(err)
			}
		}
		ovstest.Eventually(t, "the fragments come, or the first is dropped", func() error {
			if verdict == "allowed" && !sees(wires[3], func(f []byte) bool { return len(f) > 23 && f[23] == 17 && f[20]&0x20 == 0 }) {
				return fmt.Errorf("nothing has come to h3")
			}
			if verdict == "denied" && droppedFor(n, reasonCalled(first.Reason)) == before {
				return fmt.Errorf("nothing is dropped for %q", first.Reason)
			}
			return nil
		})
	}
}

// fragments are a datagram of h1 to h3 in two pieces.
func fragments(t *testing.T, port uint16) [][]byte {
	t.Helper()
	data := make([]byte, 2000)
	ip := layers.IPv4{Version: 4, Id: port, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{10, 1, 1, 11}, DstIP: net.IP{10, 1, 2, 13}}
	udp := layers.UDP{SrcPort: 4000, DstPort: layers.UDPPort(port)}
	udp.SetNetworkLayerForChecksum(&ip)
	whole := serialize(t, &udp, gopacket.Payload(data))
	eth := layers.Ethernet{SrcMAC: hardware(1), DstMAC: router, EthernetType: layers.EthernetTypeIPv4}
	const cut = 1200
	head, tail := ip, ip
	head.Flags, tail.FragOffset = layers.IPv4MoreFragments, cut/8
	return [][]byte{serialize(t, &eth, &head, gopacket.Payload(whole[:cut])), serialize(t, &eth, &tail, gopacket.Payload(whole[cut:]))}
}

// TestRulesCountWhatTheyJudge has rules admit and stop packets, and reads how much each is used: its hits, its
// connections and when it was hit; and of the flows that are installed, those of a rule.
func TestRulesCountWhatTheyJudge(t *testing.T) {
	n, wires := explainedNet(t)
	w := n.Run(explainedModel(policy("t", "reported", "{name: no, direction: ingress, action: deny, protocol: udp, ports: [7], log: new}")))
	used := func(id string) api.Rule {
		all := tool[[]api.Rule](t, w, "get", "rules", "-t", "t")
		i := slices.IndexFunc(all, func(r api.Rule) bool { return r.ID == id })
		if i < 0 {
			t.Fatalf("no rule %s in %+v", id, all)
		}
		return all[i]
	}
	if r := used("t/policy/web/http"); r.Hits != 0 || r.Connections != 0 || !r.LastHit.IsZero() || r.Flows == 0 || !strings.Contains(r.At, "model.yaml:") {
		t.Errorf("before: %+v", r)
	}
	in := func(p packet) packet { return p.between("10.1.1.11", "10.1.1.12", hardware(2)) }
	for i := range uint16(3) {
		getsThere(t, wires, in(tcp(1, 2, layers.TCPPort(2000+i), 80, "S")), 10+i)
	}
	for _, p := range []packet{in(tcp(1, 2, 2010, 23, "S")), in(udp(1, 2, 2011, 7))} {
		if err := wires[1].Send(p.frame(t, 20)); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]int{"t/policy/web/http": 3, "t/policy/guard/no-telnet": 1, "t/default/egress": 5} {
		ovstest.Eventually(t, id+" has hits", func() error {
			if r := used(id); int(r.Hits) != want || r.LastHit.IsZero() || id == "t/policy/web/http" && r.Connections != 3 {
				return fmt.Errorf("%+v", r)
			}
			return nil
		})
	}
	unused := tool[[]api.Rule](t, w, "get", "rules", "-t", "t", "--unused")
	if slices.ContainsFunc(unused, func(r api.Rule) bool { return r.Hits > 0 || r.ID == "t/policy/web/http" }) || len(unused) == 0 {
		t.Errorf("unused: %+v", unused)
	}
	flows := tool[[]api.Flow](t, w, "flows", n.Bridge, "--intent", "policy/web/http", "--table", "pol_in")
	packets := uint64(0)
	for _, f := range flows {
		packets += f.Packets
	}
	if len(flows) < 2 || flows[0].Intent != "t/policy/web/http" || packets != 3 {
		t.Errorf("flows: %+v", flows)
	}
	for _, id := range []string{"t/policy/web/http", "policy/web", "default/egress"} {
		if out, err := w.Tool("flows", n.Bridge, "--intent", id, "--unused", "--table", "NEIGH"); err != nil {
			t.Errorf("flows of %s, of which there may be none: %v %s", id, err, out)
		}
	}
	if out, err := w.Tool("flows", n.Bridge, "--intent", "policy/web/htp"); err == nil || !strings.Contains(fmt.Sprint(out, err), `there is no intent "policy/web/htp"`) {
		t.Errorf("flows of an intent that is not there: %v %s", err, out)
	}
	ovstest.Eventually(t, "what is reported is explained", func() error {
		o := tool[[]api.Observation](t, w, "observe", "--explain")
		if len(o) != 1 || o[0].Nearest != "t/policy/web/dns-in needs port 53; it is port 7; and t/policy/reported/no comes before it" && o[0].Nearest != "t/policy/web/dns-in needs port 53; it is port 7" || !strings.Contains(o[0].RuleAt, "model.yaml:") {
			return fmt.Errorf("%+v", o)
		}
		return nil
	})
}
