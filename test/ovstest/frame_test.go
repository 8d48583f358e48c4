package ovstest

import (
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"weir/intent"
	"weir/internal/reference"
)

// The beginnings of frames, from 02:..:01 to 02:..:02.
const (
	ether4 = "020000000002 020000000001 0800 "
	ether6 = "020000000002 020000000001 86dd "
	ends6  = "fd000000000000000000000000000001 fd000000000000000000000000000002 "
)

// frames are frames, and what is read of them.
var frames = []struct {
	name, bytes string
	want        reference.Frame
}{
	{"a SYN with options of IPv4, at the end of its life", ether4 + "46000028000000000106000 00a0000010a00000294040000 0fa00050 00000000 00000000 5002",
		reference.Frame{Packet: packet("10.0.0.1", "10.0.0.2", reference.TCP, 4000, 80), Opens: true, Life: 1}},
	{"an answer to one", ether4 + "45000028000000004006 0000 0a0000010a000002 0fa00050 00000000 00000000 5012",
		reference.Frame{Packet: packet("10.0.0.1", "10.0.0.2", reference.TCP, 4000, 80), Life: 3}},
	{"a later fragment, whose data are no ports", ether4 + "45000028000000104011 0000 0a0000010a000002 0fa00050",
		reference.Frame{Packet: packet("10.0.0.1", "10.0.0.2", reference.UDP, 0, 0), Piece: reference.LaterPiece, Life: 3}},
	{"the first of IPv6, behind other headers", ether6 + "60000000 0020 00 40" + ends6 + "2c00 000000000000 1100 0001 00000001 0fa00035",
		reference.Frame{Packet: packet("fd00::1", "fd00::2", reference.UDP, 4000, 53), Piece: reference.FirstPiece, Life: 3}},
	{"a question, by ICMPv6", ether6 + "60000000 0008 3a 40" + ends6 + "8000 0000 0001 0001",
		reference.Frame{Packet: reference.Packet{Src: netip.MustParseAddr("fd00::1"), Dst: netip.MustParseAddr("fd00::2"), Protocol: reference.ICMPv6, Type: 128}, Opens: true, Life: 3}},
	{"an INIT", ether4 + "4500002c000000004084 0000 0a0000010a000002 0fa00050 00000000 00000000 01000014",
		reference.Frame{Packet: packet("10.0.0.1", "10.0.0.2", reference.SCTP, 4000, 80), Opens: true, Life: 3}},
	{"ARP", "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002",
		reference.Frame{For: intent.MAC{255, 255, 255, 255, 255, 255}, Kind: reference.ARP, Says: netip.MustParseAddr("10.0.0.1"), SaysMAC: intent.MAC{2, 0, 0, 0, 0, 1}}},
	{"something else", "020000000002 020000000001 88cc 0207", reference.Frame{Kind: reference.Neither}},
}

func packet(src, dst string, protocol uint8, from, to uint16) reference.Packet {
	return reference.Packet{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Protocol: protocol, SrcPort: from, DstPort: to}
}

func TestFramesAreRead(t *testing.T) {
	for _, c := range frames {
		b, err := hex.DecodeString(strings.ReplaceAll(c.bytes, " ", ""))
		if err != nil {
			t.Fatal(c.name, err)
		}
		c.want.By = intent.MAC{2, 0, 0, 0, 0, 1}
		if c.want.For == (intent.MAC{}) {
			c.want.For = intent.MAC{2, 0, 0, 0, 0, 2}
		}
		if got, ok := frameOf(b); !ok || got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, c := range frames {
		b, _ := hex.DecodeString(strings.ReplaceAll(c.bytes, " ", "")) // a test reads them
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, ok := frameOf(b); ok && g.Kind == 0 && (!g.Src.IsValid() || !g.Dst.IsValid()) {
			t.Errorf("a packet without an end: %+v", g)
		}
	})
}

// BenchmarkSee is what a frame costs that a host sends.
func BenchmarkSee(b *testing.B) {
	s := sighting{since: time.Now()}
	data, err := os.ReadFile("../../examples/nat.yaml")
	if err != nil {
		b.Fatal(err)
	}
	m, err := intent.Read(intent.Source{Name: "nat.yaml", Data: data})
	if err != nil {
		b.Fatal(err)
	}
	s.learn(m)
	frame, _ := hex.DecodeString(strings.ReplaceAll(frames[0].bytes, " ", "")) // a test reads it
	for b.Loop() {
		s.see("h1", frame, true)
	}
}
