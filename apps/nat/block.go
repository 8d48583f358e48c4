package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// Several tenants may leave as one address. If it is not shared, each has a block of its ports. Whose an answer is
// its port says, and nothing else: so only protocols leave of which the tracker translates the
// ports, and an ICMP error, which has none, reaches nobody.

// withPorts are the protocols of which the datapath's tracker translates the ports.
func withPorts(b *pipeline.Builder) []intent.Protocol {
	if b.Features.SCTPPorts {
		return []intent.Protocol{intent.TCP, intent.UDP, intent.SCTP}
	}
	return []intent.Protocol{intent.TCP, intent.UDP}
}

// common answers for the addresses that tenants have in common on an outside. What comes for
// them and is nobody's is counted apart.
func common(b *pipeline.Builder, x pipeline.ExternalSite) {
	for _, c := range b.Commons {
		if c.External != x.Network {
			continue
		}
		for _, p := range prefixesOf(c.AddrRange) {
			present(b, x, x.ID(), p)
			across(b, x, x.ID(), p)
			here := []ofproto.Cond{cameBy(x), ofproto.InPrefix(pipeline.IPDst(p.Addr()), p)}
			if c.Zone != 0 {
				b.Share(x, c, owned(p.Bits()), here...)
			} else {
				b.Flow(x.ID(), pipeline.ExtIn, 50, ofproto.MatchOn(here...), pipeline.ToDrop(pipeline.NobodysPort)...)
			}
		}
	}
}

// A block is ports of an address, or of several, that are a tenant's.
type block struct {
	of        intent.ID
	external  string
	addresses intent.AddrRange
	protocols []intent.Protocol
	ports     intent.PortRange
}

// blocks gives a tenant what comes for its ports of addresses that others have as well.
func blocks(b *pipeline.Builder, t *pipeline.TenantSite) {
	var all []block
	for _, s := range t.SNATs {
		for _, x := range b.Externals {
			for _, p := range s.PoolsOn(b.Bridge.Name, x.Network) {
				for _, r := range p.Ranges {
					if s.Shared {
						continue // whose a port is the common zone says
					}
					all = append(all, block{s.ID(), x.Network, r, withPorts(b), s.Ports})
				}
			}
		}
	}
	for _, f := range t.PortForwards {
		if f.Bridge == b.Bridge.Name && slices.Contains(withPorts(b), f.Protocol) {
			all = append(all, block{f.ID(), f.External, intent.AddrRange{Lo: f.Address, Hi: f.Address}, []intent.Protocol{f.Protocol}, f.Ports})
		}
	}
	known := map[string]bool{}
	for _, k := range all {
		if x, ok := b.Outside(k.external); ok && t.InCommon(k.external, k.addresses.Lo) {
			k.enter(b, t, x, known)
		}
	}
}

// enter lets in what comes for a block. Masks of blocks that overlap may be the same.
func (k block) enter(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, known map[string]bool) {
	for _, p := range prefixesOf(k.addresses) {
		for _, m := range k.matches(cameBy(x), p) {
			if key := m.Key(); !known[key] {
				known[key] = true
				b.Flow(k.of, pipeline.ExtIn, 300, m, t.EnterTenant()...)
			}
		}
	}
}

// matches are those that together are for k's ports of some addresses.
func (k block) matches(came ofproto.Cond, p netip.Prefix) (all []ofproto.Match) {
	for _, name := range k.protocols {
		protocol := protocols[name]
		for _, ports := range ofproto.CoverPorts(protocol.dst, k.ports.Lo, k.ports.Hi) {
			all = append(all, ofproto.MatchOn(came, ofproto.InPrefix(pipeline.IPDst(p.Addr()), p), ofproto.Is(ofproto.IPProto, protocol.number), ports))
		}
	}
	return all
}

// translateBlock has what s selects leave with the ports that the tenant has of addresses.
func translateBlock(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, r intent.AddrRange, selected []ofproto.Cond) {
	for _, name := range withPorts(b) {
		b.Translate(t, pipeline.Translation{
			Of: s.ID(), Conds: selected, Service: []ofproto.Cond{ofproto.Is(ofproto.IPProto, protocols[name].number)}, NAT: sourceOf(r, s),
		})
	}
	b.Flow(s.ID(), pipeline.Commit, 145, ofproto.MatchOn(selected...), pipeline.ToDrop(pipeline.WithoutPorts)...)
}
