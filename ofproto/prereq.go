package ofproto

// implied has the conditions that a prerequisite stands for, as far as they are not
// ambiguous: tcp needs nw_proto=6, but whether that is in ip or in ipv6 has to be said.
var implied = [...][]Cond{
	isARP:       {IsARP},
	isIPv4:      {IsIPv4},
	isIPv6:      {IsIPv6},
	isTCP:       {Is(IPProto, 6)},
	isUDP:       {Is(IPProto, 17)},
	isSCTP:      {Is(IPProto, 132)},
	isICMPv4:    {IsIPv4, Is(IPProto, 1)},
	isICMPv6:    {IsIPv6, Is(IPProto, 58)},
	isND:        {IsIPv6, Is(IPProto, 58)},
	isNDSolicit: {IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, 135)},
	isNDAdvert:  {IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, 136)},
}
