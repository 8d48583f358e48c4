package flowsim

// Open vSwitch works out all actions of a pass before any of them is carried out, from the packet as
// it came: what its tracker makes of the packet on the way no flow of that pass sees. It leaves so, the next
// zone is asked about it so, and flows see it so when it has come back (ct with a table).
//
// What a flow writes behind a translation is written over it, if it is another value than the flows saw
// before: Open vSwitch leaves out what would change nothing, to its knowledge.

// A behind is what flows see of a packet that is not so any more. It never changes.
type behind struct {
	seen Tuple // what flows saw when it was last worked out what is to be written
	is   Tuple // what the packet was then
}

// actual returns the tuple of a packet as it is.
func (p *Packet) actual() Tuple {
	sees, _ := TupleOf(p)
	b := p.behind
	if b == nil {
		return sees
	}
	is := b.is
	if sees.Src != b.seen.Src {
		is.Src = sees.Src
	}
	if sees.Dst != b.seen.Dst {
		is.Dst = sees.Dst
	}
	if sees.SrcPort != b.seen.SrcPort {
		is.SrcPort = sees.SrcPort
	}
	if sees.DstPort != b.seen.DstPort {
		is.DstPort = sees.DstPort
	}
	return is
}

// become has a packet be another one than flows see.
func (p *Packet) become(t Tuple) {
	p.behind = nil
	if sees, _ := TupleOf(p); sees != t {
		p.behind = &behind{sees, t}
	}
}

// settled returns a packet as it is, and has what flows have written so far be in it.
func (p *Packet) settled() Packet {
	if p.behind == nil {
		return *p
	}
	p.become(p.actual())
	is := *p
	is.behind = nil
	p.actual().Stamp(&is)
	return is
}
