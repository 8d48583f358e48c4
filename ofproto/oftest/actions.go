package oftest

import (
	"iter"

	"weir/ofproto"
)

// flat yields actions and those inside of them: of a ct's exec, a clone and the action set.
func flat(actions []ofproto.Action) iter.Seq[ofproto.Action] {
	return func(yield func(ofproto.Action) bool) { walk(actions, yield) }
}

func walk(actions []ofproto.Action, yield func(ofproto.Action) bool) bool {
	for _, a := range actions {
		if !yield(a) || !walk(inside(a), yield) {
			return false
		}
	}
	return true
}

func inside(a ofproto.Action) []ofproto.Action {
	switch a := a.(type) {
	case ofproto.ConnTrack:
		return a.Exec
	case ofproto.Clone:
		return a.Actions
	case ofproto.WriteActions:
		return a.Actions
	}
	return nil
}

// outputsTo reports whether one of actions sends packets to a port by its number; FLOOD and
// ALL do not count.
func outputsTo(actions []ofproto.Action, port uint32) bool {
	for a := range flat(actions) {
		switch a := a.(type) {
		case ofproto.Output:
			if a.Port == port {
				return true
			}
		case ofproto.Controller:
			if port == ofproto.PortController {
				return true
			}
		}
	}
	return false
}

func usesGroup(actions []ofproto.Action, id uint32) bool { return usesOf(actions, id) > 0 }

// usesOf returns how many of actions use a group.
func usesOf(actions []ofproto.Action, id uint32) (n int) {
	for a := range flat(actions) {
		if g, ok := a.(ofproto.ToGroup); ok && uint32(g) == id {
			n++
		}
	}
	return n
}

func usesMeter(actions []ofproto.Action, id uint32) bool {
	for a := range flat(actions) {
		if m, ok := a.(ofproto.Meter); ok && uint32(m) == id {
			return true
		}
	}
	return false
}

func sameActions(a, b []ofproto.Action) bool {
	return ofproto.Flow{Actions: a}.Equal(ofproto.Flow{Actions: b})
}
