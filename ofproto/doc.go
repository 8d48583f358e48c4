// Package ofproto is the language that is spoken with Open vSwitch: OpenFlow 1.3 and
// the Nicira extensions as plain values, with their wire form and their ovs-ofctl
// text form, and the difference of two tables as a plan. It does no I/O.
//
// A flow is made from conditions and actions:
//
//	f := ofproto.Flow{
//		Table: 24, Priority: 300,
//		Match:   ofproto.MatchOn(ofproto.CT(ofproto.New|ofproto.Trk, 0), ofproto.IsIPv4),
//		Actions: []ofproto.Action{ofproto.GotoTable(36)},
//	}
//
// What a switch says that the codec does not know is kept as it was, and goes back as
// it came. No decoder panics, reads beyond its input or keeps more than a small
// multiple of it.
package ofproto
