package ofproto

import (
	"fmt"
	"strings"
)

// DecodeActions reads a list of actions, as packet-out and buckets have it, and returns nil
// for an empty one. It refuses all that Open vSwitch 3.1 refuses over OpenFlow 1.3; the
// error wraps the ErrorCode that a switch would answer, and says at which byte.
func DecodeActions(b []byte) ([]Action, error) {
	d := decoder{b: b, what: "actions", strict: true}
	actions := d.actions(len(b))
	if d.err != nil {
		return nil, d.err
	}
	return actions, nil
}

// AppendActions appends a list of actions as Open vSwitch sends it. An instruction among
// them is an error, and so is an action of more than 65,528 bytes.
func AppendActions(b []byte, actions []Action) ([]byte, error) { return appendActions(b, actions) }

// ParseActions reads a list of actions in the syntax of ovs-actions(7): what ovs-ofctl
// takes behind "actions=", but for instructions. The error is a *SyntaxError.
func ParseActions(s string) ([]Action, error) {
	p := parser{whole: s}
	actions := p.actions(text{s: s})
	if p.err != nil {
		return nil, p.err
	}
	return actions, nil
}

// DecodeInstructions reads the instructions of a flow, and returns them in the order in
// which a switch executes them: the meter, the actions to apply, and the rest. It refuses
// all that Open vSwitch 3.1 refuses over OpenFlow 1.3, but for what does not go with the
// match or the table of the flow, which stand elsewhere.
func DecodeInstructions(b []byte) ([]Action, error) {
	d := decoder{b: b, what: "instructions", strict: true}
	actions := d.instructions(len(b))
	if d.err != nil {
		return nil, d.err
	}
	return actions, nil
}

// AppendInstructions appends the instructions of a flow as Open vSwitch sends them.
func AppendInstructions(b []byte, actions []Action) ([]byte, error) {
	return appendInstructions(b, actions)
}

// ParseInstructions reads what ovs-ofctl takes behind "actions=" of a flow: actions, and
// instructions in their order. The error is a *SyntaxError.
func ParseInstructions(s string) ([]Action, error) {
	p := parser{whole: s}
	actions := p.instructions(text{s: s})
	if p.err != nil {
		return nil, p.err
	}
	return actions, nil
}

// An instructionSet says which instructions may stand in a list.
type instructionSet uint8

const (
	onlyApply       instructionSet = 1 << inApply
	onlyActions     instructionSet = onlyApply | 1<<inMeter // in which Open vSwitch lets a meter stand
	allInstructions instructionSet = 1<<numInstructions - 1
)

// A nesting says inside what a list of actions stands.
type nesting uint8

const (
	notNested nesting = iota
	inConnTrack
	inClone
	inActionSet
)

var nestingNames = [...]string{"", "ct", "clone", "write_actions"}

// A fieldWriter is an action that writes one field of the packet.
type fieldWriter interface{ writes() Field }

// notInSet is an action that cannot stand in an action set.
type notInSet interface{ notInSet() }

// actions reads n bytes of actions, as packet-out and buckets have them.
func (d *decoder) actions(n int) []Action {
	if n%8 != 0 || n > len(d.b) {
		d.refuse(OFPBRC_BAD_LEN)
	}
	at := *d
	actions := d.list(n)
	if d.err == nil {
		at.verify(actions, onlyActions, notNested)
		d.done(&at)
	}
	return actions
}

// verify refuses a list that no switch takes. d stands where it begins, or did not end.
func (d *decoder) verify(actions []Action, allowed instructionSet, outer nesting) {
	if !d.strict || d.err != nil {
		return
	}
	if i, reason, code := verify(actions, allowed, outer); code != 0 {
		d.toAction(i)
		d.fail(fmt.Errorf("%w: %s", code, reason))
	}
}

// toAction skips i actions.
func (d *decoder) toAction(i int) {
	d.what = "action"
	for ; i > 0 && len(d.b) >= 4; i-- {
		d.skip(min(int(be.Uint16(d.b[2:])), len(d.b)))
	}
}

// verify returns the number of the first action in a list that may not stand where it
// stands, why, and with which error a switch refuses it; or no error.
func verify(actions []Action, allowed instructionSet, outer nesting) (bad int, reason string, code ErrorCode) {
	last := inMeter
	for i, a := range actions {
		if _, ok := a.(Conjunction); ok {
			return verifyConjunctions(actions)
		}
		if reason, code = verifyNested(a, outer); code != 0 {
			return i, reason, code
		}
		next := instructionOf(a)
		if i > 0 && (next < last || next == last && last != inApply) {
			return i, orderReason(last, next), OFPBAC_UNSUPPORTED_ORDER
		}
		if allowed&(1<<next) == 0 {
			return i, instructionNames[next] + " is not allowed here", OFPBIC_UNSUP_INST
		}
		last = next
	}
	return 0, "", 0
}

func orderReason(last, next instructionType) string {
	if last == next {
		return fmt.Sprintf("there may be only one %s", instructionNames[next])
	}
	return fmt.Sprintf("%s has to stand before %s", instructionNames[next], instructionNames[last])
}

