package test

import (
	"net"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestWhatNobodyAnswersGoesOnAsItBegan sends datagrams that nobody answers, ways on which they are translated. The kernel's tracker
// translates what is known to it and not answered in a commit alone. All come as the first, and an answer comes back at last.
func TestWhatNobodyAnswersGoesOnAsItBegan(t *testing.T) {
	behindIt := snat("behind", "exempt: {cidrs: [203.0.113.1/32]}, addresses: [203.0.113.10]") // "all" comes first
	inside := policy("t", "dns", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53]}")
	_, h1, h2, r1, _, out := sideBySide(t, twoTenants(fromInside, behindIt, inside))
	at := map[*sandbox.Host]net.PacketConn{out: listenUDP(t, out, "203.0.113.1:53"), h1: listenUDP(t, h1, "10.1.1.11:53"), r1: listenUDP(t, r1, "10.1.1.11:53")}
	for _, c := range []struct {
		what, address string
		from, to      *sandbox.Host
		as            string
	}{
		{"to the outside, which an SNAT that comes behind exempts", "203.0.113.1:53", h2, out, "203.0.113.10"},
		{"to a floating IP of its own tenant", "203.0.113.20:53", h2, h1, "10.1.1.12"},
		{"to another tenant with the same network", "203.0.113.40:53", h2, r1, "203.0.113.10"},
	} {
		unanswered(t, c.what, c.from, c.address, at[c.to], c.as)
	}
}

// TestWhatNobodyAnswersStaysWithASharedAddress is the same of an address that tenants share.
func TestWhatNobodyAnswersStaysWithASharedAddress(t *testing.T) {
	_, h1, h2, out := neighbours(t, sharedModel())
	heard, w := listenUDP(t, out, "203.0.113.1:53"), wire(t, out)
	unanswered(t, "one", h1, "203.0.113.1:53", heard, "203.0.113.10")
	unanswered(t, "another with the same address", h2, "203.0.113.1:53", heard, "203.0.113.10")
	if sees(w, func(f []byte) bool { return len(f) > 34 && f[12] == 8 && f[13] == 0 && (f[26] == 10 || f[26] == 240) }) {
		t.Error("something has left untranslated, or as an alias")
	}
}

// unanswered sends five datagrams, and fails unless all of them come as one address, from one port, and an answer then comes back.
func unanswered(t *testing.T, what string, from *sandbox.Host, address string, heard net.PacketConn, as string) {
	t.Helper()
	c, err := from.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 100)
	var first net.Addr
	for i := range 5 {
		if _, err := c.Write([]byte(what)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		heard.SetReadDeadline(time.Now().Add(3 * time.Second))
		n, who, err := heard.ReadFrom(buf)
		if err != nil || string(buf[:n]) != what {
			t.Errorf("%s: datagram %d does not come: %q, %v", what, i, buf[:n], err)
			return
		}
		if i == 0 {
			first = who
		}
		if who.String() != first.String() || who.(*net.UDPAddr).IP.String() != as {
			t.Errorf("%s: datagram %d comes from %v, and the first from %v; want %s", what, i, who, first, as)
		}
	}
	if _, err := heard.WriteTo([]byte(what), first); err != nil {
		t.Error(err)
	}
	c.SetReadDeadline(time.Now().Add(ovstest.Patience))
	if _, err := c.Read(buf); err != nil {
		t.Errorf("%s: no answer comes back: %v", what, err)
	}
}
