package test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/api"
	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// onTwoHosts is a net whose daemon serves a further host, b, with h1 there: br0 of a and br1 of b are on one link
// outside, with out on it.
func onTwoHosts(t *testing.T, model string) (n *ovstest.Net, b *sandbox.Sandbox, h0, h1, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	b = n.Another()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(n.AddBridge("link"))
	must(b.AddBridge("br1"))
	_, err := n.Ofctl("add-flow", "link", "actions=normal")
	must(err)
	_, err = n.Vsctl("add-port", "br0", "up0", "--", "set", "interface", "up0", "type=patch", "options:peer=down0",
		"--", "add-port", "link", "down0", "--", "set", "interface", "down0", "type=patch", "options:peer=up0")
	must(err)
	must(n.Join("link", b, "br1", "up1"))
	h0 = n.Host("h0", mac(1), []string{"10.1.0.11/24"}, "10.1.0.1")
	h1, err = b.AddHost(sandbox.HostConfig{Name: "h1", Bridge: "br1", Port: "h1", IfaceID: "h1", MAC: mac(2), IPs: []string{"10.1.1.11/24"}, Gateways: []string{"10.1.1.1"}})
	must(err)
	out, err = n.AddHost(sandbox.HostConfig{Name: "out", Bridge: "link", Port: "out", IfaceID: "out", MAC: mac(9), IPs: []string{"203.0.113.9/24"}})
	must(err)
	n.Run(model)
	return n, b, h0, h1, out
}

// hostsModel has t with h0 on br0, and u with h1 on br1; t leaves by an SNAT, and h1 has a floating IP.
func hostsModel(more ...string) string {
	var m strings.Builder
	for i, tenant := range []string{"t", "u"} {
		m.WriteString(object("Bridge", fmt.Sprintf("name: br%d", i), fmt.Sprintf(`external: {network: public, port: up%d, mac: "02:00:00:00:ff:0%d", `+
			`subnets: [{cidr: 203.0.113.0/24, address: 203.0.113.%d}]}`, i, i, i+2)))
		m.WriteString(object("Tenant", "name: "+tenant, "allowDisruption: true"))
		m.WriteString(object("Network", "name: lan, tenant: "+tenant, fmt.Sprintf("bridges: [br%d], subnets: [{cidr: 10.1.%d.0/24, gateway: 10.1.%d.1}]", i, i, i)))
		m.WriteString(endpoint(tenant, fmt.Sprint("h", i), i+1, fmt.Sprintf("10.1.%d.11", i)))
	}
	return m.String() + snat("all", "addresses: [203.0.113.10]") + object("FloatingIP", "name: h1-ip, tenant: u", "address: 203.0.113.21, endpoint: h1") + strings.Join(more, "")
}

// web admits h0, as what it is outside, to some ports of h1.
func web(ports ...int) string {
	var rules []string
	for _, port := range ports {
		rules = append(rules, fmt.Sprintf("{name: p%d, direction: ingress, action: allow, from: {cidrs: [203.0.113.10/32]}, protocol: tcp, ports: [%d]}", port, port))
	}
	return policy("u", "web", rules...)
}

