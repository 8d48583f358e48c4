package pipeline

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"weir/intent"
)

// A Range is the prefixes that the same groups have: those that rules share. Where several
// rules name a group with CIDRs, a packet is looked up once, by its longest prefix, and the
// rules match the number of the range in RegPeer. The number is the tag of its ID.
type Range struct {
	ID       intent.ID // "blue/range/HASH", made from the names of the groups
	Groups   []*intent.Group
	Prefixes []netip.Prefix // in order
}

// RangesOf returns the ranges of the peers of t's rules for a direction, in the order of
// their first prefixes, if they are worth while. Each prefix is in one range, and in that are
// all groups that contain it.
//
// They are, if they are fewer flows than the prefixes in each rule, or not many more: half a
// flow for each rule is a fair price for a prefix that comes and costs one.
func RangesOf(t *intent.Tenant, d intent.Direction) (all []*Range) {
	peers := groupsOfPeers(t, d)
	shared := sharedGroups(t, peers)
	var prefixes []netip.Prefix
	for _, g := range shared {
		prefixes = append(prefixes, g.Members.Prefixes()...)
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	prefixes = slices.Compact(prefixes)
	byKey := map[string]*Range{}
	for _, p := range prefixes {
		in := slices.DeleteFunc(slices.Clone(shared), func(g *intent.Group) bool { return !contains(g, p) })
		key := strings.Join(groupNames(in), "|")
		r := byKey[key]
		if r == nil {
			r = &Range{ID: rangeID(t, key), Groups: in}
			byKey[key] = r
			all = append(all, r)
		}
		r.Prefixes = append(r.Prefixes, p)
	}
	if len(prefixes)+lookups > saved(peers, shared, all)+len(peers)/2 {
		return nil
	}
	return all
}

// saved returns how many flows rules are less with ranges.
func saved(peers [][]*intent.Group, shared []*intent.Group, ranges []*Range) (flows int) {
	for _, groups := range peers {
		some := intent.Selector{}
		for _, g := range groups {
			if slices.Contains(shared, g) {
				some.Groups = append(some.Groups, g)
			}
		}
		flows += len(some.Prefixes())
		for _, r := range ranges {
			if !slices.ContainsFunc(some.Groups, func(g *intent.Group) bool { return slices.Contains(r.Groups, g) }) {
				continue
			}
			for _, v4 := range []bool{true, false} {
				if r.Speaks(v4) {
					flows--
				}
			}
		}
	}
	return flows
}

// Speaks reports whether r has prefixes of IPv4, or else of IPv6.
func (r *Range) Speaks(v4 bool) bool {
	return slices.ContainsFunc(r.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() == v4 })
}

func rangeID(t *intent.Tenant, key string) intent.ID {
	h := fnv.New64a()
	h.Write([]byte(key))
	return t.ID() + intent.ID("/range/"+strconv.FormatUint(h.Sum64(), 16))
}

func contains(g *intent.Group, p netip.Prefix) bool {
	return slices.ContainsFunc(g.Members.CIDRs, func(c netip.Prefix) bool { return c.Bits() <= p.Bits() && c.Overlaps(p) })
}

// groupsOfPeers returns the groups of each rule for a direction.
func groupsOfPeers(t *intent.Tenant, d intent.Direction) (all [][]*intent.Group) {
	for _, p := range t.Policies {
		for _, r := range p.Rules {
			if r.Direction == d && len(r.Peer.Groups) > 0 && r.Protocol != intent.ARP && r.Protocol != intent.ND {
				all = append(all, r.Peer.Groups)
			}
		}
	}
	return all
}

// sharedGroups returns the groups whose prefixes would be worth a range each, if they were
// alone.
func sharedGroups(t *intent.Tenant, peers [][]*intent.Group) (shared []*intent.Group) {
	uses := map[*intent.Group]int{}
	for _, groups := range peers {
		for _, g := range groups {
			uses[g]++
		}
	}
	for _, g := range t.Groups {
		if n := len(g.Members.Prefixes()); n > 0 && uses[g]+n+lookups <= uses[g]*n+uses[g]/2 {
			shared = append(shared, g)
		}
	}
	return shared
}

// lookups is how many flows the tables of ranges have besides: one that leads there, and one
// for what is in no range.
const lookups = 2
