// Package pipeline is the contract between the apps, and the part of the bridge
// that belongs to none of them: which tables a packet visits, what each register,
// ct_mark and ct_label bit means, which facts and numbers a bridge is compiled from,
// and the skeleton flows that admit a packet, ask the connection tracker about it,
// commit it, and put it out or drop it.
//
// A packet is looked up once in its tenant's conntrack zone. Known connections go
// straight to where they are bound; new ones are routed first, then judged by the
// policy of both ends, and committed only when both have agreed. Whatever stops a
// packet names its reason in a register on the way to the table Drop.
package pipeline

import "weir/ofproto"

// The tables. The numbers are constants for the life of the product, with gaps, so
// that a table can be added without moving another.
const (
	PhyIn            ofproto.Table = 0   // in_port: which endpoint, network and zone?
	PortSec          ofproto.Table = 4   // may the endpoint send with these addresses?
	ArpNd            ofproto.Table = 8   // answers for gateways; ARP, ND, MLD, DHCP pass without conntrack
	NdAnswer         ofproto.Table = 9   // the second half of an ND answer
	RouteFrom        ofproto.Table = 11  // an address of one of several outsides: the routes of that one
	ExtIn            ofproto.Table = 12  // from outside: whose address is it?
	SharedOut        ofproto.Table = 13  // has what leaves as an address of several tenants got a port of it?
	SharedIn         ofproto.Table = 14  // what answers such a packet: whose is it?
	Stateless        ofproto.Table = 16  // "do not track" rules of the sending end
	StatelessReply   ofproto.Table = 17  // ... if they do not apply: do they to what the packet answers?
	StatelessIn      ofproto.Table = 18  // "do not track" rules of the receiving end
	StatelessInReply ofproto.Table = 19  // ... and what the packet answers
	CtIn             ofproto.Table = 20  // the epoch of the tenant's policy
	CtLookup         ofproto.Table = 21  // the one lookup
	CtState          ofproto.Table = 24  // what the tracker said
	NewLimit         ofproto.Table = 26  // new: has the endpoint opened too many?
	NewLimitTenant   ofproto.Table = 27  // ... and its tenant?
	LBVIP            ofproto.Table = 28  // new, to an address that stands for another: which?
	LBSlot           ofproto.Table = 30  // of a load balancer: which backend has the slot?
	IDSrc            ofproto.Table = 36  // source address: identity, where port security has not said it
	IDDst            ofproto.Table = 40  // destination address: identity
	Route            ofproto.Table = 44  // router MAC: longest prefix per VRF
	Neigh            ofproto.Table = 48  // next hop: MAC and endpoint
	L2               ofproto.Table = 52  // network and MAC: endpoint
	Stations         ofproto.Table = 53  // learned: network and MAC: endpoint behind whose port it is
	PolSkip          ofproto.Table = 54  // who need not be judged?
	PeerDst          ofproto.Table = 55  // destination address: range, where rules share CIDRs
	PolOut           ofproto.Table = 56  // policy of the sending end
	PeerSrc          ofproto.Table = 58  // source address: range
	PolIn            ofproto.Table = 60  // policy of the receiving end
	PolMiss          ofproto.Table = 62  // denied: stop the connection, if there is one
	SNATSel          ofproto.Table = 64  // to the outside: as whom?
	SNATAgain        ofproto.Table = 65  // judged again, with an address outside: still one as which it may leave?
	SNATSlot         ofproto.Table = 66  // which of the ranges of its pool?
	SNATLate         ofproto.Table = 67  // of a connection that is known, and not translated by the lookup
	Commit           ofproto.Table = 68  // admitted: remember the connection and who let it in
	CommitCheck      ofproto.Table = 69  // is it remembered, or has its tenant too many?
	EstNat           ofproto.Table = 72  // established
	SourceNAT        ofproto.Table = 73  // both ends translated, towards the endpoint: its gateway's address
	Out              ofproto.Table = 80  // endpoint: port
	Reject           ofproto.Table = 100 // rejected: the sender is told
	Drop             ofproto.Table = 120 // counted by reason
)

// TableNames are the tables as people call them.
var TableNames = map[ofproto.Table]string{
	PhyIn: "PHY_IN", PortSec: "PORT_SEC", ArpNd: "ARP_ND", NdAnswer: "ND_ANSWER",
	RouteFrom: "ROUTE_FROM", ExtIn: "EXT_IN", SharedOut: "SHARED_OUT", SharedIn: "SHARED_IN", Stateless: "STATELESS", StatelessReply: "STATELESS_REPLY",
	StatelessIn: "STATELESS_IN", StatelessInReply: "STATELESS_IN_REPLY",
	CtIn: "CT_IN", CtLookup: "CT_LOOKUP", CtState: "CT_STATE",
	NewLimit: "NEW_LIMIT", NewLimitTenant: "NEW_LIMIT_TENANT", LBVIP: "LB_VIP", LBSlot: "LB_SLOT",
	IDSrc: "ID_SRC", IDDst: "ID_DST", Route: "ROUTE", Neigh: "NEIGH", L2: "L2", Stations: "STATIONS",
	PolSkip: "POL_SKIP", PeerDst: "PEER_DST", PolOut: "POL_OUT", PeerSrc: "PEER_SRC", PolIn: "POL_IN", PolMiss: "POL_MISS",
	SNATSel: "SNAT_SEL", SNATAgain: "SNAT_AGAIN", SNATSlot: "SNAT_SLOT", SNATLate: "SNAT_LATE", Commit: "COMMIT", CommitCheck: "COMMIT_CHECK", EstNat: "EST_NAT", SourceNAT: "SOURCE_NAT", Out: "OUT", Reject: "REJECT", Drop: "DROP",
}

// RouterMAC is the Ethernet address of every gateway: locally administered, and
// "weir" with a number after it. Networks are separate segments, so one is enough.
var RouterMAC = [6]byte{0x02, 'w', 'e', 'i', 'r', 0x01}

// Owner marks the cookies of Weir's flows: its name, in the high 32 bits. The low 32
// bits are the tag of the intent that the flow serves.
const Owner = uint64('w')<<56 | uint64('e')<<48 | uint64('i')<<40 | uint64('r')<<32

// Cookie returns the cookie of the flows that serve the intent with a tag.
func Cookie(tag uint32) uint64 { return Owner | uint64(tag) }

// TagOf returns the tag in a cookie, and whether the cookie is one of Weir's.
func TagOf(cookie uint64) (tag uint32, owned bool) {
	return uint32(cookie), cookie&^0xffffffff == Owner
}
