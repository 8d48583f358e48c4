package test

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// dialAt connects from a port that other connections of the host may have, too.
func dialAt(t *testing.T, h *sandbox.Host, port int, address string) (c net.Conn, err error) {
	t.Helper()
	err = h.Do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{Port: port}, KeepAlive: -1, FallbackDelay: -1, Timeout: 2 * time.Second,
			Control: func(_, _ string, raw syscall.RawConn) (err error) {
				if control := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) }); control != nil {
					return control
				}
				return err
			}}
		c, err = d.DialContext(t.Context(), "tcp", address)
		return err
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// TestWaysToOneEndpointFromOnePort has a client use one port of its own for connections to all
// addresses that stand for one port of h1, at the same time. To h1 they are told apart by the
// port that they come from. One that is opened directly while another is there that has gone
// through an address, from the same port, would have no other.
func TestWaysToOneEndpointFromOnePort(t *testing.T) {
	model := natModel(floatingIP("h1-ip", "203.0.113.20", "h1"),
		object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h1, port: 80}"),
		object("PortForward", "name: web-2, tenant: t", "address: 203.0.113.11, port: 80, protocol: tcp, to: {endpoint: h1, port: 80}"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}"))
	_, h1, h2, out := behind(t, model)
	echo(t, h1, "10.1.1.11:80")
	for i, c := range []struct {
		name string
		from *sandbox.Host
		to   string
	}{
		{"from outside", out, "203.0.113.20:80 203.0.113.10:8080 203.0.113.11:80"},
		{"from outside, a floating IP last", out, "203.0.113.11:80 203.0.113.10:8080 203.0.113.20:80"},
		{"from its own tenant", h2, "203.0.113.20:80 203.0.113.10:8080 203.0.113.11:80"},
		{"directly first", h2, "10.1.1.11:80 203.0.113.20:80 203.0.113.10:8080"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, address := range strings.Fields(c.to) {
				conn, err := dialAt(t, c.from, 5000+100*i, address)
				if err == nil {
					err = say(conn, "to "+address, ovstest.Patience)
				}
				if err != nil {
					t.Errorf("%s: %v", address, err)
				}
			}
		})
	}
}
