package ofproto

import "fmt"

// Types of instructions on the wire (OpenFlow 1.3, A.2.4).
const (
	itGoto     = 1
	itMetadata = 2
	itWrite    = 3
	itApply    = 4
	itClear    = 5
	itMeter    = 6
)

// An instructionType says in which instruction an action stands. They are in the order in
// which a switch executes them, and in which a list has to have them.
type instructionType uint8

const (
	inMeter instructionType = iota
	inApply
	inClear
	inWrite
	inMetadata
	inGoto
	numInstructions

	noInstruction = numInstructions
)

var instructionNames = [numInstructions]string{"meter", "apply_actions", "clear_actions", "write_actions", "write_metadata", "goto_table"}

// instructionOf returns the instruction that a is, or apply_actions if it is an action. A
// RawInstruction is noInstruction.
func instructionOf(a Action) instructionType {
	switch a.(type) {
	case GotoTable:
		return inGoto
	case Meter:
		return inMeter
	case WriteMetadata:
		return inMetadata
	case WriteActions:
		return inWrite
	case ClearActions:
		return inClear
	case RawInstruction:
		return noInstruction
	}
	return inApply
}

// GotoTable continues in a later table (OFPIT_GOTO_TABLE).
type GotoTable Table

func (g GotoTable) appendTo(b []byte) ([]byte, error) {
	return append(b, 0, itGoto, 0, 8, byte(g), 0, 0, 0), nil
}

// String returns the instruction as ovs-ofctl prints it.
func (g GotoTable) String() string { return fmt.Sprintf("goto_table:%d", uint8(g)) }

// check refuses to go back, or to stay. What is in table 255 is in no table.
func (g GotoTable) check(p *packet) ErrorCode {
	if p.table != NoTable && Table(g) <= p.table {
		return OFPBIC_BAD_TABLE_ID
	}
	return 0
}

// Meter applies a meter (OFPIT_METER). First in the list.
type Meter uint32

func (m Meter) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(b, 0, itMeter, 0, 8), uint32(m)), nil
}

// String returns the instruction as ovs-ofctl prints it.
func (m Meter) String() string { return fmt.Sprintf("meter:%d", uint32(m)) }

func (m Meter) check(*packet) ErrorCode {
	if m == 0 || m > maxMeter {
		return OFPMMFC_INVALID_METER
	}
	return 0
}

// maxMeter is the greatest number of a meter that is not virtual (OFPM13_MAX).
const maxMeter = 0xffff0000

// ClearActions empties the action set (OFPIT_CLEAR_ACTIONS).
type ClearActions struct{}

func (ClearActions) appendTo(b []byte) ([]byte, error) {
	return append(b, 0, itClear, 0, 8, 0, 0, 0, 0), nil
}

// String returns the instruction as ovs-ofctl prints it.
func (ClearActions) String() string { return "clear_actions" }

// WriteActions puts actions into the action set, which is executed where a packet leaves
// the pipeline (OFPIT_WRITE_ACTIONS). Only actions that can stand in an action set may be
// among them. An empty one says nothing, and is not sent.
type WriteActions struct{ Actions []Action }

func (w WriteActions) same(o Action) bool {
	v, ok := o.(WriteActions)
	return ok && equalActions(w.Actions, v.Actions)
}

func (w WriteActions) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b, err := appendActions(append(b, 0, itWrite, 0, 0, 0, 0, 0, 0), w.Actions)
	if err != nil {
		return b, err
	}
	return endActions(b, start)
}

// String returns the instruction as ovs-ofctl prints it.
func (w WriteActions) String() string { return string(w.appendText(nil)) }

func (w WriteActions) appendText(b []byte) []byte {
	return append(appendText(append(b, "write_actions("...), w.Actions), ')')
}

// check looks at the actions by themselves. What the packet will be when the set is
// executed is not known: that they do not go with the match is no error.
func (w WriteActions) check(p *packet) ErrorCode {
	later := *p
	return later.checkAll(w.Actions)
}

// WriteMetadata sets the bits of the metadata field that Mask has to those of Value
// (OFPIT_WRITE_METADATA).
type WriteMetadata struct{ Value, Mask uint64 }

func (WriteMetadata) notInSet() {}

func (m WriteMetadata) appendTo(b []byte) ([]byte, error) {
	b = append(b, 0, itMetadata, 0, 24, 0, 0, 0, 0)
	return be.AppendUint64(be.AppendUint64(b, m.Value), m.Mask), nil
}

