package pipeline

import (
	"hash/fnv"
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// An ExternalSite is an outside of a bridge. What is translated stays so while its port is away:
// connections go on when that comes back.
type ExternalSite struct {
	*intent.External
	Tag  uint32
	Port uint32 // OpenFlow port; zero: it is not there, so that nothing comes in or leaves
}

// RouterMAC returns the router's Ethernet address on that side. One that is not declared is
// made from the names of the bridge and the network: locally administered, and another on each
// bridge, for several may be on the same link.
func (x ExternalSite) RouterMAC() [6]byte {
	if x.MAC != (intent.MAC{}) {
		return x.MAC
	}
	h := fnv.New32a()
	h.Write([]byte(x.ID()))
	sum := h.Sum32()
	return [6]byte{0x02, 'w', byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// NextHopID names a next hop of an outside.
func NextHopID(x *intent.External, hop netip.Addr) intent.ID {
	return x.ID() + intent.ID("/nexthop/"+hop.String())
}

// externalIDs are those of a bridge's intents that have to do with what is outside.
func externalIDs(b *intent.Bridge) (ids []intent.ID) {
	for _, x := range b.Externals {
		ids = append(ids, x.ID())
		for _, h := range x.NextHops {
			ids = append(ids, NextHopID(x, h.Address))
		}
	}
	return ids
}

// translationIDs are those of a tenant's intents that translate.
func translationIDs(t *intent.Tenant) (ids []intent.ID) {
	for _, s := range t.SNATs {
		if ids = append(ids, s.ID()); len(s.Exempt) > 0 {
			ids = append(ids, ExemptID(s))
		}
	}
	for _, f := range t.FloatingIPs {
		ids = append(ids, f.ID())
	}
	for _, f := range t.PortForwards {
		ids = append(ids, f.ID())
	}
	return ids
}

// ExemptID names what an SNAT lets leave untranslated.
func ExemptID(s *intent.SNAT) intent.ID { return s.ID() + "/exempt" }

// externals returns the outsides of a bridge, and says of which the port is not there.
func (in Input) externals(b *intent.Bridge, ports map[binding]uint32) (all []ExternalSite, absent []Pending) {
	for _, x := range b.Externals {
		at := binding{false, x.Port}
		if all = append(all, ExternalSite{x, in.Numbers.Tag(x.ID()), ports[at]}); ports[at] == 0 {
			absent = append(absent, Pending{x.ID(), at.absent(in.Bridge)})
		}
	}
	return all, absent
}

// Outside returns the outside of the bridge by a name.
func (b *Builder) Outside(network string) (x ExternalSite, ok bool) {
	i := slices.IndexFunc(b.Externals, func(x ExternalSite) bool { return x.Network == network })
	if i < 0 {
		return x, false
	}
	return b.Externals[i], true
}

// ToOutsideOf returns the actions that send a packet out by x.
func (x ExternalSite) ToOutsideOf(mac [6]byte) []ofproto.Action {
	return []ofproto.Action{
		ofproto.SetMAC(ofproto.EthDst, mac),
		ofproto.Set(RegOut.Whole(), uint64(x.Tag)), ToOutside.Set(), ofproto.GotoTable(PolSkip),
	}
}

// ToTenants returns the actions that send a packet to x, and from there to the tenant that has
// its destination.
func (x ExternalSite) ToTenants() []ofproto.Action {
	return []ofproto.Action{ofproto.Set(RegOut.Whole(), uint64(x.Tag)), ToOutside.Set(), Across.Set(), ofproto.GotoTable(PolSkip)}
}
