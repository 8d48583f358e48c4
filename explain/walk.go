package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// A Bridge is asked about what is installed in it. Its functions are the edge: a trace is a
// command of ovs-vswitchd, flows are a request of OpenFlow.
type Bridge struct {
	Name string
	// Trace says where a packet would go: from its port on, or by actions, if there are some.
	Trace func(packet, actions string) (string, error)
	// Flows returns the flows of a table that have a cookie, with their counters.
	Flows func(t ofproto.Table, cookie uint64) ([]ofproto.FlowStats, error)
	// Groups are those that are installed.
	Groups []ofproto.Group
}

// A Step is a flow that a packet hits.
type Step struct {
	Pass    int // how often the packet had been recirculated
	Table   ofproto.Table
	Hit     bool              // there is a flow; if not, the packet ends here
	Flow    ofproto.FlowStats // that is hit, with what it has counted
	Actions []string          // as ovs-vswitchd says them, with what they come to
	Bucket  string            // actions of the bucket that was chosen behind it; empty: none was
}

// A way is a packet's way through a bridge, as ovs-vswitchd says it, and what has come of it.
type way struct {
	steps   []Step
	outputs []flowsim.Output
	commits []flowsim.Commit
	asked   []lookupOf // what the tracker was asked
	end     flowsim.Packet
	buckets int      // how many there were to choose from; zero: no hash was asked
	notes   []string // on what it rests
}

// A lookupOf is what the tracker has said of a packet.
type lookupOf struct {
	zone  uint16
	state ofproto.CTStateBits
}

// ErrMoved says that the flows have changed while they were asked about. Who asks again gets an answer.
var ErrMoved = errors.New("the flow that a trace has hit is not there any more: ask again")

// maxPasses is how often a packet may be sent back, at most.
const maxPasses = 7

// follow sends a packet through the flows that are installed. Which of them it hits ovs-vswitchd says, pass by
// pass: a trace knows no connections and translates nothing, so what the tracker makes of the packet
// between two passes is worked out here, with ct, and the next one begins with that. bucket is which
// one a hash of the datapath chooses.
func (b *Bridge) follow(p flowsim.Packet, ct *flowsim.Tracker, bucket int) (*way, error) {
	w := &way{}
	waiting := []flowsim.Fork{{Packet: p}}
	for pass := 0; len(waiting) > 0; pass++ {
		if pass == maxPasses {
			w.note("the packet is sent back more than %d times: Open vSwitch drops it", maxPasses-1)
			break
		}
		now := waiting
		waiting = nil
		for _, f := range now {
			again, err := b.pass(w, pass, f, ct, bucket)
			if err != nil {
				return nil, err
			}
			waiting = append(waiting, again...)
		}
	}
	return w, nil
}

func (w *way) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(w.notes, text) {
		w.notes = append(w.notes, text)
	}
}

// pass follows one pass of a packet, and returns what is sent back.
func (b *Bridge) pass(w *way, pass int, f flowsim.Fork, ct *flowsim.Tracker, bucket int) ([]flowsim.Fork, error) {
	actions := ""
	if pass > 0 {
		actions = fmt.Sprintf("resubmit(,%d)", f.Table)
	}
	steps, said, err := b.ask(w, pass, f.Packet, actions)
	if err != nil {
		return nil, err
	}
	trace, forks := b.carryOut(steps, f, ct, bucket)
	if said.hashed {
		behind := b.bucket(steps, bucket)
		if behind == nil {
			return nil, fmt.Errorf("a hash of the datapath chooses, and no group is known that it chooses from")
		}
		w.buckets = len(behind.all)
		steps[len(steps)-1].Bucket = behind.text
		more, _, err := b.ask(w, pass, trace.End, behind.text)
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
		trace, forks = b.carryOut(steps, f, ct, behind.index)
	}
	w.steps = append(w.steps, steps...)
	w.outputs, w.commits, w.end = append(w.outputs, trace.Outputs...), append(w.commits, trace.Commits...), trace.Last
	for _, odd := range trace.Odd {
		w.note("%s", odd)
	}
	for _, fork := range forks {
		w.asked = append(w.asked, lookupOf{uint16(fork.Packet.Uint(ofproto.CTZone)), ofproto.CTStateBits(fork.Packet.Uint(ofproto.CTState))})
	}
	return forks, nil
}

