package apps

import (
	"testing"

	"pgregory.net/rapid"

	"weir/apps/nat"
	"weir/apps/pipeline"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// FuzzPunted has the apps read what comes to the controller from outside and from endpoints
// behind it, whatever it is and wherever a flow has sent it from. What they answer leaves by a
// port of the bridge, and what they learn is of a host that may be on the link.
func FuzzPunted(f *testing.F) {
	_, in := compileFile(f, "testdata/nat6.yaml")
	_, in4 := compileFile(f, "testdata/nat.yaml")
	tables := []ofproto.Table{pipeline.ArpNd, pipeline.Neigh, pipeline.Route, pipeline.Reject}
	for i := range tables {
		for _, seed := range seedsOfPunts(f, in) {
			f.Add(true, byte(i), byte(i*7), seed)
		}
		for _, seed := range seedsOfPunts(f, in4) {
			f.Add(false, byte(i), byte(i*5), seed)
		}
	}
	f.Fuzz(func(t *testing.T, six bool, table, tag byte, data []byte) {
		in := in
		if !six {
			in = in4
		}
		outside := in.Outsides()[0]
		protocol := uint64(reference.UDP)
		if len(data) > 23 {
			protocol = uint64(data[23])
		}
		was := map[bool][]ofproto.Cond{
			true:  {ofproto.IsAddr(ofproto.CTIPv6Src, onLink[1]), ofproto.IsAddr(ofproto.CTIPv6Dst, onLink[1])},
			false: {ofproto.IsAddr(ofproto.CTNwSrc, onLink[0]), ofproto.IsAddr(ofproto.CTNwDst, onLink[0])},
		}[six]
		was = append(was, ofproto.CT(ofproto.Est|ofproto.Trk, 0), ofproto.Is(ofproto.CTNwProto, protocol), ofproto.Is(ofproto.CTTpSrc, 1000), ofproto.Is(ofproto.CTTpDst, 80))
		for _, came := range []struct{ tag, port uint32 }{{outside.Tag, outside.Port}, {uint32(tag), 1}} {
			p := ofproto.PacketIn{Table: tables[int(table)%len(tables)], Cookie: pipeline.Cookie(uint32(tag)), Data: data, Match: ofproto.MatchOn(append(was,
				ofproto.Is(ofproto.InPort, uint64(came.port)), ofproto.Is(pipeline.RegIn, uint64(came.tag)), ofproto.Is(pipeline.RegReason, uint64(pipeline.RejectedByRule)))...)}
			for _, out := range Answer(in, p) {
				if len(out.Data) < 42 || len(out.Actions) == 0 {
					t.Errorf("answers %+v", out)
				}
			}
			for _, id := range []uint32{uint32(tag), outside.Tag} {
				p.Cookie = pipeline.Cookie(id)
				n, ok := nat.Heard(in, p)
				if _, near := outside.OnLink(n.Address); ok && !near && !n.Address.IsLinkLocalUnicast() {
					t.Errorf("heard of %+v", n)
				}
				if ok && n.MAC[0]&1 != 0 {
					t.Errorf("%v is a MAC address of many", n.MAC)
				}
			}
		}
	})
}

// seedsOfPunts are questions and announcements of a router, and packets of each protocol.
func seedsOfPunts(t rapid.TB, in pipeline.Input) (all [][]byte) {
	for _, n := range nat.Wanted(in) {
		for _, out := range nat.Ask(in, n) {
			all = append(all, out.Data)
		}
	}
	for _, a := range addresses("10.0.0.1", "2001:db8::5") {
		for _, protocol := range []uint8{reference.TCP, reference.UDP, reference.ICMP, reference.ICMPv6} {
			f := frame{flowsim.Of(ofproto.IsAddr(pipeline.IPSrc(a), a), ofproto.IsAddr(pipeline.IPDst(a), a), ofproto.Is(ofproto.IPProto, uint64(protocol)))}
			all = append(all, onWire(t, &f, false, 0))
		}
	}
	return all
}
