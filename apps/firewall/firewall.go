// Package firewall compiles the tenants' policies.
//
// A connection is judged when it is new, by the policies of both ends: PolOut asks
// the sending end's egress rules, PolIn the receiving end's ingress rules. In each,
// the first rule that matches decides, and where none does the tenant's default. Both
// must agree before anything is committed, so that what is denied leaves no trace in
// the connection tracker.
//
// Rules match identities, not addresses: numbers of the classes of all endpoints that the
// rules cannot tell apart. Port security says that of the sender, and the tables L2 and
// Neigh that of the receiver; the tables IDSrc and IDDst do for addresses of others.
package firewall

import (
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A style says how a rule with several endpoints, peers and services becomes flows.
type style bool

const (
	product  style = false // each with each
	cheapest style = true  // as a conjunction where that is fewer
)

// App is the firewall. Products is one that decides alike, without a conjunction in it: it is
// there to be compared with.
var (
	App      = pipeline.App{Bridge: bridge, Tenant: func(b *pipeline.Builder, t *pipeline.TenantSite) { tenant(b, t, cheapest) }}
	Products = pipeline.App{Bridge: bridge, Tenant: func(b *pipeline.Builder, t *pipeline.TenantSite) { tenant(b, t, product) }}
)

// bridge adds what every bridge has.
func bridge(b *pipeline.Builder) {
	id := b.Bridge.ID()
	b.Flow(id, pipeline.IDSrc, 0, nil, ofproto.GotoTable(pipeline.IDDst))
	b.Flow(id, pipeline.IDDst, 0, nil, ofproto.GotoTable(pipeline.Route))
	b.Flow(id, pipeline.PolOut, 0, nil, pipeline.ToDrop(pipeline.NoState)...)
	b.Flow(id, pipeline.PolIn, 0, nil, pipeline.ToDrop(pipeline.NoState)...)
	b.Flow(id, pipeline.StatelessInReply, 0, nil, receiving.pass...)
}

// tenant adds the policy of a tenant.
func tenant(b *pipeline.Builder, t *pipeline.TenantSite, s style) {
	if t.Mode == intent.Off {
		return
	}
	identify(b, t)
	egress := ranked(b, t, intent.Egress, s)
	ingress := ranked(b, t, intent.Ingress, s)
	both := slices.Concat(egress, ingress)
	for _, r := range both {
		judge(b, t, r)
	}
	reject(b, t, both)
	reset(b, t)
	lookUp(b, t, intent.Egress, pipeline.PeerDst)
	lookUp(b, t, intent.Ingress, pipeline.PeerSrc)
	byDefault(b, t, intent.Egress)
	byDefault(b, t, intent.Ingress)
	untrack(b, t, egress, ingress)
	if !t.ImplicitARP {
		discover(b, t)
	}
}

// identify gives the addresses of endpoints the identity of their class, where no port and
// no neighbour says it: a trusted port sends from any of them, and those of endpoints that
// are not on the bridge are kept, so that it remembers as whom they were judged.
func identify(b *pipeline.Builder, t *pipeline.TenantSite) {
	trusted := slices.ContainsFunc(t.Tenant.Endpoints, func(e *intent.Endpoint) bool { return e.Trusted })
	for _, c := range t.Classes[src.identity] {
		for _, e := range c.Members {
			if !t.Here(e) || trusted {
				name(b, t, c, e, src, pipeline.IDSrc, pipeline.IDDst)
			}
		}
	}
	for _, c := range t.Classes[dst.identity] {
		for _, e := range c.Members {
			if !t.Here(e) {
				name(b, t, c, e, dst, pipeline.IDDst, pipeline.Route)
			}
		}
	}
}

// name gives the addresses of an endpoint the identity of its class, at one end.
func name(b *pipeline.Builder, t *pipeline.TenantSite, c *pipeline.Class, e *intent.Endpoint, s side, at, next ofproto.Table) {
	for _, ip := range pipeline.AddressesOf(e) {
		b.Flow(e.ID(), at, 100, ofproto.MatchOn(pipeline.InZone(t.Zone), s.addr(ip)),
			ofproto.Set(s.identity.Whole(), uint64(b.Numbers.Tag(c.ID))), ofproto.GotoTable(next))
	}
}

// A stage is what differs between judging the one end and the other.
type stage struct {
	table   ofproto.Table
	next    ofproto.Table
	rule    ofproto.Field // keeps the number of the rule that admitted
	subject side          // the end whose policy it is
	peer    side
}

var stages = map[intent.Direction]stage{
	intent.Egress:  {pipeline.PolOut, pipeline.PolIn, pipeline.RegRuleOut, src, dst},
	intent.Ingress: {pipeline.PolIn, pipeline.Commit, pipeline.RegRuleIn, dst, src},
}

// stageOf returns the stage of a direction for a tenant. Where ingress rules share CIDRs, the
// source is looked up between the two.
func stageOf(t *pipeline.TenantSite, d intent.Direction) stage {
	s := stages[d]
	if d == intent.Egress && len(t.Ranges[intent.Ingress]) > 0 {
		s.next = pipeline.PeerSrc
	}
	return s
}

// judge adds the flows of one rule.
func judge(b *pipeline.Builder, t *pipeline.TenantSite, r rule) {
	s := stageOf(t, r.Direction)
	if r.refused {
		closeScope(b, t, r, s)
		return
	}
	if r.as != nil {
		conjoin(b, t, r, s)
		return
	}
	actions := decision(b, r, s)
	for _, m := range r.matches(b.Numbers, s, forward) {
		m = append(append(m, pipeline.InZone(t.Zone)), r.unpassed(s.table)...)
		b.Flow(r.ID(), s.table, r.priority, ofproto.MatchOn(m...), actions...)
	}
}

// decision returns what a rule does with what it matches.
func decision(b *pipeline.Builder, r rule, s stage) []ofproto.Action {
	if r.Action == intent.Pass {
		return pipeline.Pass(s.table, r.Policy.Tier)
	}
	actions := []ofproto.Action{ofproto.Set(s.rule.Whole(), uint64(b.Numbers.Tag(r.ID())))}
	actions = append(actions, pipeline.Report(r.Log)...)
	switch r.Action {
	case intent.Deny:
		return append(actions, ofproto.Set(pipeline.RegReason.Whole(), uint64(pipeline.DeniedByRule)), ofproto.GotoTable(pipeline.PolMiss))
	case intent.Reject:
		return append(actions, ofproto.Set(pipeline.RegReason.Whole(), uint64(pipeline.RejectedByRule)), ofproto.GotoTable(pipeline.PolMiss))
	}
	if r.Mark != 0 {
		actions = append(actions, ofproto.Set(pipeline.ConnClass, uint64(r.Mark)))
	}
	switch r.ALG {
	case intent.FTP:
		actions = append(actions, pipeline.FTP.Set())
	case intent.TFTP:
		actions = append(actions, pipeline.TFTP.Set())
	}
	actions = append(actions, revocation(r)...)
	return append(actions, ofproto.GotoTable(s.next))
}

// revocation notes what becomes of a connection when its policy is changed. It is to live on
// if a policy that has admitted it says so, and none says otherwise; the tenant's defaults
// do not say.
func revocation(r rule) []ofproto.Action {
	keep, egress := r.Policy.OnRevoke == intent.RevokeKeep, r.Direction == intent.Egress
	switch {
	case r.Policy.OnRevoke == intent.RevokeReset && !egress && r.keeps:
		return []ofproto.Action{pipeline.Keep.Clear(), pipeline.Reset.Set()}
	case r.Policy.OnRevoke == intent.RevokeReset:
		return []ofproto.Action{pipeline.Reset.Set()}
	case keep && egress:
		return []ofproto.Action{pipeline.Keep.Set(), pipeline.MayKeep.Set()}
	case keep:
		return []ofproto.Action{pipeline.Keep.As(pipeline.MayKeep)}
	case r.keeps && !egress:
		return []ofproto.Action{pipeline.Keep.Clear()}
	}
	return nil
}

// keeps reports whether some policy lets connections live on.
func keeps(t *intent.Tenant) bool {
	return slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool { return p.OnRevoke == intent.RevokeKeep })
}

