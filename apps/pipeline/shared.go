package pipeline

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// Tenants that share addresses outside have a zone for these in common, beside their own. What
// leaves is translated twice: in the tenant's zone to an alias, which stands for the tenant at
// these addresses, and from that in the common zone. So two tenants with the same addresses
// inside are two sources there, and the common zone gives an answer back to the alias, which
// says whose it is. An alias is never seen outside of a bridge.

// aliases are the prefixes of all aliases: one of those that nobody will ever be given (RFC
// 1112, 4), and a local one (RFC 4193).
var aliases = [2]netip.Prefix{netip.MustParsePrefix("240.0.0.0/8"), netip.MustParsePrefix("fd77:6569:7200:1::/64")}

// sharedZone names the zone that tenants have in common for addresses of a pool.
func sharedZone(bridge, external string, r intent.AddrRange) intent.ID {
	x := intent.External{Bridge: bridge, Network: external}
	return x.ID() + intent.ID("/shared/"+r.String())
}

// sharedZones returns the zones that tenants have in common.
func sharedZones(m *intent.Model) (all []AuxZone) {
	known := map[intent.ID]bool{}
	for _, t := range m.Tenants() {
		sharedBy(t, func(p intent.Pool, r intent.AddrRange) {
			if id := sharedZone(p.Bridge, p.External, r); !known[id] {
				known[id] = true
				all = append(all, AuxZone{ID: id, Bridges: []string{p.Bridge}})
			}
		})
	}
	return all
}

// sharedBy calls do for the addresses that a tenant shares.
func sharedBy(t *intent.Tenant, do func(intent.Pool, intent.AddrRange)) {
	for _, s := range t.SNATs {
		for _, p := range s.Pools {
			for _, r := range p.Ranges {
				if s.Shared {
					do(p, r)
				}
			}
		}
	}
}

// aliasID names the alias of a tenant at the addresses that have a zone.
func aliasID(tenant, zone intent.ID) intent.ID { return tenant + "/behind/" + zone }

// aliasIDs are those of a tenant. Their numbers are groups', which are for life and small.
func aliasIDs(t *intent.Tenant) (ids []intent.ID) {
	sharedBy(t, func(p intent.Pool, r intent.AddrRange) {
		if id := aliasID(t.ID(), sharedZone(p.Bridge, p.External, r)); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	})
	return ids
}

// Alias returns the address that stands for a tenant at addresses that it shares.
func (b *Builder) Alias(t *TenantSite, c Common) netip.Addr {
	id := aliasID(t.ID(), sharedZone(b.Bridge.Name, c.External, c.AddrRange))
	return aliasOf(b.Numbers.Group(id), c.Lo.Is4())
}

func aliasOf(number uint32, four bool) netip.Addr {
	if four {
		a := aliases[0].Addr().As4()
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|number)
		return netip.AddrFrom4(a)
	}
	a := aliases[1].Addr().As16()
	binary.BigEndian.PutUint32(a[12:], number)
	return netip.AddrFrom16(a)
}

// neverAlias keeps in what has the address of an alias, whatever has become of what translates
// it.
func neverAlias(b *Builder, x ExternalSite) {
	for _, p := range aliases {
		b.Flow(x.ID(), Out, 118, ofproto.MatchOn(ofproto.Is(RegOut, uint64(x.Tag)), ofproto.InPrefix(IPSrc(p.Addr()), p)), ToDrop(NotTranslated)...)
	}
}

// notAsAlias keeps anybody from leaving from the address of an alias: to be translated to that
// would be to itself.
func notAsAlias(b *Builder, id intent.ID) {
	for _, p := range aliases {
		b.Flow(id, SNATSel, 58000, ofproto.MatchOn(ofproto.InPrefix(IPSrc(p.Addr()), p)), ToDrop(NotTranslated)...)
	}
}

