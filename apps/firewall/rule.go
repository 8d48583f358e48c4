package firewall

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A rule is an intent.Rule resolved against the tenant's classes.
type rule struct {
	*intent.Rule
	subjects []*pipeline.Class // nil: every packet of the tenant
	peers    []*pipeline.Class
	cidrs    []netip.Prefix // with peers; none lies in another
	own      []netip.Prefix // of cidrs, those that are in no range
	ranges   []*pipeline.Range
	anyPeer  bool
	versions []version
	priority uint16
	passable bool         // its tier has a pass rule, so that it is asked only if the tier has not been left
	as       *conjunction // nil: as the product of its endpoints, peers and services
	keeps    bool         // some policy of the tenant lets connections live on
	refused  bool         // by the switch, and not stateless: it stands for everything its endpoints have judged
}

// version is 4 or 6, of IP.
type version uint8

// resolved returns the tenant's rules for a direction, in order.
func resolved(b *pipeline.Builder, t *pipeline.TenantSite, d intent.Direction) (rules []rule) {
	keeps := keeps(t.Tenant)
	n := 0
	for _, p := range t.Policies {
		n += len(p.Rules)
	}
	rules = make([]rule, 0, n)
	for _, p := range t.Policies {
		for _, r := range p.Rules {
			if r.Direction != d || r.Protocol == intent.ARP || r.Protocol == intent.ND {
				continue
			}
			x := resolve(r, t).share(t.Ranges[d])
			if b.Refused(r.ID()) && r.Action != intent.Stateless {
				x = resolve(widened(r), t)
				x.refused = true
			}
			x.keeps = keeps
			rules = append(rules, x)
		}
	}
	return rules
}

// passed notes which rules a pass rule of their tier may jump over.
func passed(rules []rule) []rule {
	left := map[intent.Tier]bool{}
	for _, r := range rules {
		left[r.Policy.Tier] = left[r.Policy.Tier] || r.Action == intent.Pass
	}
	for i, r := range rules {
		rules[i].passable = left[r.Policy.Tier]
	}
	return rules
}

// unpassed is the condition under which r is asked in a table: that its tier has not been
// left there. There is none in a tier that nobody can leave.
func (r rule) unpassed(t ofproto.Table) []ofproto.Cond {
	if !r.passable {
		return nil
	}
	return []ofproto.Cond{pipeline.NotPassed(t, r.Policy.Tier)}
}

// grants reports whether an action only lets more pass, so that a rule that cannot be is
// left out. What stands in the way of later rules, or jumps over them, must not be missing.
func grants(a intent.Action) bool { return a == intent.Allow || a == intent.Stateless }

// widened returns r for every peer and service.
func widened(r *intent.Rule) *intent.Rule {
	return &intent.Rule{Policy: r.Policy, Name: r.Name, Direction: r.Direction, Action: r.Action, Service: intent.Service{Protocol: intent.AnyProtocol}}
}

func resolve(r *intent.Rule, t *pipeline.TenantSite) rule {
	s := stages[r.Direction]
	x := rule{Rule: r, subjects: selected(r.Policy.AppliesTo, t.Classes[s.subject.identity]), anyPeer: r.Peer.Empty()}
	if !x.anyPeer {
		x.peers, x.cidrs = selected(r.Peer, t.Classes[s.peer.identity]), r.Peer.Prefixes()
		x.own = x.cidrs
	}
	x.versions = []version{4, 6}
	switch r.Protocol {
	case intent.ICMP:
		x.versions = []version{4}
	case intent.ICMPv6:
		x.versions = []version{6}
	}
	x.versions = slices.DeleteFunc(x.versions, func(v version) bool { return !spoken(x.subjects, v) || !x.peersSpeak(v) })
	return x
}

func selected(s intent.Selector, classes []*pipeline.Class) (in []*pipeline.Class) {
	for _, c := range classes {
		if s.Selects(c.Members[0]) { // the members of a class are alike to every selector
			in = append(in, c)
		}
	}
	return in
}

// spoken reports whether a member of one of the classes has an address of v, or may have.
func spoken(classes []*pipeline.Class, v version) bool {
	for _, c := range classes {
		for _, e := range c.Members {
			if pipeline.Plain(e) || slices.ContainsFunc(e.IPs, func(a netip.Addr) bool { return versionOf(a) == v }) {
				return true
			}
		}
	}
	return false
}

