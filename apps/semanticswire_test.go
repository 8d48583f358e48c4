package apps

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// TestRealConnectionsLiveAsTheReferenceSays sends real packets through a real Open vSwitch
// with a real connection tracker: a question, its answer, and both again; then, with the
// epoch raised, under a changed policy. Each packet leaves as flowsim says, whose tracker
// is a model; what flowsim says, the other tests compare with the reference.
func TestRealConnectionsLiveAsTheReferenceSays(t *testing.T) {
	drawn.Cases(t, 30, 400)
	tr := startTracer(t)
	packets, connections := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		a, b, ok := drawChange(t, onUserspace)
		if !ok {
			t.Skip("the change is none that an operator could make")
		}
		b.raise(t)
		p, ok := a.drawQuestion(t)
		if !ok {
			return
		}
		var ct flowsim.Tracker
		if err := tr.conn.FlushZone(t.Context(), a.in.Numbers.Zone(a.model.Tenant(p.From.Tenant).ID())); err != nil {
			t.Fatal(err)
		}
		tr.install(t, a.program)
		packets += tr.converse(t, a, p, &ct, 0, []bool{false})
		if a.reference(p, reference.New).port == 0 {
			return
		}
		packets += tr.converse(t, a, p, &ct, 1, []bool{false, true, false, true})
		tr.install(t, b.program)
		packets += tr.converse(t, b, b.same(p), &ct, 5, []bool{true, false, true, false, true})
		connections++
	})
	t.Logf("%d packets of %d connections", packets, connections)
}

// drawQuestion draws a packet that opens a connection, one that passes if there is one
// among a few.
func (w *world) drawQuestion(t *rapid.T) (question reference.Packet, ok bool) {
	for range packetsOfAModel {
		p, fits := drawPacket(t, w.model)
		if !fits || !isQuestion(p) || !slices.Contains(spoken, p.Protocol) || w.isAstray(p) {
			continue
		}
		question, ok = p, true
		if w.reference(p, reference.New).port != 0 {
			break
		}
	}
	return question, ok
}

// spoken are the protocols that the test can write, and the tracker read.
var spoken = []uint8{reference.TCP, reference.UDP, reference.ICMP, reference.ICMPv6}

func (w *world) isAstray(p reference.Packet) bool {
	return !reference.MayBe(w.model.Tenant(p.To.Tenant), p.To, p.Dst)
}

// raise gives all tenants of w another epoch.
func (w *world) raise(t *rapid.T) {
	in, err := drawnInput(w.model, w.in.Facts.Features, w.numbers)
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range w.model.Tenants() {
		if in.Numbers, err = w.numbers.Raise(map[intent.ID]uint8{tenant.ID(): in.Numbers.Epoch(tenant.ID())}); err != nil {
			t.Fatal(err)
		}
	}
	w.compile(t, in)
}

// same is a packet of another model in w's.
func (w *world) same(p reference.Packet) reference.Packet {
	p.From, p.To = w.endpoint(p.From), w.endpoint(p.To)
	return p
}

// converse sends p, or where it is said its answer, and returns how many packets it has
// sent. In all, some were sent before.
func (tr *tracer) converse(t *rapid.T, w *world, p reference.Packet, ct *flowsim.Tracker, before int, answers []bool) int {
	for i, back := range answers {
		i += before
		q := p
		if back {
			q = p.Reversed()
		}
		f := w.frame(q)
		if back {
			f.answerEcho()
		}
		f.Invalid = back && w.opensNothing(&f, ct, i)
		var want []uint32
		want = append(want, delivered(w.sim.Send(f.Packet, ct))...)
		if got := tr.send(t, uint32(f.Uint(ofproto.InPort)), onWire(t, &f, back, i)); !slices.Equal(got, want) {
			t.Fatalf("%s\npacket %d, %s: flowsim sends it to %v, Open vSwitch to %v", w.text, i, f.text(), want, got)
		}
	}
	return len(answers)
}

// answerEcho makes an echo an answer.
func (f *frame) answerEcho() {
	switch {
	case f.Uint(ofproto.ICMPv4Type) == 8:
		f.SetUint(ofproto.ICMPv4Type, 0)
	case f.Uint(ofproto.ICMPv6Type) == 128:
		f.SetUint(ofproto.ICMPv6Type, 129)
	}
}

