package ovstest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/reference"
	"weir/ofproto"
)

// What is dropped is dropped for the right reason: for each reason that was counted somebody has sent
// something that the reference may drop for that, and what it drops for one reason alone, whatever else has happened,
// is counted for that one. And what comes to a host to begin something is what the reference lets come to it.

// causes are what the reference says where the pipeline has a reason.
var causes = map[pipeline.Reason]reference.Cause{
	pipeline.UnknownPort:     reference.Unbound,
	pipeline.Spoofed:         reference.Spoofed,
	pipeline.UnansweredArp:   reference.Undiscovered,
	pipeline.NotItsRole:      reference.NotItsRole,
	pipeline.NotIP:           reference.NeitherIPNorARP,
	pipeline.InvalidState:    reference.InvalidPacket,
	pipeline.NotSYN:          reference.NotSYN,
	pipeline.Expired:         reference.Expired,
	pipeline.NoRoute:         reference.NoRoute,
	pipeline.NoNeighbour:     reference.NoNeighbour,
	pipeline.UnknownMAC:      reference.NobodyOnLink,
	pipeline.TooManyStations: reference.TooMany,
	pipeline.DeniedByRule:    reference.ByRule,
	pipeline.DeniedByDefault: reference.ByDefault,
	pipeline.RejectedByRule:  reference.ByReject,
	pipeline.LimitReached:    reference.OverLimit,
	pipeline.NotOurs:         reference.NotOurs,
	pipeline.NotExpected:     reference.NotExpected,
	pipeline.NotTranslated:   reference.NotTranslated,
	pipeline.WhoseFragment:   reference.WhoseFragment,
	pipeline.NoBackend:       reference.NoBackend,
	pipeline.NotServed:       reference.NotServed,
	pipeline.NoPortLeft:      reference.NoPortLeft,
	pipeline.WithoutPorts:    reference.WithoutPorts,
	pipeline.NobodysPort:     reference.NobodysPort,
	pipeline.NotOfItsOwn:     reference.NotOfItsOwn,
	pipeline.Lost:            reference.Lost,
	pipeline.PortlessPiece:   reference.PortlessPiece,
	pipeline.NotBothEnds:     reference.NotBothEnds,
}

// past are the reasons for which something may be dropped since one model admits it and another does not, or sends it elsewhere, or as
// somebody else.
var past = []pipeline.Reason{pipeline.BlockedBefore, pipeline.StoppedAndTold, pipeline.NoState, pipeline.NotExpected, pipeline.NotTranslated}

// crossing are the reasons for which what is on its way while a model is replaced may be dropped: the flows before have said to whom it
// goes, and sent it to the tracker, and those of now judge it. Whom they name is held against what was sent all the same (holdDenials).
var crossing = []pipeline.Reason{pipeline.DeniedByRule, pipeline.DeniedByDefault}

// unasked are the reasons of which the reference says nothing.
var unasked = map[pipeline.Reason]string{
	pipeline.RefusedRule: "what a switch refuses no model says; a test of that says ExpectRefusals",
	pipeline.NoPort:      "which ports are there no model says",
}

// lossy: of a flood one of so many packets may never come to the switch.
const lossy = 20

// A verdict is all that may become of something, under whichever model.
type verdict struct {
	passes  bool
	causes  []reference.Cause
	changed bool // one model lets it begin something, and another does not, or otherwise
	arrives []reference.Arrival
	freely  bool // it may also come to others
}

// judgement asks the reference.
func judgement(models []*intent.Model, f reference.Frame) (v verdict) {
	admits, not := false, false
	var before []reference.Arrival
	for i, m := range models {
		w := reference.FateOf(m, f)
		v.changed = v.changed || i > 0 && !reflect.DeepEqual(before, w.Arrives)
		before = w.Arrives
		v.passes, v.freely = v.passes || w.Passes, v.freely || w.Freely
		v.arrives = append(v.arrives, w.Arrives...)
		admits, not = admits || w.Admits, not || !w.Admits
		for _, c := range w.Causes {
			if !slices.Contains(v.causes, c) {
				v.causes = append(v.causes, c)
			}
		}
	}
	v.changed = v.changed || admits && not
	return v
}

