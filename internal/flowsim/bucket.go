package flowsim

import "weir/ofproto"

// In a bucket stand no list of actions but a set of them (OpenFlow 1.3, 5.10): what
// changes the packet comes first, and of what sends it on only one counts, the last of
// the highest rank. Without one nothing is done. Actions that can be in no set are
// passed over.

// ranks are those of the actions that send a packet on.
const (
	notFinal = iota
	rankCT
	rankClear
	rankResubmit
	rankOutput
	rankGroup
)

func rankOf(a ofproto.Action) int {
	switch a.(type) {
	case ofproto.ConnTrack:
		return rankCT
	case ofproto.CTClear:
		return rankClear
	case ofproto.Resubmit:
		return rankResubmit
	case ofproto.Output:
		return rankOutput
	case ofproto.ToGroup:
		return rankGroup
	}
	return notFinal
}

// inOrder returns the actions of a bucket as they are carried out.
func inOrder(bucket []ofproto.Action) []ofproto.Action {
	var final ofproto.Action
	var first, writes []ofproto.Action
	rank := notFinal
	for _, a := range bucket {
		r := rankOf(a)
		switch a.(type) {
		case ofproto.DecTTL:
			first = []ofproto.Action{a}
		case ofproto.SetField, ofproto.SetMasked, ofproto.Load, ofproto.Move, ofproto.SetTTL:
			writes = append(writes, a)
		}
		if r != notFinal && r >= rank {
			final, rank = a, r
		}
	}
	if final == nil {
		return nil
	}
	return append(append(first, writes...), final)
}
