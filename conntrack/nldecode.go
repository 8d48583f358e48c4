package conntrack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A decoder reads connections out of netlink's messages. It allocates nothing for each.
type decoder struct {
	helpers map[string]string // each once
	said    uint32            // by bit: which attributes the last connection had
}

var errNoTuple = errors.New("its tuples are missing")

// entry reads what comes behind the header of a message.
func (d *decoder) entry(b []byte, e *Entry) error {
	if len(b) < nfHeader {
		return fmt.Errorf("%d bytes are too few for a connection", len(b))
	}
	*e, d.said = Entry{}, 0
	v6 := b[0] == familyV6
	if !v6 && b[0] != familyV4 {
		return fmt.Errorf("family %d is neither IPv4 nor IPv6", b[0])
	}
	a := attrs{rest: b[nfHeader:]}
	for a.next() {
		d.said |= 1 << (a.typ & 31)
		d.attr(&a, e, v6)
	}
	if a.err != nil {
		return a.err
	}
	if !e.Orig.Src.IsValid() || !e.Reply.Src.IsValid() {
		return errNoTuple
	}
	return nil
}

func (d *decoder) attr(a *attrs, e *Entry, v6 bool) {
	switch a.typ {
	case ctaTupleOrig:
		e.Protocol = a.tuple(&e.Orig, &e.ZoneOrig, v6)
	case ctaTupleReply:
		a.tuple(&e.Reply, &e.ZoneReply, v6)
	case ctaTupleMaster:
		var zone uint16
		a.tuple(&e.Parent, &zone, v6)
	case ctaStatus:
		a.uint32((*uint32)(&e.Status))
	case ctaTimeout:
		a.uint32(&e.Timeout)
	case ctaMark:
		a.uint32(&e.Mark)
	case ctaUse:
		a.uint32(&e.Uses)
	case ctaID:
		a.uint32(&e.ID)
	case ctaZone:
		a.uint16(&e.Zone)
	case ctaLabels:
		a.label(&e.Label)
	case ctaProtoinfo:
		e.info(a)
	case ctaCountersOrig:
		a.counters(&e.CountOrig)
	case ctaCountersReply:
		a.counters(&e.CountReply)
	case ctaTimestamp:
		a.times(e)
	case ctaHelp:
		e.Helper = d.helper(a)
	}
}

// tuple reads a direction, and the zone that only this one is in.
func (a *attrs) tuple(t *Tuple, zone *uint16, v6 bool) (p Protocol) {
	in := a.in()
	for in.next() {
		part := in.in()
		switch in.typ {
		case tupleIP:
			for part.next() {
				part.address(t, v6)
			}
			in.out(&part)
		case tupleProto:
			for part.next() {
				part.upper(t, &p)
			}
			in.out(&part)
		case tupleZone:
			in.uint16(zone)
		}
	}
	a.out(&in)
	return p
}

func (a *attrs) address(t *Tuple, v6 bool) {
	switch a.typ {
	case ipV4Src, ipV6Src:
		a.addr(&t.Src, v6)
	case ipV4Dst, ipV6Dst:
		a.addr(&t.Dst, v6)
	}
}

func (a *attrs) upper(t *Tuple, p *Protocol) {
	switch a.typ {
	case protoNum:
		a.uint8((*uint8)(p))
	case protoSrcPort:
		a.uint16(&t.SrcPort)
	case protoDstPort:
		a.uint16(&t.DstPort)
	case protoICMPID, protoICMPv6ID:
		a.uint16(&t.ICMPID)
	case protoICMPType, protoICMPv6Type:
		a.uint8(&t.ICMPType)
	case protoICMPCode, protoICMPv6Code:
		a.uint8(&t.ICMPCode)
	}
}

// littleEndian says how this machine orders bytes, and so how the kernel's words are.
var littleEndian = ne.Uint16([]byte{1, 0}) == 1

// label reads a label. The kernel has it as a bitmap of the machine's words: for Open vSwitch one
// number, the lowest byte of which comes first on most machines.
func (a *attrs) label(l *Label) {
	if !a.wants(len(l)) {
		return
	}
	copy(l[:], a.value)
	if littleEndian {
		slices.Reverse(l[:])
	}
}

func (a *attrs) counters(c *Counters) {
	in := a.in()
	for in.next() {
		switch in.typ {
		case countPackets:
			in.uint64(&c.Packets)
		case countBytes:
			in.uint64(&c.Bytes)
		}
	}
	a.out(&in)
}

func (a *attrs) times(e *Entry) {
	in := a.in()
	for in.next() {
		var v uint64
		switch in.typ {
		case timeStart:
			in.uint64(&v)
			e.Start = int64(v)
		case timeStop:
			in.uint64(&v)
			e.Stop = int64(v)
		}
	}
	a.out(&in)
}