// String returns the instruction as ovs-ofctl prints it.
func (m WriteMetadata) String() string {
	s := "write_metadata:" + hexText(Uint(m.Value))
	if m.Mask != 1<<64-1 {
		s += "/" + hexText(Uint(m.Mask))
	}
	return s
}

// RawInstruction is an instruction the codec does not know, as it was on the wire.
type RawInstruction string

func (r RawInstruction) appendTo(b []byte) ([]byte, error) { return append(b, r...), nil }

// String returns the bytes of the instruction: ovs-ofctl has no syntax for it.
func (r RawInstruction) String() string { return fmt.Sprintf("instruction:%x", string(r)) }

func init() {
	onWire(niciraAction, 22, 32, false, readWriteMetadata)
	inText("goto_table", func(p *parser, kv pair) []Action { return []Action{GotoTable(p.table(kv.value))} })
	inText("meter", func(p *parser, kv pair) []Action { return []Action{Meter(p.uint(kv.value, 32))} })
	inText("clear_actions", func(p *parser, kv pair) []Action { return []Action{ClearActions{}} })
	inText("write_actions", func(p *parser, kv pair) []Action {
		return []Action{WriteActions{p.nested(kv.value, inActionSet)}}
	})
	inText("write_metadata", parseWriteMetadata)
}

// readWriteMetadata reads NXAST_WRITE_METADATA, which is an action with the meaning of the
// instruction.
func readWriteMetadata(d *decoder) Action {
	d.zero(6, NXBRC_MUST_BE_ZERO)
	return WriteMetadata{d.u64(), d.u64()}
}

func parseWriteMetadata(p *parser, kv pair) []Action {
	value, mask, masked := kv.value.cut("/")
	m := WriteMetadata{Mask: 1<<64 - 1}
	if masked {
		m.Mask = p.uint(mask, 64)
	}
	m.Value = p.uint(value, 64)
	return []Action{m}
}

// appendInstructions appends the instructions of a flow. Actions that stand beside one
// another are applied.
func appendInstructions(b []byte, actions []Action) ([]byte, error) {
	start := -1 // of the apply_actions that is being written
	var err error
	for len(actions) > 0 {
		if instructionOf(actions[0]) == inApply {
			if start < 0 {
				start = len(b)
				b = append(b, 0, itApply, 0, 0, 0, 0, 0, 0)
			}
			if b, actions, err = appendFrequent(b, actions); err != nil {
				return b, err
			}
			if len(actions) == 0 {
				break
			}
		}
		if start >= 0 && instructionOf(actions[0]) != inApply {
			if b, err = endActions(b, start); err != nil {
				return b, err
			}
			start = -1
		}
		if b, err = actions[0].appendTo(b); err != nil {
			return b, err
		}
		actions = actions[1:]
	}
	if start >= 0 {
		return endActions(b, start)
	}
	return b, err
}

// endActions says how long the instruction with actions from start is, or takes it away if
// there are none in it.
func endActions(b []byte, start int) ([]byte, error) {
	if len(b) == start+8 {
		return b[:start], nil
	}
	return b, setLen(b, start, 2)
}

// appendFrequent appends the actions at the beginning of a list that most flows have, and
// returns the rest. It calls them directly, which takes half the time.
func appendFrequent(b []byte, actions []Action) (out []byte, rest []Action, err error) {
	for i, a := range actions {
		switch a := a.(type) {
		case SetField:
			b, err = a.appendTo(b)
		case Resubmit:
			b, err = a.appendTo(b)
		case ConnTrack:
			b, err = a.append(b)
		case Load:
			b, err = a.appendTo(b)
		case Move:
			b, err = a.appendTo(b)
		case Output:
			b, err = a.appendTo(b)
		default:
			return b, actions[i:], nil
		}
		if err != nil {
			return b, nil, err
		}
	}
	return b, nil, nil
}

// found has the instructions of one flow, as they were found on the wire.
type found struct {
	body [numInstructions]decoder // stands behind the header
	has  [numInstructions]bool
	raw  []Action
	dup  bool // one of these stands there twice
}

// instructions reads n bytes of instructions, and returns them in the order in which they
// are executed, whatever order they had.
func (d *decoder) instructions(n int) (actions []Action) {
	if n%8 != 0 {
		d.refuse(OFPBIC_BAD_LEN)
	}
	s := d.sub(n, "instruction", OFPBIC_BAD_LEN)
	all := s
	var f found
	for s.more() {
		s.findInstruction(&f)
	}
	d.done(&s)
	switch {
	case d.err != nil:
		return nil
	case f.dup:
		return all.rawInstructions()
	}
	return d.assemble(&f)
}

