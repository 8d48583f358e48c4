package ofproto

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
)

// An Addr is an IPv4 or IPv6 address; zero is unset.
type Addr = netip.Addr

// An Action is one thing done to a packet: an OpenFlow action, or an instruction,
// in the one list in which Open vSwitch keeps them. The set is closed; what the
// codec does not know is kept as Raw or RawInstruction.
//
// String is the action as ovs-ofctl prints it.
type Action interface {
	fmt.Stringer
	appendTo(b []byte) ([]byte, error) // as OpenFlow 1.3 has it on the wire
}

// An action that == cannot compare says itself what equals it.
type comparer interface{ same(Action) bool }

// vendor says whose action a type or subtype is.
type vendor uint8

const (
	openflow vendor = iota
	niciraAction
	onfAction
	numVendors
)

// A wireForm is how one action is read. The decoder that read gets stands behind the
// header, and ends where the action ends.
type wireForm struct {
	size  int  // of the whole action, or its least size if it may be longer
	more  bool // it may be longer, by multiples of 8
	debug bool // a switch takes it in its own tests only
	read  func(*decoder) Action
}

// wireForms has the forms of all actions, by vendor and type (OpenFlow 1.3, A.2.5) or
// subtype (nicira-ext.h). Each action puts its own here, beside its code.
var wireForms [numVendors]map[uint16]wireForm

// onWire says how the action of a vendor's type is read: size bytes, or more.
func onWire(v vendor, typ uint16, size int, more bool, read func(*decoder) Action) {
	if wireForms[v] == nil {
		wireForms[v] = map[uint16]wireForm{}
	}
	wireForms[v][typ] = wireForm{size: size, more: more, read: read}
}

// Raw is an action the codec does not know, or with arguments that Open vSwitch 3.1
// would refuse, as it was on the wire.
type Raw string

func (r Raw) appendTo(b []byte) ([]byte, error) { return append(b, r...), nil }

// String returns the bytes of the action: ovs-ofctl has no syntax for it.
func (r Raw) String() string { return fmt.Sprintf("raw:%x", string(r)) }

// action reads one action. What Open vSwitch 3.1 would refuse becomes Raw, or an error if
// d is strict; only a length that cannot be is always an error.
func (d *decoder) action() Action {
	whole := d.b
	form, header, code := formOf(whole)
	size := 0
	if len(whole) >= 8 {
		size = int(be.Uint16(whole[2:]))
	}
	switch {
	case code != 0 && d.strict:
		d.fail(code)
		return nil
	case size < 8 || size%8 != 0 || size > len(whole):
		d.fail(OFPBAC_BAD_LEN)
		return nil
	case code == 0 && size != form.size && (!form.more || size < form.size):
		code = OFPBAC_BAD_LEN
	}
	body := d.sub(size, "action", OFPBAC_BAD_LEN)
	body.strict = true
	if code == 0 && form.debug && d.strict {
		code = OFPBAC_BAD_VENDOR_TYPE
	}
	if code != 0 {
		body.fail(code)
	}
	var a Action
	if body.skip(header); body.err == nil {
		a = form.read(&body)
	}
	switch {
	case body.err != nil && d.strict:
		d.done(&body)
		return nil
	case body.err != nil, !d.strict && !sameOnTheWire(a, whole[:size]):
		return Raw(whole[:size])
	}
	return a
}

// formOf finds how the action at the beginning of b is read, and how long its header is.
func formOf(b []byte) (form wireForm, header int, unknown ErrorCode) {
	if len(b) < 8 {
		return form, 0, OFPBAC_BAD_LEN
	}
	v, typ := openflow, be.Uint16(b)
	if header = 4; typ == 0xffff { // OFPAT_EXPERIMENTER
		switch be.Uint32(b[4:]) {
		case nicira:
			v = niciraAction
		case onf:
			v = onfAction
		default:
			return form, 0, OFPBAC_BAD_VENDOR
		}
		if len(b) < 16 {
			return form, 0, OFPBAC_BAD_LEN
		}
		typ, header = be.Uint16(b[8:]), 10
	}
	form, ok := wireForms[v][typ]
	switch {
	case ok:
	case v == openflow:
		unknown = OFPBAC_BAD_TYPE
	default:
		unknown = OFPBAC_BAD_VENDOR_TYPE
	}
	return form, header, unknown
}

// sameOnTheWire reports whether a says all that b says. A ct has so many parts, some of
// which a later version may use, that it is written again to see.
func sameOnTheWire(a Action, b []byte) bool {
	if _, ok := a.(ConnTrack); !ok {
		return true
	}
	again, err := a.appendTo(nil)
	return err == nil && bytes.Equal(again, b)
}

// appendActions appends a list of actions. Instructions in it are an error.
func appendActions(b []byte, actions []Action) ([]byte, error) {
	var err error
	for _, a := range actions {
		if instructionOf(a) != inApply {
			return b, fmt.Errorf("%v is an instruction, not an action", a)
		}
		if b, err = appendAction(b, a); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendNX appends the header of a Nicira action of n bytes.
func appendNX(b []byte, subtype uint16, n uint16) []byte {
	return append(b, 0xff, 0xff, byte(n>>8), byte(n), 0, 0, 0x23, 0x20, byte(subtype>>8), byte(subtype))
}

// equalActions reports whether a and b do the same.
func equalActions(a, b []Action) bool { return slices.EqualFunc(a, b, equalAction) }

func equalAction(a, b Action) bool {
	if c, ok := a.(comparer); ok {
		return c.same(b)
	}
	return a == b // of different types if b is a comparer: no panic
}

// Text returns actions in the syntax of ovs-ofctl; an empty list is "drop".
func Text(actions []Action) string {
	return string(appendText(nil, actions))
}

// Reserved ports of OpenFlow 1.3, A.2.1.
const (
	PortUnset      uint32 = 0xfffffff7 // OFPP_UNSET of OpenFlow 1.5
	PortInPort     uint32 = 0xfffffff8 // OFPP_IN_PORT
	PortTable      uint32 = 0xfffffff9 // OFPP_TABLE
	PortNormal     uint32 = 0xfffffffa // OFPP_NORMAL
	PortFlood      uint32 = 0xfffffffb // OFPP_FLOOD
	PortAll        uint32 = 0xfffffffc // OFPP_ALL
	PortController uint32 = 0xfffffffd // OFPP_CONTROLLER
	PortLocal      uint32 = 0xfffffffe // OFPP_LOCAL
	PortAny        uint32 = 0xffffffff // OFPP_ANY

	PortInPort16 uint16 = 0xfff8 // OFPP_IN_PORT of OpenFlow 1.0, as Resubmit has it
)