// holdDrops looks at what was dropped, and at what came, when the test ends. The counters are read while what is sent is still seen: a host
// may say something by itself at any time.
func (n *Net) holdDrops() {
	n.T.Helper()
	defer n.seen.close()
	if !n.judges() {
		return
	}
	n.seen.freeze()
	ctx, cancel := context.WithTimeout(context.Background(), Patience) // that of the test has ended
	defer cancel()
	flows, err := n.flows(ctx)
	if err != nil {
		return // of a test that has ended ovs-vswitchd
	}
	if n.seen.close(); n.seen.lost > 0 || n.seen.full {
		n.T.Logf("nothing is said of what was dropped: %d kinds of packets were seen, %d packets were not", len(n.seen.sent), n.seen.lost)
		return
	}
	verdicts := map[reference.Frame]verdict{}
	for f := range n.seen.sent {
		verdicts[f] = judgement(n.Weir.judge.models, f)
	}
	n.holdDenials(flows)
	n.holdReasons(flows, verdicts)
	n.holdArrivals(verdicts)
}

// holdReasons fails the test if something was dropped for a reason that the reference does not give, or not for
// the one that it gives.
func (n *Net) holdReasons(flows []ofproto.FlowStats, verdicts map[reference.Frame]verdict) {
	n.T.Helper()
	drops, since := dropped(flows)
	must := map[reference.Cause]int{}
	may, changed := map[reference.Cause]bool{}, false
	example := map[reference.Cause]reference.Frame{}
	replaced := len(n.Weir.judge.models) > 1
	for f, v := range verdicts {
		// What a helper has let pass is judged like any other when policy is narrowed, and stops (docs/firewall.md, FTP).
		changed = changed || v.changed || replaced && v.freely
		for _, c := range v.causes {
			may[c] = true
		}
		if n.late[f.Port] { // its port may have no flows yet
			may[reference.Unbound] = true
		}
		if !v.passes && len(v.causes) == 1 && f.Piece == 0 && !n.late[f.Port] {
			must[v.causes[0]] += n.seen.sent[f].sure
			example[v.causes[0]] = f
		}
	}
	for r, packets := range drops {
		_, skip := unasked[r]
		known := may[causes[r]] || changed && slices.Contains(past, r) || slices.Contains(crossing, r) && packets < uint64(len(n.Weir.judge.models))
		switch {
		case packets > 0 && !known && !skip:
			n.T.Errorf("%d packets were dropped for reason %d, %q, and the reference drops nothing for that of what was sent", packets, r, pipeline.Reasons[r])
		case causes[r] != "" && !n.seen.since.IsZero() && since.Before(n.seen.since) && packets < uint64(must[causes[r]]-must[causes[r]]/lossy):
			n.T.Errorf("%d packets were dropped for reason %d, %q, and the reference drops %d for that, like %s", packets, r, pipeline.Reasons[r], must[causes[r]], told(example[causes[r]]))
		}
	}
}

// judges reports whether something can be said of what was sent: it came to a daemon that has a model, and
// was let have its way. Of hosts on several bridges it is not known by which port they come.
func (n *Net) judges() bool {
	for _, bridge := range n.bridges {
		if bridge != n.Bridge {
			return false
		}
	}
	return n.Weir != nil && !n.Weir.ExpectRefusals && len(n.Weir.judge.models) > 0
}

// told is a frame as a failure names it.
func told(f reference.Frame) string { return fmt.Sprintf("%+v", f) }

// dropped returns how many packets were dropped by reason, and since when that is counted.
func dropped(flows []ofproto.FlowStats) (by map[pipeline.Reason]uint64, since time.Time) {
	by = map[pipeline.Reason]uint64{}
	for _, f := range flows {
		if f.Table != pipeline.Drop {
			continue
		}
		at := time.Now().Add(-time.Duration(f.DurationSec)*time.Second - time.Duration(f.DurationNsec))
		if at.After(since) {
			since = at
		}
		by[pipeline.CountedBy(f.Flow)] += f.Packets
	}
	return by, since
}
