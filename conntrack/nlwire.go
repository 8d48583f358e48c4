package conntrack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// A message of netlink (RFC 3549), as the kernel's connection tracker speaks it
// (linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h):
//
//	0       4      6      8      12     16      17       18       20
//	+-------+------+------+------+------+-------+--------+--------+------------------
//	| length| type | flags| seq  | port | family| version| res_id | attributes ...
//	+-------+------+------+------+------+-------+--------+--------+------------------
//
// The header is in the machine's order, and what attributes hold in the network's. An attribute
// is a length, a type and a value, and begins at a multiple of 4; values may be attributes.
const (
	nlHeader   = 16
	nfHeader   = 4
	attrHeader = 4
	attrType   = 0x3fff // the bits above say of what kind the value is
	attrNested = 0x8000
)

// Subsystems of netfilter, with what they are asked and say.
const (
	subsysConntrack   = 1 << 8
	subsysExpectation = 2 << 8

	msgNew    = 0 // also a change
	msgGet    = 1
	msgDelete = 2
)

// Attributes of a connection: CTA_*.
const (
	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaProtoinfo     = 4
	ctaHelp          = 5
	ctaTimeout       = 7
	ctaMark          = 8
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaUse           = 11
	ctaID            = 12
	ctaTupleMaster   = 14
	ctaZone          = 18
	ctaTimestamp     = 20
	ctaMarkMask      = 21
	ctaLabels        = 22
	ctaFilter        = 25
	ctaStatusMask    = 26
)

// Attributes inside others: CTA_TUPLE_*, CTA_IP_*, CTA_PROTO_*, and those of protocols.
const (
	tupleIP, tupleProto, tupleZone        = 1, 2, 3
	ipV4Src, ipV4Dst, ipV6Src, ipV6Dst    = 1, 2, 3, 4
	protoNum, protoSrcPort, protoDstPort  = 1, 2, 3
	protoICMPID, protoICMPType            = 4, 5
	protoICMPCode, protoICMPv6ID          = 6, 7
	protoICMPv6Type, protoICMPv6Code      = 8, 9
	infoTCP, infoDCCP, infoSCTP           = 1, 2, 3
	infoState                             = 1 // of all three
	tcpScaleOrig, tcpScaleReply           = 2, 3
	tcpFlagsOrig, tcpFlagsReply           = 4, 5
	sctpTagOrig, sctpTagReply             = 2, 3
	countPackets, countBytes              = 1, 2
	timeStart, timeStop                   = 1, 2
	helpName                              = 1
	filterOrigFlags, filterReplyFlags     = 1, 2
	expectMaster, expectTuple, expectMask = 1, 2, 3
	expectTimeout, expectID, expectHelp   = 4, 5, 6
	expectZone, expectFlags, expectClass  = 7, 8, 9
)

const (
	familyV4 = 2
	familyV6 = 10
)

var be, ne = binary.BigEndian, binary.NativeEndian

// An attrs goes through attributes. The first that does not fit ends it, with an error.
type attrs struct {
	rest  []byte
	typ   uint16
	value []byte
	err   error
}

// next goes to the next attribute, if there is one.
func (a *attrs) next() bool {
	if len(a.rest) < attrHeader || a.err != nil {
		if len(a.rest) > 0 && a.err == nil {
			a.err = fmt.Errorf("%d bytes are left over behind the attributes", len(a.rest))
		}
		return false
	}
	n := int(ne.Uint16(a.rest))
	if n < attrHeader || n > len(a.rest) {
		a.err = fmt.Errorf("an attribute says that it has %d bytes, and there are %d", n, len(a.rest))
		return false
	}
	a.typ, a.value = ne.Uint16(a.rest[2:])&attrType, a.rest[attrHeader:n]
	a.rest = a.rest[min((n+3)&^3, len(a.rest)):]
	return true
}

// wants reports whether the value has n bytes; that it has not is an error.
func (a *attrs) wants(n int) bool {
	if len(a.value) != n && a.err == nil {
		a.err = fmt.Errorf("attribute %d has %d bytes, want %d", a.typ, len(a.value), n)
	}
	return a.err == nil
}

