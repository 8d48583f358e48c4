package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/internal/frame"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// dual is a net with h1 and h2 of tenant t, in both IP versions.
func dual(t *testing.T) (n *ovstest.Net, h1, h2 *sandbox.Host) {
	n = ovstest.New(t)
	return n, n.Host("h1", mac(1), []string{"10.1.1.1/24", "fd00::1/64"}), n.Host("h2", mac(2), []string{"10.1.1.2/24", "fd00::2/64"})
}

// dualModel is the model of dual, in which everything is let in but for what rules say.
func dualModel(spec string, policies ...string) string {
	return bridge + tenant("t", spec, `{cidr: 10.1.1.0/24}, {cidr: "fd00::/64"}`) + endpoint("t", "h1", 1, `10.1.1.1, "fd00::1"`) +
		endpoint("t", "h2", 2, `10.1.1.2, "fd00::2"`) + strings.Join(policies, "")
}

// allowing lets everything in that no rule says otherwise.
const allowing = "defaults: {ingress: allow}"

func TestOF09RejectAnswersTheSender(t *testing.T) {
	rules := []string{"action: reject, protocol: tcp, ports: [80]", "action: reject, protocol: udp, ports: [90]", "action: reject, protocol: icmp", "action: reject, protocol: icmpv6"}
	for end, model := range map[string]string{
		"at the receiver": forH2(named("ingress, ", rules)...),
		"at the sender":   object("Policy", "name: h1, tenant: t", "appliesTo: {endpoints: [h1]}, rules: ["+strings.Join(named("egress, ", rules), ", ")+"]"),
	} {
		t.Run(end, func(t *testing.T) {
			n, h1, h2 := dual(t)
			w := n.Run(dualModel(allowing, model))
			serve(t, h2, "10.1.1.2:80", "never")
			serve(t, h2, "[fd00::2]:80", "never")
			back, heard := wire(t, h1), wire(t, h2)
			for address, own := range map[string]string{"10.1.1.2": "10.1.1.1", "fd00::2": "fd00::1"} {
				refusedTCP(t, h1, net.JoinHostPort(address, "80"))
				refusedUDP(t, h1, net.JoinHostPort(address, "90"))
				prohibitedPing(t, h1, address)
				if resets := resetsFrom(back, address, own); resets != 1 {
					t.Errorf("%d resets from %s", resets, address)
				}
			}
			if sees(heard, isUnicastIP) {
				t.Error("h2 has seen what was rejected")
			}
			if all := n.Entries(w.Zone("t")); len(all) > 0 {
				t.Errorf("entries: %+v", all)
			}
			rejected := n.Packets(func(f ofproto.Flow) bool {
				return f.Table == pipeline.Drop && f.Match.String() == fmt.Sprintf("reg11=%#x", uint32(pipeline.RejectedByRule))
			})
			if rejected < 6 {
				t.Errorf("%d packets are counted as rejected", rejected)
			}
		})
	}
}

// named are rules with names, in a direction.
func named(direction string, rules []string) (all []string) {
	for i, r := range rules {
		all = append(all, fmt.Sprintf("{name: r%d, direction: %s%s}", i, direction, r))
	}
	return all
}

// refusedTCP fails the test unless a connection is refused at once: when it asks first, and not when it asks again, a second later. A
// machine that is busy may take as long, but not each time.
func refusedTCP(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	ovstest.Eventually(t, fmt.Sprintf("%s is refused by %s", h.Name, address), func() error {
		began := time.Now()
		_, err := fetch(h, address, ovstest.Patience)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("%s connects to %s: %v; want it refused", h.Name, address, err)
		}
		if took := time.Since(began); took > time.Second {
			return fmt.Errorf("after %v, and not at once", took.Round(time.Millisecond))
		}
		return nil
	})
}

// prohibitedPing fails the test unless ping hears that it is prohibited.
func prohibitedPing(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	out, _ := h.Exec(t.Context(), "ping", "-n", "-c", "1", "-W", "10", address) // it fails, and says why
	if !strings.Contains(out, "Packet filtered") && !strings.Contains(out, "Administratively prohibited") {
		t.Errorf("%s pings %s: %s", h.Name, address, out)
	}
}

// resetsFrom counts the resets of an address's port 80 that have come to own, and waits for the first: who was refused may know it
// before who listens to the wire.
func resetsFrom(w *sandbox.Wire, from, own string) (n int) {
	over := time.After(ovstest.Patience)
	count := func(f []byte) {
		p, ok := frame.Parse(f)
		if ok && p.Protocol == 6 && p.SrcPort == 80 && p.Src == ovstest.Addr(from) && p.Dst == ovstest.Addr(own) {
			n++
		}
	}
	for n == 0 {
		select {
		case f := <-w.Frames():
			count(f)
		case <-over:
			return 0
		}
	}
	for {
		select {
		case f := <-w.Frames():
			count(f)
		default:
			return n
		}
	}
}

