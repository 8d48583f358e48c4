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
			was := *p
			if r.apart(p, a.Actions, at, depth); slices.ContainsFunc(a.Actions, isConnTrack) {
				*p = was
			}
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
		if p.asked.shown { // else Open vSwitch leaves it out
			p.forget()
		}
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
	out := p.settled()
	out.asked = asked{} // which is no part of it
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
func (r *run) apart(p *Packet, actions []ofproto.Action, at ofproto.Table, depth int) {
	stack, c := slices.Clone(r.stack), *p
	if next, more := r.do(&c, actions, at, depth+1); more {
		r.table(&c, next, depth+1)
	}
	r.stack = stack
	p.leftBy(&c)
}

// leftBy has a packet be what the tracker has made of a copy of it. Open vSwitch has the datapath make a copy only for a clone in which
// it sees that it takes one: not in a bucket, and it does not look behind a resubmit. What else has been written there it writes back.
func (p *Packet) leftBy(c *Packet) {
	if c.behind != nil {
		p.behind = c.behind
	}
	shown := p.asked.shown
	p.asked = c.asked
	p.asked.shown = shown
}

func isConnTrack(a ofproto.Action) bool {
	_, is := a.(ofproto.ConnTrack)
	return is
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
		r.apart(p, inOrder(b.Actions), at, depth)
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
