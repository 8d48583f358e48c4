package test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// passesModel has load balancers inside, outside, and on a link without a gateway, in both versions of IP, each with two backends, and
// one whose backends see their gateway. Nobody listens at the target of port 54.
func passesModel(weights ...int) string {
	lb := func(name, address, backends, more string) string {
		return balancer(name, fmt.Sprintf("address: %q, ports: [{port: 90, protocol: tcp, targetPort: 8090}, {port: 91, protocol: tcp, targetPort: 8091}, {port: 21, protocol: tcp}, "+
			"{port: 53, protocol: udp, targetPort: 5353}, {port: 54, protocol: udp, targetPort: 5354}], backends: [%s]%s", address, backends, more))
	}
	lan, link := fmt.Sprintf("{endpoint: h2, weight: %d}, {endpoint: h3, weight: %d}", weights[0], weights[1]), fmt.Sprintf("{endpoint: h5, weight: %d}, {endpoint: h6, weight: %d}", weights[0], weights[1])
	all := strings.NewReplacer("    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"2001:db8::9\", address: \"2001:db8::2\"}, ",
		"nextHops: [", "nextHops: [{address: \"2001:db8::9\", mac: \"02:00:00:00:00:09\"}, ").Replace(natBridge) +
		tenant("t", "", `{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}`) +
		object("Network", "name: link, tenant: t", `subnets: [{cidr: 10.3.1.0/24}, {cidr: "fd00:3::/64"}]`)
	for i := 1; i <= 3; i++ {
		all += endpoint("t", fmt.Sprint("h", i), i, fmt.Sprintf(`10.1.1.%d, "fd00:1::%d"`, 10+i, 10+i)) + onLink(i+3, "")
	}
	return all + lb("in", "10.1.1.64", lan, "") + lb("in6", "fd00:1::64", lan, ", algorithm: consistent") + lb("out", "203.0.113.64", lan, "") + lb("out6", "2001:db8::64", lan, ", algorithm: sourceIP") +
		lb("gateway", "10.1.1.65", lan, ", snat: always") + lb("link", "10.3.1.64", link, "") + lb("link6", "fd00:3::64", link, "") +
		policy("t", "in", "{name: tcp, direction: ingress, action: allow, protocol: tcp, ports: [8090-8091]}", "{name: udp, direction: ingress, action: allow, protocol: udp, ports: [5353-5354]}",
			"{name: ftp, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}")
}

// A passage is a client and the load balancer that it asks.
type passage struct {
	name    string
	client  *sandbox.Host
	address netip.Addr
	router  bool // there is one between them
	behind  []*sandbox.Host
}

func (p passage) port(n uint16) string { return netip.AddrPortFrom(p.address, n).String() }

// passages is a net with what passesModel has.
func passages(t *testing.T) (n *ovstest.Net, all []passage) {
	t.Helper()
	n = ovstest.New(t)
	var h []*sandbox.Host
	for i := 1; i <= 3; i++ {
		h = append(h, n.Host(fmt.Sprint("h", i), mac(i), []string{fmt.Sprintf("10.1.1.%d/24", 10+i), fmt.Sprintf("fd00:1::%d/64", 10+i)}, "10.1.1.1", "fd00:1::1"))
	}
	for i := 4; i <= 6; i++ {
		h = append(h, n.Host(fmt.Sprint("h", i), mac(i), []string{fmt.Sprintf("10.3.1.%d/24", 10+i), fmt.Sprintf("fd00:3::%d/64", 10+i)}))
	}
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64"}, "203.0.113.2", "2001:db8::2")
	n.Run(passesModel(100, 100))
	for i, b := range h {
		net4, net6 := "10.1.1.", "fd00:1::"
		if i >= 3 {
			net4, net6 = "10.3.1.", "fd00:3::"
		}
		for _, a := range []string{fmt.Sprint(net4, 11+i), fmt.Sprint(net6, 11+i)} {
			accept(t, b, net.JoinHostPort(a, "8090"), func(c net.Conn) { io.WriteString(c, b.Name) })
			accept(t, b, net.JoinHostPort(a, "8091"), func(c net.Conn) { io.Copy(c, c) })
			echoUDP(t, b, net.JoinHostPort(a, "5353"))
			serveFTP(t, b, a)
		}
	}
	for _, p := range []passage{
		{"inside", h[0], ovstest.Addr("10.1.1.64"), true, nil}, {"inside, IPv6", h[0], ovstest.Addr("fd00:1::64"), true, nil}, {"seen as a gateway", h[0], ovstest.Addr("10.1.1.65"), true, nil},
		{"outside", out, ovstest.Addr("203.0.113.64"), true, nil}, {"outside, IPv6", out, ovstest.Addr("2001:db8::64"), true, nil}, {"outside, from inside", h[0], ovstest.Addr("203.0.113.64"), true, nil},
		{"on a link", h[3], ovstest.Addr("10.3.1.64"), false, nil}, {"on a link, IPv6", h[3], ovstest.Addr("fd00:3::64"), false, nil},
	} {
		p.behind = h[1:3]
		if !p.router {
			p.behind = h[4:]
		}
		all = append(all, p)
	}
	return n, all
}

