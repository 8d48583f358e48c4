package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
)

// forward sends ports of an address to an endpoint, each to its own.
func forward(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, f *intent.PortForward, known map[netip.Prefix]bool) {
	a := aimed{
		of: f.ID(), tag: uint64(b.Numbers.Tag(f.ID())), address: f.Address, ip: f.IP,
		protocol: f.Protocol, ports: f.Ports, to: f.ToPorts, gateway: seenAs(f.SNAT, f.Gateway),
	}
	if f.Protocol == intent.SCTP && !b.Features.SCTPPorts {
		if why := portless(t, f); why != "" {
			b.LeaveOut(f.ID(), why)
			return
		}
		a.portless = true
		onlyPorts(b, t, x, a, f == t.PortForwards[slices.IndexFunc(t.PortForwards, func(o *intent.PortForward) bool { return sameSCTP(f, o) })])
	}
	if one := netip.PrefixFrom(f.Address, f.Address.BitLen()); owns(b, t, x, f.ID(), one, known) {
		nobody(b, t, x, f.ID(), one)
	}
	aim(b, t, a)
}
