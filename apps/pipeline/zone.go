package pipeline

import (
	"slices"

	"weir/intent"
)

// An AuxZone is a conntrack zone beside those in which the tenants' connections are judged. Its
// entries are the other half of such connections, and are judged nowhere.
type AuxZone struct {
	ID      intent.ID      // it is an id to Numbers.Zone as that of a tenant is
	Tenant  *intent.Tenant // whose connections live as long as this one says; nil: several have some
	Bridges []string       // that use it
}

// SourceZone, behind the id of a tenant, names the zone of the source translation of those of
// its connections whose destination is translated in its own.
const SourceZone intent.ID = "/zone/source"

// AuxZones returns the zones that a model needs beside those of its tenants, in the order of
// the tenants.
func AuxZones(m *intent.Model) (all []AuxZone) {
	for _, t := range m.Tenants() {
		if bridges := doubleOn(t); len(bridges) > 0 {
			all = append(all, AuxZone{t.ID() + SourceZone, t, bridges})
		}
	}
	return append(all, sharedZones(m)...)
}

// doubleOn returns the bridges on which both ends of connections of t are translated.
func doubleOn(t *intent.Tenant) (bridges []string) {
	if t.Mode == intent.Off {
		return nil
	}
	for _, f := range t.FloatingIPs {
		if f.SNAT == intent.SNATAlways {
			bridges = append(bridges, f.Bridge)
		}
	}
	for _, f := range t.PortForwards {
		if f.SNAT == intent.SNATAlways {
			bridges = append(bridges, f.Bridge)
		}
	}
	links := hasLinks(t)
	for _, l := range t.LoadBalancers { // there may be thousands, and this is asked for several times for each change
		if l.SNAT == intent.SNATAlways || l.Outward || links && mirrors(l) {
			bridges = append(bridges, BridgesOf(l)...)
		}
	}
	slices.Sort(bridges)
	return slices.Compact(bridges)
}

// hasLinks reports whether t has a subnet without a gateway, where load balancers may be that only hosts of their link reach.
func hasLinks(t *intent.Tenant) bool {
	return slices.ContainsFunc(t.Networks, func(n *intent.Network) bool {
		return slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return !s.Gateway.IsValid() })
	})
}

// ZonesOf returns the zones that a model needs: those of its tenants, and all others. One that
// is nobody's wish is zero.
func ZonesOf(m *intent.Model) map[intent.ID]uint16 {
	zones := make(map[intent.ID]uint16, len(m.Tenants()))
	for _, t := range m.Tenants() {
		zones[t.ID()] = t.Zone
	}
	for _, z := range AuxZones(m) {
		zones[z.ID] = 0
	}
	return zones
}