// TestErrorsFromBehindALoadBalancer asks a port at which no backend listens, and lets packets expire in the router, the first of a
// connection and a later one. The client hears it, from the load balancer or its own router, about what it has sent.
func TestErrorsFromBehindALoadBalancer(t *testing.T) {
	_, all := passages(t)
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			w := wire(t, p.client)
			refusedUDP(t, p.client, p.port(54))
			ovstest.Eventually(t, "an error from the load balancer, about what was sent to it", func() error {
				if !sees(w, func(f []byte) bool {
					src, quoted, ok := icmpError(f)
					return ok && src == p.address && quoted == p.address
				}) {
					return errors.New("none so far")
				}
				return nil
			})
			if !p.router { // nobody counts
				if err := oneHop(t, p.client, p.port(53)); err != nil {
					t.Errorf("with one hop: %v", err)
				}
				return
			}
			if err := oneHop(t, p.client, p.port(53)); !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Errorf("with one hop: %v; want no route to host", err)
			}
			expiresInMidst(t, p.client, p.port(53))
		})
	}
}

// oneHop asks for an echo by a datagram that may go one hop, which begins a connection.
func oneHop(t *testing.T, h *sandbox.Host, address string) error {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	livesOneHop(t, c, address)
	return say(c, "hello", ovstest.Patience)
}

// TestFTPThroughLoadBalancers downloads by each way to open data connections: these go to the backend that has the control connection, or
// come from it by the load balancer's address.
func TestFTPThroughLoadBalancers(t *testing.T) {
	n, all := passages(t)
	extended := knowsExtendedFTP(t, n)
	for _, p := range all {
		ways := []string{"PASV", "PORT", "EPSV", "EPRT"}
		if p.address.Is6() {
			ways = ways[2:]
		} else if !extended {
			ways = ways[:2]
		}
		for _, way := range ways {
			t.Run(p.name+", "+way, func(t *testing.T) {
				if got, err := download(t, p.client, way, p.address.String()); err != nil || got != theFile {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
}

// TestMuchThroughLoadBalancers sends megabytes there and back, which have to be the same.
func TestMuchThroughLoadBalancers(t *testing.T) {
	_, all := passages(t)
	much := make([]byte, 4<<20)
	rand.Read(much)
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			c, err := p.client.Dial(t.Context(), "tcp", p.port(91))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(2 * ovstest.Patience))
			go c.Write(much) // it ends with the connection
			got := make([]byte, len(much))
			if k, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, much) {
				t.Errorf("%d of %d bytes, %v; the same: %v", k, len(much), err, bytes.Equal(got, much))
			}
		})
	}
}

// TestExtensionHeadersThroughLoadBalancers opens connections all of whose segments have options for the receiver before TCP.
func TestExtensionHeadersThroughLoadBalancers(t *testing.T) {
	const dstOpts, padding = 59, "\x00\x00\x01\x04\x00\x00\x00\x00" // IPV6_DSTOPTS of Linux; PadN (RFC 8200, 4.2)
	_, all := passages(t)
	for _, p := range all {
		if !p.address.Is6() {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			var c net.Conn
			wires := []*sandbox.Wire{wire(t, p.behind[0]), wire(t, p.behind[1])}
			err := p.client.Do(func() (err error) {
				d := net.Dialer{Timeout: ovstest.Patience, Control: func(_, _ string, raw syscall.RawConn) (err error) {
					if control := raw.Control(func(fd uintptr) { err = syscall.SetsockoptString(int(fd), syscall.IPPROTO_IPV6, dstOpts, padding) }); control != nil {
						return control
					}
					return err
				}}
				c, err = d.DialContext(t.Context(), "tcp", p.port(90))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if page, err := read(c); err != nil || page == "" {
				t.Errorf("%q, %v", page, err)
			}
			options := func(f []byte) bool { return len(f) > 62 && f[12] == 0x86 && f[20] == syscall.IPPROTO_DSTOPTS }
			ovstest.Eventually(t, "a segment with options", func() error {
				if !sees(wires[0], options) && !sees(wires[1], options) {
					return errors.New("none so far")
				}
				return nil
			})
		})
	}
}

// TestAClientUsesItsPortAtOnceAgain connects from one port as soon as its last connection is closed, by the backend first; and goes to
// another backend if that is who gets what is new by then.
func TestAClientUsesItsPortAtOnceAgain(t *testing.T) {
	n, all := passages(t)
	for round, weights := range [][]int{{100, 0}, {0, 100}, {100, 0}} {
		n.Weir.Apply(passesModel(weights...))
		if _, err := n.Appctl("revalidator/wait"); err != nil { // the datapath may go by what it knew for a moment
			t.Fatal(err)
		}
		for i, p := range all {
			for range 5 {
				var c net.Conn
				ovstest.Eventually(t, "a connection "+p.name, func() (err error) {
					if c, err = dialAt(t, p.client, 33000+i, p.port(90)); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) { // it is being closed
						t.Fatalf("%s: %v", p.name, err)
					}
					return err
				})
				want := map[bool][2]string{true: {"h2", "h3"}, false: {"h5", "h6"}}[p.router][round%2]
				if page, err := read(c); err != nil || page != want {
					t.Errorf("%s: %q, %v, want %s", p.name, page, err, want)
				}
				c.Close()
			}
		}
	}
}
