package test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// stormModel is what the storm goes through: two networks in both versions of IP, a rule with
// a helper, and beside it a tenant that is only audited, and has a limit of connections.
const stormModel = routedModel + `
---
apiVersion: weir/v1
kind: Policy
metadata: {name: ftp, tenant: t}
spec: {rules: [{name: ftp, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}]}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: watched}
spec: {mode: audit, limits: {connections: 1000000}}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: watched}
spec: {subnets: [{cidr: 10.1.0.0/24}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: left, tenant: watched}
spec: {network: lan, bind: {ifaceID: left}, mac: "02:00:00:00:00:04", ips: [10.1.0.11]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: right, tenant: watched}
spec: {network: lan, bind: {ifaceID: right}, mac: "02:00:00:00:00:05", ips: [10.1.0.12]}
`

// unrest is what is added to stormModel in turn: rules and members come and go.
var unrest = []string{
	"",
	policy("t", "more", "{name: ssh, direction: ingress, action: allow, protocol: tcp, ports: [22]}",
		"{name: no-telnet, direction: ingress, action: deny, protocol: tcp, ports: [23]}"),
	object("Group", "name: clients, tenant: t", "endpoints: [web]") + policy("t", "grouped", "{name: web, direction: ingress, action: allow, from: {groups: [clients]}, protocol: tcp, ports: [80, 22]}"),
	object("Group", "name: clients, tenant: t", "endpoints: [web, app], cidrs: [10.2.0.0/24]") +
		policy("t", "grouped", "{name: web, direction: ingress, action: allow, from: {groups: [clients]}, protocol: tcp, ports: [80, 22]}"),
	policy("watched", "strict", "{name: nothing, direction: egress, action: deny}"),
}

func stormPaths(t *testing.T, n *ovstest.Net, repeated *atomic.Int64) []stormPath {
	web := n.Host("web", mac(1), []string{"10.1.0.11/24", "fd00:1::11/64"}, "10.1.0.1", "fd00:1::1")
	app := n.Host("app", mac(2), []string{"10.1.0.12/24", "fd00:1::12/64"}, "10.1.0.1", "fd00:1::1")
	db := n.Host("db", mac(3), []string{"10.2.0.13/24", "fd00:2::13/64"}, "10.2.0.1", "fd00:2::1")
	left := n.Host("left", mac(4), []string{"10.1.0.11/24"})
	right := n.Host("right", mac(5), []string{"10.1.0.12/24"})
	serveFTP(t, db, "10.2.0.13")
	return []stormPath{
		{name: "same network", from: web, address: "10.1.0.12:80", to: app},
		{name: "routed", from: web, address: "10.2.0.13:80", to: db},
		{name: "same network, IPv6", from: web, address: "[fd00:1::12]:80", to: app},
		{name: "routed, IPv6", from: web, address: "[fd00:2::13]:80", to: db},
		{name: "FTP", from: web, once: func(int) error { return downloadInAStorm(t, web, "10.2.0.13", repeated) }},
		{name: "audited", from: left, address: "10.1.0.12:80", to: right},
	}
}

// TestStorm is the storm through the firewall, while policies and groups are replaced, zones
// are listed, packets are traced and connections are flushed. ovs-vswitchd is asked about few of
// the connections, and about what each policy changes.
func TestStorm(t *testing.T) {
	n := ovstest.New(t)
	var repeated atomic.Int64
	paths := stormPaths(t, n, &repeated)
	n.Run(stormModel)
	s := newStorm(t, paths...)
	zone, watched := n.Weir.Zone("t"), n.Weir.Zone("watched")
	calm, changes := s.blow(t, n, stormTime(t)/3, func(edit int) { unsettle(t, n, zone, watched, edit) })
	t.Logf("%d downloads were repeated", repeated.Load())
	if calm.often() || changes.often() {
		t.Error("ovs-vswitchd is asked too often")
	}
}

// downloadInAStorm downloads a file. A data connection that was announced, or open, when policy
// was narrowed does not last: the download is repeated then, as its user would.
func downloadInAStorm(t *testing.T, h *sandbox.Host, server string, repeated *atomic.Int64) (err error) {
	for range 3 {
		var got string
		got, err = download(t, h, "PASV", server)
		switch {
		case err == nil && got == theFile:
			return nil
		case err == nil:
			return fmt.Errorf("got %q", got)
		}
		repeated.Add(1)
	}
	return err
}

// unsettle replaces the policy, looks at everything, and flushes a connection.
func unsettle(t *testing.T, n *ovstest.Net, zone, watched uint16, edit int) {
	n.Weir.Apply(stormModel + unrest[(edit+1)%len(unrest)])
	n.Weir.Connections("t")
	n.Weir.Connections("watched")
	if _, err := n.Weir.Tool("explain", "tcp", "t/web", "app:80"); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{
		{"ofproto/trace", n.Bridge, "in_port=1,tcp,dl_src=" + mac(1) + ",dl_dst=" + mac(2) + ",nw_src=10.1.0.11,nw_dst=10.1.0.12,tp_dst=80"},
		{"dpctl/ct-set-limits", fmt.Sprintf("zone=%d,limit=%d", watched, 500000+edit)}, // which is not what the model says
		{"dpctl/flush-conntrack", fmt.Sprintf("zone=%d", zone), fmt.Sprintf("ct_nw_src=10.1.0.11,ct_nw_proto=6,ct_tp_src=%d,ct_tp_dst=80", 20000+100*(edit%16)+edit%100)},
	} {
		if _, err := n.Appctl(args...); err != nil && !strings.Contains(err.Error(), "No such file") {
			t.Error(err)
		}
	}
}
