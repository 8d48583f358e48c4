package oftest

import "weir/ofproto"

// internalFlows are the flows of the table that a switch has for itself: what becomes of
// packets that match nothing, by how their table is configured.
func internalFlows() []ofproto.Flow {
	const implicitMiss = 7 // OFPR_IMPLICIT_MISS, of which OpenFlow knows nothing
	miss := func(n uint64, actions ...ofproto.Action) ofproto.Flow {
		return ofproto.Flow{Table: internalTable, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg0, n)), Actions: actions}
	}
	return []ofproto.Flow{
		{Table: internalTable, Priority: 2, Match: ofproto.MatchOn(ofproto.Is(ofproto.RecircID, 0))},
		miss(1, ofproto.Controller{MaxLen: 0xffff, Reason: implicitMiss}), // to the controller
		miss(2), // drop
		miss(3), // drop fragments
	}
}
