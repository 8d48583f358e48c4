package test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/conntrack"
	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// shortLived and longLived are how long the entries of O-F13 are waited for, in each way.
const (
	shortLived = 10 * time.Second
	longLived  = 20 * time.Second
)

// TestOF13TimeoutsPerTenant has t's connections forgotten after three seconds, and not u's.
func TestOF13TimeoutsPerTenant(t *testing.T) {
	n := ovstest.New(t)
	var hosts [4]*sandbox.Host
	for i := range hosts {
		hosts[i] = n.Host(fmt.Sprintf("h%d", i+1), mac(i+1), []string{fmt.Sprintf("10.1.1.%d/24", i%2+1)})
	}
	model := func(spec string) string {
		return fourHosts(map[string]string{"t": spec, "u": ""})
	}
	const short = "timeouts: {udpFirst: 3s, udpSingle: 3s, icmpFirst: 3s, icmpReply: 3s}"
	n.Run(model(short))
	ovstest.Eventually(t, "Open vSwitch has the timeouts", func() error {
		text, err := n.Vsctl("list-zone-tp", n.Datapath())
		if err == nil && !strings.Contains(text, "udp_single=3") {
			err = fmt.Errorf("%q", text)
		}
		return err
	})
	says(t, hosts[0], "10.1.1.2:7")
	says(t, hosts[2], "10.1.1.2:7")
	pings(t, hosts[0], "10.1.1.2", 1, 1)
	began := time.Now()
	if all := n.Entries(n.Weir.Zone("t")); len(all) != 2 {
		t.Errorf("right after, t has %+v, want a datagram's entry and a ping's", all)
	}
	ovstest.Eventually(t, "t's entries are gone", func() error {
		if all := n.Entries(n.Weir.Zone("t")); len(all) > 0 {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	if took := time.Since(began); took > shortLived {
		t.Errorf("t's entries lived for %v", took)
	}
	outlives(t, n, "u")

	n.Weir.Apply(model(""))
	ovstest.Eventually(t, "Open vSwitch has no timeouts", func() error {
		text, err := n.Vsctl("get", "Open_vSwitch", ".", "datapaths")
		if err == nil && strings.TrimSpace(text) != "{}" {
			err = fmt.Errorf("%q", text)
		}
		return err
	})
	says(t, hosts[0], "10.1.1.2:7")
	outlives(t, n, "t")
}

// TestTimeoutsAfterARestartOfOpenVSwitch has ovs-vswitchd killed: what is sent afterwards is forgotten as soon as before.
func TestTimeoutsAfterARestartOfOpenVSwitch(t *testing.T) {
	n := ovstest.New(t)
	var hosts [4]*sandbox.Host
	for i := range hosts {
		hosts[i] = n.Host(fmt.Sprintf("h%d", i+1), mac(i+1), []string{fmt.Sprintf("10.1.1.%d/24", i%2+1)})
	}
	n.Run(fourHosts(map[string]string{"t": "timeouts: {udpFirst: 1s, udpSingle: 1s}", "u": ""}))
	n.RestartVswitchd()
	n.Weir.Programmed(1)
	d := conntrack.NewDatapath(n.RunDir(), n.Datapath())
	ovstest.Eventually(t, "Open vSwitch has taken the timeouts", func() error {
		taken, err := d.TakenTimeouts(t.Context(), n.Bridge, n.Weir.Zone("t"))
		if err == nil && !taken {
			err = errors.New("it has not")
		}
		return err
	})
	ovstest.Eventually(t, "t's entry is there", func() error {
		says(t, hosts[0], "10.1.1.2:7")
		if all := ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "udp"); len(all) == 0 {
			return errors.New("nothing has come through yet")
		}
		return nil
	})
	says(t, hosts[2], "10.1.1.2:7")
	ovstest.Eventually(t, "t's entry is gone", func() error {
		if all := n.Entries(n.Weir.Zone("t")); len(all) > 0 {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	outlives(t, n, "u")
}

// fourHosts is a model of tenants of two hosts each, with what their specs say, that let
// everything pass.
func fourHosts(specs map[string]string) string {
	model := bridge
	for i, name := range []string{"t", "u"} {
		model += tenant(name, specs[name], "{cidr: 10.1.1.0/24}") + policy(name, "p", "{name: any, direction: ingress, action: allow}")
		for k := range 2 {
			number := 2*i + k + 1
			model += endpoint(name, fmt.Sprintf("h%d", number), number, fmt.Sprintf("10.1.1.%d", k+1))
		}
	}
	return model
}

// says sends one datagram.
func says(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
}

// outlives fails unless the one datagram of a tenant is remembered for as long as the
// datapath would by itself.
func outlives(t *testing.T, n *ovstest.Net, tenant string) {
	t.Helper()
	all := ovstest.Protocol(n.Entries(n.Weir.Zone(tenant)), "udp")
	if len(all) != 1 || time.Duration(all[0].Timeout)*time.Second < longLived {
		t.Errorf("%s has %+v; want one entry that lives for %v more", tenant, all, longLived)
	}
}
