package ofproto

import (
	"fmt"
	"net/netip"
	"strings"
)

func init() {
	onWire(niciraAction, 36, 16, true, readNAT)
	inText("nat", func(p *parser, kv pair) []Action { return []Action{p.nat(kv)} })
}

// Flags of NXAST_NAT, and what of a range is there.
const (
	natSrc        = 1
	natDst        = 2
	natPersistent = 4
	natHash       = 8
	natRandom     = 16
	natAllFlags   = natSrc | natDst | natPersistent | natHash | natRandom

	natIPv4Min = 1
	natIPv4Max = 2
	natIPv6Min = 4
	natIPv6Max = 8
	natPortMin = 16
	natPortMax = 32
	natKnown   = natIPv4Min | natIPv4Max | natIPv6Min | natIPv6Max | natPortMin | natPortMax
)

// NAT is the nat(...) of a ConnTrack (NXAST_NAT). Zero is plain nat: translate as the
// connection says. As an action of its own it can stand in the Exec of a ConnTrack only.
type NAT struct {
	Src, Dst                 bool   // not both
	Random, Hash, Persistent bool   // with Src or Dst; Random and Hash not both
	AddrMin, AddrMax         Addr   // unset: none; AddrMax alone has no meaning
	PortMin, PortMax         uint16 // with AddrMin only; zero: none
}

// plain reports whether n has no arguments.
func (n NAT) plain() bool {
	return !n.Src && !n.Dst && !n.Random && !n.Hash && !n.Persistent && !n.AddrMin.IsValid()
}

// onWire returns n as it comes back from the wire, where an address of zeros is none.
func (n NAT) onWire() NAT {
	if n.AddrMin.IsUnspecified() && !n.AddrMax.IsValid() && n.PortMin == 0 {
		n.AddrMin = Addr{}
	}
	return n
}

func (NAT) notInSet() {}

func (n NAT) appendTo(b []byte) ([]byte, error) { return n.append(b), nil }