// closeScope stands in for a rule that the switch has refused: everything that the
// policy's endpoints would have to have judged by it is denied. A policy must never
// open because a part of it does not fit. One that grants is left out.
func closeScope(b *pipeline.Builder, t *pipeline.TenantSite, r rule, s stage) {
	if grants(r.Action) {
		return
	}
	for _, c := range r.subjects {
		m := append(r.unpassed(s.table), pipeline.InZone(t.Zone), s.subject.class(b.Numbers, c))
		b.Flow(serves(b, t, r), s.table, r.priority, ofproto.MatchOn(m...),
			ofproto.Set(pipeline.RegReason.Whole(), uint64(pipeline.RefusedRule)), ofproto.GotoTable(pipeline.PolMiss))
	}
}

// serves returns whom the flows of r serve: the rule. Those that stand in for it when it
// is refused serve its policy; and if they are refused as well, the tenant, without which
// there is nothing that could be open.
func serves(b *pipeline.Builder, t *pipeline.TenantSite, r rule) intent.ID {
	switch {
	case !r.refused:
		return r.ID()
	case !b.Refused(r.Policy.ID()):
		return r.Policy.ID()
	}
	return t.ID()
}

// byDefault adds the tenant's default for a direction, under all rules.
func byDefault(b *pipeline.Builder, t *pipeline.TenantSite, d intent.Direction) {
	s, id := stageOf(t, d), t.DefaultID(d)
	action := t.Ingress
	if d == intent.Egress {
		action = t.Egress
	}
	actions := []ofproto.Action{ofproto.Set(s.rule.Whole(), uint64(b.Numbers.Tag(id)))}
	if action == intent.Allow {
		if d == intent.Egress && keeps(t.Tenant) {
			actions = append(actions, pipeline.MayKeep.Set())
		}
		actions = append(actions, ofproto.GotoTable(s.next))
	} else {
		actions = append(actions, ofproto.Set(pipeline.RegReason.Whole(), uint64(pipeline.DeniedByDefault)), ofproto.GotoTable(pipeline.PolMiss))
	}
	b.Flow(id, s.table, 1, ofproto.MatchOn(pipeline.InZone(t.Zone)), actions...)
}