func (a *attrs) uint8(to *uint8) {
	if a.wants(1) {
		*to = a.value[0]
	}
}

func (a *attrs) uint16(to *uint16) {
	if a.wants(2) {
		*to = be.Uint16(a.value)
	}
}

func (a *attrs) uint32(to *uint32) {
	if a.wants(4) {
		*to = be.Uint32(a.value)
	}
}

func (a *attrs) uint64(to *uint64) {
	if a.wants(8) {
		*to = be.Uint64(a.value)
	}
}

func (a *attrs) addr(to *netip.Addr, v6 bool) {
	switch {
	case v6 && a.wants(16):
		*to = netip.AddrFrom16([16]byte(a.value))
	case !v6 && a.wants(4):
		*to = netip.AddrFrom4([4]byte(a.value))
	}
}

// in begins with the attributes in the value, and out ends with them: what is wrong there is
// wrong here. (A function that is called for each would cost an allocation.)
func (a *attrs) in() attrs { return attrs{rest: a.value} }

func (a *attrs) out(in *attrs) {
	if in.err != nil && a.err == nil {
		a.err = fmt.Errorf("in attribute %d: %w", a.typ, in.err)
	}
}

// A request is a message, or several, on the way to the kernel.
type request struct{ b []byte }

// begin begins a message; done ends it.
func (r *request) begin(typ, flags uint16, seq uint32, family uint8) (start int) {
	start = len(r.b)
	r.b = append(r.b, make([]byte, nlHeader+nfHeader)...)
	h := r.b[start:]
	ne.PutUint16(h[4:], typ)
	ne.PutUint16(h[6:], flags)
	ne.PutUint32(h[8:], seq)
	h[nlHeader] = family
	return start
}

func (r *request) done(start int) { ne.PutUint32(r.b[start:], uint32(len(r.b)-start)) }

func (r *request) attr(typ uint16, value ...byte) {
	r.b = ne.AppendUint16(r.b, uint16(attrHeader+len(value)))
	r.b = ne.AppendUint16(r.b, typ)
	r.b = append(r.b, value...)
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
}

func (r *request) uint16(typ, v uint16)        { r.attr(typ, byte(v>>8), byte(v)) }
func (r *request) uint32(typ uint16, v uint32) { r.attr(typ, be.AppendUint32(nil, v)...) }

// nested puts attributes into one.
func (r *request) nested(typ uint16, fill func()) {
	start := len(r.b)
	r.attr(typ | attrNested)
	fill()
	ne.PutUint16(r.b[start:], uint16(len(r.b)-start))
}

// tuple puts one direction of a connection.
func (r *request) tuple(typ uint16, p Protocol, t Tuple, zone uint16) {
	r.nested(typ, func() {
		r.nested(tupleIP, func() {
			if t.Src.Is4() {
				r.attr(ipV4Src, t.Src.AsSlice()...)
				r.attr(ipV4Dst, t.Dst.AsSlice()...)
			} else {
				r.attr(ipV6Src, t.Src.AsSlice()...)
				r.attr(ipV6Dst, t.Dst.AsSlice()...)
			}
		})
		r.nested(tupleProto, func() { r.upper(p, t) })
		if zone != 0 {
			r.uint16(tupleZone, zone)
		}
	})
}

// upper puts what the protocol has of a tuple.
func (r *request) upper(p Protocol, t Tuple) {
	r.attr(protoNum, byte(p))
	switch p {
	case TCP, UDP, UDPLite, SCTP, DCCP, gre:
		r.uint16(protoSrcPort, t.SrcPort)
		r.uint16(protoDstPort, t.DstPort)
	case ICMP:
		r.attr(protoICMPType, t.ICMPType)
		r.attr(protoICMPCode, t.ICMPCode)
		r.uint16(protoICMPID, t.ICMPID)
	case ICMPv6:
		r.attr(protoICMPv6Type, t.ICMPType)
		r.attr(protoICMPv6Code, t.ICMPCode)
		r.uint16(protoICMPv6ID, t.ICMPID)
	}
}

func familyOf(a netip.Addr) uint8 {
	switch {
	case a.Is4():
		return familyV4
	case a.Is6():
		return familyV6
	}
	return 0
}