// TestTwoHostsUnderOneDaemon has h0 of one host talk with h1 of another, past two connection trackers that one daemon
// reads. What policy takes back ends on its host; and one host that is gone takes nothing from the other.
func TestTwoHostsUnderOneDaemon(t *testing.T) {
	model := hostsModel()
	n, b, h0, h1, out := onTwoHosts(t, model+web(7, 8))
	echo(t, h1, "10.1.1.11:7")
	echo(t, h1, "10.1.1.11:8")
	echo(t, out, "203.0.113.9:7")
	kept, lost, abroad := opened(t, h0, "203.0.113.21:7"), opened(t, h0, "203.0.113.21:8"), opened(t, h0, "203.0.113.9:7")

	// Each tracker has its half: a's the source, b's the target.
	nat := func() (all []string) {
		for _, c := range append(n.Weir.Connections("t"), n.Weir.Connections("u")...) {
			if c.Protocol == "tcp" && c.State == "ESTABLISHED" && !c.Blocked {
				all = append(all, fmt.Sprintf("%s %s by %s", c.Host, c.Orig.To(), c.NAT))
			}
		}
		slices.Sort(all)
		return all
	}
	want := []string{"a 203.0.113.21:7 by t/snat/all", "a 203.0.113.21:8 by t/snat/all", "a 203.0.113.9:7 by t/snat/all",
		"b 203.0.113.21:7 by u/floatingip/h1-ip", "b 203.0.113.21:8 by u/floatingip/h1-ip"}
	if got := nat(); !slices.Equal(got, want) {
		t.Errorf("connections\n%q, want\n%q", got, want)
	}

	// A rule is taken away: what it had let in is stopped on b, and on b alone.
	n.Weir.Apply(model + web(7))
	if err := say(lost, "hello?", time.Second); err == nil {
		t.Error("a connection lives that no rule admits")
	}
	ovstest.Eventually(t, "the tracker of b has it no more, or as one that is stopped", func() error {
		if got := nat(); !slices.Equal(got, want[:4]) {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	answered(t, kept)
	answered(t, abroad)

	// b goes, and comes back.
	if err := b.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	answered(t, abroad)
	ovstest.Eventually(t, "b is missed", func() error { return isMissed(n, true) })
	n.Weir.Write(model + web(7, 9))
	ovstest.Eventually(t, "a has the new model", func() error {
		s, err := n.Weir.Status()
		if i := slices.IndexFunc(s.Bridges, func(b api.Bridge) bool { return b.Name == "br0" }); err == nil && (s.Model.Revision < 3 || s.Bridges[i].Revision < 3) {
			err = fmt.Errorf("revision %d: %+v", s.Model.Revision, s.Bridges)
		}
		return err
	})
	answered(t, abroad)
	if err := b.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Weir.Programmed(3)
	ovstest.Eventually(t, "b is back", func() error { return isMissed(n, false) })
	echo(t, h1, "10.1.1.11:9")
	ovstest.Eventually(t, "h1 is reached at a new port", func() error { return exchange(h0, "203.0.113.21:9") })
	answered(t, abroad)
}

// isMissed is an error unless host b is said to be away, or to be there.
func isMissed(n *ovstest.Net, away bool) error {
	s, err := n.Weir.Status()
	if err != nil {
		return err
	}
	if len(s.Hosts) != 2 || s.Hosts[0].Unanswered != "" || (s.Hosts[1].Unanswered != "") != away {
		return fmt.Errorf("%+v", s.Hosts)
	}
	return nil
}

// TestStormBetweenHosts has a storm go through both hosts while policy of both changes.
func TestStormBetweenHosts(t *testing.T) {
	const line = "{name: lines, direction: ingress, action: allow, protocol: tcp, ports: [80]}"
	model := hostsModel(floatingIP("h0-ip", "203.0.113.20", "h0"))
	admit := policy("t", "lines", line) + policy("u", "lines", line)
	n, _, h0, h1, out := onTwoHosts(t, model+admit)
	s := newStorm(t, stormPath{name: "from a to b", from: h0, address: "203.0.113.21:80", to: h1, at: "10.1.1.11:80"},
		stormPath{name: "from b to a", from: h1, address: "203.0.113.20:80", to: h0, at: "10.1.0.11:80"},
		stormPath{name: "from outside to b", from: out, address: "203.0.113.21:80", to: h1, at: "10.1.1.11:80"},
		stormPath{name: "from a to outside", from: h0, address: "203.0.113.9:80", to: out})
	s.blow(t, n, stormTime(t)/2, func(edit int) {
		n.Weir.Apply(model + admit + []string{web(8), ""}[edit%2])
		n.Weir.Connections("t")
	})
}
