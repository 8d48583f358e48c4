package ofproto

import (
	"fmt"
	"strconv"
)

func init() {
	nestedOnWire(niciraAction, 35, 24, func(d *decoder) { d.connTrack() }, readConnTrack)
	onWire(niciraAction, 43, 16, false, func(*decoder) Action { return CTClear{} })
	inText("ct", parseConnTrack)
	inText("ct_clear", func(*parser, pair) []Action { return []Action{CTClear{}} })
}

// Flags of NXAST_CT.
const (
	ctCommit = 1
	ctForce  = 2
)

// ConnTrack sends the packet through the connection tracker (NXAST_CT).
type ConnTrack struct {
	Commit bool
	Force  bool     // with Commit only: begin the connection anew in this direction
	Zone   uint16   // if ZoneIn.Bits is zero
	ZoneIn Subfield // take the zone from these 16 bits, if Bits is not zero
	Table  Table    // continue here; NoTable: do not
	ALG    uint16   // 21 ftp, 69 tftp
	NAT    *NAT     // nil: no NAT
	Exec   []Action // write CTMark or CTLabel; with Commit only

	flags uint16 // others, which have no meaning
}

// NoTable is a ConnTrack's Table that means: do not recirculate.
const NoTable Table = 0xff

// Ports by which the protocols of an ALG are known.
const (
	algFTP  = 21
	algTFTP = 69
)

func (c ConnTrack) same(o Action) bool {
	d, ok := o.(ConnTrack)
	if !ok || (c.NAT == nil) != (d.NAT == nil) || c.NAT != nil && c.NAT.onWire() != d.NAT.onWire() {
		return false
	}
	return c.Commit == d.Commit && c.Force == d.Force && c.flags == d.flags && c.Zone == d.Zone && c.ZoneIn == d.ZoneIn &&
		c.Table == d.Table && c.ALG == d.ALG && equalActions(c.Exec, d.Exec)
}

func (c ConnTrack) appendTo(b []byte) ([]byte, error) { return c.append(b) }

