package test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// TestForwardOfSCTP sends an INIT to forwarded ports, and an answer back. Where the
// tracker does not know the ports of SCTP one that would be another is not
// forwarded, and status says so.
func TestForwardOfSCTP(t *testing.T) {
	n := ovstest.New(t)
	h1, h2 := n.Host("h1", mac(1), nil), n.Host("h2", mac(2), nil) // their own stacks are silent
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(natModel())
	portless := n.Has(quirk.SCTPPorts)
	if portless {
		n.Weir.LeftOut = 4
	}
	model := natModel(snat("all", "addresses: [203.0.113.10]"),
		portForward("s1", "address: 203.0.113.20, port: 36412, protocol: sctp, to: {endpoint: h1}"),
		portForward("x2", "address: 203.0.113.20, port: 36422-36423, protocol: sctp, to: {endpoint: h1}"),
		portForward("moved", "address: 203.0.113.21, port: 3868, protocol: sctp, to: {endpoint: h2, port: 3869}"),
		portForward("beside", "address: 203.0.113.10, port: 3868, protocol: sctp, to: {endpoint: h2}"),
		portForward("two-a", "address: 203.0.113.22, port: 1, protocol: sctp, to: {endpoint: h1}"),
		portForward("two-b", "address: 203.0.113.22, port: 2, protocol: sctp, to: {endpoint: h2}"),
		policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: sctp, ports: [1-2, 3868-3869, 36412-36423]}"))
	n.Weir.Apply(model)
	wires := map[*sandbox.Host]*sandbox.Wire{h1: wire(t, h1), h2: wire(t, h2), out: wire(t, out)}
	router := routerMAC(t, out, "203.0.113.2")
	for i, c := range []struct {
		name       string
		address    string
		port, then layers.SCTPPort
		to         *sandbox.Host
		portless   bool // it arrives there as well
	}{
		{"a port", "203.0.113.20", 36412, 36412, h1, true},
		{"a range", "203.0.113.20", 36423, 36423, h1, true},
		{"a port that nobody forwards", "203.0.113.20", 36413, 0, nil, false},
		{"another port", "203.0.113.21", 3868, 3869, h2, false},
		{"a port of an address that an SNAT has", "203.0.113.10", 3868, 3868, h2, false},
		{"one of two endpoints", "203.0.113.22", 1, 1, h1, false},
		{"the other", "203.0.113.22", 2, 2, h2, false},
	} {
		from := layers.SCTPPort(40000 + i)
		init := sctpFrame(t, mac(9), router, "203.0.113.1", c.address, &layers.SCTP{SrcPort: from, DstPort: c.port}, sctpInit(1))
		if err := wires[out].Send(init); err != nil {
			t.Fatal(err)
		}
		if c.to == nil || portless && !c.portless {
			for _, h := range []*sandbox.Host{h1, h2} {
				if heardSCTP(wires[h], from, 0, 300*time.Millisecond) != nil {
					t.Errorf("%s: an INIT comes to %s", c.name, h.Name)
				}
			}
			continue
		}
		got := heardSCTP(wires[c.to], from, c.then, ovstest.Patience)
		if got == nil {
			t.Errorf("%s: no INIT comes to %s:%d", c.name, c.to.Name, c.then)
			continue
		}
		address := map[*sandbox.Host]string{h1: "10.1.1.11", h2: "10.1.1.12"}[c.to]
		ack := sctpFrame(t, c.to.MAC, sender(got), address, "203.0.113.1", &layers.SCTP{SrcPort: c.then, DstPort: from, VerificationTag: 1}, sctpInit(2))
		if err := wires[c.to].Send(ack); err != nil {
			t.Fatal(err)
		}
		if heardSCTP(wires[out], c.port, from, ovstest.Patience) == nil {
			t.Errorf("%s: no answer comes from %s:%d", c.name, c.address, c.port)
		}
	}
	if n.Kernel() {
		return // the host outside has aborted, knowing nothing of it
	}
	n.Weir.Apply(strings.Replace(model, "ports: [1-2, ", "ports: [", 1))
	if err := wires[out].Send(sctpFrame(t, mac(9), router, "203.0.113.1", "203.0.113.20", &layers.SCTP{SrcPort: 40000, DstPort: 36412}, sctpInit(1))); err != nil {
		t.Fatal(err)
	}
	if heardSCTP(wires[h1], 40000, 36412, ovstest.Patience) == nil {
		t.Error("what is judged again is not forwarded any more")
	}
}

