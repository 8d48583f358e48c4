package nat

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/frame"
	"weir/ofproto"
)

// Wanted returns the neighbours of a bridge whose MAC addresses have to be found out: the next
// hops of which the operator has not said it.
func Wanted(in pipeline.Input) (all []pipeline.Neighbour) {
	for _, x := range in.Outsides() {
		for _, h := range x.NextHops {
			if h.MAC == (intent.MAC{}) {
				all = append(all, pipeline.Neighbour{External: x.ID(), Address: h.Address})
			}
		}
	}
	return all
}

// Heard reads what a flow has sent to the controller about a neighbour: its answer, or that
// a packet is for one that nobody has asked for yet.
func Heard(in pipeline.Input, p ofproto.PacketIn) (n pipeline.Neighbour, ok bool) {
	tag, owned := pipeline.TagOf(p.Cookie)
	id, known := in.Numbers.Origin(tag)
	outsides := in.Outsides()
	i := slices.IndexFunc(outsides, func(x pipeline.ExternalSite) bool { return x.ID() == id })
	if !owned || !known || i < 0 {
		return n, false
	}
	n.External = id
	switch p.Table {
	case pipeline.ArpNd:
		n.Address, n.MAC, ok = answered(p.Data)
	case pipeline.Neigh:
		n.Address, ok = boundFor(p.Data)
	}
	if _, onLink := outsides[i].OnLink(n.Address); !onLink && !n.Address.IsLinkLocalUnicast() {
		return n, false
	}
	return n, ok
}

// Offsets in ARP over Ethernet (RFC 826), behind the Ethernet header, and in a neighbour
// advertisement without extension headers (RFC 4861, 4.4).
const (
	ethLen    = 14
	arpLen    = 28
	arpSHA    = ethLen + 8
	arpSPA    = ethLen + 14
	arpReply  = 2
	ipv6Len   = 40
	ndTarget  = ethLen + ipv6Len + 8
	ndOptions = ndTarget + 16
	ndNS      = 135
	ndNA      = 136
	targetMAC = 2 // an option
)

// answered reads an answer to ARP or to a neighbour solicitation.
func answered(frame []byte) (a netip.Addr, mac intent.MAC, ok bool) {
	if len(frame) < ethLen+arpLen {
		return a, mac, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0806:
		a, mac = netip.AddrFrom4([4]byte(frame[arpSPA:])), intent.MAC(frame[arpSHA:])
		return a, mac, binary.BigEndian.Uint16(frame[ethLen+6:]) == arpReply && unicast(mac)
	case 0x86dd:
		if len(frame) < ndOptions+8 || frame[ethLen+ipv6Len] != ndNA || frame[ethLen+7] != 255 || frame[ndOptions] != targetMAC || frame[ndOptions+1] != 1 {
			return a, mac, false
		}
		a, mac = netip.AddrFrom16([16]byte(frame[ndTarget:])), intent.MAC(frame[ndOptions+2:])
		return a, mac, unicast(mac)
	}
	return a, mac, false
}

func unicast(mac intent.MAC) bool { return mac != (intent.MAC{}) && mac[0]&1 == 0 }

// boundFor returns the destination of an IP packet.
func boundFor(frame []byte) (a netip.Addr, ok bool) {
	switch {
	case len(frame) >= ethLen+20 && binary.BigEndian.Uint16(frame[12:]) == 0x0800:
		return netip.AddrFrom4([4]byte(frame[ethLen+16:])), true
	case len(frame) >= ethLen+ipv6Len && binary.BigEndian.Uint16(frame[12:]) == 0x86dd:
		return netip.AddrFrom16([16]byte(frame[ethLen+24:])), true
	}
	return a, false
}

// Ask returns the packet that asks for a neighbour's MAC address. It is for all on the link:
// who has come in place of another would not hear it else.
func Ask(in pipeline.Input, n pipeline.Neighbour) (out []ofproto.PacketOut) {
	for _, x := range in.Outsides() {
		if x.ID() != n.External {
			continue
		}
		data := request(x, n.Address)
		if n.Address.Is6() {
			data = solicitation(x, n.Address)
		}
		out = append(out, ofproto.PacketOut{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: x.Port}}, Data: data})
	}
	return out
}

// request returns an ARP request. A router without an address of its own asks from none, as
// a probe does (RFC 5227), which is answered like any other.
func request(x pipeline.ExternalSite, a netip.Addr) []byte {
	own := netip.IPv4Unspecified()
	if s, ok := x.OnLink(a); ok && s.Address.IsValid() {
		own = s.Address
	}
	return frame.ARPRequest(x.RouterMAC(), own, a)
}

// solicitation returns a neighbour solicitation (RFC 4861, 4.3), from the link-local address
// of the router's MAC address.
func solicitation(x pipeline.ExternalSite, a netip.Addr) []byte {
	mac, target := x.RouterMAC(), a.As16()
	return frame.Discovery{
		Link: frame.Link{From: mac, To: [6]byte{0x33, 0x33, 0xff, target[13], target[14], target[15]}}, Src: pipeline.LinkLocal(mac),
		Dst: netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]}), Target: a,
	}.Solicitation()
}

// Answer answers a neighbour solicitation from outside that a flow has sent to the controller. The
// flow has seen to it that the target is the router's.
func Answer(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	asked, ok := frame.Solicited(p.Data)
	if !ok {
		return nil
	}
	for _, x := range in.Outsides() {
		if came := ofproto.Is(pipeline.RegIn, uint64(x.Tag)); slices.Contains(p.Match, came) {
			return []ofproto.PacketOut{{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: x.Port}}, Data: asked.Answer(x.RouterMAC())}}
		}
	}
	return nil
}