func (n *NAT) append(b []byte) []byte {
	start := len(b)
	flags := flag(n.Src, natSrc) | flag(n.Dst, natDst) | flag(n.Persistent, natPersistent) | flag(n.Hash, natHash) | flag(n.Random, natRandom)
	b = append(b, 0xff, 0xff, 0, 16, 0, 0, 0x23, 0x20, 0, 36, 0, 0, byte(flags>>8), byte(flags), 0, 0)
	if !n.AddrMin.IsValid() {
		return b
	}
	b, present := n.appendRange(b)
	be.PutUint16(b[start+14:], present)
	b = pad8(b, start)
	be.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// appendRange appends what there is of the addresses and the ports. Open vSwitch takes a
// zero for one that is not there.
func (n *NAT) appendRange(b []byte) ([]byte, uint16) {
	var present uint16
	lo, hi := uint16(natIPv4Min), uint16(natIPv4Max)
	if n.AddrMin.Is6() {
		lo, hi = natIPv6Min, natIPv6Max
	}
	b, present = appendAddr(b, present, n.AddrMin, lo)
	b, present = appendAddr(b, present, n.AddrMax, hi)
	if n.PortMin != 0 {
		b, present = be.AppendUint16(b, n.PortMin), present|natPortMin
	}
	if n.PortMax != 0 {
		b, present = be.AppendUint16(b, n.PortMax), present|natPortMax
	}
	return b, present
}

func appendAddr(b []byte, present uint16, a Addr, bit uint16) ([]byte, uint16) {
	switch {
	case !a.IsValid() || a.IsUnspecified():
		return b, present
	case a.Is4():
		v := a.As4()
		b = append(b, v[:]...)
	default:
		v := a.As16()
		b = append(b, v[:]...)
	}
	return b, present | bit
}

func readNAT(d *decoder) Action {
	d.unread(2)
	flags, present := d.u16(), d.u16()
	d.lossy = d.lossy || present&^natKnown != 0
	n := NAT{
		Src: flags&natSrc != 0, Dst: flags&natDst != 0,
		Persistent: flags&natPersistent != 0, Hash: flags&natHash != 0, Random: flags&natRandom != 0,
	}
	if flags&^natAllFlags != 0 || n.Src && n.Dst || n.Hash && n.Random {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	d.short = OFPBAC_BAD_ARGUMENT
	switch {
	case present&natIPv4Min != 0:
		if present&(natIPv6Min|natIPv6Max) != 0 {
			d.fail(OFPBAC_BAD_ARGUMENT)
		}
		n.readAddrs(d, 4, present&natIPv4Max != 0)
	case present&natIPv4Max != 0:
		d.fail(OFPBAC_BAD_ARGUMENT)
	case present&natIPv6Min != 0:
		n.readAddrs(d, 16, present&natIPv6Max != 0)
	case present&natIPv6Max != 0:
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	n.readPorts(d, present)
	return n
}

func (n *NAT) readAddrs(d *decoder, size int, hasMax bool) {
	n.AddrMin, _ = netip.AddrFromSlice(d.bytes(size))
	if n.AddrMin.IsValid() && n.AddrMin.IsUnspecified() {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	if !hasMax {
		return
	}
	n.AddrMax, _ = netip.AddrFromSlice(d.bytes(size))
	if n.AddrMax.Less(n.AddrMin) {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
}

func (n *NAT) readPorts(d *decoder, present uint16) {
	hasMin, hasMax := present&natPortMin != 0, present&natPortMax != 0
	if hasMax && !hasMin || hasMin && !n.AddrMin.IsValid() {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	if hasMin {
		if n.PortMin = d.u16(); n.PortMin == 0 {
			d.fail(OFPBAC_BAD_ARGUMENT)
		}
	}
	if hasMax {
		if n.PortMax = d.u16(); n.PortMax < n.PortMin {
			d.fail(OFPBAC_BAD_ARGUMENT)
		}
	}
}

// check refuses a nat of packets that are not IP, or of the other version of IP.
func (n NAT) check(p *packet) ErrorCode {
	ether := p.etherType()
	if !p.isIP() || n.AddrMin.Is4() && ether != 0x0800 || n.AddrMin.Is6() && ether != 0x86dd {
		return OFPBAC_MATCH_INCONSISTENT
	}
	return 0
}

// String returns the action as ovs-ofctl prints it. What is there without Src or Dst is not
// printed, and neither is Persistent, Hash or Random without a range.
func (n NAT) String() string {
	if !n.Src && !n.Dst {
		return "nat"
	}
	var b strings.Builder
	b.WriteString("nat(dst")
	if n.Src {
		b.Reset()
		b.WriteString("nat(src")
	}
	if !n.AddrMin.IsValid() {
		return b.String() + ")"
	}
	b.WriteString("=" + n.addrs() + n.ports())
	if n.Persistent {
		b.WriteString(",persistent")
	}
	if n.Hash {
		b.WriteString(",hash")
	}
	if n.Random {
		b.WriteString(",random")
	}
	return b.String() + ")"
}

// addrs writes an IPv6 address in brackets if ports follow.
func (n NAT) addrs() string {
	s := n.addr(n.AddrMin)
	if n.AddrMax.IsValid() && !n.AddrMax.IsUnspecified() && n.AddrMax != n.AddrMin {
		s += "-" + n.addr(n.AddrMax)
	}
	return s
}

func (n NAT) addr(a Addr) string {
	if a.Is6() && n.PortMin != 0 {
		return "[" + addrString(a) + "]"
	}
	return addrString(a)
}

// addrString writes an address as C does.
func addrString(a Addr) string {
	if a.Is4() {
		return a.String()
	}
	return string(appendIPv6(nil, a.As16()))
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

// nat reads the argument of nat, which may be missing.
func (p *parser) nat(kv pair) NAT {
	var n NAT
	for arg, ok := p.next(&kv.value); ok && p.err == nil; arg, ok = p.next(&kv.value) {
		switch arg.key.s {
		case "src":
			n.Src = true
			n.parseRange(p, arg.value)
		case "dst":
			n.Dst = true
			n.parseRange(p, arg.value)
		case "persistent":
			n.Persistent = true
		case "hash":
			n.Hash = true
		case "random":
			n.Random = true
		default:
			p.bad(arg.key, "nat has no argument %q: want src, dst, persistent, hash or random", arg.key.s)
		}
	}
	switch {
	case n.Src && n.Dst:
		p.bad(kv.key, "nat changes src or dst, not both")
	case !n.Src && !n.Dst && !n.plain():
		p.bad(kv.key, "persistent, hash and random need src or dst")
	case n.Hash && n.Random:
		p.bad(kv.key, "hash and random cannot stand beside one another")
	}
	return n
}

// parseRange reads "10.0.0.1-10.0.0.9:1000-2000", "2001:db8::1" or "[2001:db8::1]-[...]:80".
// What only looks like an address is no range, to Open vSwitch.
func (n *NAT) parseRange(p *parser, t text) {
	s := scan{t, true}
	n.AddrMin = s.addr()
	if n.AddrMin.IsValid() && s.take('-') {
		at := s.text
		n.AddrMax = s.addr()
		if n.AddrMax.BitLen() != n.AddrMin.BitLen() || n.AddrMax.Less(n.AddrMin) {
			p.bad(at, "want the last address of the range here")
		}
	}
	if n.AddrMin.IsValid() && s.take(':') {
		n.parsePorts(p, &s)
	}
	if s.s != "" {
		p.bad(s.text, "want an address, or a range of them, and ports after a colon, not %q", s.s)
	}
}

func (n *NAT) parsePorts(p *parser, s *scan) {
	at := s.text
	n.PortMin = uint16(s.uint(10))
	if s.take('-') {
		n.PortMax = uint16(s.uint(10))
		s.ok = s.ok && n.PortMax >= n.PortMin
	}
	if !s.ok {
		p.bad(at, "want a port, or a range of them")
	}
}

// addr takes an address off the text; that of IPv6 may stand in brackets. It is not valid if
// there is none.
func (s *scan) addr() Addr {
	v4 := scan{s.text, true}
	var a [4]byte
	for i := range a {
		if i > 0 {
			v4.byte('.')
		}
		a[i] = byte(v4.uint(10))
	}
	if v4.ok {
		s.text = v4.text
		return netip.AddrFrom4(a)
	}
	const longest = 46 // INET6_ADDRSTRLEN
	v6 := scan{s.text, true}
	brackets := v6.take('[')
	t := v6.span("0123456789abcdefABCDEF:.", longest)
	if brackets {
		v6.byte(']')
	}
	if !v6.ok {
		return Addr{}
	}
	s.text = v6.text
	b, err := netip.ParseAddr(t)
	if err != nil || !b.Is6() {
		return Addr{}
	}
	return b
}
