package pipeline

import (
	"weir/intent"
	"weir/ofproto"
)

// FromMartians returns a condition for each prefix of addresses that nothing comes from.
func FromMartians() (all []ofproto.Cond) {
	for _, p := range intent.Martians {
		all = append(all, ofproto.InPrefix(IPSrc(p.Addr()), p))
	}
	return all
}

// martians drops what an endpoint sends to the router from an address that nothing comes from. Only one whose
// source nobody checks gets so far. In its own network it may: a host that has no address yet, or a switch,
// says things from 0.0.0.0 (RFC 2131, 4.1; RFC 4541, 2.1.1) and from :: (RFC 4862, 5.4.2).
func martians(b *Builder, id intent.ID) {
	for _, from := range FromMartians() {
		b.Flow(id, PortSec, 85, ofproto.MatchOn(ofproto.IsMAC(ofproto.EthDst, RouterMAC), from), ToDrop(Spoofed)...)
	}
}
