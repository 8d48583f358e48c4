package ofproto

import (
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

// Raw is an action the codec does not know, or with arguments that Open vSwitch 3.1
// would refuse, as it was on the wire.
type Raw string

func (r Raw) appendTo(b []byte) ([]byte, error) { return append(b, r...), nil }

// String returns the bytes of the action: ovs-ofctl has no syntax for it.
func (r Raw) String() string { return fmt.Sprintf("raw:%x", string(r)) }

// An openClone is a clone of which the actions are being written.
type openClone struct {
	start int
	after []Action // what stands behind it
}

// appendActions appends a list of actions. Instructions in it are an error.
func appendActions(b []byte, actions []Action) ([]byte, error) {
	b, rest, err := appendFrequent(b, actions)
	if err != nil || len(rest) == 0 {
		return b, err
	}
	return appendAnyActions(b, rest)
}

// appendAnyActions is appendActions for all kinds. It does without recursion where a clone
// stands in another one: there can be 4,095 of them.
func appendAnyActions(b []byte, actions []Action) ([]byte, error) {
	var open []openClone
	var err error
	for {
		for ; len(actions) == 0; open = open[:len(open)-1] {
			if len(open) == 0 {
				return b, nil
			}
			last := open[len(open)-1]
			if err = setLen(b, last.start, 2); err != nil {
				return b, err
			}
			actions = last.after
		}
		a := actions[0]
		actions = actions[1:]
		if c, ok := a.(Clone); ok {
			open = append(open, openClone{len(b), actions})
			b, actions = appendClone(b), c.Actions
			continue
		}
		if instructionOf(a) != inApply {
			return b, fmt.Errorf("%v is an instruction, not an action", a)
		}
		if b, err = a.appendTo(b); err != nil {
			return b, err
		}
	}
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