// isUnicastIP recognises IP packets for one host, but for neighbour discovery.
func isUnicastIP(f []byte) bool {
	p, ok := frame.Parse(f)
	return ok && p.EthDst[0]&1 == 0 && !(p.Protocol == 58 && p.Type >= 133 && p.Type <= 137)
}

// TestRejectsComeNoFasterThanTheirMeter sends 100 datagrams a second to where they are
// rejected, and to another tenant's host at the same time one now and then.
func TestRejectsComeNoFasterThanTheirMeter(t *testing.T) {
	n := ovstest.New(t)
	hosts := []*sandbox.Host{}
	model := bridge
	for i, name := range []string{"a", "b"} {
		for j := range 2 {
			number := 2*i + j + 1
			h := n.Host(fmt.Sprintf("h%d", number), mac(number), []string{fmt.Sprintf("10.1.1.%d/24", j+1)})
			hosts = append(hosts, h)
		}
		model += tenant(name, "", "{cidr: 10.1.1.0/24}") + endpoint(name, hosts[2*i].Name, 2*i+1, "10.1.1.1") +
			endpoint(name, hosts[2*i+1].Name, 2*i+2, "10.1.1.2") + policy(name, "p", "{name: rest, direction: ingress, action: reject}")
	}
	n.Run(model)
	const seconds, rate = 3, 100
	c, err := hosts[0].ListenPacket("udp", "10.1.1.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	to := &net.UDPAddr{IP: net.IP{10, 1, 1, 2}, Port: 90}
	pace := time.NewTicker(time.Second / rate)
	defer pace.Stop()
	began := time.Now()
	for i := range seconds * rate {
		<-pace.C
		if _, err := c.WriteTo([]byte("hello"), to); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		if i%rate == rate/2 {
			refusedUDP(t, hosts[2], "10.1.1.2:90") // the other tenant has its own share
		}
	}
	took := max(seconds, int(time.Since(began)/time.Second)) // a busy machine is slow at times
	stats, err := n.Session().MeterStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var came, passed uint64
	for _, m := range stats {
		if m.Packets > came {
			came, passed = m.Packets, m.Packets-m.Bands[0].Packets
		}
	}
	t.Logf("%d rejected, %d came to be answered", came, passed)
	if came < seconds*rate*9/10 || passed > uint64(50*(took+2)+10) || passed < 50*seconds {
		t.Errorf("of %d datagrams in %d s, %d came to be answered; the rate is 50 a second", came, took, passed)
	}
}

// TestAConnectionThatIsRejectedNowIsReset replaces the rule that has let a connection in by
// one that rejects it.
func TestAConnectionThatIsRejectedNowIsReset(t *testing.T) {
	n, h1, h2 := dual(t)
	w := n.Run(dualModel("allowDisruption: true", forH2("{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [81]}")))
	accept(t, h2, "10.1.1.2:81", func(c net.Conn) { io.Copy(c, c) })
	c := opened(t, h1, "10.1.1.2:81")
	w.Apply(dualModel("allowDisruption: true", forH2("{name: echo, direction: ingress, action: reject, protocol: tcp, ports: [81]}")))
	isReset(t, c)
	refusedTCP(t, h1, "10.1.1.2:81")
}

// TestWhatIsRejectedInAnAuditIsNotAnswered has the policy judge and not act.
func TestWhatIsRejectedInAnAuditIsNotAnswered(t *testing.T) {
	n, h1, h2 := dual(t)
	n.Run(dualModel("mode: audit", forH2("{name: no, direction: ingress, action: reject}")))
	serve(t, h2, "10.1.1.2:80", "two")
	gets(t, h1, "10.1.1.2:80", "two")
}

// TestATracerouteShowsTheGateway sends what expires at the router.
func TestATracerouteShowsTheGateway(t *testing.T) {
	_, web, _, db := routed(t)
	for address, gateway := range map[string]string{"10.2.0.13": "10.1.0.1", "fd00:2::13": "fd00:1::1"} {
		out, _ := web.Exec(t.Context(), "ping", "-n", "-c", "1", "-t", "1", "-W", "10", address) // it fails, and says why
		if !strings.Contains(out, "From "+gateway) || !strings.Contains(strings.ToLower(out), "time to live exceeded") && !strings.Contains(strings.ToLower(out), "time exceeded") {
			t.Errorf("web pings %s with a TTL of 1: %s", address, out)
		}
		if out, err := web.Exec(t.Context(), "ping", "-n", "-c", "1", "-t", "2", "-W", "10", address); err != nil {
			t.Errorf("web pings %s with a TTL of 2: %s", address, out)
		}
	}
	serve(t, db, "10.2.0.13:80", "db")
	gets(t, web, "10.2.0.13:80", "db")
}

// TestARejectThatIsRoutedIsAnswered rejects what comes through the router.
func TestARejectThatIsRoutedIsAnswered(t *testing.T) {
	n, web, _, _ := routed(t)
	n.Weir.Apply(routedModel + policy("t", "a", "{name: no, direction: ingress, action: reject, protocol: tcp, ports: [443]}"))
	refusedTCP(t, web, "10.2.0.13:443")
	refusedTCP(t, web, "[fd00:2::13]:443")
}
