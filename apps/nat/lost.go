package nat

import (
	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// lost keeps back what endpoints send from ports that are forwarded to them, if it begins no
// connection and is of none: the tracker has lost the one that it is of. It would leave as whom
// the endpoint opens connections, which its peer would reset. Once the peer speaks, the
// connection is known again.
func lost(b *pipeline.Builder, t *pipeline.TenantSite) {
	const syn = 0x002
	done := map[string]bool{}
	for _, f := range t.PortForwards {
		x, ok := b.Outside(f.External)
		if !ok || f.Bridge != b.Bridge.Name || f.Protocol != intent.TCP {
			continue
		}
		for _, from := range ofproto.CoverPorts(ofproto.TCPSrc, f.ToPorts.Lo, f.ToPorts.Hi) {
			m := ofproto.MatchOn(pipeline.IPVersion(f.IP.Is4()), ofproto.Is(ofproto.IPProto, pipeline.ProtoTCP), ofproto.Masked(ofproto.TCPFlags, 0, syn),
				from, ofproto.IsAddr(pipeline.IPSrc(f.IP), f.IP), pipeline.InZone(t.Zone), leavesBy(x))
			if key := m.Key(); !done[key] {
				done[key] = true
				b.Flow(f.ID(), pipeline.SNATSel, unknown, m, pipeline.ToDrop(pipeline.Lost)...)
			}
		}
	}
}
