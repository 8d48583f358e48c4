package ofproto

import (
	"bytes"
	"fmt"
	"net/netip"
)

// Action types of OpenFlow 1.3 (A.2.5), instruction types (A.2.4), and subtypes of
// the Nicira extensions (nicira-ext.h).
const (
	atOutput       = 0
	atGroup        = 22
	atDecTTL       = 24
	atSetField     = 25
	atExperimenter = 0xffff

	itGoto  = 1
	itApply = 4
	itMeter = 6

	nicira = 0x00002320

	nxMove        = 6
	nxLoad        = 7
	nxResubmit    = 14
	nxConjunction = 34
	nxCT          = 35
	nxNAT         = 36
	nxCTClear     = 43
)

// Flags of NXAST_CT and NXAST_NAT.
const (
	ctCommit = 1
	ctForce  = 2

	natSrc        = 1
	natDst        = 2
	natPersistent = 4
	natHash       = 8
	natRandom     = 16

	natIPv4Min  = 1
	natIPv4Max  = 2
	natIPv6Min  = 4
	natIPv6Max  = 8
	natPortMin  = 16
	natPortMax  = 32
	natKnown    = natIPv4Min | natIPv4Max | natIPv6Min | natIPv6Max | natPortMin | natPortMax
	natAllFlags = natSrc | natDst | natPersistent | natHash | natRandom
)

// nxHeader is how NXAST_MOVE, NXAST_LOAD and NXAST_CT name a field.
func (f Field) nxHeader() uint32 {
	i := &info[f]
	h := i.oxm
	if i.alt != (header{}) {
		h = i.alt
	}
	return uint32(h.class)<<16 | uint32(h.num)<<9 | uint32(i.bytes)
}

func (s Subfield) ofsNbits() uint16 { return s.Offset<<6 | (s.Bits - 1) }

// appendActions appends a list of actions. Instructions in it are an error.
func appendActions(b []byte, actions []Action) ([]byte, error) {
	var err error
	for _, a := range actions {
		if b, err = appendAction(b, a); err != nil {
			return b, err
		}
	}
	return b, nil
}

func nx(b []byte, subtype uint16, n uint16) []byte {
	b = be.AppendUint16(b, atExperimenter)
	b = be.AppendUint16(b, n)
	b = be.AppendUint32(b, nicira)
	return be.AppendUint16(b, subtype)
}

func appendAction(b []byte, a Action) ([]byte, error) {
	switch a := a.(type) {
	case Output:
		b = append(b, 0, atOutput, 0, 16)
		b = be.AppendUint32(b, a.Port)
		b = be.AppendUint16(b, a.MaxLen)
		return append(b, 0, 0, 0, 0, 0, 0), nil
	case ToGroup:
		b = append(b, 0, atGroup, 0, 8)
		return be.AppendUint32(b, uint32(a)), nil
	case SetField:
		start := len(b)
		b = append(b, 0, atSetField, 0, 0)
		b = pad8(appendOXM(b, Cond{a.Field, a.Value, ones(info[a.Field].bytes)}), start)
		return b, setLen(b, start, 2)
	case DecTTL:
		return append(b, 0, atDecTTL, 0, 8, 0, 0, 0, 0), nil
	case Load:
		b = nx(b, nxLoad, 24)
		b = be.AppendUint16(b, a.Dst.ofsNbits())
		b = be.AppendUint32(b, a.Dst.Field.nxHeader())
		return be.AppendUint64(b, a.Value), nil
	case Move:
		b = nx(b, nxMove, 24)
		b = be.AppendUint16(b, a.Src.Bits)
		b = be.AppendUint16(b, a.Src.Offset)
		b = be.AppendUint16(b, a.Dst.Offset)
		b = be.AppendUint32(b, a.Src.Field.nxHeader())
		return be.AppendUint32(b, a.Dst.Field.nxHeader()), nil
	case CTClear:
		return append(nx(b, nxCTClear, 16), 0, 0, 0, 0, 0, 0), nil
	case Resubmit:
		b = be.AppendUint16(nx(b, nxResubmit, 16), a.Port)
		return append(b, byte(a.Table), 0, 0, 0), nil
	case Conjunction:
		b = append(nx(b, nxConjunction, 16), a.Clause, a.Of)
		return be.AppendUint32(b, a.ID), nil
	case ConnTrack:
		return appendCT(b, a)
	case Raw:
		return append(b, a...), nil
	}
	return b, fmt.Errorf("%v is not an action", a)
}

func appendCT(b []byte, a ConnTrack) ([]byte, error) {
	start := len(b)
	b = nx(b, nxCT, 0)
	b = be.AppendUint16(b, flag(a.Commit, ctCommit)|flag(a.Force, ctForce))
	if a.ZoneIn.Bits != 0 {
		b = be.AppendUint32(b, a.ZoneIn.Field.nxHeader())
		b = be.AppendUint16(b, a.ZoneIn.ofsNbits())
	} else {
		b = be.AppendUint32(b, 0)
		b = be.AppendUint16(b, a.Zone)
	}
	b = append(b, byte(a.Table), 0, 0, 0)
	b = be.AppendUint16(b, a.ALG)
	if a.NAT != nil {
		b = appendNAT(b, a.NAT)
	}
	b, err := appendActions(b, a.Exec)
	if err != nil {
		return b, err
	}
	return b, setLen(b, start, 2)
}

