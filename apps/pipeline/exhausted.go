package pipeline

import (
	"cmp"
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// Priorities in CommitCheck and SharedOut: what an SNAT has translated, and what it had no port
// for.
const (
	translatedBy = 101
	noPortOf     = 11
)

// Exhaustible counts, for an SNAT that may run out of ports, what it has translated and what
// it had no port for.
func (b *Builder) Exhaustible(of intent.ID) {
	its := ofproto.Is(RegSNAT, uint64(b.Numbers.Tag(of)))
	b.Flow(of, CommitCheck, translatedBy, ofproto.MatchOn(its, Remembered()), ofproto.GotoTable(Out))
	b.Flow(of, CommitCheck, noPortOf, ofproto.MatchOn(its, SNAT.isWithout(Limited)), ToDrop(NoPortLeft)...)
}

// ExhaustibleShared is Exhaustible for what leaves by x as an alias.
func (b *Builder) ExhaustibleShared(of intent.ID, x ExternalSite, aliases ...netip.Addr) {
	its := []ofproto.Cond{ofproto.Is(RegSNAT, uint64(b.Numbers.Tag(of))), ofproto.Is(RegOut, uint64(x.Tag)), IPVersion(aliases[0].Is4())}
	for _, a := range aliases {
		b.Flow(of, SharedOut, translatedBy, ofproto.MatchOn(append(its[:3:3], Remembered(), ofproto.CT(ofproto.Trk, ofproto.Inv), ofproto.IsAddr(OriginalSrc(a), a))...), ofproto.GotoTable(Out))
	}
	b.Flow(of, SharedOut, noPortOf, ofproto.MatchOn(its...), ToDrop(NoPortLeft)...)
}

// An Exhaustion is how many packets have come to an SNAT, since its flows were made, that would
// have begun a connection.
type Exhaustion struct {
	SNAT       intent.ID
	Tried      uint64 // zero where the flows of Commit have not been read
	Translated uint64
	Dropped    uint64 // for there was no port left
}

// Lost is how many packets the datapath has dropped itself. The kernel's does where it finds no
// port; they are what has come and is not counted behind the commit.
func (e Exhaustion) Lost() uint64 { return e.Tried - min(e.Tried, e.Translated+e.Dropped) }

// Exhaustions reads the counters of flows of Commit, and of CommitCheck and SharedOut. They are
// in the order of the SNATs' names; what has no counters in the last two is left out.
func Exhaustions(stats []ofproto.FlowStats, n Numbers) (all []Exhaustion) {
	of := map[uint32]*Exhaustion{}
	for _, f := range stats {
		if tag, owned := TagOf(f.Cookie); owned && (f.Table == CommitCheck || f.Table == SharedOut) && (f.Priority == translatedBy || f.Priority == noPortOf) {
			if of[tag] == nil {
				id, _ := n.Origin(tag)
				of[tag] = &Exhaustion{SNAT: id}
			}
			of[tag].count(f)
		}
	}
	for _, f := range stats {
		if tag, owned := TagOf(f.Cookie); owned && of[tag] != nil && translatesSource(f) {
			of[tag].Tried += f.Packets
		}
	}
	for _, e := range of {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b Exhaustion) int { return cmp.Compare(a.SNAT, b.SNAT) })
	return all
}

func (e *Exhaustion) count(f ofproto.FlowStats) {
	if f.Priority == noPortOf {
		e.Dropped += f.Packets
	} else {
		e.Translated += f.Packets
	}
}

// translatesSource reports whether f has the tracker translate a source, and looks at what has
// become of it.
func translatesSource(f ofproto.FlowStats) bool {
	return f.Table == Commit && slices.ContainsFunc(f.Actions, func(a ofproto.Action) bool {
		c, ok := a.(ofproto.ConnTrack)
		return ok && c.NAT != nil && c.NAT.Src && (c.Table == CommitCheck || c.Table == SharedOut)
	})
}