// helper returns the name of a helper, of which there are few.
func (d *decoder) helper(a *attrs) (name string) {
	in := a.in()
	for in.next() {
		if in.typ != helpName {
			continue
		}
		text := bytes.TrimRight(in.value, "\x00")
		known, ok := d.helpers[string(text)]
		if !ok {
			if d.helpers == nil {
				d.helpers = map[string]string{}
			}
			known = string(text)
			d.helpers[known] = known
		}
		name = known
	}
	a.out(&in)
	return name
}

// The kernel's states (TCP_CONNTRACK_*, SCTP_CONNTRACK_*, CT_DCCP_*) in the words of Open
// vSwitch. One that is not here is one of a later kernel, and no state.
var (
	tcpStatesOfKernel  = [...]State{Closed, SynSent, SynRecv, Established, FinWait1, CloseWait, LastAck, TimeWait, Closing, SynSent}
	sctpStatesOfKernel = [...]State{Closed, Closed, CookieWait, CookieEchoed, Established, ShutdownSent, ShutdownRecd, ShutdownAckSent, HeartbeatSent, HeartbeatAcked}
	dccpStatesOfKernel = [...]State{Closed, Request, Respond, PartOpen, Established, CloseReq, Closing, TimeWait}
)

// info reads what is particular to a protocol.
func (e *Entry) info(a *attrs) {
	in := a.in()
	for in.next() {
		part := in.in()
		for part.next() {
			switch in.typ {
			case infoTCP:
				e.tcp(&part)
			case infoSCTP:
				e.sctp(&part)
			case infoDCCP:
				e.dccp(&part)
			}
		}
		in.out(&part)
	}
	a.out(&in)
}

func (e *Entry) tcp(a *attrs) {
	switch a.typ {
	case infoState:
		a.state(&e.State, tcpStatesOfKernel[:])
		e.StateOrig, e.StateReply = e.State, e.State
	case tcpScaleOrig:
		a.uint8(&e.ScaleOrig)
	case tcpScaleReply:
		a.uint8(&e.ScaleReply)
	case tcpFlagsOrig:
		a.tcpFlags(&e.FlagsOrig)
	case tcpFlagsReply:
		a.tcpFlags(&e.FlagsReply)
	}
}

// tcpFlags reads flags, behind which comes a mask of no use here.
func (a *attrs) tcpFlags(f *TCPFlags) {
	if a.wants(2) {
		*f = TCPFlags(a.value[0])
	}
}

func (e *Entry) sctp(a *attrs) {
	switch a.typ {
	case infoState:
		a.state(&e.State, sctpStatesOfKernel[:])
	case sctpTagOrig:
		a.uint32(&e.TagOrig)
	case sctpTagReply:
		a.uint32(&e.TagReply)
	}
}

func (e *Entry) dccp(a *attrs) {
	if a.typ == infoState {
		a.state(&e.State, dccpStatesOfKernel[:])
	}
}

func (a *attrs) state(s *State, known []State) {
	var v uint8
	if a.uint8(&v); int(v) < len(known) {
		*s = known[v]
	}
}

// An Expectation is a connection that a helper has heard announced, and that has not come yet. What
// a source does not say is zero; in the tuple of the userspace datapath, that is any.
type Expectation struct {
	Protocol     Protocol
	Tuple, Mask  Tuple  // what it will be, and which bits of that are known
	Parent       Tuple  // of the connection that announced it, as it was opened
	Zone         uint16 // zero: not said, as by Linux up to 6.18: it is the parent's
	Timeout      uint32 // seconds until it is forgotten
	ID           uint32
	Helper       string
	Flags, Class uint32 // NF_CT_EXPECT_*; of the helper
	Mark         uint32 // of the userspace datapath: what it will have, as its parent
	Label        Label  // likewise
}

// expectation reads what comes behind the header of a message.
func (d *decoder) expectation(b []byte, e *Expectation) error {
	if len(b) < nfHeader {
		return fmt.Errorf("%d bytes are too few for an expectation", len(b))
	}
	*e = Expectation{}
	v6 := b[0] == familyV6
	a := attrs{rest: b[nfHeader:]}
	var zone uint16
	for a.next() {
		switch a.typ {
		case expectTuple:
			e.Protocol = a.tuple(&e.Tuple, &zone, v6)
		case expectMask:
			a.tuple(&e.Mask, &zone, v6)
		case expectMaster:
			a.tuple(&e.Parent, &zone, v6)
		case expectZone:
			a.uint16(&e.Zone)
		case expectTimeout:
			a.uint32(&e.Timeout)
		case expectID:
			a.uint32(&e.ID)
		case expectHelp:
			e.Helper = string(bytes.TrimRight(a.value, "\x00"))
		case expectFlags:
			a.uint32(&e.Flags)
		case expectClass:
			a.uint32(&e.Class)
		}
	}
	if a.err == nil && (e.Tuple.Dst == netip.Addr{}) {
		return errNoTuple
	}
	return a.err
}
