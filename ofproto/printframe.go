package ofproto

import (
	"fmt"
)

// protocolOf is the name of the protocol of an Ethernet frame as a match has it, and
// whether that says its IP protocol too.
func (f *frame) protocolOf() (name string, all bool) {
	six := ""
	switch f.etherType {
	case etherIPv4:
		name = "ip"
	case etherIPv6:
		name, six = "ipv6", "6"
	case etherARP:
		return "arp", false
	case etherRARP:
		return "rarp", false
	case etherMPLS:
		return "mpls", false
	case etherMPLSM:
		return "mplsm", false
	default:
		return "", false
	}
	switch {
	case f.proto == protoTCP:
		return "tcp" + six, true
	case f.proto == protoUDP:
		return "udp" + six, true
	case f.proto == protoSCTP:
		return "sctp" + six, true
	case f.proto == protoICMP && six == "", f.proto == protoICMPv6 && six != "":
		return "icmp" + six, true
	}
	return name, false
}

// print prints f as Open vSwitch prints a match on all of it.
func (f *frame) print(p *printer) {
	named := false
	if f.packetType == 0 {
		name, all := f.protocolOf()
		named = all
		if name != "" {
			p.text(name + ",")
		}
		f.link(p, name == "")
	} else {
		p.f("packet_type=(%s,%s),", shortHex(f.packetType>>16), shortHex(f.packetType&0xffff))
	}
	f.network(p, named)
	p.chomp(',')
}

// link prints the Ethernet header.
func (f *frame) link(p *printer, withType bool) {
	for i, tci := range append(f.vlans[:len(f.vlans):len(f.vlans)], 0) {
		if i == 2 {
			break
		}
		n := [...]string{"", "1"}[i]
		if tci == 0 {
			p.f("vlan_tci%s=0x0000,", n)
		} else {
			p.f("dl_vlan%s=%d,dl_vlan_pcp%s=%d,", n, tci&0xfff, n, tci>>13)
		}
	}
	p.f("dl_src=%s,dl_dst=%s,", macText(f.src), macText(f.dst))
	if withType {
		p.f("dl_type=0x%04x,", f.etherType)
	}
}

func macText(a [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
}

// addrOrUnset is an address; one that is not there is all zeroes.
func addrOrUnset(a Addr, unset string) string {
	switch {
	case !a.IsValid():
		return unset
	case a.Is4():
		return a.String()
	}
	return string(appendIPv6(nil, a.As16()))
}

// network prints what follows the Ethernet header; named: the IP protocol has been said.
func (f *frame) network(p *printer, named bool) {
	switch f.etherType {
	case etherIPv4:
		p.f("nw_src=%s,nw_dst=%s,", addrOrUnset(f.nw[0], "0.0.0.0"), addrOrUnset(f.nw[1], "0.0.0.0"))
		f.ip(p, named)
	case etherIPv6:
		p.f("ipv6_src=%s,ipv6_dst=%s,ipv6_label=0x%05x,", addrOrUnset(f.nw[0], "::"), addrOrUnset(f.nw[1], "::"), f.label)
		f.ip(p, named)
	case etherARP, etherRARP:
		p.f("arp_spa=%s,arp_tpa=%s,", addrOrUnset(f.nw[0], "0.0.0.0"), addrOrUnset(f.nw[1], "0.0.0.0"))
		p.f("arp_op=%d,arp_sha=%s,arp_tha=%s,", f.proto, macText(f.sha), macText(f.tha))
	case etherNSH:
		f.nsh.print(p)
		f.ip(p, named)
	case etherMPLS, etherMPLSM:
		f.mplsStack(p)
	}
}

// ip prints what IPv4 and IPv6 have in common, and the transport header.
func (f *frame) ip(p *printer, named bool) {
	if !named {
		p.f("nw_proto=%d,", f.proto)
	}
	p.f("nw_tos=%d,nw_ecn=%d,nw_ttl=%d,", f.tos&0xfc, f.tos&3, f.ttl)
	p.text("nw_frag=" + [...]string{"no", "first", "<error>", "later"}[f.frag&3] + ",")
	if f.frag&fragLater != 0 {
		return
	}
	switch f.proto {
	case protoTCP, protoUDP, protoSCTP, protoICMP, protoICMPv6, protoIGMP:
		f.ports(p)
	}
}

func (f *frame) ports(p *printer) {
	v6 := f.etherType == etherIPv6
	usual := f.packetType == 0 || f.packetType>>16 == 1 // else what is in the lower half is no EtherType
	if f.etherType == etherIPv4 && f.proto == protoICMP || v6 && f.proto == protoICMPv6 {
		p.f("icmp_type=%d,icmp_code=%d,", f.tp[0], f.tp[1])
	} else {
		p.f("tp_src=%d,tp_dst=%d,", f.tp[0], f.tp[1])
	}
	if usual && v6 && f.proto == protoICMPv6 && f.tp[1] == 0 && (f.tp[0] == ndSolicit || f.tp[0] == ndAdvert) {
		p.f("nd_target=%s,nd_sll=%s,nd_tll=%s,", addrOrUnset(f.target, "::"), macText(f.sha), macText(f.tha))
	}
	if usual && f.proto == protoTCP && (v6 || f.etherType == etherIPv4) {
		p.out = appendFlagNames(append(p.out, "tcp_flags="...), tcpFlagNames, uint64(f.tcpFlags))
		p.text(",")
	}
}

// mplsStack prints the label stack entries: the first in its parts, two more as numbers,
// as far as the stack goes.
func (f *frame) mplsStack(p *printer) {
	stack := [3]uint32{}
	copy(stack[:], f.mpls)
	e := stack[0]
	p.f("mpls_label=%d,mpls_tc=%d,mpls_ttl=%d,mpls_bos=%d,", e>>12, e>>9&7, e&0xff, e>>8&1)
	for i := 1; i < 3 && stack[i-1]&0x100 == 0; i++ {
		p.f("mpls_lse%d=%d,", i, stack[i])
	}
}

func (h *nshHeader) print(p *printer) {
	p.f("nsh_flags=%d,nsh_ttl=%d,nsh_mdtype=%d,nsh_np=%d,nsh_spi=0x%x,nsh_si=%d,", h.flags, h.ttl, h.mdtype, h.np, h.path>>8, h.path&0xff)
	if h.mdtype == 1 {
		for i, c := range h.context {
			p.f("nsh_c%d=0x%x,", i+1, c)
		}
	}
}

// checksum prints the checksum of the transport header.
func (p *printer) checksum(f *frame) {
	b := f.l4
	switch {
	case f.proto == protoTCP && len(b) >= 20:
		p.hex(" tcp_csum:", uint64(be.Uint16(b[16:])))
	case f.proto == protoUDP && len(b) >= 8:
		p.hex(" udp_csum:", uint64(be.Uint16(b[6:])))
	case f.proto == protoSCTP && len(b) >= 12:
		p.hex(" sctp_csum:", uint64(be.Uint32(b[8:])))
	case f.proto == protoICMP && len(b) >= 8:
		p.hex(" icmp_csum:", uint64(be.Uint16(b[2:])))
	case f.proto == protoICMPv6 && len(b) >= 4:
		p.hex(" icmp6_csum:", uint64(be.Uint16(b[2:])))
	}
}

// shortHex is a number of at most one digit, or a hexadecimal one.
func shortHex(v uint32) string {
	if v <= 9 {
		return string(rune('0' + v))
	}
	return fmt.Sprintf("%#x", v)
}
