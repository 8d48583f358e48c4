package ofproto

import "bytes"

// A quickReader reads the entries of a flow reply that are as nearly all are: plain
// conditions, applied actions of a few kinds, another table to go to. It goes straight
// through the bytes, takes memory for many flows at once, and makes an action that it has
// made before only once; flows share it, as values may be shared. Of whatever is different
// in any way it says so, and the decoder reads it: what they read is the same.
type quickReader struct {
	atOnce  int // how many values to take memory for
	conds   []Cond
	actions []Action
	list    [32]Action      // of a flow, while it is read; one with more is not for here
	seen    [256]seenAction // by hash of the wire
	nat     *NAT            // the last of a ct
	natWire []byte          // that it was read from
}

// seenAction is an action and the bytes of the reply that it was read from.
type seenAction struct {
	wire   []byte
	action Action
}

// take returns room for n values, none of which is used yet, off room; if it has none, room
// for atOnce is made.
func take[V any](room *[]V, n, atOnce int) []V {
	if cap(*room)-len(*room) < n {
		*room = make([]V, 0, max(n, atOnce))
	}
	at := len(*room)
	*room = (*room)[:at+n]
	return (*room)[at : at : at+n]
}

// flow reads one whole entry into f, or reports that it cannot.
func (q *quickReader) flow(e []byte, f *FlowStats) bool {
	if len(e) < flowStatsLen+8 {
		return false
	}
	n := int(be.Uint16(e[flowStatsLen+2:]))
	end := flowStatsLen + (n+7)&^7
	if be.Uint16(e[flowStatsLen:]) != matchOXM || n < 4 || end > len(e) {
		return false
	}
	ok := false
	if f.Match, ok = q.match(e[flowStatsLen+4 : flowStatsLen+n]); !ok {
		return false
	}
	if f.Actions, ok = q.instructions(e[end:]); !ok {
		return false
	}
	f.Table = Table(e[2])
	f.DurationSec, f.DurationNsec = be.Uint32(e[4:]), be.Uint32(e[8:])
	f.Priority, f.IdleTimeout, f.HardTimeout = be.Uint16(e[12:]), be.Uint16(e[14:]), be.Uint16(e[16:])
	f.Flags = FlowFlags(be.Uint16(e[18:]))
	f.Cookie, f.Packets, f.Bytes = be.Uint64(e[24:]), be.Uint64(e[32:]), be.Uint64(e[40:])
	return true
}

// quickConds is how many conditions a match may have to be read here.
const quickConds = 24

func (q *quickReader) match(b []byte) (Match, bool) {
	if len(b) == 0 {
		return nil, true
	}
	r := matchReader{m: take(&q.conds, quickConds, q.atOnce)}
	if r.plain(b, true) != len(b) {
		q.conds = q.conds[:len(q.conds)-quickConds]
		return nil, false
	}
	n := len(r.m)
	q.conds = q.conds[:len(q.conds)-quickConds+n] // the rest of the room is for others
	return r.m[:n:n], true                        // none is on the packet type: there is nothing to settle
}

// instructions reads at most one apply_actions, and a goto_table behind it.
func (q *quickReader) instructions(b []byte) ([]Action, bool) {
	list, ok := q.list[:0], true
	for jumps := false; len(b) >= 8 && ok && !jumps; {
		typ, n := be.Uint16(b), int(be.Uint16(b[2:]))
		switch {
		case typ == itApply && len(list) == 0 && 8 <= n && n <= len(b):
			list, ok = q.apply(list, b[8:n])
		case typ == itGoto && n == 8 && len(list) < len(q.list):
			list, jumps = append(list, GotoTable(b[4])), true
		default:
			ok = false
		}
		b = b[min(n, len(b)):]
	}
	if !ok || len(b) > 0 || len(list) == 0 {
		return nil, ok && len(b) == 0
	}
	return append(take(&q.actions, len(list), q.atOnce), list...), true
}

// apply appends the actions in b to list, as long as there is room.
func (q *quickReader) apply(list []Action, b []byte) ([]Action, bool) {
	for len(b) >= 8 {
		n := int(be.Uint16(b[2:]))
		if n < 8 || n%8 != 0 || n > len(b) || len(list) == cap(list) {
			return nil, false
		}
		a := q.action(b[:n:n])
		if a == nil {
			return nil, false
		}
		list, b = append(list, a), b[n:]
	}
	return list, len(b) == 0
}

