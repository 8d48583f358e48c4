package flowsim

import (
	"net/netip"

	"weir/ofproto"
)

// A Tuple is one direction of a connection. Of an echo the identifier stands in both
// ports, of another ICMP message its type in DstPort.
type Tuple struct {
	Protocol         uint8
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// Reversed returns the tuple of the answers.
func (t Tuple) Reversed() Tuple {
	t.Src, t.Dst, t.SrcPort, t.DstPort = t.Dst, t.Src, t.DstPort, t.SrcPort
	return t
}

// A Connection is an entry of a Tracker.
type Connection struct {
	Zone    uint16
	Orig    Tuple // as the first packet came
	Reply   Tuple // as its answers come: Orig reversed, and translated
	Replied bool  // an answer has been seen
	Mark    uint32
	Label   ofproto.Bits
}

// A Tracker is a connection tracker: entries by zone and tuple. It knows connections,
// new, established and related ones, and translates addresses; it knows neither time nor
// TCP's states. The zero Tracker has no connection.
type Tracker struct {
	Limits  map[uint16]int // by zone: as many connections as it may have
	byTuple map[inZone]*Connection
}

type inZone struct {
	zone  uint16
	tuple Tuple
}

// Put adds a connection, or replaces the one that has the same original tuple.
func (t *Tracker) Put(c Connection) {
	if t.byTuple == nil {
		t.byTuple = map[inZone]*Connection{}
	}
	if c.Reply == (Tuple{}) {
		c.Reply = c.Orig.Reversed()
	}
	t.byTuple[inZone{c.Zone, c.Orig}] = &c
	t.byTuple[inZone{c.Zone, c.Reply}] = &c
}

// Find returns the connection that has a tuple in either direction.
func (t *Tracker) Find(zone uint16, tuple Tuple) (Connection, bool) {
	if c := t.byTuple[inZone{zone, tuple}]; c != nil {
		return *c, true
	}
	return Connection{}, false
}

// full reports whether a zone has as many connections as it may. As in the userspace
// datapath, a packet over the limit goes on, and stays new.
func (t *Tracker) full(zone uint16) bool {
	limit, limited := t.Limits[zone]
	if !limited {
		return false
	}
	n := 0
	for at, c := range t.byTuple {
		if at.zone == zone && at.tuple == c.Orig {
			n++
		}
	}
	return n >= limit
}

func (t *Tracker) remove(c *Connection) {
	delete(t.byTuple, inZone{c.Zone, c.Orig})
	delete(t.byTuple, inZone{c.Zone, c.Reply})
}

// look returns the connection of a packet, if there is one, and what ct_state says.
func (t *Tracker) look(zone uint16, p *Packet) (*Connection, ofproto.CTStateBits) {
	tuple, ok := TupleOf(p)
	if !ok || p.Invalid {
		return nil, ofproto.Inv | ofproto.Trk
	}
	if p.in(zone) { // it may look otherwise by now
		return p.asked.conn, p.asked.state
	}
	if p.Inner != nil {
		return t.related(zone, *p.Inner)
	}
	c := t.byTuple[inZone{zone, tuple}]
	switch {
	case c == nil:
		return nil, ofproto.New | ofproto.Trk
	case tuple == c.Reply:
		c.Replied = true
		return c, ofproto.Est | ofproto.Rpl | ofproto.Trk
	case c.Replied:
		return c, ofproto.Est | ofproto.Trk
	}
	return c, ofproto.New | ofproto.Trk
}

// related is look for an ICMP error, which belongs to what it is about, and travels
// against it. It is about a packet as that was where the error comes from.
func (t *Tracker) related(zone uint16, inner Tuple) (*Connection, ofproto.CTStateBits) {
	against := inner.Reversed()
	c := t.byTuple[inZone{zone, against}]
	switch {
	case c == nil:
		return nil, ofproto.Inv | ofproto.Trk
	case against == c.Reply:
		return c, ofproto.Rel | ofproto.Rpl | ofproto.Trk
	}
	return c, ofproto.Rel | ofproto.Trk
}

// ends reports which ends of c are translated: of which the address or the port is another one.
func (c *Connection) ends() (source, destination bool) {
	return c.Reply.Dst != c.Orig.Src || c.Reply.DstPort != c.Orig.SrcPort, c.Reply.Src != c.Orig.Dst || c.Reply.SrcPort != c.Orig.DstPort
}

// translateError gives an ICMP error the addresses that it has on the other side, and what it is
// about, too. Only the end that is translated becomes another one: an error may be of a router
// on the way.
func (c *Connection) translateError(p *Packet) {
	outer, _ := TupleOf(p)
	snat, dnat := c.ends()
	if p.Inner.Reversed() == c.Reply {
		if snat {
			outer.Dst = c.Orig.Src
		}
		if dnat {
			outer.Src = c.Orig.Dst
		}
		*p.Inner = c.Orig
	} else {
		if snat {
			outer.Src = c.Reply.Dst
		}
		if dnat {
			outer.Dst = c.Reply.Src
		}
		*p.Inner = c.Reply
	}
	outer.Stamp(p)
}

// ports are the fields in which the protocols keep their ports.
var ports = map[uint8][2]ofproto.Field{
	protoTCP:  {ofproto.TCPSrc, ofproto.TCPDst},
	protoUDP:  {ofproto.UDPSrc, ofproto.UDPDst},
	protoSCTP: {ofproto.SCTPSrc, ofproto.SCTPDst},
}

// TupleOf returns the tuple of an IP packet.
func TupleOf(p *Packet) (Tuple, bool) {
	t := Tuple{Protocol: uint8(p.Uint(ofproto.IPProto)), Src: p.Src(), Dst: p.Dst()}
	if !t.Src.IsValid() {
		return t, false
	}
	if whole := p.Datagram; whole != nil {
		t.Protocol, t.SrcPort, t.DstPort = whole.Protocol, whole.SrcPort, whole.DstPort
		return t, true
	}
	if f, ok := ports[t.Protocol]; ok {
		t.SrcPort, t.DstPort = uint16(p.Uint(f[0])), uint16(p.Uint(f[1]))
		return t, true
	}
	switch t.Protocol {
	case protoICMP:
		t.icmp(uint16(p.Uint(ofproto.ICMPv4Type)), 8, 0, p.ICMPID)
	case protoICMPv6:
		t.icmp(uint16(p.Uint(ofproto.ICMPv6Type)), 128, 129, p.ICMPID)
	}
	return t, true
}

// icmp tells echoes by their identifier, and all else by its type.
func (t *Tuple) icmp(typ, request, reply, id uint16) {
	if typ == request || typ == reply {
		t.SrcPort, t.DstPort = id, id
		return
	}
	t.DstPort = typ
}

// translate gives p the addresses that its connection has on the other side.
func (c *Connection) translate(p *Packet) {
	tuple, _ := TupleOf(p)
	to := c.Orig.Reversed()
	if tuple == c.Orig {
		to = c.Reply.Reversed()
	}
	to.Stamp(p)
}

// Stamp gives a packet of t's protocol its addresses and ports.
func (t Tuple) Stamp(p *Packet) {
	p.setAddr(ofproto.IPv4Src, ofproto.IPv6Src, t.Src)
	p.setAddr(ofproto.IPv4Dst, ofproto.IPv6Dst, t.Dst)
	if p.Datagram != nil {
		p.Datagram = &t
		return
	}
	if f, ok := ports[t.Protocol]; ok {
		p.SetUint(f[0], uint64(t.SrcPort))
		p.SetUint(f[1], uint64(t.DstPort))
	}
}

// translated returns the tuple of the answers to orig when n has been at work. Of the
// addresses and ports that may be chosen it takes the first.
func translated(orig Tuple, n *ofproto.NAT) Tuple {
	r := orig.Reversed()
	_, ported := ports[orig.Protocol]
	switch {
	case n == nil || !n.AddrMin.IsValid() || n.AddrMin.IsUnspecified():
	case n.Src:
		r.Dst = n.AddrMin
		if n.PortMin != 0 && ported {
			r.DstPort = n.PortMin
		}
	case n.Dst:
		r.Src = n.AddrMin
		if n.PortMin != 0 && ported {
			r.SrcPort = n.PortMin
		}
	}
	return r
}

// show writes what the tracker knows of a packet into its fields.
func (p *Packet) show(zone uint16, c *Connection, state ofproto.CTStateBits) {
	p.hide()
	p.asked.shown, p.asked.conn, p.asked.state = true, c, state
	p.SetUint(ofproto.CTState, uint64(state))
	p.SetUint(ofproto.CTZone, uint64(zone))
	if c == nil {
		if p.Datagram != nil { // of what is new it says what it is
			p.SetUint(ofproto.CTNwProto, uint64(p.Datagram.Protocol))
		}
		return
	}
	p.SetUint(ofproto.CTMark, uint64(c.Mark))
	p.Set(ofproto.CTLabel, c.Label)
	p.SetUint(ofproto.CTNwProto, uint64(c.Orig.Protocol))
	p.setAddr(ofproto.CTNwSrc, ofproto.CTIPv6Src, c.Orig.Src)
	p.setAddr(ofproto.CTNwDst, ofproto.CTIPv6Dst, c.Orig.Dst)
	p.SetUint(ofproto.CTTpSrc, uint64(c.Orig.SrcPort))
	p.SetUint(ofproto.CTTpDst, uint64(c.Orig.DstPort))
}

// Know writes into the fields of p what the tracker says of an established connection.
func (p *Packet) Know(orig Tuple, mark uint32) {
	p.show(uint16(p.Uint(ofproto.CTZone)), &Connection{Orig: orig, Mark: mark}, ofproto.Est|ofproto.Trk)
}

// in reports whether the tracker has found a connection of p in a zone.
func (p *Packet) in(zone uint16) bool { return p.asked.conn != nil && p.asked.conn.Zone == zone }

// forget clears what the tracker has said, hide has flows see nothing of it.
func (p *Packet) forget() {
	p.hide()
	p.asked = asked{}
}

func (p *Packet) hide() {
	for f := ofproto.CTState; f <= ofproto.CTTpDst; f++ {
		p.fields[f] = word{}
	}
}
