package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
)

// forwards adds a tenant's port forwards.
func forwards(b *pipeline.Builder, t *pipeline.TenantSite, known map[netip.Prefix]bool) {
	type service struct {
		protocol intent.Protocol
		address  netip.Addr
	}
	of, order := map[service][]aimed{}, []service{}
	for _, f := range t.PortForwards {
		x, ok := b.Outside(f.External)
		if !ok || f.Bridge != b.Bridge.Name || b.Refused(f.ID()) {
			continue
		}
		a, ok := forward(b, t, f)
		if !ok {
			continue
		}
		s := service{f.Protocol, f.Address}
		if a.portless {
			onlyPorts(b, t, x, a, len(of[s]) == 0)
		}
		if one := netip.PrefixFrom(f.Address, f.Address.BitLen()); owns(b, t, x, f.ID(), one, known) {
			nobody(b, t, x, f.ID(), one)
		}
		aim(b, t, a)
		if len(of[s]) == 0 {
			order = append(order, s)
		}
		of[s] = append(of[s], a)
	}
	for _, s := range order {
		fragments(b, t, of[s])
	}
}

// forward returns what sends ports of an address to an endpoint, each to its own, if the
// datapath can do it.
func forward(b *pipeline.Builder, t *pipeline.TenantSite, f *intent.PortForward) (a aimed, ok bool) {
	a = aimed{
		of: f.ID(), tag: uint64(b.Numbers.Tag(f.ID())), address: f.Address, ip: f.IP,
		protocol: f.Protocol, ports: f.Ports, to: f.ToPorts, gateway: seenAs(f.SNAT, f.Gateway),
		portless: f.Protocol == intent.SCTP && !b.Features.SCTPPorts,
	}
	if !a.portless {
		return a, true
	}
	why := portless(t, f)
	if why != "" {
		b.LeaveOut(f.ID(), why)
	}
	return a, why == ""
}