// action reads one action; nil if it cannot.
func (q *quickReader) action(b []byte) Action {
	switch {
	case be.Uint16(b) == 25 && len(b) == 16:
		if s, ok := quickSetField(b); ok {
			return s
		}
	case len(b) > 24 && isNicira(b, 35):
		if c, ok := q.commit(b); ok {
			return c
		}
	}
	seen := &q.seen[placeOfAction(b)]
	if bytes.Equal(seen.wire, b) {
		return seen.action
	}
	d := decoder{b: b, what: "action"}
	list := d.list(len(b))
	if d.err != nil || len(list) != 1 {
		return nil
	}
	*seen = seenAction{b, list[0]}
	return list[0]
}

// placeOfAction returns where in seen to look for an action: anywhere does.
func placeOfAction(b []byte) uint8 {
	return uint8((be.Uint64(b) ^ be.Uint64(b[len(b)-8:])<<1) * 0x9e3779b97f4a7c15 >> 56)
}

// quickSetField reads an OFPAT_SET_FIELD of a field of at most 8 bytes that every value can
// be written to.
func quickSetField(b []byte) (s SetField, ok bool) {
	head := be.Uint32(b[4:])
	t := &plainTLVs[plainIndex(head)]
	if head != t.head || t.size > 8 || t.shared || t.limited || info[t.field].access&writable == 0 {
		return s, false
	}
	v := be.Uint64(b[8:])
	n := 8 * uint(t.size)
	if n < 64 && v<<n != 0 { // what pads it is not zero
		return s, false
	}
	s.Field = t.field
	be.PutUint64(s.Value[8:], v>>(64-n))
	return s, true
}

// commit reads a ct(commit) that writes the mark: the actions in which a number stands that
// is another one in each flow.
func (q *quickReader) commit(b []byte) (c ConnTrack, ok bool) {
	c = ConnTrack{Commit: true, Table: Table(b[18]), ALG: be.Uint16(b[22:])}
	if be.Uint16(b[10:]) != ctCommit || be.Uint32(b[18:])&0xffffff != 0 || !c.quickZone(be.Uint32(b[12:]), be.Uint16(b[16:])) {
		return c, false
	}
	if b = b[24:]; len(b) >= 16 && isNicira(b, 36) {
		n := int(be.Uint16(b[2:]))
		if n < 16 || n > len(b) || !q.translation(b[:n:n]) {
			return c, false
		}
		c.NAT, b = q.nat, b[n:]
	}
	if len(b) != 16 || be.Uint32(b) != 25<<16|16 {
		return c, false
	}
	s, ok := quickSetField(b)
	if !ok || s.Field != CTMark {
		return c, false
	}
	c.Exec = append(take(&q.actions, 1, q.atOnce), s)
	return c, true
}

// quickZone sets the zone of c, a number if src is zero.
func (c *ConnTrack) quickZone(src uint32, zone uint16) bool {
	if src == 0 {
		c.Zone = zone
		return true
	}
	t := &plainTLVs[plainIndex(src)]
	c.ZoneIn = subfield(t.field, zone)
	return src == t.head && checkSrc(c.ZoneIn, nil) == 0 && c.ZoneIn.Bits == 16
}

// translation reads a nat.
func (q *quickReader) translation(b []byte) bool {
	if bytes.Equal(b, q.natWire) {
		return true
	}
	d := decoder{b: b, what: "action", strict: true}
	list := d.list(len(b))
	if d.err != nil || len(list) != 1 {
		return false
	}
	n, ok := list[0].(NAT)
	if !ok {
		return false
	}
	if again, err := n.appendTo(nil); err != nil || !bytes.Equal(again, b) { // it says more than n
		return false
	}
	q.nat, q.natWire = &n, b
	return true
}

// isNicira reports whether b, of at least 16 bytes, is an action of Nicira's with a subtype.
func isNicira(b []byte, subtype uint16) bool {
	return be.Uint16(b) == 0xffff && be.Uint32(b[4:]) == nicira && be.Uint16(b[8:]) == subtype
}
