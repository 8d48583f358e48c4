package pipeline

import (
	"net/netip"

	"weir/ofproto"
)

// hops is the time to live of what a router says itself.
const hops = 64

// Echo returns the conditions on a ping of an address of a router's, and the actions that send
// it back as its reply, from a MAC address. Of a ping in fragments the tracker would have to be
// asked.
func Echo(own netip.Addr, mac [6]byte) (ping []ofproto.Cond, reply []ofproto.Action) {
	protocol, typ, code, asked, answered := uint64(ProtoICMP), ofproto.ICMPv4Type, ofproto.ICMPv4Code, uint64(8), uint64(0) // RFC 792
	if own.Is6() {
		protocol, typ, code, asked, answered = ProtoICMPv6, ofproto.ICMPv6Type, ofproto.ICMPv6Code, 128, 129 // RFC 4443, 4.1
	}
	src, dst := IPSrc(own), IPDst(own)
	ping = []ofproto.Cond{
		IPVersion(own.Is4()), ofproto.Is(ofproto.IPProto, protocol), ofproto.Is(typ, asked), ofproto.Is(code, 0), IsWhole, ofproto.IsAddr(dst, own),
	}
	return ping, []ofproto.Action{
		ofproto.Move{Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
		ofproto.SetMAC(ofproto.EthSrc, mac),
		ofproto.Move{Src: src.Whole(), Dst: dst.Whole()},
		ofproto.SetAddr(src, own),
		ofproto.SetField{Field: ofproto.IPTTL, Value: ofproto.Uint(hops)},
		ofproto.SetField{Field: typ, Value: ofproto.Uint(answered)},
		ofproto.Output{Port: ofproto.PortInPort},
	}
}
