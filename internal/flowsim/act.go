package flowsim

import (
	"slices"

	"weir/ofproto"
)

// do carries out actions in order. It returns the table to go on with, if there is one.
func (r *run) do(p *Packet, actions []ofproto.Action, at ofproto.Table, depth int) (next ofproto.Table, more bool) {
	for _, a := range actions {
		switch a := a.(type) {
		case ofproto.GotoTable:
			return ofproto.Table(a), true
		case ofproto.Exit:
			return 0, false
		case ofproto.DecTTL:
			if !r.decTTL(p) {
				return 0, false
			}
		case ofproto.Resubmit:
			r.resubmit(p, a, at, depth)
		case ofproto.ConnTrack:
			r.track(p, a)
		case ofproto.Clone:
			r.apart(*p, a.Actions, at, depth)
		case ofproto.ToGroup:
			r.group(p, uint32(a), at, depth)
		default:
			r.simple(p, a)
		}
	}
	return 0, false
}

// simple does what needs neither tables nor groups.
func (r *run) simple(p *Packet, a ofproto.Action) {
	switch a := a.(type) {
	case ofproto.Output:
		r.output(p, a.Port)
	case ofproto.OutputReg:
		r.output(p, uint32(p.part(a.Src).lo))
	case ofproto.Controller:
		r.output(p, ofproto.PortController)
	case ofproto.CTClear:
		p.forget()
	case ofproto.Push:
		r.stack = append(r.stack, p.part(ofproto.Subfield(a)))
	case ofproto.Pop:
		r.pop(p, ofproto.Subfield(a))
	case ofproto.Meter, ofproto.Note, ofproto.SetQueue, ofproto.PopQueue, ofproto.Conjunction: // change nothing that is modelled
	default:
		if !r.write(p, a) {
			r.odd("%v is not modelled", a)
		}
	}
}

// write does what only writes fields.
func (r *run) write(p *Packet, a ofproto.Action) bool {
	switch a := a.(type) {
	case ofproto.SetField:
		p.Set(a.Field, a.Value)
		return Modelled(a.Field)
	case ofproto.SetMasked:
		p.put(a.Field, wordOf(a.Value), wordOf(a.Mask))
		return Modelled(a.Field)
	case ofproto.Load:
		p.putPart(a.Dst, word{0, a.Value})
		return Modelled(a.Dst.Field)
	case ofproto.Move:
		p.putPart(a.Dst, p.part(a.Src))
		return Modelled(a.Dst.Field) && Modelled(a.Src.Field)
	case ofproto.SetTTL:
		p.SetUint(ofproto.IPTTL, uint64(a))
		return true
	case ofproto.Learn: // the tables stay as they are; only that there was room for the flow is said
		p.putPart(a.Result, word{0, 1})
		return a.Result.Field != 0
	case ofproto.Multipath:
		p.putPart(a.Dst, word{0, uint64(r.sw.choice(int(a.Links)))})
		return Modelled(a.Dst.Field)
	case ofproto.WriteMetadata:
		p.put(ofproto.Metadata, word{0, a.Value}, word{0, a.Mask})
		return true
	}
	return false
}

func (r *run) pop(p *Packet, to ofproto.Subfield) {
	if n := len(r.stack); n > 0 {
		p.putPart(to, r.stack[n-1])
		r.stack = r.stack[:n-1]
	}
}

// decTTL reports whether the packet lives on; if not, the controller is told.
func (r *run) decTTL(p *Packet) bool {
	ttl := p.Uint(ofproto.IPTTL)
	if ttl <= 1 {
		r.output(p, ofproto.PortController)
		return false
	}
	p.SetUint(ofproto.IPTTL, ttl-1)
	return true
}

// output puts a copy out. A switch does not send a packet back to where it came from
// unless it is told so in as many words.
func (r *run) output(p *Packet, port uint32) {
	in := uint32(p.Uint(ofproto.InPort))
	switch port {
	case in:
		return
	case ofproto.PortInPort:
		port = in
	}
	out := *p
	r.trace.Outputs = append(r.trace.Outputs, Output{port, &out})
}