// TestForwardOfSCTPBetweenHosts has two hosts speak over SCTP; where their kernel cannot, they do
// so frame by frame.
func TestForwardOfSCTPBetweenHosts(t *testing.T) {
	rules := policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: sctp, ports: [36412-36413]}")
	n, h1, _, out := behind(t, natModel(portForward("s1", "address: 203.0.113.20, port: 36412, protocol: sctp, to: {endpoint: h1}"), rules))
	server, err := sctpSocket(h1)
	if err != nil && n.Kernel() {
		t.Fatalf("this kernel has no SCTP: %v", err)
	}
	if err != nil {
		associate(t, h1, out)
		wantTuples(t, n, "sctp 203.0.113.1>203.0.113.20 10.1.1.11>203.0.113.1")
		return
	}
	t.Cleanup(func() { unix.Close(server) })
	echoSCTP(t, server)
	if err := sctpEcho(out, 36412); err != nil {
		t.Error(err)
	}
	if n.Has(quirk.SCTPPorts) { // to which it is the same connection
		return
	}
	n.Weir.Apply(natModel(portForward("s1", "address: 203.0.113.20, port: 36413, protocol: sctp, to: {endpoint: h1, port: 36412}"), rules))
	if err := sctpEcho(out, 36413); err != nil {
		t.Errorf("as another port: %v", err)
	}
}

// associate opens an association of out with h1's 203.0.113.20:36412, has each say something, and
// ends it (RFC 9260, 5.1, 6 and 9.2): all of it arrives as it was sent.
func associate(t *testing.T, h1, out *sandbox.Host) {
	t.Helper()
	inside, outside := wire(t, h1), wire(t, out)
	router := routerMAC(t, out, "203.0.113.2")
	gateway := "" // to h1
	asks, answers := layers.SCTP{SrcPort: 40000, DstPort: 36412}, layers.SCTP{SrcPort: 36412, DstPort: 40000, VerificationTag: 1}
	cookie := []byte("a cookie")
	init, ack := sctpInit(1), sctpInit(2)
	ack.Parameters = []layers.SCTPInitParameter{{Type: 7, Length: uint16(4 + len(cookie)), ActualLength: 4 + len(cookie), Value: cookie}}
	for i, said := range []struct {
		back  bool // h1 says it
		chunk gopacket.SerializableLayer
	}{
		{false, init},
		{true, ack},
		{false, &layers.SCTPCookieEcho{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeCookieEcho, Length: uint16(4 + len(cookie))}, Cookie: cookie}},
		{true, &layers.SCTPEmptyLayer{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeCookieAck, Length: 4}}},
		{false, sctpData("hello")},
		{true, sctpSack()},
		{true, sctpData("hello yourself")},
		{false, sctpSack()},
		{false, &layers.SCTPShutdown{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeShutdown, Length: 8}, CumulativeTSNAck: 1}},
		{true, &layers.SCTPShutdownAck{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeShutdownAck, Length: 4}}},
		{false, &layers.SCTPEmptyLayer{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeShutdownComplete, Length: 4}}},
	} {
		ports, from, to := asks, outside, inside
		frame := func() []byte { return sctpFrame(t, mac(9), router, "203.0.113.1", "203.0.113.20", &ports, said.chunk) }
		if said.back {
			ports, from, to = answers, inside, outside
			frame = func() []byte { return sctpFrame(t, mac(1), gateway, "10.1.1.11", "203.0.113.1", &ports, said.chunk) }
		}
		if err := from.Send(frame()); err != nil {
			t.Fatal(err)
		}
		got := heardSCTP(to, ports.SrcPort, ports.DstPort, ovstest.Patience)
		if got == nil {
			t.Fatalf("chunk %d does not arrive", i)
		}
		if want := serialize(t, said.chunk); !bytes.Equal(got.Layer(layers.LayerTypeSCTP).LayerPayload(), want) {
			t.Fatalf("chunk %d arrives as % x, want % x", i, got.Layer(layers.LayerTypeSCTP).LayerPayload(), want)
		}
		if i == 0 {
			asks.VerificationTag, gateway = 1, sender(got)
		}
	}
}

// sctpData is five bytes or more of user data (RFC 9260, 3.3.1).
func sctpData(text string) *layers.SCTPData {
	return &layers.SCTPData{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeData, Flags: 3, Length: uint16(16 + len(text))},
		BeginFragment: true, EndFragment: true, TSN: 1, Payload: []byte(text)}
}

func sctpSack() *layers.SCTPSack {
	return &layers.SCTPSack{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeSack, Length: 16}, CumulativeTSNAck: 1, AdvertisedReceiverWindowCredit: 1500}
}

// echoSCTP says back what each association of a socket says first, until it is closed.
func echoSCTP(t *testing.T, server int) {
	t.Helper()
	if err := unix.Bind(server, &unix.SockaddrInet4{Port: 36412, Addr: [4]byte{10, 1, 1, 11}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(server, 5); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, _, err := unix.Accept(server)
			if err != nil {
				return
			}
			buf := make([]byte, 100)
			if got, err := unix.Read(c, buf); err == nil {
				unix.Write(c, buf[:got])
			}
			unix.Close(c)
		}
	}()
}