// Share has what comes for addresses that tenants share be looked up in their common zone. What
// another tenant sends from such an address can be for a forwarded port only.
func (b *Builder) Share(x ExternalSite, c Common, priority uint16, conds ...ofproto.Cond) {
	b.Flow(x.ID(), ExtIn, priority, ofproto.MatchOn(append(conds, FromOutside.isWithout(Twice))...), ofproto.ConnTrack{Zone: c.Zone, Table: SharedIn, NAT: &ofproto.NAT{}})
}

// Shared adds what is the same for all addresses that are shared. What there is no room for in
// the common zone is not in it, and must not leave: not even with the address, for its port may
// be somebody else's.
func (b *Builder) Shared(id intent.ID) {
	b.Flow(id, SharedIn, 0, nil, ToDrop(NobodysPort)...)
	b.Flow(id, SharedOut, 110, ofproto.MatchOn(ofproto.CT(ofproto.Inv|ofproto.Trk, 0)), ToDrop(InvalidState)...)
	b.Flow(id, SharedOut, 0, nil, ToDrop(NoPortLeft)...)
}

// Translate are the actions that commit in the common zone, which translates also what is there already.
func (c Common) Translate(n ofproto.NAT) []ofproto.Action {
	return []ofproto.Action{Twice.Set(), ofproto.ConnTrack{
		Commit: true, Zone: c.Zone, Table: SharedOut, NAT: &n, Exec: []ofproto.Action{ofproto.Load{Dst: markCommitted, Value: 1}},
	}}
}

// NotYetTwice is the condition that a packet is from inside, and has not been translated in a
// common zone.
func NotYetTwice() ofproto.Cond { return ofproto.Masked(regFlags, 0, 1<<Twice|1<<FromOutside) }

// Behind lets t have what is for its alias at c's addresses, and leave from it. What is in the
// common zone, but not as the alias, the tenant's own zone had no room for.
func (b *Builder) Behind(of intent.ID, t *TenantSite, x ExternalSite, c Common) {
	alias := b.Alias(t, c)
	in, out := ofproto.Is(RegIn, uint64(x.Tag)), ofproto.Is(RegOut, uint64(x.Tag))
	b.Flow(of, SharedIn, 100, ofproto.MatchOn(in, ofproto.IsAddr(IPDst(alias), alias)), t.EnterTenant()...)
	b.Flow(of, SharedOut, 100, ofproto.MatchOn(out, Remembered(), ofproto.CT(ofproto.Trk, ofproto.Inv), IPVersion(alias.Is4()), ofproto.IsAddr(OriginalSrc(alias), alias)), ofproto.GotoTable(Out))
}

// AliasesGone returns the aliases that a plan takes away, and the common zones in which there may
// still be connections of them.
func AliasesGone(plan ofproto.Plan) map[netip.Addr]uint16 {
	gone := map[netip.Addr]uint16{}
	for _, f := range plan.DeleteFlows {
		if alias, zone, is := aliasIn(f); is {
			gone[alias] = zone
		}
	}
	for _, f := range plan.PutFlows {
		if alias, _, is := aliasIn(f); is {
			delete(gone, alias)
		}
	}
	return gone
}

// aliasIn returns the alias that f has translated once more, and in which zone, if it does so for
// all that leaves as that.
func aliasIn(f ofproto.Flow) (alias netip.Addr, zone uint16, is bool) {
	if f.Table != Out || len(f.Actions) != 2 {
		return alias, 0, false
	}
	ct, is := f.Actions[1].(ofproto.ConnTrack)
	for _, c := range f.Match {
		switch c.Field {
		case ofproto.IPv4Src:
			alias = netip.AddrFrom4([4]byte(c.Value[12:]))
		case ofproto.IPv6Src:
			alias = netip.AddrFrom16(c.Value)
		case RegSNAT:
			return alias, 0, false
		}
	}
	return alias, ct.Zone, is && alias.IsValid()
}
