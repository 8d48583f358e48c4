package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// Stations behind the port of an endpoint that has no MAC address are learned, on a network
// that says so: from what they send the switch makes a flow of the table Stations, which
// says to whose port a MAC address belongs. Who that endpoint is to policy is said in
// PolSkip, for what is learned must not outlive a change of it.
//
//	PHY_IN    the station's MAC address ─► a flow of STATIONS
//	L2        no endpoint's MAC address ─► STATIONS: reg2, or nothing
//	POL_SKIP  reg2 ─► identity; no reg2 ─► a copy to each port behind which it may be

const (
	stationPriority = 100
	stationIdle     = 300  // seconds without a packet from it or to it
	maxStations     = 1024 // of a port
)

// GroupBit is the lowest bit of the first byte of a group's address (IEEE 802).
const GroupBit = uint64(1) << 40

// AnyMAC reports whether e is whoever is behind its port.
func AnyMAC(e *intent.Endpoint) bool { return e.MAC == intent.MAC{} }

// learnStation remembers that a packet's sender is behind the port of e, or lowers the flag
// KnownStation, which has been raised before: in a trace nothing is learned, and nobody is one
// too many. The flows go with the one that has this action.
func learnStation(e EndpointSite) ofproto.Action {
	return ofproto.Learn{
		Table: Stations, Priority: stationPriority, IdleTimeout: stationIdle, Cookie: Cookie(e.Tag), DeleteLearned: true,
		Limit: maxStations, Result: regFlags.Range(uint16(KnownStation), uint16(KnownStation)),
		Specs: []ofproto.LearnSpec{
			{Target: ofproto.LearnMatch, Src: Net, Dst: Net},
			{Target: ofproto.LearnMatch, Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
			{Target: ofproto.LearnLoad, Src: RegIn.Whole(), Dst: RegOut.Whole()},
		},
	}
}

// IsStation reports whether f is a flow that a switch has learned. Such flows come and go
// with the stations, and are in no program.
func IsStation(f ofproto.Flow) bool {
	tag, owned := TagOf(f.Cookie)
	if f.Table != Stations || !owned || f.Priority != stationPriority || f.IdleTimeout != stationIdle || f.HardTimeout != 0 || len(f.Actions) != 1 {
		return false
	}
	to, ok := loaded(f.Actions, RegOut.Whole())
	return ok && uint32(to) == tag && len(f.Match) == 2 &&
		slices.ContainsFunc(f.Match, func(c ofproto.Cond) bool { return c.Field == ofproto.Metadata && c.Mask == InNet(0).Mask }) &&
		slices.ContainsFunc(f.Match, func(c ofproto.Cond) bool {
			return c.Field == ofproto.EthDst && c.Mask == ofproto.IsMAC(c.Field, intent.MAC{}).Mask
		})
}

// keepOut drops what comes from behind the port of e with the MAC address of somebody who
// is known, or of a group.
func keepOut(b *Builder, t *TenantSite, n *NetworkSite, e EndpointSite) {
	stop := func(from ofproto.Cond) {
		b.Flow(e.ID(), PhyIn, 110, ofproto.MatchOn(ofproto.Is(ofproto.InPort, uint64(e.Port)), from), ToDrop(Spoofed)...)
	}
	stop(ofproto.Masked(ofproto.EthSrc, GroupBit, GroupBit))
	for _, mac := range t.known(n) {
		stop(ofproto.IsMAC(ofproto.EthSrc, mac))
	}
}

// known returns the MAC addresses in n that are no station's: of its endpoints and of the
// router.
func (t *TenantSite) known(n *NetworkSite) []intent.MAC {
	all := []intent.MAC{RouterMAC}
	for _, e := range t.Endpoints {
		if e.Network == n.Network && !AnyMAC(e) && e.MAC != RouterMAC {
			all = append(all, e.MAC)
		}
	}
	return all
}

// meet sends what is for a station of n to it, where it is known, and else to each port
// behind which it may be.
func meet(b *Builder, t *TenantSite, n *NetworkSite) {
	var ports []uint32
	for _, e := range n.Endpoints {
		if !AnyMAC(e.Endpoint) {
			continue
		}
		b.Flow(e.ID(), PortSec, 60, ofproto.MatchOn(ofproto.Is(RegIn, uint64(e.Tag))), ToDrop(TooManyStations)...)
		if number := t.identities[RegDstID][e.Endpoint]; number != 0 {
			b.Flow(e.ID(), PolSkip, 240, ofproto.MatchOn(InNet(n.Number), ofproto.Is(RegOut, uint64(e.Tag)), ofproto.Is(RegDstID, 0)),
				ofproto.Set(RegDstID.Whole(), uint64(number)), ask(PolSkip))
		}
		ports = append(ports, e.Tag)
	}
	if len(ports) == 0 {
		return
	}
	for _, mac := range t.known(n) { // with an address that is not theirs
		b.Flow(n.ID(), L2, 30, ofproto.MatchOn(InNet(n.Number), ofproto.IsMAC(ofproto.EthDst, mac)), ToDrop(UnknownMAC)...)
	}
	b.Flow(n.ID(), L2, 20, ofproto.MatchOn(InNet(n.Number), ofproto.Masked(ofproto.EthDst, 0, GroupBit)),
		ofproto.Set(RegDstID.Whole(), 0), // whatever the address in the packet may mean elsewhere
		ask(Stations), ofproto.GotoTable(PolSkip))
	b.Flow(n.ID(), PolSkip, 250, ofproto.MatchOn(InNet(n.Number), ofproto.Is(RegOut, 0), ToAll.IsNot()), copies(ports)...)
}

// copies sends a copy to each of some endpoints, if it may go there.
func copies(to []uint32) (actions []ofproto.Action) {
	for i, tag := range to {
		one := []ofproto.Action{ofproto.Set(RegOut.Whole(), uint64(tag)), ask(PolSkip)}
		if i < len(to)-1 {
			one = []ofproto.Action{ofproto.Clone{Actions: one}}
		}
		actions = append(actions, one...)
	}
	return actions
}

// ask is the action that asks a table, and goes on.
func ask(t ofproto.Table) ofproto.Action {
	return ofproto.Resubmit{Port: ofproto.PortInPort16, Table: t}
}

// localOf is the condition on the link-local address of e.
func localOf(e EndpointSite) ofproto.Cond {
	if AnyMAC(e.Endpoint) {
		return ofproto.InPrefix(ofproto.IPv6Src, LinkLocals)
	}
	return ofproto.IsAddr(ofproto.IPv6Src, LinkLocal(e.MAC))
}

// LinkLocals are the addresses that each link has anew (RFC 4291, 2.5.6).
var LinkLocals = netip.MustParsePrefix("fe80::/10")
