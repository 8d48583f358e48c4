package fabric

import (
	"encoding/binary"
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// Flags of a neighbour advertisement (RFC 4861, 4.4): router, solicited, override.
const advertisementFlags = 0xe0000000

// answerND turns a solicitation for a gateway into the advertisement, in two tables:
// the ND fields of the answer can be set only once the type is the answer's.
//
// The kernel's datapath cannot set those fields. There the solicitation goes to the
// controller, metered, and Answer answers it.
func answerND(b *pipeline.Builder, n *pipeline.NetworkSite, gateway netip.Addr) {
	solicitation := ofproto.MatchOn(pipeline.InNet(n.Number),
		ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, pipeline.NdNS),
		ofproto.Is(ofproto.ICMPv6Code, 0), ofproto.IsAddr(ofproto.NDTarget, gateway))
	if !b.Features.NDExtension {
		b.Flow(n.ID(), pipeline.ArpNd, 100, solicitation, b.Punt()...)
		return
	}
	b.Flow(n.ID(), pipeline.ArpNd, 100, solicitation,
		ofproto.Move{Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
		ofproto.SetMAC(ofproto.EthSrc, pipeline.RouterMAC),
		ofproto.Move{Src: ofproto.IPv6Src.Whole(), Dst: ofproto.IPv6Dst.Whole()},
		ofproto.SetAddr(ofproto.IPv6Src, gateway),
		ofproto.SetField{Field: ofproto.ICMPv6Type, Value: ofproto.Uint(pipeline.NdNA)},
		ofproto.GotoTable(pipeline.NdAnswer))
}

// ndAnswer completes the answers.
func ndAnswer(b *pipeline.Builder, id intent.ID) {
	if !b.Features.NDExtension {
		return
	}
	b.Flow(id, pipeline.NdAnswer, 100, ofproto.MatchOn(
		ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, pipeline.NdNA), ofproto.Is(ofproto.ICMPv6Code, 0)),
		ofproto.SetField{Field: ofproto.NDReserved, Value: ofproto.Uint(advertisementFlags)},
		ofproto.SetField{Field: ofproto.NDOptionsType, Value: ofproto.Uint(2)}, // target link-layer address
		ofproto.SetMAC(ofproto.NDTLL, pipeline.RouterMAC),
		ofproto.Output{Port: ofproto.PortInPort})
}

// Answer answers a neighbour solicitation for a gateway that a flow has sent to the
// controller. Everything else gets no answer.
func Answer(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	port, ok := inPort(p.Match)
	target, asked := solicited(p.Data)
	if !ok || !asked || !isGateway(in, p.Cookie, target) {
		return nil
	}
	return []ofproto.PacketOut{{
		InPort:  ofproto.PortController,
		Actions: []ofproto.Action{ofproto.Output{Port: port}},
		Data:    advertisement(p.Data, target),
	}}
}

func inPort(m ofproto.Match) (uint32, bool) {
	for _, c := range m {
		if c.Field == ofproto.InPort {
			return uint32(c.Value.Uint64()), true
		}
	}
	return 0, false
}

// isGateway reports whether a is a gateway of the network that the flow serves whose
// cookie is given.
func isGateway(in pipeline.Input, cookie uint64, a netip.Addr) bool {
	tag, owned := pipeline.TagOf(cookie)
	id, known := in.Numbers.Origin(tag)
	if !owned || !known {
		return false
	}
	for _, t := range in.Model.Tenants() {
		for _, n := range t.Networks {
			for _, s := range n.Subnets {
				if n.ID() == id && s.Gateway == a {
					return true
				}
			}
		}
	}
	return false
}

// Offsets in a neighbour solicitation without VLAN tag and extension headers, which
// is what the flow lets through to here.
const (
	ethLen    = 14
	ipv6Len   = 40
	ndTarget  = ethLen + ipv6Len + 8
	ndMessage = ndTarget + 16
)

// solicited returns the target of a neighbour solicitation.
func solicited(frame []byte) (netip.Addr, bool) {
	if len(frame) < ndMessage || binary.BigEndian.Uint16(frame[12:]) != 0x86dd ||
		frame[ethLen+6] != pipeline.ProtoICMPv6 || frame[ethLen+ipv6Len] != pipeline.NdNS {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(frame[ndTarget:ndMessage])), true
}

// advertisement returns the answer to a solicitation for target (RFC 4861, 4.4).
func advertisement(solicitation []byte, target netip.Addr) []byte {
	f := make([]byte, ndMessage+8)
	copy(f[0:], solicitation[6:12])
	copy(f[6:], pipeline.RouterMAC[:])
	binary.BigEndian.PutUint16(f[12:], 0x86dd)
	ip := f[ethLen:]
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], uint16(len(f)-ethLen-ipv6Len))
	ip[6], ip[7] = pipeline.ProtoICMPv6, 255
	copy(ip[8:], target.AsSlice())
	copy(ip[24:], solicitation[ethLen+8:ethLen+24])
	nd := f[ethLen+ipv6Len:]
	nd[0] = pipeline.NdNA
	binary.BigEndian.PutUint32(nd[4:], advertisementFlags)
	copy(nd[8:], target.AsSlice())
	nd[24], nd[25] = 2, 1 // target link-layer address, 8 bytes
	copy(nd[26:], pipeline.RouterMAC[:])
	binary.BigEndian.PutUint16(nd[2:], checksum(ip[8:40], nd))
	return f
}

// checksum is that of ICMPv6 (RFC 8200, 8.1) over addrs and message.
func checksum(addrs, message []byte) uint16 {
	sum := uint32(len(message)) + pipeline.ProtoICMPv6
	for _, b := range [][]byte{addrs, message} {
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
