package pipeline

import (
	"weir/intent"
	"weir/ofproto"
)

// The kinds of fragments, as the field ip_frag has them (FLOW_NW_FRAG_*).
const (
	firstFragment = 1
	laterFragment = 3
)

// IsWhole is the condition that a packet is no fragment, IsFragment that it is one, and IsLaterFragment
// that it is not the first.
var (
	IsWhole         = ofproto.Is(ofproto.IPFrag, 0)
	IsFragment      = ofproto.Masked(ofproto.IPFrag, firstFragment, firstFragment)
	IsLaterFragment = ofproto.Is(ofproto.IPFrag, laterFragment)
)

// fragments lets the later fragments of a packet that policy judges follow the first, which
// alone has ports. The userspace datapath's tracker puts a packet together for every ct()
// and takes it apart again behind it: what comes to the policy is fragments. (The kernel's
// hands on the whole packet.) The commit waits for all of them in turn. So later ones are
// sent there unjudged: if policy admits the first, it comes too, and the packet goes out;
// if not, they are never let go.
//
// The last one decides what the connection is remembered with, which cannot be the rules: it
// has not met them. It gets no epoch, therefore, and its next packet is judged once more.
func fragments(b *Builder, id intent.ID) {
	without := ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: ofproto.NoTable, Exec: []ofproto.Action{ofproto.Load{Dst: markCommitted, Value: 1}}}
	check := without
	check.Table = CommitCheck
	for _, ip := range ipVersions {
		first, later := ofproto.Is(ofproto.IPFrag, firstFragment), ofproto.Is(ofproto.IPFrag, laterFragment)
		b.Flow(id, PolSkip, 50, ofproto.MatchOn(ip, later), ofproto.GotoTable(Commit))
		b.Flow(id, Commit, 130, ofproto.MatchOn(ip, later), without, ofproto.GotoTable(Out))
		b.Flow(id, Commit, 135, ofproto.MatchOn(ip, later, Limited.Is()), check)
		// Of a connection that is judged again a first fragment that is denied must not come
		// to a commit, where the others wait; nor is the connection marked, therefore.
		b.Flow(id, PolMiss, 150, ofproto.MatchOn(ip, first, JudgeAgain.Is()), ofproto.GotoTable(Drop))
	}
}
