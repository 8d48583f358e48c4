package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// outsidesModel has two outsides, both with a gateway unless it is said otherwise, a floating IP of
// h1 on each, and an SNAT with an address on each.
func outsidesModel(second string, more ...string) string {
	return object("Bridge", "name: br0", `external: [{network: public, port: out, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1, address: 203.0.113.2}, {cidr: "2001:db8::/64", gateway: "2001:db8::9"}]}, `+
		`{network: isp, port: isp, subnets: [{cidr: 192.0.2.0/24, `+second+`address: 192.0.2.2}, {cidr: "2001:db8:1::/64", gateway: "2001:db8:1::9"}], routes: [{to: 172.16.0.0/12, via: 192.0.2.1}]}]`) +
		tenant("t", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
		endpoint("t", "h1", 1, "10.1.1.11, \"fd00:1::11\"") + endpoint("t", "h2", 2, "10.1.1.12") +
		snat("all", "addresses: [203.0.113.10, 192.0.2.10]") + floatingIP("public", "203.0.113.20", "h1") + floatingIP("isp", "192.0.2.20", "h1") +
		floatingIP("public6", "\"2001:db8::20\"", "h1") + floatingIP("isp6", "\"2001:db8:1::20\"", "h1") +
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80, 81]}", "{name: ping, direction: ingress, action: allow, protocol: icmp}") + strings.Join(more, "")
}

const gateway = "gateway: 192.0.2.1, "

// behindTwo is a net with h1 and h2 inside, and two hosts outside, each of which is also
// 198.51.100.5, for that is reached by both.
func behindTwo(t *testing.T, model string) (n *ovstest.Net, h1, h2, out, isp *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 = n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	out = n.Host("out", mac(8), []string{"203.0.113.1/24", "2001:db8::9/64", "198.51.100.5/32", "2001:db8:99::5/128"})
	isp = n.Host("isp", mac(9), []string{"192.0.2.1/24", "2001:db8:1::9/64", "198.51.100.5/32", "2001:db8:99::5/128", "172.16.0.1/32"})
	n.Run(model)
	return n, h1, h2, out, isp
}

// fetchFrom is fetch from an address of a host.
func fetchFrom(h *sandbox.Host, from, address string, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := h.DialFrom(ctx, &net.TCPAddr{IP: net.ParseIP(from)}, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	page, err := io.ReadAll(c)
	return string(page), err
}

// TestAnswersLeaveByTheOutsideTheyWereAskedBy has somebody who is reached by both outsides come in
// by each; and connections leave by the one that the routes say, as who they are there.
func TestAnswersLeaveByTheOutsideTheyWereAskedBy(t *testing.T) {
	n, h1, h2, out, isp := behindTwo(t, outsidesModel(gateway))
	atOut, atISP := wire(t, out), wire(t, isp)
	serve(t, h1, "10.1.1.11:80", "h1")
	serve(t, h1, "[fd00:1::11]:80", "h1")
	for address, host := range map[string]*sandbox.Host{"203.0.113.20:80": out, "192.0.2.20:80": isp, "[2001:db8::20]:80": out, "[2001:db8:1::20]:80": isp} {
		client := map[bool]string{false: "198.51.100.5", true: "2001:db8:99::5"}[strings.HasPrefix(address, "[")]
		for range 2 {
			if got, err := fetchFrom(host, client, address, ovstest.Patience); err != nil || got != "h1" {
				t.Errorf("%s of %s fetches %s: %q, %v", client, host.Name, address, got, err)
			}
		}
	}
	serve(t, out, "198.51.100.5:80", "public")
	for _, address := range []string{"198.51.100.5:80", "172.16.0.1:80", "192.0.2.1:80"} {
		serve(t, isp, address, "isp")
	}
	for _, h := range []*sandbox.Host{h1, h2} {
		gets(t, h, "198.51.100.5:80", "public")
		gets(t, h, "172.16.0.1:80", "isp")
		gets(t, h, "192.0.2.1:80", "isp")
	}
	for _, want := range []string{
		"198.51.100.5>192.0.2.20 10.1.1.11>198.51.100.5", "198.51.100.5>203.0.113.20 10.1.1.11>198.51.100.5", "10.1.1.11>198.51.100.5 198.51.100.5>203.0.113.20",
		"10.1.1.11>172.16.0.1 172.16.0.1>192.0.2.20", "10.1.1.12>198.51.100.5 198.51.100.5>203.0.113.10", "10.1.1.12>172.16.0.1 172.16.0.1>192.0.2.10",
	} {
		if all := strings.Join(tuples(n), "\n"); !strings.Contains(all, want) {
			t.Errorf("no connection %q in\n%s", want, all)
		}
	}
	for _, prefix := range []string{"10.1.1.0/24", "192.0.2.0/24"} {
		if sees(atOut, from(prefix)) {
			t.Errorf("something of %s has left by public", prefix)
		}
	}
	if sees(atISP, from("203.0.113.0/24")) {
		t.Error("something of public has left by isp")
	}
}

// from is the condition that a frame is of IPv4, from somebody in a prefix.
func from(prefix string) func([]byte) bool {
	in := netip.MustParsePrefix(prefix)
	return func(f []byte) bool {
		return len(f) >= 34 && f[12] == 8 && f[13] == 0 && in.Contains(netip.AddrFrom4([4]byte(f[26:30])))
	}
}

// TestWithoutAWayBackNothingLeavesByAnotherOutside comes in by an outside that does not lead back
// to where that is from.
func TestWithoutAWayBackNothingLeavesByAnotherOutside(t *testing.T) {
	_, h1, _, out, isp := behindTwo(t, outsidesModel(""))
	atOut := wire(t, out)
	serve(t, h1, "10.1.1.11:80", "h1")
	if got, err := fetchFrom(isp, "172.16.0.1", "192.0.2.20:80", ovstest.Patience); err != nil || got != "h1" {
		t.Errorf("from where there is a route: %q, %v", got, err)
	}
	if got, err := fetchFrom(isp, "198.51.100.5", "192.0.2.20:80", time.Second); err == nil {
		t.Errorf("from where there is none: %q", got)
	}
	if sees(atOut, from("192.0.2.0/24")) {
		t.Error("an answer has left by public")
	}
}

// TestRecirculationsByTheOtherOutside counts how often packets of a connection come back that is
// answered by another outside than the routes say.
func TestRecirculationsByTheOtherOutside(t *testing.T) {
	n, h1, _, _, isp := behindTwo(t, outsidesModel(gateway))
	echo(t, h1, "10.1.1.11:80")
	reaches(t, isp, "192.0.2.20") // the next hop is known
	if _, err := n.Appctl("revalidator/purge"); err != nil {
		t.Fatal(err)
	}
	c, err := isp.DialFrom(t.Context(), &net.TCPAddr{IP: net.ParseIP("198.51.100.5")}, "tcp", "192.0.2.20:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		if err := say(c, fmt.Sprint("line ", i), ovstest.Patience); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Recirculations("dst=192.0.2.20", "eth_type(0x0800)"); got != (ovstest.Recirculations{New: 1, Established: 1}) {
		t.Errorf("%+v, want 1 / 1", got)
	}
}
