package test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// routedModel has web and app in one network and db in another, in both IP versions.
const routedModel = bridge + `
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: t}
---
apiVersion: weir/v1
kind: Network
metadata: {name: front, tenant: t}
spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}]}
---
apiVersion: weir/v1
kind: Network
metadata: {name: back, tenant: t}
spec: {subnets: [{cidr: 10.2.0.0/24, gateway: 10.2.0.1}, {cidr: "fd00:2::/64", gateway: "fd00:2::1"}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web, tenant: t, labels: {tier: web}}
spec: {network: front, bind: {ifaceID: web}, mac: "02:00:00:00:00:01", ips: [10.1.0.11, "fd00:1::11"]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: app, tenant: t, labels: {tier: app}}
spec: {network: front, bind: {ifaceID: app}, mac: "02:00:00:00:00:02", ips: [10.1.0.12, "fd00:1::12"]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: db, tenant: t, labels: {tier: db}}
spec: {network: back, bind: {ifaceID: db}, mac: "02:00:00:00:00:03", ips: [10.2.0.13, "fd00:2::13"]}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: p, tenant: t}
spec:
  rules:
  - {name: tcp, direction: ingress, action: allow, protocol: tcp, ports: [80]}
  - {name: ping, direction: ingress, action: allow, protocol: icmp}
  - {name: ping6, direction: ingress, action: allow, protocol: icmpv6}
`

func routed(t *testing.T) (n *ovstest.Net, web, app, db *sandbox.Host) {
	n = ovstest.New(t)
	web = n.Host("web", mac(1), []string{"10.1.0.11/24", "fd00:1::11/64"}, "10.1.0.1", "fd00:1::1")
	app = n.Host("app", mac(2), []string{"10.1.0.12/24", "fd00:1::12/64"}, "10.1.0.1", "fd00:1::1")
	db = n.Host("db", mac(3), []string{"10.2.0.13/24", "fd00:2::13/64"}, "10.2.0.1", "fd00:2::1")
	n.Run(routedModel)
	return n, web, app, db
}

// TestRoutedInBothVersions has hosts ask for their gateways, by ARP and by neighbour
// discovery, and talk through them.
func TestRoutedInBothVersions(t *testing.T) {
	_, web, app, db := routed(t)
	serve(t, db, "10.2.0.13:80", "db")
	serve(t, db, "[fd00:2::13]:80", "db")
	serve(t, app, "[fd00:1::12]:80", "app")
	gets(t, web, "10.2.0.13:80", "db")
	gets(t, web, "[fd00:2::13]:80", "db")
	gets(t, web, "[fd00:1::12]:80", "app")
	pings(t, app, "10.2.0.13", 2, 2)
	pings(t, db, "fd00:1::11", 2, 2)
	timesOut(t, web, "10.2.0.13:81")
}

// TestRecirculations counts how often a packet comes back to the flow tables.
func TestRecirculations(t *testing.T) {
	n, web, app, db := routed(t)
	for name, c := range map[string]struct {
		to      *sandbox.Host
		address string
	}{"same network": {app, "10.1.0.12:80"}, "routed": {db, "10.2.0.13:80"}} {
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		echo(t, c.to, c.address)
		talk(t, web, c.address)
		got := n.Recirculations("eth(src=02:00:00:00:00:01", "eth_type(0x0800)")
		t.Logf("%-14s recirculations new / established: %d / %d (OVN 23.03.1, measured apart from this: 2 / 2)", name, got.New, got.Established)
		if got != (ovstest.Recirculations{New: 1, Established: 1}) {
			t.Errorf("%s: %+v, want 1 / 1", name, got)
		}
	}
}

// TestAnEstablishedPathIsOneMegaflowForEachDirection talks over many connections between two
// hosts, on many ports. What comes back from the tracker as established is one flow of the
// datapath for each direction, whatever the ports.
func TestAnEstablishedPathIsOneMegaflowForEachDirection(t *testing.T) {
	const ports = 12
	n, h1, h2 := pair(t)
	n.Run(pairModel("", fmt.Sprintf("{name: many, direction: ingress, action: allow, protocol: tcp, ports: [\"80-%d\"]}", 80+ports-1)))
	for port := range ports {
		echo(t, h2, fmt.Sprint("10.1.1.2:", 80+port))
	}
	if _, err := n.Appctl("revalidator/purge"); err != nil {
		t.Fatal(err)
	}
	for port := range ports {
		talk(t, h1, fmt.Sprint("10.1.1.2:", 80+port))
	}
	flows, err := n.Appctl("dpctl/dump-flows")
	if err != nil {
		t.Fatal(err)
	}
	var established []string
	for line := range strings.Lines(flows) {
		if strings.Contains(line, "+est") && strings.Contains(line, "eth_type(0x0800)") {
			established = append(established, line)
		}
	}
	if len(established) != 2 {
		t.Errorf("%d flows of the datapath are for what is established, want 2:\n%s", len(established), strings.Join(established, ""))
	}
}

// echo answers in a host with what it hears.
func echo(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	accept(t, h, address, func(c net.Conn) { io.Copy(c, c) })
}

// talk exchanges lines over one connection.
func talk(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	c, err := h.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		if err := say(c, fmt.Sprintf("line %d", i), ovstest.Patience); err != nil {
			t.Fatal(err)
		}
	}
}

type conn interface {
	SetDeadline(time.Time) error
	Read([]byte) (int, error)
	Write([]byte) (int, error)
}

// say sends a line to an echo and wants it back.
func say(c conn, line string, patience time.Duration) error {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(line)); err != nil {
		return err
	}
	return hearsLine(c, line, patience)
}

// hearsLine waits for a line.
func hearsLine(c conn, line string, patience time.Duration) error {
	c.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, len(line))
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if string(buf) != line {
		return fmt.Errorf("heard %q, want %q", buf, line)
	}
	return nil
}
