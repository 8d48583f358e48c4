package reference

import (
	"net/netip"
	"reflect"
	"slices"

	"weir/intent"
)

// Classes are the addresses, ports and Ethernet addresses between which some models make no difference: those that none
// of them names, and that lie between the same two that one does. So many packets are a few, of which
// each stands for its class. The zero Classes knows no model.
type Classes struct {
	addrs []netip.Addr // in order: where a class begins
	ports []uint16
	macs  map[intent.MAC]bool // each is a class; all others are one
}

// known are addresses between which every model makes a difference: those that nobody can have, link-local ones,
// those for many, and those for whom somebody who reaches itself is seen.
var known = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/128"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
	netip.PrefixFrom(Mirror4, 32), netip.PrefixFrom(Mirror6, 128),
}

// Learn has c tell apart what m does. Whatever m has an address or a number of may make a difference.
func (c *Classes) Learn(m *intent.Model) {
	if c.macs == nil {
		c.macs = map[intent.MAC]bool{}
		for _, p := range known {
			c.prefix(p)
		}
		c.from(0, 1, 67, 68, 69, 546, 547, 548) // the ports of DHCP
	}
	seen := map[uintptr]bool{}
	c.walk(reflect.ValueOf(m.Bridges()), seen)
	c.walk(reflect.ValueOf(m.Tenants()), seen)
	c.forwarded(m)
	slices.SortFunc(c.addrs, netip.Addr.Compare)
	c.addrs = slices.Compact(c.addrs)
	slices.Sort(c.ports)
	c.ports = slices.Compact(c.ports)
}

// walk looks for addresses and numbers in whatever v is. What it has no name for is walked into, so that nothing that is
// new in a model is forgotten.
func (c *Classes) walk(v reflect.Value, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return
		}
		seen[v.Pointer()] = true
		c.walk(v.Elem(), seen)
	case reflect.Slice, reflect.Array:
		if mac, is := v.Interface().(intent.MAC); is {
			c.mac(mac)
			return
		}
		for i := range v.Len() {
			c.walk(v.Index(i), seen)
		}
	case reflect.Uint16:
		port := uint16(v.Uint())
		c.from(port, port+1)
	case reflect.Struct:
		c.structure(v, seen)
	}
}

func (c *Classes) structure(v reflect.Value, seen map[uintptr]bool) {
	switch what := v.Interface().(type) {
	case netip.Addr:
		c.prefix(netip.PrefixFrom(what, what.BitLen()))
	case netip.Prefix:
		c.prefix(what)
	default:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				c.walk(v.Field(i), seen)
			}
		}
	}
}

// forwarded has the ports that are forwarded told apart like those that they are forwarded to.
func (c *Classes) forwarded(m *intent.Model) {
	for _, t := range m.Tenants() {
		for _, f := range t.PortForwards {
			for _, p := range slices.Clone(c.ports) {
				if f.ToPorts.Lo <= p && p <= f.ToPorts.Hi {
					c.from(f.Ports.Lo + (p - f.ToPorts.Lo))
				}
			}
		}
	}
}

func (c *Classes) from(ports ...uint16) { c.ports = append(c.ports, ports...) }

func (c *Classes) mac(m intent.MAC) {
	c.macs[m] = true
	local := LinkLocal(m)
	c.prefix(netip.PrefixFrom(local, local.BitLen()))
}

// prefix has a prefix told apart from what is around it.
func (c *Classes) prefix(p netip.Prefix) {
	if !p.IsValid() {
		return
	}
	c.addrs = append(c.addrs, p.Masked().Addr())
	last := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	if a, _ := netip.AddrFromSlice(last); a.Next().IsValid() {
		c.addrs = append(c.addrs, a.Next())
	}
}

// Addr returns the lowest address of a's class.
func (c *Classes) Addr(a netip.Addr) netip.Addr {
	i, is := slices.BinarySearchFunc(c.addrs, a, netip.Addr.Compare)
	if is || i == 0 || c.addrs[i-1].BitLen() != a.BitLen() {
		return a
	}
	return c.addrs[i-1]
}

// Port returns the lowest port of p's class.
func (c *Classes) Port(p uint16) uint16 {
	i, is := slices.BinarySearch(c.ports, p)
	if is || i == 0 {
		return p
	}
	return c.ports[i-1]
}

// MAC returns m if a model names it or it is for many, or else one that none names.
func (c *Classes) MAC(m intent.MAC) intent.MAC {
	switch {
	case m[0]&1 == 1:
		return intent.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	case c.macs[m]:
		return m
	}
	return intent.MAC{0x02, 'n', 'o', 'b', 'o', 'y'}
}

// Of returns the packet that stands for p's class.
func (c *Classes) Of(p Packet) Packet {
	p.Src, p.Dst = c.Addr(p.Src), c.Addr(p.Dst)
	if hasPorts(p.Protocol) {
		p.SrcPort, p.DstPort = c.Port(p.SrcPort), c.Port(p.DstPort)
	}
	return p
}
