package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// links adds the neighbours on the links of a bridge's outsides that are known.
func links(b *pipeline.Builder) {
	for _, x := range b.Externals {
		known := neighboursOf(b, x)
		for _, h := range x.NextHops {
			if mac, is := known[h.Address]; is {
				id := pipeline.NextHopID(x.External, h.Address)
				neighbour(b, id, x, mac, ofproto.Is(pipeline.RegNextHop, uint64(b.Numbers.Tag(id))))
			}
		}
		for a, mac := range known {
			if _, near := x.OnLink(a); near {
				neighbour(b, x.ID(), x, mac, onLink(x), ofproto.IsAddr(pipeline.IPDst(a), a))
			}
		}
	}
}

// neighboursOf returns the MAC addresses on the link of x: as they have been said, or, of next
// hops, declared.
func neighboursOf(b *pipeline.Builder, x pipeline.ExternalSite) map[netip.Addr]intent.MAC {
	known := map[netip.Addr]intent.MAC{}
	for _, n := range b.Neighbours {
		if n.External == x.ID() {
			known[n.Address] = n.MAC
		}
	}
	for _, h := range x.NextHops {
		if h.MAC != (intent.MAC{}) {
			known[h.Address] = h.MAC
		}
	}
	return known
}

// neighbour sends what meets conditions to a MAC address.
func neighbour(b *pipeline.Builder, id intent.ID, x pipeline.ExternalSite, mac intent.MAC, conds ...ofproto.Cond) {
	b.Flow(id, pipeline.Neigh, 100, ofproto.MatchOn(conds...), x.ToOutsideOf(mac)...)
}

// onLink is the condition that a packet is for somebody on the link of x.
func onLink(x pipeline.ExternalSite) ofproto.Cond {
	return ofproto.Is(pipeline.RegNextHop, uint64(x.Tag))
}

// stranger has a packet for a host on the link that is not known sent to the controller, which
// asks for it; that packet is lost.
func stranger(b *pipeline.Builder, x pipeline.ExternalSite) {
	b.Flow(x.ID(), pipeline.Neigh, 50, ofproto.MatchOn(onLink(x)), b.Punt()...)
}
