package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// lost keeps back what endpoints send from ports that are forwarded to them, if it begins no
// connection and is of none: the tracker has lost the one that it is of. It would leave as whom
// the endpoint opens connections, which its peer would reset. Once the peer speaks, the
// connection is known again.
func lost(b *pipeline.Builder, t *pipeline.TenantSite) {
	done := map[string]bool{}
	for _, f := range t.PortForwards {
		x, ok := b.Outside(f.External)
		if !ok || f.Bridge != b.Bridge.Name || f.Protocol != intent.TCP {
			continue
		}
		for _, from := range ofproto.CoverPorts(ofproto.TCPSrc, f.ToPorts.Lo, f.ToPorts.Hi) {
			m := lostFrom(t, x, f.IP, from)
			if key := m.Key(); !done[key] {
				done[key] = true
				b.Flow(f.ID(), pipeline.SNATSel, pipeline.LostFrom, m, pipeline.ToDrop(pipeline.Lost)...)
			}
		}
	}
}

// lostFrom matches what is to leave by x from an address, and from ports of it, and begins nothing.
func lostFrom(t *pipeline.TenantSite, x pipeline.ExternalSite, a netip.Addr, from ofproto.Cond) ofproto.Match {
	const syn = 0x002
	return ofproto.MatchOn(pipeline.IPVersion(a.Is4()), ofproto.Is(ofproto.IPProto, pipeline.ProtoTCP), ofproto.Masked(ofproto.TCPFlags, 0, syn),
		from, ofproto.IsAddr(pipeline.IPSrc(a), a), pipeline.InZone(t.Zone), leavesBy(x))
}