func (r *run) resubmit(p *Packet, a ofproto.Resubmit, at ofproto.Table, depth int) {
	if a.CT {
		r.odd("%v is not modelled", a)
		return
	}
	if r.tooDeep(a.Table, depth) {
		return
	}
	if a.Table == ofproto.NoTable || a.Table <= at {
		depth++ // tables that follow do not nest
	}
	if a.Table != ofproto.NoTable {
		at = a.Table
	}
	port := p.fields[ofproto.InPort]
	if a.Port != resubmitInPort {
		port = word{0, uint64(a.Port)}
	}
	r.tableFrom(p, port, at, depth)
}

// resubmitInPort leaves the port as it is (OFPP_IN_PORT of OpenFlow 1.0).
const resubmitInPort = 0xfff8

// apart does actions with a copy of the packet.
func (r *run) apart(p Packet, actions []ofproto.Action, at ofproto.Table, depth int) {
	stack := slices.Clone(r.stack)
	if next, more := r.do(&p, actions, at, depth+1); more {
		r.table(&p, next, depth+1)
	}
	r.stack = stack
}

// group gives each bucket of a group of type all a copy; of the other types one bucket
// counts, which is one that a switch might choose.
func (r *run) group(p *Packet, id uint32, at ofproto.Table, depth int) {
	g, ok := r.sw.groups[id]
	if !ok {
		r.odd("there is no group %d", id)
		return
	}
	buckets := g.Buckets
	if g.Type == ofproto.GroupSelect {
		buckets = weighted(buckets)
		buckets = buckets[r.sw.choice(len(buckets)):]
	}
	if g.Type != ofproto.GroupAll && len(buckets) > 1 {
		buckets = buckets[:1]
	}
	for _, b := range buckets {
		r.apart(*p, inOrder(b.Actions), at, depth)
	}
}

// weighted returns the buckets that may be chosen.
func weighted(all []ofproto.Bucket) (some []ofproto.Bucket) {
	for _, b := range all {
		if b.Weight > 0 {
			some = append(some, b)
		}
	}
	return some
}

// track asks the tracker, tells it, and lets a copy go on at the action's table. The
// packet itself goes on without knowing what the tracker has said.
func (r *run) track(p *Packet, a ofproto.ConnTrack) {
	zone := a.Zone
	if a.ZoneIn.Bits != 0 {
		zone = uint16(p.part(a.ZoneIn).lo)
	}
	c, state := r.ct.look(zone, p)
	if a.Commit && state&ofproto.Inv == 0 && p.Inner == nil {
		c = r.commit(p, a, zone, c, state)
	}
	switch {
	case a.NAT == nil || c == nil || p.in(zone): // or it is done
	case p.Inner != nil:
		inner := *p.Inner
		p.Inner = &inner
		c.translateError(p)
	default:
		c.translate(p)
	}
	if a.Table == ofproto.NoTable {
		if p.conn != nil && !p.in(zone) { // what was found elsewhere is not known any more
			p.forget()
		}
		return
	}
	next := forked{*p, a.Table}
	next.packet.show(zone, c, state)
	r.waiting = append(r.waiting, next)
}

// commit remembers a connection, or writes the mark and label of one that is known.
func (r *run) commit(p *Packet, a ofproto.ConnTrack, zone uint16, c *Connection, state ofproto.CTStateBits) *Connection {
	if c != nil && a.Force && state&ofproto.Rpl != 0 {
		r.ct.remove(c)
		c = nil
	}
	fresh := c == nil
	if fresh && r.ct.full(zone) {
		return nil
	}
	if fresh {
		orig, _ := TupleOf(p)
		r.ct.Put(Connection{Zone: zone, Orig: orig, Reply: translated(orig, a.NAT)})
		c = r.ct.byTuple[inZone{zone, orig}]
	}
	q := *p
	q.SetUint(ofproto.CTMark, uint64(c.Mark))
	q.Set(ofproto.CTLabel, c.Label)
	for _, e := range a.Exec {
		if !r.write(&q, e) {
			r.odd("%v is not modelled in ct", e)
		}
	}
	c.Mark, c.Label = uint32(q.Uint(ofproto.CTMark)), q.Get(ofproto.CTLabel)
	r.trace.Commits = append(r.trace.Commits, Commit{*c, fresh})
	return c
}