// rawInstructions keeps all of the instructions as they are. Which of two of a kind counts,
// only their sender knows: their order has to stay.
func (d *decoder) rawInstructions() (actions []Action) {
	for d.more() {
		actions = append(actions, RawInstruction(d.bytes(int(be.Uint16(d.b[2:])))))
	}
	return actions
}

var instructionTypes = [...]instructionType{noInstruction, inGoto, inMetadata, inWrite, inApply, inClear, inMeter}

// instructionSizes has the size of each instruction; those of apply and write are least sizes.
var instructionSizes = [numInstructions]int{inMeter: 8, inApply: 8, inClear: 8, inWrite: 8, inMetadata: 24, inGoto: 8}

// findInstruction looks at the header of the next instruction only.
func (d *decoder) findInstruction(f *found) {
	whole := *d
	wire, size := d.u16(), int(d.u16())
	if d.err == nil && (size < 8 || size%8 != 0 || size > len(whole.b)) {
		d.fail(OFPBIC_BAD_LEN)
	}
	if d.err != nil {
		return
	}
	typ := noInstruction
	if int(wire) < len(instructionTypes) {
		typ = instructionTypes[wire]
	}
	var code ErrorCode
	switch {
	case wire == 0xffff:
		code = OFPBIC_BAD_EXPERIMENTER
	case typ == noInstruction:
		code = OFPBIC_UNKNOWN_INST
	case size != instructionSizes[typ] && typ != inApply && typ != inWrite:
		code = OFPBIC_BAD_LEN
	case f.has[typ]:
		code = OFPBIC_DUP_INST
	default:
		f.has[typ], f.body[typ] = true, d.sub(size-4, "instruction", OFPBIC_BAD_LEN)
		return
	}
	if d.strict {
		whole.fail(code)
		*d = whole
		return
	}
	*d = whole
	f.dup = f.dup || code == OFPBIC_DUP_INST
	f.raw = append(f.raw, RawInstruction(d.bytes(size)))
}

// assemble reads the instructions that were found.
func (d *decoder) assemble(f *found) (actions []Action) {
	others := len(f.raw)
	for _, has := range f.has {
		if has {
			others++
		}
	}
	var applied []Action
	first := f.body[inApply] // the first action to be applied
	if body := &f.body[inApply]; f.has[inApply] {
		body.skip(4)
		first = *body
		applied = body.transientList(len(body.b))
		d.done(body)
		others--
	}
	if len(applied)+others > 0 {
		actions = make([]Action, 0, len(applied)+others)
	}
	if f.has[inMeter] {
		actions = append(actions, Meter(f.body[inMeter].u32()))
	}
	actions = d.afterActions(append(actions, applied...), f)
	if d.err != nil {
		return nil
	}
	if d.strict {
		d.verifyInstructions(actions, f, first)
	}
	return actions
}

// verifyInstructions refuses a list that no switch takes, at the place of what is wrong. first
// stands where the actions to be applied begin.
func (d *decoder) verifyInstructions(actions []Action, f *found, first decoder) {
	i, reason, code := verify(actions, allInstructions, notNested)
	if code == 0 {
		return
	}
	at := first
	if typ := instructionOf(actions[i]); typ != inApply && f.has[typ] {
		at = f.body[typ]
	} else {
		at.toAction(i - int(flag(f.has[inMeter], 1)))
	}
	at.fail(fmt.Errorf("%w: %s", code, reason))
	d.done(&at)
}

// afterActions appends the instructions that come after the actions.
func (d *decoder) afterActions(actions []Action, f *found) []Action {
	if f.has[inClear] {
		actions = append(actions, ClearActions{})
	}
	if body := &f.body[inWrite]; f.has[inWrite] && d.err == nil {
		body.skip(4)
		body.lists = d.lists
		actions = append(actions, WriteActions{body.actionSet()})
		d.done(body)
	}
	if body := &f.body[inMetadata]; f.has[inMetadata] {
		body.skip(4)
		actions = append(actions, WriteMetadata{body.u64(), body.u64()})
	}
	actions = append(actions, f.raw...)
	if f.has[inGoto] {
		actions = append(actions, GotoTable(f.body[inGoto].u8()))
	}
	return actions
}

// actionSet reads the actions of a write_actions.
func (d *decoder) actionSet() []Action {
	at := *d
	actions := d.list(len(d.b))
	for i, a := range actions {
		if _, ok := a.(notInSet); ok && d.err == nil && d.strict {
			at.toAction(i)
			at.fail(OFPBAC_BAD_TYPE)
			d.done(&at)
		}
	}
	return actions
}
