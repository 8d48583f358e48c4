package pipeline

import (
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// RateID names how many connections a tenant, or an endpoint, may open in a second. If the
// switch refuses it, as one without meters does, there is no such limit: it keeps load away,
// and what may pass is for policy to say. The refusal is told.
func RateID(of intent.ID) intent.ID { return of + "/newPerSecond" }

// meteredIDs are those of a tenant's intents that have meters.
func meteredIDs(t *intent.Tenant) (ids []intent.ID) {
	if answered(t) || slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool { return l.WhenEmpty == intent.EmptyReject }) {
		ids = append(ids, AnswersID(t))
	}
	if t.Limits.NewPerSecond > 0 {
		ids = append(ids, RateID(t.ID()))
	}
	ids = append(ids, probesIDs(t)...)
	for _, w := range loggingsOf(t) {
		ids = append(ids, t.ID()+w.name)
	}
	for _, e := range t.Endpoints {
		if e.NewPerSecond > 0 {
			ids = append(ids, RateID(e.ID()))
		}
	}
	return ids
}

// rated reports whether t, or an endpoint of it, may open only so many connections. An audit
// lets all of them pass.
func (t *TenantSite) rated() bool {
	if t.Mode != intent.Enforce {
		return false
	}
	return t.Limits.NewPerSecond > 0 || slices.ContainsFunc(t.Endpoints, func(e *intent.Endpoint) bool { return e.NewPerSecond > 0 })
}

// unratedNew is where packets of connections go that nobody counts.
func unratedNew(b *Builder, id intent.ID) {
	b.Flow(id, NewLimit, 0, nil, ofproto.GotoTable(NewLimitTenant))
	b.Flow(id, NewLimitTenant, 0, nil, ofproto.GotoTable(LBVIP))
}

// rate drops what opens more connections than t and its endpoints may: first what an
// endpoint opens too many of, which does not count for its tenant.
//
// What is metered is each packet of a connection that the tracker does not know. It may be
// denied after that, so that a flood of what policy denies is kept from it, too.
func rate(b *Builder, t *TenantSite) {
	meter := func(id intent.ID, perSecond uint32, table, next ofproto.Table, who ofproto.Cond) {
		if perSecond == 0 {
			return
		}
		if number, ok := b.Meter(RateID(id), perSecond); ok {
			b.Flow(RateID(id), table, 100, ofproto.MatchOn(who), ofproto.Meter(number), ofproto.GotoTable(next))
		}
	}
	for _, n := range t.Networks {
		for _, e := range n.Endpoints {
			meter(e.ID(), e.NewPerSecond, NewLimit, NewLimitTenant, ofproto.Is(RegIn, uint64(e.Tag)))
		}
	}
	meter(t.ID(), t.Limits.NewPerSecond, NewLimitTenant, LBVIP, InZone(t.Zone))
}

// judged returns the actions with which a new connection of t is judged.
func (t *TenantSite) judged() []ofproto.Action {
	if t.rated() {
		return []ofproto.Action{ofproto.GotoTable(NewLimit)}
	}
	return judge
}