// sctpSocket opens a one-to-one socket (RFC 6458, 4) in a host.
func sctpSocket(h *sandbox.Host) (fd int, err error) {
	err = h.Do(func() error {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
		return err
	})
	return fd, err
}

// sctpEcho says something to a port of 203.0.113.20, and wants to hear it again.
func sctpEcho(h *sandbox.Host, port int) error {
	fd, err := sctpSocket(h)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &unix.Timeval{Sec: int64(ovstest.Patience / time.Second)}); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{203, 0, 113, 20}}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("hello")); err != nil {
		return err
	}
	buf := make([]byte, 100)
	got, err := unix.Read(fd, buf)
	if err == nil && string(buf[:got]) != "hello" {
		err = fmt.Errorf("heard %q", buf[:got])
	}
	return err
}

// sctpFrame is a packet of one chunk.
func sctpFrame(t *testing.T, fromMAC, toMAC, from, to string, s *layers.SCTP, chunk gopacket.SerializableLayer) []byte {
	t.Helper()
	src, _ := net.ParseMAC(fromMAC)
	dst, _ := net.ParseMAC(toMAC)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolSCTP, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
	return serialize(t, &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: layers.EthernetTypeIPv4}, ip, s, chunk)
}

// sctpInit is an INIT, or the answer to one: the fields are the same (RFC 9260, 3.3.3).
func sctpInit(typ layers.SCTPChunkType) *layers.SCTPInit {
	return &layers.SCTPInit{SCTPChunk: layers.SCTPChunk{Type: typ, Length: 20}, InitiateTag: 1, AdvertisedReceiverWindowCredit: 1500, OutboundStreams: 1, InboundStreams: 1, InitialTSN: 1}
}

// heardSCTP waits for an SCTP packet between two ports, with a right checksum; to may be zero,
// for any. It returns nil if none comes in time.
func heardSCTP(w *sandbox.Wire, from, to layers.SCTPPort, patience time.Duration) gopacket.Packet {
	return sctpThat(w, patience, func(s *layers.SCTP) bool { return s.SrcPort == from && (to == 0 || s.DstPort == to) })
}

// sctpThat returns the next packet of SCTP that is wanted, if one comes. What is damaged is passed over.
func sctpThat(w *sandbox.Wire, patience time.Duration, wanted func(*layers.SCTP) bool) gopacket.Packet {
	for over := time.After(patience); ; {
		select {
		case f := <-w.Frames():
			p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
			s, ok := p.Layer(layers.LayerTypeSCTP).(*layers.SCTP)
			if err, bad := p.VerifyChecksums(); !ok || err != nil || len(bad) > 0 {
				continue
			}
			if wanted(s) {
				return p
			}
		case <-over:
			return nil
		}
	}
}

// sender returns the MAC address that a packet has come from.
func sender(p gopacket.Packet) string {
	return p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet).SrcMAC.String()
}

// TestSCTPLeavesByABlockOfPorts has two tenants with the same addresses send an INIT from the same port, as one address outside:
// each leaves from its own ports, and gets its own answer.
func TestSCTPLeavesByABlockOfPorts(t *testing.T) {
	n := ovstest.New(t)
	h1, h2 := n.Host("h1", mac(1), nil), n.Host("h2", mac(2), nil) // their own stacks are silent
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(blocksModel())
	if n.Has(quirk.SCTPPorts) {
		t.Skip("this tracker does not know the ports of SCTP: none of it leaves by a block")
	}
	wires := map[*sandbox.Host]*sandbox.Wire{h1: wire(t, h1), h2: wire(t, h2), out: wire(t, out)}
	router := routerMAC(t, out, "203.0.113.2")
	const inside = "02:77:65:69:72:01"
	for i, h := range []*sandbox.Host{h1, h2} {
		if err := wires[h].Send(sctpFrame(t, h.MAC, inside, "10.1.1.11", "203.0.113.1", &layers.SCTP{SrcPort: 5000, DstPort: 36412}, sctpInit(1))); err != nil {
			t.Fatal(err)
		}
		first := layers.SCTPPort(20000 + 1000*i)
		from := layers.SCTPPort(0)
		got := sctpThat(wires[out], ovstest.Patience, func(s *layers.SCTP) bool {
			from = s.SrcPort
			return s.DstPort == 36412
		})
		if got == nil || from < first || from > first+999 {
			t.Fatalf("of %s comes %v, from port %d", h.Name, got, from)
		}
		if err := wires[out].Send(sctpFrame(t, out.MAC, router, "203.0.113.1", "203.0.113.10", &layers.SCTP{SrcPort: 36412, DstPort: from, VerificationTag: 1}, sctpInit(2))); err != nil {
			t.Fatal(err)
		}
		if heardSCTP(wires[h], 36412, 5000, ovstest.Patience) == nil {
			t.Errorf("%s hears no answer", h.Name)
		}
	}
}