func (r rule) peersSpeak(v version) bool {
	return r.anyPeer || spoken(r.peers, v) || slices.ContainsFunc(r.cidrs, func(p netip.Prefix) bool { return versionOf(p.Addr()) == v })
}

func versionOf(a netip.Addr) version {
	if a.Is4() {
		return 4
	}
	return 6
}

// overlaps reports whether some packet may match both r and q. It may say yes where
// there is none. Services are asked first: they tell most rules apart.
func (r *rule) overlaps(q *rule) bool {
	return servicesOverlap(&r.Service, &q.Service) && r.versionsOverlap(q) &&
		slices.ContainsFunc(r.subjects, func(c *pipeline.Class) bool { return slices.Contains(q.subjects, c) }) && r.peersOverlap(q)
}

// versionsOverlap reports whether r and q have flows for a version of IP in common. A rule
// that is refused has flows for everything.
func (r *rule) versionsOverlap(q *rule) bool {
	return r.refused || q.refused || slices.ContainsFunc(r.versions, func(v version) bool { return slices.Contains(q.versions, v) })
}

func (r *rule) peersOverlap(q *rule) bool {
	if r.anyPeer || q.anyPeer || len(r.cidrs) > 0 && len(q.peers) > 0 || len(q.cidrs) > 0 && len(r.peers) > 0 {
		return true
	}
	return slices.ContainsFunc(r.peers, func(c *pipeline.Class) bool { return slices.Contains(q.peers, c) }) ||
		prefixesOverlap(r.cidrs, q.cidrs)
}

// prefixesOverlap reports whether some address is in both. Both are in the order of their
// addresses, and none lies in another of its list.
func prefixesOverlap(a, b []netip.Prefix) bool {
	for len(a) > 0 && len(b) > 0 {
		if a[0].Overlaps(b[0]) {
			return true
		}
		if a[0].Addr().Less(b[0].Addr()) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return false
}

// A side is one end of a packet, and how it is matched.
type side struct {
	identity ofproto.Field
	v4, v6   ofproto.Field
}

var (
	src = side{pipeline.RegSrcID, ofproto.IPv4Src, ofproto.IPv6Src}
	dst = side{pipeline.RegDstID, ofproto.IPv4Dst, ofproto.IPv6Dst}
)

func (s side) class(n pipeline.Numbers, c *pipeline.Class) ofproto.Cond {
	return ofproto.Is(s.identity, uint64(n.Tag(c.ID)))
}

func (s side) addr(a netip.Addr) ofproto.Cond { return s.prefix(netip.PrefixFrom(a, a.BitLen())) }

func (s side) prefix(p netip.Prefix) ofproto.Cond {
	if p.Addr().Is4() {
		return ofproto.InPrefix(s.v4, p)
	}
	return ofproto.InPrefix(s.v6, p)
}

// towards says which way a packet goes in a connection that a rule admits.
type towards bool

const (
	forward  towards = false
	backward towards = true
)

// matches returns the conditions of each flow of r: for each class it applies to, each
// peer, each IP version and each range of ports.
func (r rule) matches(n pipeline.Numbers, s stage, way towards) [][]ofproto.Cond {
	var all [][]ofproto.Cond
	for _, subject := range r.subjects {
		for _, v := range r.versions {
			for _, peer := range r.peerConds(n, s.peer, v) {
				for _, service := range r.services(way) {
					conds := append([]ofproto.Cond{s.subject.class(n, subject), ipVersion(v)}, peer...)
					all = append(all, append(conds, service...))
				}
			}
		}
	}
	return all
}

func ipVersion(v version) ofproto.Cond {
	if v == 4 {
		return ofproto.IsIPv4
	}
	return ofproto.IsIPv6
}

// peerConds returns one condition for each class and CIDR of the peers, or one that
// matches all.
func (r rule) peerConds(n pipeline.Numbers, s side, v version) [][]ofproto.Cond {
	if r.anyPeer {
		return [][]ofproto.Cond{nil}
	}
	var all [][]ofproto.Cond
	for _, c := range r.peers {
		if spoken([]*pipeline.Class{c}, v) {
			all = append(all, []ofproto.Cond{s.class(n, c)})
		}
	}
	for _, x := range r.ranges {
		if x.Speaks(v == 4) {
			all = append(all, []ofproto.Cond{ofproto.Is(pipeline.RegPeer, uint64(n.Tag(x.ID)))})
		}
	}
	for _, p := range r.own {
		if versionOf(p.Addr()) == v {
			all = append(all, []ofproto.Cond{s.prefix(p)})
		}
	}
	return all
}