// append is appendTo for where time counts: c is not copied.
func (c *ConnTrack) append(b []byte) ([]byte, error) {
	start := len(b)
	flags := c.flags | flag(c.Commit, ctCommit) | flag(c.Force, ctForce)
	src, zone := uint32(0), c.Zone
	if c.ZoneIn.Bits != 0 {
		src, zone = nxm32[c.ZoneIn.Field], c.ZoneIn.ofsNbits()
	}
	b = append(b, 0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20, 0, 35, byte(flags>>8), byte(flags),
		byte(src>>24), byte(src>>16), byte(src>>8), byte(src), byte(zone>>8), byte(zone),
		byte(c.Table), 0, 0, 0, byte(c.ALG>>8), byte(c.ALG))
	if c.NAT != nil {
		b = c.NAT.append(b)
	}
	b, err := appendActions(b, c.Exec)
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

// nxm32 has the four bytes by which ct and learn name each field. They cannot name one of an
// experimenter, or one that has no header: Open vSwitch then writes zeroes, which no switch
// takes.
var nxm32 = func() (all [numFields]uint32) {
	for f := range all {
		if h := info[f].nxm(); len(info[f].codes) > 0 && h.class != classExperimenter {
			all[f] = uint32(h.class)<<16 | uint32(h.num)<<9 | uint32(info[f].bytes)
		}
	}
	return all
}()

// appendNXM32 appends the four bytes by which ct and learn name f.
func (f Field) appendNXM32(b []byte) []byte { return be.AppendUint32(b, nxm32[f]) }

// field32 reads the four bytes by which ct and learn name a field. A mask in the header
// means nothing, and tunnel metadata may have any length.
func (d *decoder) field32() Field {
	class, num, n := d.u16(), d.u8(), int(d.u8())
	if num&1 == 1 {
		n /= 2
	}
	f := header{class: class, num: num >> 1}.field()
	if d.err == nil && (f == 0 || n != info[f].bytes && (!f.isTunMetadata() || n > 127)) {
		d.fail(OFPBAC_BAD_SET_TYPE)
		return 0
	}
	return f
}

// connTrack reads a ct without the actions in it.
func (d *decoder) connTrack() (c ConnTrack) {
	c.flags = d.u16()
	c.Commit, c.Force = c.flags&ctCommit != 0, c.flags&ctForce != 0
	c.flags &^= ctCommit | ctForce
	if c.Force && !c.Commit {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	c.readZone(d)
	c.Table = Table(d.u8())
	d.unread(3)
	c.ALG = d.u16()
	return c
}

func readConnTrack(d *decoder, list []Action) Action {
	c := d.connTrack()
	d.verify(list, onlyApply, inConnTrack)
	c.setExec(list)
	if !c.Commit && (len(c.Exec) > 0 || c.NAT != nil && !c.NAT.plain()) {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	return c
}

func (c *ConnTrack) readZone(d *decoder) {
	src := *d
	if d.u32() == 0 {
		c.Zone = d.u16()
		return
	}
	*d = src
	f := d.field32()
	c.ZoneIn = subfield(f, d.u16())
	if d.err != nil {
		return
	}
	if code := checkSrc(c.ZoneIn, nil); code != 0 {
		d.fail(code)
	} else if c.ZoneIn.Bits != 16 {
		d.fail(OFPBAC_BAD_SET_LEN)
	}
}

// setExec takes the actions in their order on the wire: a NAT that comes first has a place of
// its own.
func (c *ConnTrack) setExec(actions []Action) {
	if len(actions) > 0 {
		if n, ok := actions[0].(NAT); ok {
			c.NAT, actions = &n, actions[1:]
		}
	}
	if c.Exec = actions; len(actions) == 0 {
		c.Exec = nil
	}
}

// check refuses a ct for packets that are not IP, for a commit of what is known to be
// invalid, and for an ALG of another protocol.
func (c ConnTrack) check(p *packet) ErrorCode {
	switch {
	case !p.isIP(),
		c.Commit && p.ctState&Inv != 0,
		c.ALG == algFTP && p.proto != 6,
		c.ALG == algTFTP && p.proto != 17:
		return OFPBAC_MATCH_INCONSISTENT
	case c.ZoneIn.Bits != 0: // Open vSwitch looks no further
		return checkSrc(c.ZoneIn, p)
	}
	if c.NAT != nil {
		if code := c.NAT.check(p); code != 0 {
			return code
		}
	}
	return p.checkNested(c.Exec)
}

// String returns the action as ovs-ofctl prints it.
func (c ConnTrack) String() string { return string(c.appendText(nil)) }

func (c ConnTrack) appendText(b []byte) []byte {
	start := len(b) + len("ct(")
	b = append(b, "ct("...)
	if c.Commit {
		b = append(b, "commit,"...)
	}
	if c.Force {
		b = append(b, "force,"...)
	}
	if c.Table != NoTable {
		b = append(strconv.AppendUint(append(b, "table="...), uint64(c.Table), 10), ',')
	}
	switch {
	case c.ZoneIn.Bits != 0:
		b = fmt.Appendf(b, "zone=%v,", c.ZoneIn)
	case c.Zone != 0:
		b = fmt.Appendf(b, "zone=%d,", c.Zone)
	}
	if c.NAT != nil {
		b = append(append(b, c.NAT.String()...), ',')
	}
	if len(c.Exec) > 0 {
		b = append(appendText(append(b, "exec("...), c.Exec), "),"...)
	}
	b = appendALG(b, c.ALG)
	if len(b) > start {
		b = b[:len(b)-1]
	}
	return append(b, ')')
}

func appendALG(b []byte, alg uint16) []byte {
	switch alg {
	case 0:
		return b
	case algFTP:
		return append(b, "alg=ftp,"...)
	case algTFTP:
		return append(b, "alg=tftp,"...)
	}
	return fmt.Appendf(b, "alg=%d,", alg)
}

func parseConnTrack(p *parser, kv pair) []Action {
	c := ConnTrack{Table: NoTable}
	var exec []Action
	for arg, ok := p.next(&kv.value); ok && p.err == nil; arg, ok = p.next(&kv.value) {
		switch arg.key.s {
		case "commit":
			c.Commit = true
		case "force":
			c.Force = true
		case "table":
			if c.Table = p.table(arg.value); c.Table == NoTable {
				p.bad(arg.value, "a ct cannot continue in table 255")
			}
		case "zone":
			c.parseZone(p, arg.value)
		case "alg":
			c.ALG = p.alg(arg.value)
		case "nat":
			exec = append(exec, p.nat(arg))
		case "exec":
			exec = append(exec, p.nested(arg.value, inConnTrack)...)
		default:
			p.bad(arg.key, "a ct has no argument %q: want commit, force, table, zone, alg, nat or exec", arg.key.s)
		}
	}
	if c.Force && !c.Commit {
		p.bad(kv.key, "force needs commit")
	}
	c.setExec(exec)
	return []Action{c}
}

// parseZone reads a number or the field to take it from. A field counts, if there are both.
func (c *ConnTrack) parseZone(p *parser, t text) {
	v, negative, rest, ok := number(t.s, 0)
	switch {
	case !ok || rest != "":
		c.ZoneIn = p.subfield(t)
	case negative || v > 0xffff:
		p.bad(t, "%s is not a zone: want a number from 0 to 65535, or a field", t.s)
	default:
		c.Zone = uint16(v)
	}
}

func (p *parser) alg(t text) uint16 {
	switch t.s {
	case "ftp":
		return algFTP
	case "tftp":
		return algTFTP
	}
	p.bad(t, "there is no alg %q: want ftp or tftp", t.s)
	return 0
}

// CTClear forgets the packet's connection (NXAST_CT_CLEAR).
type CTClear struct{}

func (CTClear) appendTo(b []byte) ([]byte, error) {
	return append(appendNX(b, 43, 16), 0, 0, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (CTClear) String() string { return "ct_clear" }
