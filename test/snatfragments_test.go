package test

import (
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// fragmentsModel has h1 leave as one address to a port, h2 as another one by a protocol, and both as
// a third otherwise.
func fragmentsModel(rules string) string {
	model := pathMTUModel[:strings.Index(pathMTUModel, "kind: SNAT")-len("---\napiVersion: weir/v1\n")]
	return strings.Replace(model, "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1) +
		snat("all", "addresses: [203.0.113.10, \"2001:db8::10\"]") +
		snat("port", "priority: 200, from: {endpoints: [h1]}, to: {protocol: udp, ports: [53]}, addresses: [203.0.113.11, \"2001:db8::11\"]") +
		snat("udp", "priority: 200, from: {endpoints: [h2]}, to: {protocol: udp}, addresses: [203.0.113.12, \"2001:db8::12\"]") +
		policy("t", "out", rules+"{name: out, direction: egress, action: allow}")
}

// TestDatagramsInFragmentsLeaveAsTheOthersOfTheirConnection sends datagrams of several frames through SNATs
// that say which protocol and port they are for. What begins a connection is lost on the userspace
// datapath where a port decides, for the later fragments do not say it; it does not leave as
// somebody else. What is judged again in fragments goes on.
func TestDatagramsInFragmentsLeaveAsTheOthersOfTheirConnection(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
	n.Run(fragmentsModel(""))
	servers := map[string]net.PacketConn{}
	for _, address := range []string{"203.0.113.1:53", "[2001:db8::1]:53"} {
		servers[address] = listenUDP(t, out, address)
	}
	var known []*asking
	for _, c := range []struct {
		from   *sandbox.Host
		to, as string
		begins bool // with a large one
	}{
		{h1, "203.0.113.1:53", "203.0.113.11", n.Kernel()}, {h1, "[2001:db8::1]:53", "2001:db8::11", n.Kernel()},
		{h2, "203.0.113.1:53", "203.0.113.12", true}, {h2, "[2001:db8::1]:53", "2001:db8::12", true},
	} {
		for _, large := range []bool{true, false} {
			a := &asking{servers[c.to], dialUDP(t, c.from, c.to), c.as}
			a.comes(t, map[bool]int{true: 4000, false: 100}[large], c.begins || !large)
			a.comes(t, 100, true)
			a.comes(t, 4000, true)
			known = append(known, a)
		}
	}
	n.Weir.Apply(fragmentsModel("{name: no, direction: egress, action: deny, protocol: udp, ports: [99]}, ")) // all is judged again
	for _, size := range []int{4000, 4000, 100, 4000} {
		for _, a := range known {
			a.comes(t, size, true)
		}
	}
}

// An asking is a connection of UDP, and as whom the server is to know it.
type asking struct {
	server net.PacketConn
	client net.Conn
	as     string
}

func dialUDP(t *testing.T, from *sandbox.Host, address string) net.Conn {
	t.Helper()
	c, err := from.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// comes sends a datagram of a size, and fails unless it arrives as it should.
func (a *asking) comes(t *testing.T, size int, want bool) {
	t.Helper()
	if _, err := a.client.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	patience := ovstest.Patience
	if !want {
		patience = time.Second
	}
	a.server.SetReadDeadline(time.Now().Add(patience))
	got, who, err := a.server.ReadFrom(make([]byte, 8000))
	switch {
	case err != nil && want:
		t.Errorf("%d bytes of %v do not come to %v", size, a.client.LocalAddr(), a.server.LocalAddr())
	case err == nil && (!want || got != size || who.(*net.UDPAddr).AddrPort().Addr().String() != a.as):
		t.Errorf("%d bytes of %v come to %v from %v, want %s", got, a.client.LocalAddr(), a.server.LocalAddr(), who, a.as)
	}
}
