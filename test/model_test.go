package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// object returns one YAML document.
func object(kind, metadata, spec string) string {
	return fmt.Sprintf("---\napiVersion: weir/v1\nkind: %s\nmetadata: {%s}\nspec: {%s}\n", kind, metadata, spec)
}

const bridge = "---\napiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n"

// tenant returns a tenant and its one network.
func tenant(name, spec, subnets string) string {
	return object("Tenant", "name: "+name, spec) + object("Network", "name: lan, tenant: "+name, "subnets: ["+subnets+"]")
}

// endpoint returns an endpoint in the tenant's network, bound to a host.
func endpoint(tenant, host string, number int, ips string) string {
	return object("Endpoint", fmt.Sprintf("name: %s, tenant: %s", host, tenant),
		fmt.Sprintf("network: lan, bind: {ifaceID: %s}, mac: %q, ips: [%s]", host, mac(number), ips))
}

// policy returns a policy for all endpoints of a tenant.
func policy(tenant, name string, rules ...string) string {
	return object("Policy", fmt.Sprintf("name: %s, tenant: %s", name, tenant), "rules: ["+strings.Join(rules, ", ")+"]")
}

func mac(number int) string { return fmt.Sprintf("02:00:00:00:00:%02x", number) }

// pair is a net with h1 and h2, 10.1.1.1 and 10.1.1.2, of tenant t.
func pair(t *testing.T) (n *ovstest.Net, h1, h2 *sandbox.Host) {
	n = ovstest.New(t)
	return n, n.Host("h1", mac(1), []string{"10.1.1.1/24"}), n.Host("h2", mac(2), []string{"10.1.1.2/24"})
}

// pairModel is the model of pair, with rules.
func pairModel(spec string, rules ...string) string {
	m := bridge + tenant("t", spec, "{cidr: 10.1.1.0/24}") + endpoint("t", "h1", 1, "10.1.1.1") + endpoint("t", "h2", 2, "10.1.1.2")
	if len(rules) > 0 {
		m += policy("t", "p", rules...)
	}
	return m
}

// serve answers every connection in a host with a page, and closes it.
func serve(t *testing.T, h *sandbox.Host, address, page string) {
	t.Helper()
	accept(t, h, address, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(ovstest.Patience))
		io.WriteString(c, page)
	})
}

// accept talks on every connection to an address of a host, until the test ends.
func accept(t *testing.T, h *sandbox.Host, address string, talk func(net.Conn)) {
	t.Helper()
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
}

// fetch reads the page at an address, from a host.
func fetch(h *sandbox.Host, address string, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	page, err := io.ReadAll(c)
	return string(page), err
}

// gets fails the test unless a host can fetch a page.
func gets(t *testing.T, h *sandbox.Host, address, page string) {
	t.Helper()
	got, err := fetch(h, address, ovstest.Patience)
	if err != nil || got != page {
		t.Fatalf("%s fetches %s: %q, %v; want %q", h.Name, address, got, err, page)
	}
}

// timesOut fails the test unless a host gets no answer at all.
func timesOut(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	_, err := fetch(h, address, time.Second)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%s fetches %s: %v; want no answer", h.Name, address, err)
	}
}

// pings fails the test unless so many of n echo requests are answered.
func pings(t *testing.T, h *sandbox.Host, to string, n, want int) {
	t.Helper()
	patience := ovstest.Patience
	if want < n {
		patience = time.Second
	}
	got, err := h.Ping(t.Context(), ovstest.Addr(to), n, patience)
	if err != nil || got != want {
		t.Fatalf("%s pings %s: %d of %d answered, %v; want %d", h.Name, to, got, n, err, want)
	}
}
