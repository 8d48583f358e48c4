package intent

import "net/netip"

// Martians are the addresses that no packet on its way from one network to another comes from: a
// router drops what does (RFC 1812, 5.3.7). They are those of "this network", loopback, multicast and what is
// reserved in IPv4, with the limited broadcast in it; and unspecified, loopback, IPv4-mapped and multicast in IPv6
// (RFC 6890, 2.2; RFC 4291, 2.5 and 2.7). Of each version the fewest prefixes.
var Martians = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("224.0.0.0/3"), // 224.0.0.0/4 and 240.0.0.0/4
	netip.MustParsePrefix("::/127"),
	netip.MustParsePrefix("::ffff:0:0/96"),
	netip.MustParsePrefix("ff00::/8"),
}
