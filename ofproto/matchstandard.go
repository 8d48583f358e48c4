package ofproto

// The match of OpenFlow 1.1 (OFPMT_STANDARD), which has the same fields in every match. The
// specification of OpenFlow 1.3 deprecates it, but Open vSwitch still reads it.
const (
	matchStandard    = 0
	matchStandardLen = 88
)

// Wildcards of OpenFlow 1.1, A.2.3.2: a bit says that a field is left open.
const (
	openInPort = 1 << iota
	openVLANVID
	openVLANPCP
	openEthType
	openTOS
	openProto
	openTPSrc
	openTPDst
	openMPLSLabel
	openMPLSTC
)

// Values of a VLAN ID in OpenFlow 1.1 that are none.
const (
	noVLAN  = 0xffff // a packet without a VLAN tag
	anyVLAN = 0xfffe // a packet with one
)

// standardMatch reads what stands behind the header of a standard match.
func (d *decoder) standardMatch() Match {
	port, open := d.u32(), d.u32()
	if open&openInPort == 0 && !validPort(uint64(port)) {
		d.fail(OFPBMC_BAD_VALUE)
	}
	var m Match
	if open&openInPort == 0 {
		m = m.put(Is(InPort, uint64(port)))
	}
	m = d.inverse(m, EthSrc)
	m = d.inverse(m, EthDst)
	m = d.standardVLAN(m, open)
	ether, tos, proto := d.u16(), d.u8(), d.u8()
	if open&openEthType == 0 {
		m = m.put(Is(EthType, uint64(ether)))
	} else {
		ether = 0
	}
	if ether == etherIPv4 && open&openTOS == 0 {
		if tos&3 != 0 {
			d.fail(OFPBMC_BAD_VALUE)
		}
		m = m.put(Is(IPDSCP, uint64(tos>>2)))
	}
	hasProto := ether == etherIPv4 || ether == etherARP || ether == etherRARP
	if hasProto && open&openProto == 0 {
		m = m.put(Is(IPProto, uint64(proto)))
	}
	addresses := d.inverse(d.inverse(m, IPv4Src), IPv4Dst)
	if hasProto {
		m = addresses
	}
	m = d.standardPorts(m, ether, open)
	m = d.standardMPLS(m, ether, open)
	m = d.inverse(m, Metadata)
	if d.err != nil {
		return nil
	}
	return m.resolve().settle(false)
}

// inverse adds to m what d says of f: a value, and the inverse of its mask.
func (d *decoder) inverse(m Match, f Field) Match {
	n := info[f].bytes
	value, open := d.bytes(n), d.bytes(n)
	if d.err != nil {
		return nil
	}
	mask := ones(n).without(fromBytes(open))
	return m.put(Cond{Field: f, Value: fromBytes(value).and(mask), Mask: mask})
}

// standardVLAN adds the VLAN ID and the priority to m.
func (d *decoder) standardVLAN(m Match, open uint32) Match {
	vid, pcp := d.u16(), d.u8()
	d.skip(1)
	tci, mask := uint16(vlanCFI), uint16(vlanCFI)
	switch {
	case open&openVLANVID != 0:
		return m
	case vid == noVLAN:
		tci, mask = 0, 0xffff
	case vid == anyVLAN:
	case vid > vlanVID:
		d.fail(OFPBMC_BAD_VALUE)
	default:
		tci, mask = tci|vid, mask|vlanVID
	}
	if open&openVLANPCP == 0 && vid != noVLAN {
		if pcp > 7 {
			d.fail(OFPBMC_BAD_VALUE)
		}
		tci, mask = tci|uint16(pcp)<<13, mask|vlanPCP
	}
	return m.put(Cond{Field: VLANTCI, Value: Uint(uint64(tci)), Mask: Uint(uint64(mask))})
}

// standardPorts adds the ports, or type and code of an ICMP, to m.
func (d *decoder) standardPorts(m Match, ether uint16, open uint32) Match {
	for i, bit := range []uint32{openTPSrc, openTPDst} {
		port := d.u16()
		if ether != etherIPv4 || open&bit != 0 {
			continue
		}
		proto, _ := m.value(IPProto)
		switch proto {
		case 1:
			if port > 0xff {
				d.fail(OFPBMC_BAD_FIELD)
			}
			m = m.put(Is(ICMPv4Type+Field(i), uint64(port)))
		case 6, 17, 132:
			m = m.put(Is(TCPSrc+Field(i), uint64(port)))
		}
	}
	return m
}

// standardMPLS adds the MPLS label and traffic class to m.
func (d *decoder) standardMPLS(m Match, ether uint16, open uint32) Match {
	label, tc := d.u32(), d.u8()
	d.skip(3)
	if ether != etherMPLS && ether != etherMPLSM {
		return m
	}
	if open&openMPLSLabel == 0 {
		m = m.put(Is(MPLSLabel, uint64(label&0xfffff)))
	}
	if open&openMPLSTC == 0 {
		m = m.put(Is(MPLSTC, uint64(tc&7)))
	}
	return m
}
