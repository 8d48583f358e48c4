package nat

import (
	"math/bits"
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/frame"
	"weir/ofproto"
)

// Answered reads off the flows of a bridge which addresses its router answers for outside, and
// where: what is on the link but not there is not known to it.
func Answered(flows []ofproto.Flow) (all []pipeline.Presence) {
	ports, macs := map[uint64]uint32{}, map[uint64]intent.MAC{}
	for i := range flows { // of which there may be very many
		tag, mac, port := routerIn(&flows[i])
		if mac != (intent.MAC{}) {
			macs[tag] = mac
		}
		if port != 0 {
			ports[tag] = port
		}
	}
	for i := range flows {
		tag, p := answeredIn(&flows[i])
		if mac, is := macs[tag]; is && p.IsValid() && ports[tag] != 0 {
			all = append(all, pipeline.Presence{Port: ports[tag], MAC: mac, Prefix: p})
		}
	}
	return all
}

// routerIn returns what a flow says of the router of an outside: its MAC address, or its port.
func routerIn(f *ofproto.Flow) (tag uint64, mac intent.MAC, port uint32) {
	if _, owned := pipeline.TagOf(f.Cookie); !owned {
		return 0, mac, 0
	}
	switch f.Table {
	case pipeline.ArpNd:
		by, entered := condOn(f, pipeline.RegIn)
		to, addressed := condOn(f, ofproto.EthDst)
		if entered && addressed {
			return by.Value.Uint64(), intent.MAC(to.Value[10:]), 0
		}
	case pipeline.Out:
		by, leaves := condOn(f, pipeline.RegOut)
		if leaves && len(f.Actions) == 1 {
			out, _ := f.Actions[0].(ofproto.Output)
			return by.Value.Uint64(), mac, out.Port
		}
	}
	return 0, mac, 0
}

// answeredIn returns the addresses that a flow answers for, and on which outside, if it does.
func answeredIn(f *ofproto.Flow) (tag uint64, p netip.Prefix) {
	if _, owned := pipeline.TagOf(f.Cookie); !owned || f.Table != pipeline.ArpNd {
		return 0, p
	}
	by, entered := condOn(f, pipeline.RegIn)
	if !entered {
		return 0, p
	}
	for _, c := range f.Match {
		switch c.Field {
		case ofproto.ARPTPA:
			return by.Value.Uint64(), netip.PrefixFrom(netip.AddrFrom4([4]byte(c.Value[12:])), ones(c.Mask[12:]))
		case ofproto.NDTarget:
			return by.Value.Uint64(), netip.PrefixFrom(netip.AddrFrom16(c.Value), ones(c.Mask[:]))
		}
	}
	return 0, p
}

// condOn returns what f requires of a field, if it does.
func condOn(f *ofproto.Flow, field ofproto.Field) (c ofproto.Cond, ok bool) {
	for _, c := range f.Match {
		if c.Field == field {
			return c, true
		}
	}
	return c, false
}

// ones is how many bits of a mask are set.
func ones(mask []byte) (n int) {
	for _, b := range mask {
		n += bits.OnesCount8(b)
	}
	return n
}

// Announce returns the packet that tells all on the link that an address is the router's, so that
// who has known it elsewhere sends there from now on: an ARP announcement (RFC 5227, 3), or an
// unsolicited neighbour advertisement (RFC 4861, 7.2.6).
func Announce(at pipeline.Presence, a netip.Addr) ofproto.PacketOut {
	data := frame.ARPRequest(at.MAC, a, a)
	if a.Is6() {
		to := frame.Link{From: at.MAC, To: [6]byte{0x33, 0x33, 5: 1}}
		data = frame.Discovery{Link: to, Src: pipeline.LinkLocal(at.MAC), Dst: allNodes, Target: a}.Advertisement(frame.UnsolicitedFlags)
	}
	return ofproto.PacketOut{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: at.Port}}, Data: data}
}

// allNodes is everybody on a link (RFC 4291, 2.7.1).
var allNodes = netip.MustParseAddr("ff02::1")
