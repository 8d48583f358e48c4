package daemon

import (
	"cmp"
	"net/netip"
	"slices"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
)

// mostTalkers is how many talkers of each kind are told.
const mostTalkers = 50

// A talkerKey is who or what has connections.
type talkerKey struct {
	kind string // as in api.Talker
	zone uint16
	at   netip.AddrPort // of sources without a port
	tag  uint32         // of rules
}

// A talk is what a talker has.
type talk struct {
	connections int
	bytes       uint64
}

// talkers are all who have connections.
type talkers map[talkerKey]talk

// note counts a connection for its source, its destination, its rules and its backend.
func (t talkers) note(g *ground, e conntrack.Entry, c pipeline.Connection) {
	bytes := e.CountOrig.Bytes + e.CountReply.Bytes
	t.add(talkerKey{kind: "source", zone: e.Zone, at: netip.AddrPortFrom(e.Orig.Src, 0)}, bytes)
	t.add(talkerKey{kind: "destination", zone: e.Zone, at: netip.AddrPortFrom(e.Orig.Dst, e.Orig.DstPort)}, bytes)
	for _, tag := range []uint32{c.RuleOut, c.RuleIn} {
		if tag != 0 {
			t.add(talkerKey{kind: "rule", zone: e.Zone, tag: tag}, bytes)
		}
	}
	if g.backends[e.Zone] == nil {
		return
	}
	if k, _, is := g.services[e.Zone].Backend(c); is {
		t.add(talkerKey{kind: "backend", zone: e.Zone, at: k.Backend}, bytes)
	}
}

func (t talkers) add(k talkerKey, bytes uint64) {
	was := t[k]
	t[k] = talk{was.connections + 1, was.bytes + bytes}
}

// most returns those of each kind that have most connections or most bytes, who has most connections
// first.
func (t talkers) most(g *ground) []api.Talker {
	kinds := map[string][]talkerKey{}
	for k := range t {
		kinds[k.kind] = append(kinds[k.kind], k)
	}
	list := []api.Talker{}
	for _, keys := range kinds {
		chosen := map[talkerKey]bool{}
		for _, by := range []func(talk) uint64{func(n talk) uint64 { return uint64(n.connections) }, func(n talk) uint64 { return n.bytes }} {
			slices.SortFunc(keys, func(a, b talkerKey) int { return cmp.Compare(by(t[b]), by(t[a])) })
			for _, k := range keys[:min(len(keys), mostTalkers)] {
				chosen[k] = true
			}
		}
		for k := range chosen {
			list = append(list, g.talker(k, t[k]))
		}
	}
	slices.SortFunc(list, func(a, b api.Talker) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// talker says who a talker is.
func (g *ground) talker(k talkerKey, n talk) api.Talker {
	tenant := g.tenants[k.zone]
	v := api.Talker{Kind: k.kind, Tenant: tenant.Name, Name: addressText(k.at), Connections: n.connections, Bytes: n.bytes}
	if k.kind == "rule" {
		id, _ := g.numbers.Origin(k.tag)
		v.Name = string(id)
		return v
	}
	if id := g.owners[k.zone][k.at.Addr()]; id != "" {
		v.Endpoint = api.LastPart(string(id))
	}
	return v
}