// opensNothing reports whether a tracker calls an answer invalid that it knows no
// connection of: a SYN with an ACK, or the answer to an echo.
func (w *world) opensNothing(f *frame, ct *flowsim.Tracker, n int) bool {
	tuple, _ := flowsim.TupleOf(&f.Packet)
	for _, t := range w.model.Tenants() {
		if _, known := ct.Find(w.in.Numbers.Zone(t.ID()), tuple); known {
			return false
		}
	}
	return tuple.Protocol != reference.UDP && (tuple.Protocol != reference.TCP || n < 3)
}

// send sends a frame as if it had come in by a port, and returns the ports it leaves by.
func (tr *tracer) send(t *rapid.T, port uint32, data []byte) (ports []uint32) {
	before := tr.sent(t)
	ctx := t.Context()
	out := ofproto.PacketOut{InPort: port, Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortTable}}, Data: data}
	if err := tr.conn.PacketOut(ctx, out); err != nil {
		t.Fatal(err)
	}
	if err := tr.conn.Barrier(ctx); err != nil {
		t.Fatal(err)
	}
	after := tr.sent(t)
	for n := uint32(1); n <= maxPorts; n++ {
		if after[n] > before[n] {
			ports = append(ports, n)
		}
	}
	return ports
}

// sent returns how many packets have left by each port.
func (tr *tracer) sent(t *rapid.T) map[uint32]uint64 {
	stats, err := tr.portStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := map[uint32]uint64{}
	for _, s := range stats {
		sent[s.Port] = s.TxPackets
	}
	return sent
}

func (tr *tracer) portStats(ctx context.Context) ([]ofproto.PortStats, error) {
	m, err := tr.conn.Ask(ctx, ofproto.PortStatsRequest(ofproto.PortAny))
	if err != nil {
		return nil, err
	}
	reply, ok := m.(ofproto.MultipartReply)
	if !ok {
		return nil, fmt.Errorf("%T is no answer to a request for counters", m)
	}
	return ofproto.DecodePortStats(nil, reply.Body)
}

// onWire returns the bytes of a frame. A TCP connection begins with a SYN; the answers to
// it have one too.
func onWire(t rapid.TB, f *frame, back bool, n int) []byte {
	eth := layers.Ethernet{SrcMAC: mac(f.Get(ofproto.EthSrc)), DstMAC: mac(f.Get(ofproto.EthDst)), EthernetType: layers.EthernetType(f.Uint(ofproto.EthType))}
	all := []gopacket.SerializableLayer{&eth}
	proto := layers.IPProtocol(f.Uint(ofproto.IPProto))
	var network gopacket.NetworkLayer
	if f.Src().Is4() {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: f.Src().AsSlice(), DstIP: f.Dst().AsSlice()}
		all, network = append(all, ip), ip
	} else {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: proto, SrcIP: f.Src().AsSlice(), DstIP: f.Dst().AsSlice()}
		all, network = append(all, ip), ip
	}
	buf := gopacket.NewSerializeBuffer()
	all = append(all, transport(f, network, back, n)...)
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func mac(b ofproto.Bits) []byte { return b[10:] }

// transport returns what stands behind the IP header.
func transport(f *frame, network gopacket.NetworkLayer, back bool, n int) []gopacket.SerializableLayer {
	switch f.Uint(ofproto.IPProto) {
	case reference.TCP:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(f.Uint(ofproto.TCPSrc)), DstPort: layers.TCPPort(f.Uint(ofproto.TCPDst)), Window: 1000, SYN: n < 3, ACK: back || n > 2, Seq: 2, Ack: 2}
		if tcp.SYN {
			tcp.Seq = 1
		}
		tcp.SetNetworkLayerForChecksum(network)
		return []gopacket.SerializableLayer{tcp}
	case reference.UDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(f.Uint(ofproto.UDPSrc)), DstPort: layers.UDPPort(f.Uint(ofproto.UDPDst))}
		udp.SetNetworkLayerForChecksum(network)
		return []gopacket.SerializableLayer{udp}
	case reference.ICMP:
		return []gopacket.SerializableLayer{&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(uint8(f.Uint(ofproto.ICMPv4Type)), 0), Id: 1}}
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(uint8(f.Uint(ofproto.ICMPv6Type)), 0)}
	icmp.SetNetworkLayerForChecksum(network)
	return []gopacket.SerializableLayer{icmp, &layers.ICMPv6Echo{Identifier: 1}}
}
