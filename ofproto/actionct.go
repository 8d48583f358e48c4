package ofproto

import (
	"fmt"
	"net/netip"
	"strings"
)

func init() {
	onWire(niciraAction, 35, 24, true, readConnTrack)
	onWire(niciraAction, 43, 16, false, func(d *decoder) Action { return CTClear{} })
}

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

// ConnTrack sends the packet through the connection tracker (NXAST_CT).
type ConnTrack struct {
	Commit bool
	Force  bool
	Zone   uint16   // if ZoneIn.Bits is zero
	ZoneIn Subfield // take the zone from here, if Bits is not zero
	Table  Table    // continue here; NoTable: do not
	ALG    uint16   // 21 ftp, 69 tftp
	NAT    *NAT     // nil: no NAT
	Exec   []Action
}

// NoTable is a ConnTrack's Table that means: do not recirculate.
const NoTable Table = 0xff

// NAT is the nat(...) of a ConnTrack (NXAST_NAT). Zero is plain nat: translate
// as the connection says.
type NAT struct {
	Src, Dst                 bool
	Random, Hash, Persistent bool
	AddrMin, AddrMax         Addr // unset: none
	PortMin, PortMax         uint16
}

func (c ConnTrack) same(o Action) bool {
	d, ok := o.(ConnTrack)
	if !ok || (c.NAT == nil) != (d.NAT == nil) || c.NAT != nil && *c.NAT != *d.NAT {
		return false
	}
	return c.Commit == d.Commit && c.Force == d.Force && c.Zone == d.Zone && c.ZoneIn == d.ZoneIn &&
		c.Table == d.Table && c.ALG == d.ALG && equalActions(c.Exec, d.Exec)
}

func (c ConnTrack) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = appendNX(b, 35, 0)
	b = be.AppendUint16(b, flag(c.Commit, ctCommit)|flag(c.Force, ctForce))
	if c.ZoneIn.Bits != 0 {
		b = c.ZoneIn.Field.appendNXM(b)
		b = be.AppendUint16(b, c.ZoneIn.ofsNbits())
	} else {
		b = be.AppendUint32(b, 0)
		b = be.AppendUint16(b, c.Zone)
	}
	b = append(b, byte(c.Table), 0, 0, 0)
	b = be.AppendUint16(b, c.ALG)
	if c.NAT != nil {
		b = appendNAT(b, c.NAT)
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

func appendNAT(b []byte, n *NAT) []byte {
	start := len(b)
	b = append(appendNX(b, 36, 0), 0, 0)
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

func readConnTrack(d *decoder) Action {
	c := ConnTrack{}
	flags, src, zone := d.u16(), *d, uint16(0)
	if named := d.u32() != 0; named {
		*d = src
		f := d.field()
		c.ZoneIn = subfield(f, d.u16())
	} else {
		zone = d.u16()
	}
	c.Commit, c.Force, c.Zone, c.Table = flags&ctCommit != 0, flags&ctForce != 0, zone, Table(d.u8())
	d.skip(3)
	c.ALG = d.u16()
	for _, a := range d.nested() {
		n, isNAT := a.(natAction)
		switch {
		case !isNAT:
			c.Exec = append(c.Exec, a)
		case c.NAT == nil:
			c.NAT = &n.NAT
		default:
			d.fail(OFPBAC_BAD_ARGUMENT)
		}
	}
	return c
}

// natAction is a NAT on its way from the wire into its ConnTrack.
type natAction struct {
	NAT
	Action
}

// nested reads the actions inside a ct, of which a NAT may be one.
func (d *decoder) nested() (actions []Action) {
	for d.more() {
		if len(d.b) >= 10 && be.Uint16(d.b) == 0xffff && be.Uint32(d.b[4:]) == nicira && be.Uint16(d.b[8:]) == 36 {
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
		d.fail(OFPBAC_BAD_LEN)
		return n, false
	}
	s := d.sub(size, "nat", OFPBAC_BAD_LEN)
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
		s.fail(OFPBAC_BAD_ARGUMENT)
	}
	d.done(&s)
	return n, s.err == nil
}

// String returns the action as ovs-ofctl prints it.
func (c ConnTrack) String() string {
	var s []string
	if c.Commit {
		s = append(s, "commit")
	}
	if c.Force {
		s = append(s, "force")
	}
	if c.Table != NoTable {
		s = append(s, fmt.Sprintf("table=%d", c.Table))
	}
	switch {
	case c.ZoneIn.Bits != 0:
		s = append(s, "zone="+c.ZoneIn.String())
	case c.Zone != 0:
		s = append(s, fmt.Sprintf("zone=%d", c.Zone))
	}
	if c.NAT != nil {
		s = append(s, c.NAT.text())
	}
	if len(c.Exec) > 0 {
		s = append(s, "exec("+Text(c.Exec)+")")
	}
	switch c.ALG {
	case 0:
	case 21:
		s = append(s, "alg=ftp")
	case 69:
		s = append(s, "alg=tftp")
	default:
		s = append(s, fmt.Sprintf("alg=%d", c.ALG))
	}
	return "ct(" + strings.Join(s, ",") + ")"
}

// text is "nat" or "nat(...)".
func (n NAT) text() string {
	if !n.Src && !n.Dst {
		return "nat"
	}
	s := "src"
	if n.Dst {
		s = "dst"
	}
	if n.AddrMin.IsValid() || n.PortMin != 0 {
		s += "=" + n.addrs() + n.ports()
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{n.Persistent, "persistent"}, {n.Hash, "hash"}, {n.Random, "random"}} {
		if f.set {
			s += "," + f.name
		}
	}
	return "nat(" + s + ")"
}

// addrs writes an IPv6 address in brackets if ports follow.
func (n NAT) addrs() string {
	if !n.AddrMin.IsValid() {
		return ""
	}
	format := "%v"
	if n.AddrMin.Is6() && n.PortMin != 0 {
		format = "[%v]"
	}
	s := fmt.Sprintf(format, n.AddrMin)
	if n.AddrMax.IsValid() && n.AddrMax != n.AddrMin {
		s += "-" + fmt.Sprintf(format, n.AddrMax)
	}
	return s
}

func (n NAT) ports() string {
	switch {
	case n.PortMin == 0:
		return ""
	case n.PortMax == 0 || n.PortMax == n.PortMin:
		return fmt.Sprintf(":%d", n.PortMin)
	}
	return fmt.Sprintf(":%d-%d", n.PortMin, n.PortMax)
}

// CTClear forgets the packet's connection (NXAST_CT_CLEAR).
type CTClear struct{}

func (CTClear) appendTo(b []byte) ([]byte, error) {
	return append(appendNX(b, 43, 16), 0, 0, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (CTClear) String() string { return "ct_clear" }
