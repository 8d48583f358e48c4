package apps

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
	"weir/intent"
	headers "weir/internal/frame"
	"weir/ofproto"
)

// asked is a datagram from 10.1.0.11 to somebody, as it comes to the controller.
func asked(t *testing.T, from, to [6]byte) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: from[:], DstMAC: to[:], EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocolUDP, SrcIP: []byte{10, 1, 0, 11}, DstIP: []byte{10, 1, 0, 12}}
	udp := &layers.UDP{SrcPort: 5000, DstPort: 53}
	udp.SetNetworkLayerForChecksum(ip)
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, udp); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestOnlyWhatAFlowAsksIsAnswered is about testdata/reject.yaml: who is answered, by whom, and
// what must not be.
func TestOnlyWhatAFlowAsksIsAnswered(t *testing.T) {
	_, in := compileFile(t, "testdata/reject.yaml")
	app, db := [6]byte{2, 0, 0, 0, 0, 0x11}, [6]byte{2, 0, 0, 0, 0, 0x12}
	cookie := pipeline.Cookie(in.Numbers.Tag("blue/answers"))
	from := func(id intent.ID) ofproto.Match {
		return ofproto.MatchOn(ofproto.Is(ofproto.InPort, 7), ofproto.Is(pipeline.RegIn, uint64(in.Numbers.Tag(id))))
	}
	for name, c := range map[string]struct {
		in   ofproto.PacketIn
		want string
	}{
		"what is rejected is answered as if by its receiver": {
			ofproto.PacketIn{Table: pipeline.Reject, Cookie: cookie, Match: from("blue/endpoint/app"), Data: asked(t, app, db)},
			"to port 7: 020000000012 > 020000000011, 10.1.0.12 > 10.1.0.11, 3/3"},
		"what is rejected behind the router goes back to who has sent it": {
			ofproto.PacketIn{Table: pipeline.Reject, Cookie: cookie, Match: from("blue/endpoint/app"), Data: asked(t, pipeline.RouterMAC, db)},
			"to port 7: 027765697201 > 020000000011, 10.1.0.12 > 10.1.0.11, 3/3"},
		"what has expired is answered by the gateway": {
			ofproto.PacketIn{Table: pipeline.Route, Cookie: cookie, Match: from("blue/endpoint/app"), Data: asked(t, app, pipeline.RouterMAC)},
			"to port 7: 027765697201 > 020000000011, 10.1.0.1 > 10.1.0.11, 11/0"},
		"a flow of somebody else has asked":   {ofproto.PacketIn{Table: pipeline.Reject, Cookie: 5, Match: from("blue/endpoint/app"), Data: asked(t, app, db)}, ""},
		"a table that asks for nothing":       {ofproto.PacketIn{Table: pipeline.Drop, Cookie: cookie, Match: from("blue/endpoint/app"), Data: asked(t, app, db)}, ""},
		"a sender whom nobody knows any more": {ofproto.PacketIn{Table: pipeline.Reject, Cookie: cookie, Match: from("blue/policy/db"), Data: asked(t, app, db)}, ""},
		"no port":                             {ofproto.PacketIn{Table: pipeline.Reject, Cookie: cookie, Match: from("blue/endpoint/app")[1:], Data: asked(t, app, db)}, ""},
		"what cannot be read":                 {ofproto.PacketIn{Table: pipeline.Reject, Cookie: cookie, Match: from("blue/endpoint/app"), Data: asked(t, app, db)[:30]}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := answered(t, Answer(in, c.in)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestWhoIsOutsideIsAnswered is about testdata/nat.yaml: what a flow sends here has been translated
// on the way, and is answered as it was sent.
func TestWhoIsOutsideIsAnswered(t *testing.T) {
	_, in := compileFile(t, "testdata/nat.yaml")
	cookie, public, web := pipeline.Cookie(in.Numbers.Tag("blue/answers")), in.Numbers.Tag("bridge/br/external/public"), in.Numbers.Tag("blue/endpoint/web-1")
	with := func(from uint32, state ofproto.CTStateBits, src, dst string, more ...ofproto.Cond) ofproto.Match {
		return ofproto.MatchOn(append(more, ofproto.Is(ofproto.InPort, 7), ofproto.Is(pipeline.RegIn, uint64(from)), ofproto.CT(state, 0), ofproto.IsIPv4,
			ofproto.IsAddr(ofproto.CTNwSrc, netip.MustParseAddr(src)), ofproto.IsAddr(ofproto.CTNwDst, netip.MustParseAddr(dst)),
			ofproto.Is(ofproto.CTNwProto, 17), ofproto.Is(ofproto.CTTpSrc, 5000), ofproto.Is(ofproto.CTTpDst, 53))...)
	}
	router := in.Outsides()[0].RouterMAC()
	seen := asked(t, pipeline.RouterMAC, router) // from 10.1.0.11 to 10.1.0.12, whatever it was
	for name, c := range map[string]struct {
		table ofproto.Table
		match ofproto.Match
		want  string
	}{
		"what is rejected, from the address that was asked": {
			pipeline.Reject, with(public, ofproto.New|ofproto.Trk, "192.0.2.1", "203.0.113.20"),
			"by the router: 203.0.113.20 > 192.0.2.1, 3/3 about 192.0.2.1 > 203.0.113.20"},
		"what has expired, from the router's own address": {
			pipeline.Route, with(public, ofproto.Est|ofproto.Trk, "192.0.2.1", "203.0.113.20"),
			"by the router: 203.0.113.2 > 192.0.2.1, 11/0 about 192.0.2.1 > 203.0.113.20"},
		"what has expired of an endpoint, which has been translated": {
			pipeline.Route, with(web, ofproto.Est|ofproto.Trk|ofproto.SNAT, "10.1.0.11", "192.0.2.1"),
			"to port 7: 10.1.0.1 > 10.1.0.11, 11/0 about 10.1.0.11 > 192.0.2.1"},
		"not an answer, of which is not known how it was": {pipeline.Route, with(web, ofproto.Est|ofproto.Rpl|ofproto.Trk|ofproto.SNAT, "192.0.2.1", "203.0.113.20"), ""},
		"an answer that is not translated": {
			pipeline.Route, with(web, ofproto.Est|ofproto.Rpl|ofproto.Trk, "192.0.2.1", "203.0.113.20"),
			"to port 7: 10.1.0.1 > 10.1.0.11, 11/0 about 10.1.0.11 > 10.1.0.12"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, o := range Answer(in, ofproto.PacketIn{Table: c.table, Cookie: cookie, Match: c.match, Data: seen}) {
				p, ok := headers.Parse(o.Data)
				about, whole := headers.Parse(append(slices.Clone(o.Data[:14]), o.Data[42:]...))
				way := "by the router"
				if out, direct := o.Actions[0].(ofproto.Output); direct {
					way = fmt.Sprint("to port ", out.Port)
				} else if p.EthDst != pipeline.RouterMAC {
					t.Errorf("it is for %x", p.EthDst)
				}
				if !ok || !whole {
					t.Fatalf("%x", o.Data)
				}
				got += fmt.Sprintf("%s: %v > %v, %d/%d about %v > %v", way, p.Src, p.Dst, p.Type, p.Code, about.Src, about.Dst)
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// answered are the packets that were sent out, in words.
func answered(t *testing.T, outs []ofproto.PacketOut) (s string) {
	for _, o := range outs {
		p, ok := headers.Parse(o.Data)
		if !ok || len(o.Actions) != 1 || o.InPort != ofproto.PortController {
			t.Fatalf("%+v", o)
		}
		s += fmt.Sprintf("to port %d: %x > %x, %v > %v, %d/%d", o.Actions[0].(ofproto.Output).Port, p.EthSrc, p.EthDst, p.Src, p.Dst, p.Type, p.Code)
	}
	return s
}
