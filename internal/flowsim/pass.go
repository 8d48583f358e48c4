package flowsim

import "weir/ofproto"

// A Fork is a packet that is sent back to the tables, and where it goes on.
type Fork struct {
	Packet Packet
	Table  ofproto.Table
}

// Pass is SendTo as far as the packet gets before it is sent back: it also returns what is. So
// whoever asks somebody else which flows are hit can have them carried out here, pass by pass.
func (s *Switch) Pass(t ofproto.Table, p Packet, ct *Tracker) (*Trace, []Fork) {
	r := &run{sw: s, ct: ct, trace: &Trace{}}
	r.table(&p, t, 0)
	r.trace.End = p
	forks := make([]Fork, len(r.waiting))
	for i, w := range r.waiting {
		forks[i] = Fork{w.packet, w.table}
	}
	return r.trace, forks
}

// Answer has an answer seen to each connection that there is.
func (t *Tracker) Answer() {
	for _, c := range t.byTuple {
		c.Replied = true
	}
}

// Empty reports whether there is no connection.
func (t *Tracker) Empty() bool { return len(t.byTuple) == 0 }
