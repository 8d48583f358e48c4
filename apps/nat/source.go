package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
)

// seenAs returns the gateway as which an endpoint sees all that comes for an address that stands
// for its own, if it is to.
func seenAs(mode intent.SNATMode, gateway netip.Addr) netip.Addr {
	if mode != intent.SNATAlways {
		return netip.Addr{}
	}
	return gateway
}

// gateways has endpoints see connections to forwarded ports as their gateway's.
func gateways(b *pipeline.Builder, t *pipeline.TenantSite) {
	done, known := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	see := func(of *intent.Endpoint, a, gateway netip.Addr) {
		e, here := t.Site(of)
		if !here || !gateway.IsValid() || done[a] {
			return
		}
		b.FromGateway(t, e, a, gateway, !known[gateway])
		done[a], known[gateway] = true, true
	}
	for _, f := range t.PortForwards {
		if f.Bridge == b.Bridge.Name {
			see(f.Endpoint, f.IP, seenAs(f.SNAT, f.Gateway))
		}
	}
}