// ask has ovs-vswitchd say which flows a packet hits.
func (b *Bridge) ask(w *way, pass int, p flowsim.Packet, actions string) ([]Step, passage, error) {
	text, err := b.Trace(p.String(), actions)
	if err != nil {
		return nil, passage{}, err
	}
	said, err := parseTrace(text, b.Name)
	if err != nil {
		return nil, said, err
	}
	if said.failed != "" {
		w.note("Open vSwitch: %s", said.failed)
	}
	if said.elsewise != "" {
		w.note("the packet goes on in bridge %s, by a patch port: what becomes of it there is not followed", said.elsewise)
	}
	var steps []Step
	for _, l := range said.lookups {
		s := Step{Pass: pass, Table: l.table, Actions: l.actions}
		if !l.missed {
			s.Hit = true
			if s.Flow, err = b.flowOf(l); err != nil {
				return nil, said, err
			}
		}
		steps = append(steps, s)
	}
	return steps, said, nil
}

// flowOf returns the installed flow that a trace has named.
func (b *Bridge) flowOf(l lookup) (ofproto.FlowStats, error) {
	some, err := b.Flows(l.table, l.cookie)
	if err != nil {
		return ofproto.FlowStats{}, err
	}
	match, unread := ofproto.ParseMatch(l.match)
	var found []ofproto.FlowStats
	for _, f := range some {
		if f.Table == l.table && f.Priority == l.priority && f.Cookie == l.cookie && (unread != nil || f.Match.Key() == match.Key()) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return ofproto.FlowStats{}, fmt.Errorf("%s, priority %d, %q: %w", tableName(l.table), l.priority, l.match, ErrMoved)
	}
	return found[0], nil
}

// carryOut does what the flows that were hit say. There are no others for it to find, so what has
// to be chosen, a link of multipath or a bucket, is the choice by which it hits all of them.
func (b *Bridge) carryOut(steps []Step, f flowsim.Fork, ct *flowsim.Tracker, first int) (*flowsim.Trace, []flowsim.Fork) {
	var hit ofproto.Tables
	for _, s := range steps {
		if !s.Hit {
			continue
		}
		flow := s.Flow.Flow
		flow.Match = slices.DeleteFunc(slices.Clone(flow.Match), func(c ofproto.Cond) bool { return c.Field == ofproto.ConjID })
		if !slices.ContainsFunc(hit.Flows, func(g ofproto.Flow) bool { return g.Key() == flow.Key() }) {
			hit.Flows = append(hit.Flows, flow)
		}
	}
	hit.Groups = b.Groups
	sw := flowsim.New(hit)
	most := 0
	try := func(k int) (*flowsim.Trace, []flowsim.Fork, bool) {
		trace, forks := sw.Choosing(func(n int) int {
			most = max(most, n)
			return k
		}).Pass(f.Table, f.Packet, ct)
		return trace, forks, sameTables(trace.Steps, steps)
	}
	trace, forks, same := try(first)
	for k := 0; !same && k < most; k++ {
		if t, fs, is := try(k); is {
			return t, fs
		}
	}
	if !same && most == 0 {
		trace.Odd = append(trace.Odd, "what the flows do could not be worked out in full: see the steps")
	}
	return trace, forks
}

func sameTables(a []flowsim.Step, b []Step) bool {
	return slices.EqualFunc(a, b, func(s flowsim.Step, t Step) bool { return s.Table == t.Table && (s.Flow != nil) == t.Hit })
}

// A bucketOf is a bucket that a hash may choose.
type bucketOf struct {
	all   []ofproto.Bucket // that may be chosen, none twice
	index int              // of the one, among those that may be chosen
	text  string
}

// bucket returns the k-th of the buckets, that differ, of the group that the last flow sends to.
func (b *Bridge) bucket(steps []Step, k int) *bucketOf {
	if len(steps) == 0 {
		return nil
	}
	for _, a := range steps[len(steps)-1].Flow.Actions {
		id, is := a.(ofproto.ToGroup)
		i := slices.IndexFunc(b.Groups, func(g ofproto.Group) bool { return g.ID == uint32(id) })
		if !is || i < 0 {
			continue
		}
		of := &bucketOf{}
		index := 0
		for _, bucket := range b.Groups[i].Buckets {
			if bucket.Weight == 0 {
				continue
			}
			if text := ActionsText(bucket.Actions); !slices.ContainsFunc(of.all, func(c ofproto.Bucket) bool { return ActionsText(c.Actions) == text }) {
				if len(of.all) == k || of.text == "" {
					of.text, of.index = text, index
				}
				of.all = append(of.all, bucket)
			}
			index++
		}
		return of
	}
	return nil
}

// ActionsText is a list of actions as ovs-ofctl writes it; an empty one is "drop".
func ActionsText(actions []ofproto.Action) string {
	if len(actions) == 0 {
		return "drop"
	}
	var all []string
	for _, a := range actions {
		all = append(all, fmt.Sprint(a))
	}
	return strings.Join(all, ",")
}

func tableName(t ofproto.Table) string {
	if name := pipeline.TableNames[t]; name != "" {
		return name
	}
	return fmt.Sprint("table ", t)
}
