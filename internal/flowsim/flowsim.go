// Package flowsim is a switch without a switch: it sends a packet through flow tables,
// groups and a model of the connection tracker, and says which way it went and what
// came of it. It is how Weir explains its own flows, and one of the three opinions
// that the test of the policy's meaning compares.
//
//	s := flowsim.New(program.Tables())
//	t := s.Send(packet, &tracker)
//	t.Steps    every flow that it hit, with the registers as it came there
//	t.Outputs  the ports it left by, and how it looked then
//	t.Commits  the connections that were remembered or changed
//	t.Odd      what would be chance, or is not modelled: none in a program of Weir
//
// What is modelled is what the pipeline uses, and behaves as in Open vSwitch 3.1:
// ofproto/trace is the third opinion. Nothing here costs a system call; a lookup is a
// few probes of hash tables, whatever the number of flows.
package flowsim

import (
	"fmt"

	"weir/ofproto"
)

// A Switch is flow tables and groups, ready for packets. It never changes, and may be
// used by many goroutines, each with a Tracker of its own.
type Switch struct {
	tables [256]*table
	groups map[uint32]ofproto.Group
	choose func(n int) int
	kernel bool
}

// OnKernel returns a switch like s with the datapath and the tracker of the Linux kernel (6.1). These translate what is new to
// the tracker in a commit alone, also of a connection that is known, and hand on whole datagrams. Without it, it is the
// userspace datapath.
func (s *Switch) OnKernel() *Switch {
	other := *s
	other.kernel = true
	return &other
}

// Choosing returns a switch like s that does not take the first of what a switch may choose, which
// are n buckets of a group, or links: choose says which, and is asked for each anew.
func (s *Switch) Choosing(choose func(n int) int) *Switch {
	other := *s
	other.choose = choose
	return &other
}

// choice is which of n is chosen.
func (s *Switch) choice(n int) int {
	if s.choose == nil || n == 0 {
		return 0
	}
	return s.choose(n) % n
}

// New returns a switch that has t.
func New(t ofproto.Tables) *Switch {
	s := &Switch{groups: make(map[uint32]ofproto.Group, len(t.Groups))}
	var byMask [256]map[string]*tuple
	for i := range t.Flows {
		n := t.Flows[i].Table
		if s.tables[n] == nil {
			s.tables[n], byMask[n] = &table{}, map[string]*tuple{}
		}
		s.tables[n].add(byMask[n], &t.Flows[i])
	}
	for _, u := range s.tables {
		if u != nil {
			u.sort()
		}
	}
	for _, g := range t.Groups {
		s.groups[g.ID] = g
	}
	return s
}

// A Trace is a packet's way through a switch.
type Trace struct {
	Steps   []Step
	Outputs []Output
	Commits []Commit
	Odd     []string // what would be chance, and what is not modelled
	End     Packet   // as it was when its last lookup was done
	Last    Packet   // as it came to the last lookup, also where that is of a copy
}

// A Step is one lookup.
type Step struct {
	Pass  int // how often the packet had been recirculated
	Table ofproto.Table
	Flow  *ofproto.Flow // nil: none, the packet ends here
	Conj  uint32        // the conjunctive match by which the flow was found; zero: none
	Regs  [16]uint32    // as the packet came
}

// An Output is a packet that leaves. Port may be ofproto.PortController.
type Output struct {
	Port   uint32
	Packet *Packet // as it is then; what flows see may be behind
}

// A Commit is a connection as it was remembered.
type Commit struct {
	Connection
	New bool // there was none before
}

// Limits of Open vSwitch: nested lookups, lookups of one pass, and passes. The userspace
// datapath drops the seventh.
const (
	maxDepth   = 64
	maxLookups = 4096
	maxPasses  = 6
)

// Send sends a packet into the table 0. It changes ct; with nil, no connection is known.
func (s *Switch) Send(p Packet, ct *Tracker) *Trace { return s.SendTo(0, p, ct) }

// SendTo sends a packet into a table, as if it had come there from another one.
func (s *Switch) SendTo(t ofproto.Table, p Packet, ct *Tracker) *Trace {
	if ct == nil {
		ct = &Tracker{}
	}
	r := &run{sw: s, ct: ct, trace: &Trace{}, waiting: []forked{{p, t}}}
	for ; len(r.waiting) > 0 && r.pass < maxPasses; r.pass++ {
		now := r.waiting
		r.waiting = nil
		for i := range now {
			r.table(&now[i].packet, now[i].table, 0)
			r.trace.End = now[i].packet
		}
	}
	if len(r.waiting) > 0 {
		r.odd("the packet is recirculated more than %d times", maxPasses-1)
	}
	return r.trace
}

// A run is one packet under way.
type run struct {
	sw      *Switch
	ct      *Tracker
	trace   *Trace
	pass    int
	lookups int
	stack   []word
	waiting []forked // to be recirculated
}

// A forked packet goes on at a table.
type forked struct {
	packet Packet
	table  ofproto.Table
}

func (r *run) odd(format string, args ...any) {
	r.trace.Odd = append(r.trace.Odd, fmt.Sprintf(format, args...))
}

// table looks p up, does what the flow says, and goes on where it says.
func (r *run) table(p *Packet, t ofproto.Table, depth int) {
	r.tableFrom(p, p.fields[ofproto.InPort], t, depth)
}

// tableFrom is table as if p had come from a port. Only the first lookup sees that port.
func (r *run) tableFrom(p *Packet, port word, t ofproto.Table, depth int) {
	for {
		if r.lookups++; r.lookups > maxLookups {
			r.odd("table %d: too many lookups", t)
			return
		}
		was := p.fields[ofproto.InPort]
		p.fields[ofproto.InPort] = port
		f := r.step(p, t)
		p.fields[ofproto.InPort] = was
		if f == nil {
			return
		}
		port = was
		next, more := r.do(p, f.Actions, t, depth)
		if !more || next <= t || r.tooDeep(next, depth) {
			return
		}
		t = next
	}
}

// tooDeep says whether nothing leads to another table any more.
func (r *run) tooDeep(t ofproto.Table, depth int) bool {
	if depth < maxDepth {
		return false
	}
	r.odd("table %d: lookups are nested more than %d deep", t, maxDepth)
	return true
}

// step looks p up and notes what was found.
func (r *run) step(p *Packet, t ofproto.Table) *ofproto.Flow {
	var h hit
	r.trace.Last = *p
	if u := r.sw.tables[t]; u != nil {
		h = u.lookup(p)
	}
	s := Step{Pass: r.pass, Table: t, Flow: h.flow, Conj: h.conj}
	for i := range s.Regs {
		s.Regs[i] = uint32(p.fields[ofproto.Reg0+ofproto.Field(i)].lo)
	}
	r.trace.Steps = append(r.trace.Steps, s)
	if h.rival != nil {
		r.odd("two flows of one priority do different things: %v and %v", h.flow, h.rival)
	}
	return h.flow
}