// verifyConjunctions looks through a list in which there is a Conjunction: only notes may
// stand beside it.
func verifyConjunctions(actions []Action) (bad int, reason string, code ErrorCode) {
	for i, a := range actions {
		switch a.(type) {
		case Conjunction, Note:
		default:
			return i, briefly(a) + " stands beside a conjunction", NXBAC_BAD_CONJUNCTION
		}
	}
	return 0, "", 0
}

// verifyNested says whether a may stand in what is around it.
func verifyNested(a Action, outer nesting) (reason string, code ErrorCode) {
	w, writes := a.(fieldWriter)
	ofCT := writes && (w.writes() == CTMark || w.writes() == CTLabel)
	if ofCT && outer != inConnTrack {
		return fmt.Sprintf("%v can be set in the exec of a ct only", w.writes()), OFPBAC_BAD_SET_ARGUMENT
	}
	if _, ok := a.(NAT); ok {
		if outer != inConnTrack {
			return "nat can stand in a ct only", OFPBAC_BAD_SET_ARGUMENT
		}
		return "", 0
	}
	switch _, isMeter := a.(Meter); {
	case outer == inConnTrack && writes && !ofCT:
		return fmt.Sprintf("a ct cannot set %v", w.writes()), OFPBAC_BAD_ARGUMENT
	case outer == inConnTrack && !writes, outer != notNested && isMeter:
		return nestingNames[outer] + " cannot have " + briefly(a) + " in it", OFPBAC_BAD_ARGUMENT
	}
	return "", 0
}

// briefly returns the text of an action, but not that of those inside it, which may be long.
func briefly(a Action) string {
	switch a := a.(type) {
	case ConnTrack:
		return "ct"
	case Clone:
		return "clone"
	case WriteActions:
		return "write_actions"
	default:
		return a.String()
	}
}

// maxDepth is how deep Open vSwitch takes actions within actions in a text.
const maxDepth = 100

// actions reads the actions of a bucket or a packet-out. The name of an action may be in any
// case; a port alone is an output.
func (p *parser) actions(t text) []Action { return p.list(t, onlyActions, notNested) }

// instructions reads the actions and instructions of a flow.
func (p *parser) instructions(t text) []Action { return p.list(t, allInstructions, notNested) }

// nested reads the actions that stand inside another one.
func (p *parser) nested(t text, outer nesting) []Action { return p.list(t, onlyActions, outer) }

// list reads a list of actions, and refuses one that no switch takes.
func (p *parser) list(t text, allowed instructionSet, outer nesting) []Action {
	if p.depth >= maxDepth {
		p.bad(t, "actions stand more than %d deep in one another", maxDepth)
		return nil
	}
	p.depth++
	defer func() { p.depth-- }()
	var actions []Action
	var at []text // of each action
	drop, isDrop := text{}, false
	for kv, ok := p.next(&t); ok && p.err == nil; kv, ok = p.next(&t) {
		if strings.EqualFold(kv.key.s, "drop") {
			drop, isDrop = kv.key, true
			continue
		}
		for _, a := range p.action(kv) {
			actions, at = append(actions, a), append(at, kv.key)
		}
	}
	if p.err != nil {
		return nil
	}
	if isDrop && len(actions) > 0 {
		p.bad(drop, "drop cannot stand beside other actions")
	} else if i, reason, code := verify(actions, allowed, outer); code != 0 {
		p.bad(at[i], "%s", reason) // ovs-ofctl does not send it, so that no switch has an error for it
	}
	p.places = at
	return actions
}

// action reads one action, which OpenFlow 1.3 may have as several.
func (p *parser) action(kv pair) []Action {
	name := strings.ToLower(kv.key.s)
	if syntax, ok := syntaxes[name]; ok {
		return syntax(p, kv)
	}
	if name == "apply_actions" {
		p.bad(kv.key, "apply_actions is not written: actions outside of write_actions are applied")
	} else if port, ok := portNumber(kv.key.s); ok {
		return []Action{Output{Port: port}}
	} else {
		p.bad(kv.key, "there is no action %q", kv.key.s)
	}
	return nil
}

// appendText appends actions in the syntax of ovs-ofctl; an empty list is "drop". It does
// without recursion where a clone stands in another one: there can be 4,095 of them.
func appendText(b []byte, actions []Action) []byte {
	if len(actions) == 0 {
		return append(b, "drop"...)
	}
	var open []openText
	for {
		a := actions[0]
		actions = actions[1:]
		switch c, ok := a.(Clone); {
		case ok && len(c.Actions) > 0:
			b = append(b, "clone("...)
			if n := len(open); n > 0 && len(actions) == 0 {
				open[n-1].clones++
			} else {
				open = append(open, openText{1, actions})
			}
			actions = c.Actions
			continue
		case ok:
			b = append(b, "clone(drop)"...)
		default:
			b = appendOne(b, a)
		}
		for ; len(actions) == 0; open = open[:len(open)-1] {
			if len(open) == 0 {
				return b
			}
			last := open[len(open)-1]
			b, actions = append(b, strings.Repeat(")", last.clones)...), last.after
		}
		b = append(b, ',')
	}
}

// An openText is the text of some clones that end together.
type openText struct {
	clones int
	after  []Action // what stands behind them
}

func appendOne(b []byte, a Action) []byte {
	if t, ok := a.(interface{ appendText([]byte) []byte }); ok { // has actions in it
		return t.appendText(b)
	}
	return append(b, a.String()...)
}
