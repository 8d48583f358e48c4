package nat

import (
	"net/netip"

	"weir/intent"
)

// prefixesOf returns the fewest prefixes that are a range together.
func prefixesOf(r intent.AddrRange) (all []netip.Prefix) {
	for lo := r.Lo; lo.IsValid() && lo.Compare(r.Hi) <= 0; {
		p := netip.PrefixFrom(lo, lo.BitLen())
		for p.Bits() > 0 {
			wider := netip.PrefixFrom(lo, p.Bits()-1)
			if wider.Masked().Addr() != lo || lastOf(wider).Compare(r.Hi) > 0 {
				break
			}
			p = wider
		}
		all = append(all, p)
		lo = lastOf(p).Next()
	}
	return all
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
