package fabric

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// expire has answered what comes to a tenant's router at the end of its life, so that a
// traceroute shows the gateway. It is asked before the policy, as a router is in front of
// its next hop.
func expire(b *pipeline.Builder, t *pipeline.TenantSite) {
	for _, ip := range []ofproto.Cond{ofproto.IsIPv4, ofproto.IsIPv6} {
		if routes(t, ip == ofproto.IsIPv4) {
			b.Answer(t, pipeline.Route, 300, ofproto.MatchOn(
				pipeline.InVRF(t.Zone), ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC), ip, ofproto.Is(ofproto.IPTTL, 1),
			), pipeline.Expired)
		}
	}
}

// routes reports whether a tenant has a gateway on the bridge, of IPv4 or of IPv6.
func routes(t *pipeline.TenantSite, four bool) bool {
	for _, n := range t.Networks {
		if gatewayOf(n.Network, netip.Addr{}, four).IsValid() {
			return true
		}
	}
	return false
}

// gatewayOf returns the gateway that a knows in its network: that of its subnet, or if it
// is in none, any.
func gatewayOf(n *intent.Network, a netip.Addr, four bool) (gateway netip.Addr) {
	for _, s := range n.Subnets {
		switch {
		case !s.Gateway.IsValid() || s.Gateway.Is4() != four:
		case s.CIDR.Contains(a):
			return s.Gateway
		case !gateway.IsValid():
			gateway = s.Gateway
		}
	}
	return gateway
}

// Expired tells the sender of a packet that it has come to the end of its life at the
// gateway.
func Expired(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	q, ok := in.Punted(p)
	if !ok || q.From == nil {
		return nil
	}
	gateway := gatewayOf(q.From.Network, q.Sent.Src, q.Sent.Src.Is4())
	if !gateway.IsValid() {
		return nil
	}
	return q.Reply(q.Sent.Expire(q.Link(), gateway))
}
