package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
)

// forward sends ports of an address to an endpoint, each to its own.
func forward(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, f *intent.PortForward, known map[netip.Prefix]bool) {
	if one := netip.PrefixFrom(f.Address, f.Address.BitLen()); owns(b, t, x, f.ID(), one, known) {
		nobody(b, t, x, f.ID(), one)
	}
	aim(b, t, aimed{
		of: f.ID(), tag: uint64(b.Numbers.Tag(f.ID())), address: f.Address, ip: f.IP,
		protocol: f.Protocol, ports: f.Ports, to: f.ToPorts,
	})
}
