package flowsim

import "weir/ofproto"

// Asked is what the datapath knows of a packet from the last time that its tracker was asked about it.
type asked struct {
	shown      bool // flows see it: the packet has come back with it, and no tracker was asked since
	conn       *Connection
	state      ofproto.CTStateBits
	translated bool // which is done once
}

// track asks the tracker, tells it, and lets a copy go on at the action's table. The packet itself goes on
// without flows knowing what the tracker has said, or made of it.
func (r *run) track(p *Packet, a ofproto.ConnTrack) {
	zone := a.Zone
	if a.ZoneIn.Bits != 0 {
		zone = uint16(p.part(a.ZoneIn).lo)
	}
	is := p.settled()
	if r.sw.kernel {
		is.whole()
	}
	c, state := r.ct.look(zone, &is)
	known := c
	if !is.in(zone) {
		is.asked = asked{}
	}
	if a.Commit && state&ofproto.Inv == 0 && p.Inner == nil {
		c = r.commit(p, &is, a, zone, c, state)
	}
	if c != nil && !is.asked.translated && r.translates(a, c, c != known, state) {
		is.translate(c)
	}
	is.asked.conn, is.asked.state = c, state
	p.hear(&is)
	if a.Table != ofproto.NoTable {
		is.show(zone, c, state)
		r.waiting = append(r.waiting, forked{is, a.Table})
	}
}

// hear has a packet be what the tracker has made of it, of which flows see nothing.
func (p *Packet) hear(is *Packet) {
	is.asked.shown = false
	p.hide()
	p.asked, p.Inner = is.asked, is.Inner
	if t, ip := TupleOf(is); ip {
		p.become(t)
	}
}

// translates reports whether a has the tracker translate a packet of c in that state. The kernel's translates what is new to it
// in a commit alone, and then the end that the commit names; and so an ICMP error that travels as its connection was opened.
func (r *run) translates(a ofproto.ConnTrack, c *Connection, fresh bool, state ofproto.CTStateBits) bool {
	switch {
	case a.NAT == nil:
		return false
	case fresh || !r.sw.kernel:
		return true
	case state&ofproto.New != 0:
		source, destination := c.ends()
		return a.Commit && (a.NAT.Src && source || a.NAT.Dst && destination)
	case state&(ofproto.Rel|ofproto.Rpl) == ofproto.Rel:
		return a.Commit
	}
	return true
}

// translate gives a packet, or an ICMP error, the addresses that it has on the other side of c.
func (p *Packet) translate(c *Connection) {
	p.asked.translated = true
	if p.Inner == nil {
		c.translate(p)
		return
	}
	inner := *p.Inner
	p.Inner = &inner
	c.translateError(p)
}

// whole has a fragment be the datagram that it is of: the kernel's tracker keeps fragments until it has all of them, and hands on
// that. Its ports are seen when it has come back.
func (p *Packet) whole() {
	if p.Uint(ofproto.IPFrag) == 0 {
		return
	}
	p.SetUint(ofproto.IPFrag, 0)
	if p.Datagram != nil {
		t, _ := TupleOf(p)
		p.Datagram = nil
		p.SetUint(ofproto.IPProto, uint64(t.Protocol))
		t.Stamp(p)
		p.SetUint(ofproto.TCPFlags, uint64(p.Flags))
	}
}

// commit remembers a connection, or writes the mark and label of one that is known. is is the packet p, as it is.
func (r *run) commit(p, is *Packet, a ofproto.ConnTrack, zone uint16, c *Connection, state ofproto.CTStateBits) *Connection {
	if c != nil && a.Force && state&ofproto.Rpl != 0 {
		r.ct.remove(c)
		c = nil
	}
	fresh := c == nil
	if fresh && r.ct.full(zone) {
		if r.sw.kernel {
			r.odd("the kernel's datapath drops what a zone has no room for, which is not modelled")
		}
		return nil
	}
	if fresh {
		orig, _ := TupleOf(is)
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
	if fresh || len(a.Exec) > 0 {
		r.trace.Commits = append(r.trace.Commits, Commit{*c, fresh})
	}
	return c
}
