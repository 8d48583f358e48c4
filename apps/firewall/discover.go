package firewall

import (
	"fmt"
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// discovery is where rules for ARP and ND go, above what the fabric does of itself.
var discovery = band{highest: 10000, first: 10000, lowest: 1000}

// discover lets ARP and ND pass where a tenant wants a rule for them: between the
// endpoints of a rule's policy and its peers, whoever asks. The first rule decides.
func discover(b *pipeline.Builder, t *pipeline.TenantSite) {
	priority := discovery.first
	for _, p := range t.Policies {
		for _, r := range p.Rules {
			if r.Protocol != intent.ARP && r.Protocol != intent.ND {
				continue
			}
			actions := []ofproto.Action{pipeline.Untracked.Set(), ofproto.GotoTable(pipeline.L2)}
			if r.Action == intent.Deny && t.Mode == intent.Audit {
				actions = append([]ofproto.Action{ofproto.Set(pipeline.RegReason.Whole(), uint64(pipeline.UnansweredArp))}, actions...)
			} else if r.Action == intent.Deny {
				actions = pipeline.ToDrop(pipeline.UnansweredArp)
			}
			if priority < discovery.lowest {
				b.Fail(fmt.Errorf("%s: there are too many rules for ARP and ND, and there is no priority left for this one: make one rule of several", r.ID()))
				return
			}
			for _, m := range discoveries(t.Zone, resolveNeighbours(r, t)) {
				b.Flow(r.ID(), pipeline.ArpNd, uint16(priority), m, actions...)
			}
			priority--
		}
	}
}

// resolveNeighbours is resolve for a rule about ARP, which is IPv4's, or ND.
func resolveNeighbours(r *intent.Rule, t *pipeline.TenantSite) rule {
	x := resolve(r, t)
	x.versions = []version{4}
	if r.Protocol == intent.ND {
		x.versions = []version{6}
	}
	return x
}

// discoveries returns the messages about a rule's addresses, each once.
func discoveries(zone uint16, r rule) []ofproto.Match {
	seen := map[string]bool{}
	var all []ofproto.Match
	for _, v := range r.versions {
		for _, own := range addressesOf(r.subjects, v) {
			for _, peer := range r.peerPrefixes(v) {
				for _, conds := range neighbourly(v, own, peer) {
					m := ofproto.MatchOn(append(conds, pipeline.InZone(zone))...)
					if !seen[m.Key()] {
						seen[m.Key()] = true
						all = append(all, m)
					}
				}
			}
		}
	}
	return all
}

// neighbourly returns the conditions on a and b asking for and answering one another.
func neighbourly(v version, a, b netip.Prefix) [][]ofproto.Cond {
	if v == 4 {
		return [][]ofproto.Cond{
			{ofproto.IsARP, ofproto.InPrefix(ofproto.ARPSPA, a), ofproto.InPrefix(ofproto.ARPTPA, b)},
			{ofproto.IsARP, ofproto.InPrefix(ofproto.ARPSPA, b), ofproto.InPrefix(ofproto.ARPTPA, a)},
		}
	}
	nd := func(typ uint64, addr ofproto.Field, who, target netip.Prefix) []ofproto.Cond {
		return []ofproto.Cond{ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, typ),
			ofproto.InPrefix(addr, who), ofproto.InPrefix(ofproto.NDTarget, target)}
	}
	return [][]ofproto.Cond{
		nd(pipeline.NdNS, ofproto.IPv6Src, a, b), nd(pipeline.NdNA, ofproto.IPv6Dst, a, b),
		nd(pipeline.NdNS, ofproto.IPv6Src, b, a), nd(pipeline.NdNA, ofproto.IPv6Dst, b, a),
	}
}