func flag(set bool, bit uint16) uint16 {
	if set {
		return bit
	}
	return 0
}

func appendNAT(b []byte, n *NAT) []byte {
	start := len(b)
	b = append(nx(b, nxNAT, 0), 0, 0)
	b = be.AppendUint16(b, flag(n.Src, natSrc)|flag(n.Dst, natDst)|flag(n.Persistent, natPersistent)|flag(n.Hash, natHash)|flag(n.Random, natRandom))
	b = be.AppendUint16(b, 0)
	var present uint16
	for i, a := range []Addr{n.AddrMin, n.AddrMax} {
		if !a.IsValid() {
			continue
		}
		if a.Is4() {
			present |= natIPv4Min << i
		} else {
			present |= natIPv6Min << i
		}
		b = append(b, a.AsSlice()...)
	}
	for i, p := range []uint16{n.PortMin, n.PortMax} {
		if p != 0 {
			present |= natPortMin << i
			b = be.AppendUint16(b, p)
		}
	}
	be.PutUint16(b[start+14:], present)
	b = pad8(b, start)
	be.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// appendInstructions appends the instructions of a flow: the meter, the actions, and
// the table to go to.
func appendInstructions(b []byte, actions []Action) ([]byte, error) {
	if len(actions) > 0 {
		if m, ok := actions[0].(Meter); ok {
			b = be.AppendUint32(append(b, 0, itMeter, 0, 8), uint32(m))
			actions = actions[1:]
		}
	}
	var raw []Action // between the actions and the table to go to, in their order
	known := actions[:0:0]
	for _, a := range actions {
		if _, ok := a.(RawInstruction); ok {
			raw = append(raw, a)
		} else {
			known = append(known, a)
		}
	}
	if raw != nil {
		actions = known
	}
	next, jumps := GotoTable(0), false
	if n := len(actions); n > 0 {
		if next, jumps = actions[n-1].(GotoTable); jumps {
			actions = actions[:n-1]
		}
	}
	if len(actions) > 0 {
		start := len(b)
		b = append(b, 0, itApply, 0, 0, 0, 0, 0, 0)
		var err error
		if b, err = appendActions(b, actions); err == nil {
			err = setLen(b, start, 2)
		}
		if err != nil {
			return b, err
		}
	}
	for _, a := range raw {
		b = append(b, a.(RawInstruction)...)
	}
	if jumps {
		b = append(b, 0, itGoto, 0, 8, byte(next), 0, 0, 0)
	}
	return b, nil
}

// instructions reads n bytes of instructions.
func (d *decoder) instructions(n int) (actions []Action) {
	s := d.sub(n, "instruction")
	for s.more() {
		whole := s.b
		typ, size := s.u16(), int(s.u16())
		if s.err == nil && (size < 8 || size%8 != 0 || size > len(whole)) {
			s.fail(ErrLength)
			break
		}
		body := s.sub(size-4, "instruction")
		switch typ {
		case itGoto:
			actions = append(actions, GotoTable(body.u8()))
		case itMeter:
			actions = append(actions, Meter(body.u32()))
		case itApply:
			body.skip(4)
			actions = append(actions, body.actions(len(body.b))...)
		default:
			actions = append(actions, RawInstruction(whole[:size]))
		}
		s.done(&body)
	}
	d.done(&s)
	return actions
}

// actions reads n bytes of actions.
func (d *decoder) actions(n int) (actions []Action) {
	s := d.sub(n, "action")
	for s.more() {
		if a := s.action(); s.err == nil {
			actions = append(actions, a)
		}
	}
	d.done(&s)
	return actions
}

func (d *decoder) action() Action {
	whole := d.b
	typ, size := d.u16(), int(d.u16())
	if d.err == nil && (size < 8 || size%8 != 0 || size > len(whole)) {
		d.fail(ErrLength)
		return nil
	}
	body := d.sub(size-4, "action")
	a := body.actionBody(typ)
	d.done(&body)
	if d.err == nil && (a == nil || !sameOnTheWire(a, whole[:size])) {
		return Raw(whole[:size])
	}
	return a
}

// sameOnTheWire reports whether a says all that b says. A ct has so many parts, some of
// which a later version may use, that it is written again to see.
func sameOnTheWire(a Action, b []byte) bool {
	ct, ok := a.(ConnTrack)
	if !ok {
		return true
	}
	again, err := appendCT(nil, ct)
	return err == nil && bytes.Equal(again, b)
}

// actionBody returns nil for an action that it does not know.
func (d *decoder) actionBody(typ uint16) Action {
	switch typ {
	case atOutput:
		o := Output{Port: d.u32(), MaxLen: d.u16()}
		if o.Port != PortController {
			o.MaxLen = 0
		}
		return o
	case atGroup:
		return ToGroup(d.u32())
	case atDecTTL:
		return DecTTL{}
	case atSetField:
		if f, ok := byHeader[d.peekHeader()]; !ok || len(d.b) < 4+info[f].bytes || d.b[2]&1 == 1 {
			return nil
		}
		c := d.oxm()
		return SetField{c.Field, c.Value}
	case atExperimenter:
		if d.u32() == nicira {
			return d.niciraAction(d.u16())
		}
	}
	return nil
}

func (d *decoder) peekHeader() header {
	if len(d.b) < 4 {
		return header{}
	}
	return header{be.Uint16(d.b), d.b[2] >> 1}
}

func (d *decoder) niciraAction(subtype uint16) Action {
	switch subtype {
	case nxMove:
		n, src, dst := d.u16(), d.u16(), d.u16()
		sf, ok1 := fieldOf(d.u32())
		df, ok2 := fieldOf(d.u32())
		if ok1 && ok2 {
			return Move{Subfield{sf, src, n}, Subfield{df, dst, n}}
		}
	case nxLoad:
		ofs := d.u16()
		if f, ok := fieldOf(d.u32()); ok {
			return Load{subfield(f, ofs), d.u64()}
		}
	case nxResubmit:
		return Resubmit{Port: d.u16(), Table: Table(d.u8())}
	case nxConjunction:
		return Conjunction{Clause: d.u8(), Of: d.u8(), ID: d.u32()}
	case nxCTClear:
		return CTClear{}
	case nxCT:
		if ct, ok := d.connTrack(); ok {
			return ct
		}
	}
	return nil
}

// fieldOf returns the field of an NXM or OXM header without mask.
func fieldOf(h uint32) (Field, bool) {
	f, ok := byHeader[header{uint16(h >> 16), uint8(h>>9) & 0x7f}]
	return f, ok && h&0x100 == 0 && int(h&0xff) == info[f].bytes
}

func subfield(f Field, ofsNbits uint16) Subfield {
	return Subfield{f, ofsNbits >> 6, ofsNbits&0x3f + 1}
}

func (d *decoder) connTrack() (ConnTrack, bool) {
	flags, src, zone := d.u16(), d.u32(), d.u16()
	c := ConnTrack{Commit: flags&ctCommit != 0, Force: flags&ctForce != 0, Table: Table(d.u8())}
	d.skip(3)
	c.ALG = d.u16()
	known := flags&^(ctCommit|ctForce) == 0
	if src == 0 {
		c.Zone = zone
	} else if f, ok := fieldOf(src); ok {
		c.ZoneIn = subfield(f, zone)
	} else {
		known = false
	}
	for _, a := range d.nested() {
		n, isNAT := a.(natAction)
		switch {
		case !isNAT:
			c.Exec = append(c.Exec, a)
		case c.NAT == nil:
			c.NAT = &n.NAT
		default:
			known = false
		}
	}
	return c, known
}

// natAction is a NAT on its way from the wire into its ConnTrack.
type natAction struct {
	NAT
	Action
}

// nested reads the actions inside a ct, of which a NAT may be one.
func (d *decoder) nested() (actions []Action) {
	for d.more() {
		if len(d.b) >= 10 && be.Uint16(d.b) == atExperimenter && be.Uint32(d.b[4:]) == nicira && be.Uint16(d.b[8:]) == nxNAT {
			if n, ok := d.nat(); ok {
				actions = append(actions, natAction{NAT: n})
			}
			continue
		}
		if a := d.action(); d.err == nil {
			actions = append(actions, a)
		}
	}
	return actions
}

func (d *decoder) nat() (n NAT, ok bool) {
	size := int(be.Uint16(d.b[2:]))
	if size < 16 || size%8 != 0 || size > len(d.b) {
		d.fail(ErrLength)
		return n, false
	}
	s := d.sub(size, "nat")
	s.skip(12)
	flags, present := s.u16(), s.u16()
	n.Src, n.Dst = flags&natSrc != 0, flags&natDst != 0
	n.Persistent, n.Hash, n.Random = flags&natPersistent != 0, flags&natHash != 0, flags&natRandom != 0
	for i, a := range []*Addr{&n.AddrMin, &n.AddrMax} {
		if present&(natIPv4Min<<i) != 0 {
			*a, _ = netip.AddrFromSlice(s.bytes(4))
		}
	}
	for i, a := range []*Addr{&n.AddrMin, &n.AddrMax} {
		if present&(natIPv6Min<<i) != 0 {
			*a, _ = netip.AddrFromSlice(s.bytes(16))
		}
	}
	for i, p := range []*uint16{&n.PortMin, &n.PortMax} {
		if present&(natPortMin<<i) != 0 {
			*p = s.u16()
		}
	}
	if s.err == nil && (present&^natKnown != 0 || flags&^natAllFlags != 0) {
		s.fail(fmt.Errorf("unknown flags %#x, ranges %#x", flags, present))
	}
	d.done(&s)
	return n, s.err == nil
}
