package ofproto

import "fmt"

// Types of instructions (OpenFlow 1.3, A.2.4).
const (
	itGoto  = 1
	itApply = 4
	itMeter = 6
)

// An instruction stands in a flow's list of actions, but not in another one.
type instruction interface {
	Action
	instruction()
}

func (GotoTable) instruction()      {}
func (Meter) instruction()          {}
func (RawInstruction) instruction() {}

// GotoTable continues in a later table (OFPIT_GOTO_TABLE).
type GotoTable Table

func (g GotoTable) appendTo(b []byte) ([]byte, error) {
	return append(b, 0, itGoto, 0, 8, byte(g), 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (g GotoTable) String() string { return fmt.Sprintf("goto_table:%d", uint8(g)) }

// Meter applies a meter (OFPIT_METER). First in the list.
type Meter uint32

func (m Meter) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(b, 0, itMeter, 0, 8), uint32(m)), nil
}

// String returns the action as ovs-ofctl prints it.
func (m Meter) String() string { return fmt.Sprintf("meter:%d", uint32(m)) }

// RawInstruction is an instruction the codec does not know, as it was on the wire.
type RawInstruction string

func (r RawInstruction) appendTo(b []byte) ([]byte, error) { return append(b, r...), nil }

// String returns the bytes of the instruction: ovs-ofctl has no syntax for it.
func (r RawInstruction) String() string { return fmt.Sprintf("instruction:%x", string(r)) }

// appendInstructions appends the instructions of a flow: the meter, the actions, and
// the table to go to.
func appendInstructions(b []byte, actions []Action) ([]byte, error) {
	if len(actions) > 0 {
		if m, ok := actions[0].(Meter); ok {
			b = be.AppendUint32(append(b, 0, itMeter, 0, 8), uint32(m))
			actions = actions[1:]
		}
	}
	var raw []Action // between the actions and the table to go to, in their order
	known := actions[:0:0]
	for _, a := range actions {
		if _, ok := a.(RawInstruction); ok {
			raw = append(raw, a)
		} else {
			known = append(known, a)
		}
	}
	if raw != nil {
		actions = known
	}
	next, jumps := GotoTable(0), false
	if n := len(actions); n > 0 {
		if next, jumps = actions[n-1].(GotoTable); jumps {
			actions = actions[:n-1]
		}
	}
	if len(actions) > 0 {
		start := len(b)
		b = append(b, 0, itApply, 0, 0, 0, 0, 0, 0)
		var err error
		if b, err = appendActions(b, actions); err == nil {
			err = setLen(b, start, 2)
		}
		if err != nil {
			return b, err
		}
	}
	for _, a := range raw {
		b = append(b, a.(RawInstruction)...)
	}
	if jumps {
		b = append(b, 0, itGoto, 0, 8, byte(next), 0, 0, 0)
	}
	return b, nil
}

// instructions reads n bytes of instructions.
func (d *decoder) instructions(n int) (actions []Action) {
	s := d.sub(n, "instruction", OFPBIC_BAD_LEN)
	for s.more() {
		whole := s.b
		typ, size := s.u16(), int(s.u16())
		if s.err == nil && (size < 8 || size%8 != 0 || size > len(whole)) {
			s.fail(OFPBIC_BAD_LEN)
			break
		}
		body := s.sub(size-4, "instruction", OFPBIC_BAD_LEN)
		switch typ {
		case itGoto:
			actions = append(actions, GotoTable(body.u8()))
		case itMeter:
			actions = append(actions, Meter(body.u32()))
		case itApply:
			body.skip(4)
			actions = append(actions, body.actions(len(body.b))...)
		default:
			actions = append(actions, RawInstruction(whole[:size]))
		}
		s.done(&body)
	}
	d.done(&s)
	return actions
}
