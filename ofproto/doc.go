// Package ofproto is the language that is spoken with Open vSwitch: OpenFlow 1.3 with the
// Nicira and ONF extensions that Open vSwitch 3.1 has, as plain values. Each value has a
// wire form, which is byte for byte what Open vSwitch sends, and a text form, which is
// letter for letter what ovs-ofctl prints and takes. The package does no I/O: package
// ofconn holds the session, and package oftest is a switch for tests.
//
// # Flows
//
// A flow is a table, a priority, a match and actions. It can be put together from values,
//
//	f := ofproto.Flow{
//		Table:    24,
//		Priority: 300,
//		Match:    ofproto.MatchOn(ofproto.CT(ofproto.New|ofproto.Trk, 0), ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPDst, 80)),
//		Actions:  []ofproto.Action{ofproto.ConnTrack{Commit: true, Zone: 7, Table: ofproto.NoTable}, ofproto.GotoTable(36)},
//	}
//
// or read from a text, which gives the same:
//
//	f, err := ofproto.ParseFlow("table=24,priority=300,ct_state=+new+trk,tcp,tp_dst=80,actions=ct(commit,zone=7),goto_table:36")
//
// A [Match] is canonical: sorted, one condition for a field, prerequisites present. Two
// that mean the same are equal, and so are two flows; that is what [Diff] rests on, which
// says what to send to a switch so that it has what it should have. Fields are rows of one
// table ([Field]); a part of one is a [Subfield], written "NXM_NX_REG0[0..15]".
//
// Actions and instructions stand in one list, in the order in which a switch executes them.
// [ParseGroup] and [ParseMeter] read the other two tables.
//
// # Messages
//
// A [Message] is anything that is sent. [Append] writes it behind what is in a buffer, and
// [Decode] reads it:
//
//	b, err := ofproto.Append(nil, xid, ofproto.FlowMod{Flow: f}) // command zero adds
//	xid, m, err := ofproto.Decode(b)
//
// The bodies of multipart messages are read entry by entry, as [DecodeFlowStats] does, so
// that a long answer needs not be in memory twice. [Print] shows a message as ovs-ofctl
// ofp-print does.
//
// # What is refused, and what is kept
//
// There are two ways to read. [Decode] is for what a switch says: an action or a field that
// is not known, or that a later version gave arguments, is kept as it was ([Raw],
// [RawInstruction], [Flow].RawMatch, [Unknown]) and goes back as it came, for a flow of
// somebody else must not make a table unreadable. [DecodeStrict], [Check], [DecodeMatch],
// [DecodeActions] and [DecodeInstructions] are for what a switch would be told: they refuse
// all that Open vSwitch 3.1 refuses, with its error ([ErrorCode], for errors.Is), and say
// at which byte. Texts are read strictly too; a [SyntaxError] says at which column, and
// wraps the ErrorCode if the text could be written, but not be sent.
//
// No decoder panics, reads beyond its input, fails to advance, or keeps more than sixteen
// times its input.
package ofproto
