package ofproto

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func TestMatchesMadeOfConditionsAreCanonical(t *testing.T) {
	for name, c := range map[string]struct {
		conds []Cond
		want  string
	}{
		"nothing": {nil, ""},
		"a protocol brings the type of the frame":        {[]Cond{IsIPv4, Is(TCPDst, 80)}, "tcp,tp_dst=80"},
		"an address brings the type of the frame":        {[]Cond{IsAddr(IPv6Src, netip.MustParseAddr("fe80::1"))}, "ipv6,ipv6_src=fe80::1"},
		"neighbour discovery brings all of ICMPv6":       {[]Cond{IsMAC(NDSLL, [6]byte{1, 2, 3, 4, 5, 6})}, "icmp6,icmp_type=135,nd_sll=01:02:03:04:05:06"},
		"a prefix of no length asks for an address only": {[]Cond{InPrefix(ARPTPA, netip.MustParsePrefix("0.0.0.0/0"))}, "arp"},
		"a VLAN ID is a part of the TCI":                 {[]Cond{Is(VLANVID, 0x1005)}, "dl_vlan=5"},
		"a VLAN ID and a priority make one condition":    {[]Cond{Is(VLANPCP, 3), Is(VLANVID, 0x1005)}, "dl_vlan=5,dl_vlan_pcp=3"},
		"no VLAN tag":                                       {[]Cond{Is(VLANVID, 0)}, "vlan_tci=0x0000/0x1fff"},
		"any VLAN tag":                                      {[]Cond{Masked(VLANVID, 0x1000, 0x1000)}, "vlan_tci=0x1000/0x1000"},
		"an extended register is two":                       {[]Cond{Is(XReg1, 5<<32|6)}, "reg2=0x5,reg3=0x6"},
		"half of an extended register is one":               {[]Cond{Masked(XReg1, 6, 0xff)}, "reg3=0x6/0xff"},
		"two parts of a register make one condition":        {[]Cond{Masked(Reg0, 0x10, 0xf0), Masked(Reg0, 2, 0xf)}, "reg0=0x12/0xff"},
		"the TOS is the DSCP":                               {[]Cond{IsIPv4, Is(IPTOS, 0xb8)}, "ip,nw_tos=184"},
		"a port of OpenFlow 1.0":                            {[]Cond{Is(InPort16, 0xfffe)}, "in_port=LOCAL"},
		"all bits of ct_state are the eight that there are": {[]Cond{Is(CTState, uint64(New|Trk))}, "ct_state=new|trk"},
		"a mask of all bits of a flow label is no mask":     {[]Cond{Masked(IPv6Label, 5, 0xfffff)}, "ipv6,ipv6_label=0x00005"},
		"a fragment":                                        {[]Cond{IsIPv4, Masked(IPFrag, 1, 3)}, "ip,nw_frag=first"},
		"a frame is implied by its type":                    {[]Cond{Is(PacketType, 0), IsIPv4}, "ip"},
		"a packet without a frame has no type of a frame":   {[]Cond{Is(PacketType, 1<<16|0x800), IsAddr(IPv4Src, netip.MustParseAddr("10.0.0.1"))}, "packet_type=(1,0x800),nw_src=10.0.0.1"},
		"a network service header":                          {[]Cond{Is(NSHSPI, 5)}, "dl_type=0x894f,nsh_spi=0x5"},
		"a tunnel option":                                   {TunMetadata(TunMetadata3, []byte{0, 0x12, 0x34}, nil), "tun_metadata3=0x1234"},
		"a part of a tunnel option":                         {TunMetadata(TunMetadata3, []byte{0x12, 0x34}, []byte{0xff, 0}), "tun_metadata3=0x1200/0xff00"},
		"a tunnel option that is there":                     {TunMetadata(TunMetadata3, nil, []byte{}), "tun_metadata3"},
		"a long tunnel option":                              {TunMetadata(TunMetadata3, slices.Repeat([]byte{0xab}, 20), nil), "tun_metadata3=0xabababababababababababababababababababab"},
	} {
		m := MatchOn(c.conds...)
		if got := m.String(); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		again, err := DecodeMatch(AppendMatch(nil, m))
		if err != nil || !slices.Equal(again, m) {
			t.Errorf("%s: written and read again it is %v, %v", name, again, err)
		}
		if parsed, err := ParseMatch(c.want); (err != nil || !slices.Equal(parsed, m)) && c.want != "dl_type=0x894f,nsh_spi=0x5" {
			t.Errorf("%s: its text is read as %v, %v", name, parsed, err)
		}
	}
}

func TestConditionsThatContradictEachOtherArePanics(t *testing.T) {
	for name, conds := range map[string][]Cond{
		"two protocols":                 {IsIPv4, Is(IPProto, 6), Is(IPProto, 17)},
		"TCP in nothing":                {Is(TCPDst, 80)},
		"an IPv6 address in IPv4":       {IsIPv4, IsAddr(IPv6Src, netip.IPv6Unspecified())},
		"a VLAN ID in an untagged one":  {Is(VLANVID, 0), Is(VLANPCP, 1)},
		"two halves that overlap":       {Masked(Reg0, 1, 3), Masked(Reg0, 0, 1)},
		"two values of a long register": {Is(XXReg0, 1), Is(Reg3, 2)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken", name)
				}
			}()
			MatchOn(conds...)
		}()
	}
}

func TestRefusedMatchesSayWhereAndWhy(t *testing.T) {
	for name, c := range map[string]struct {
		hex, want string
		code      ErrorCode
	}{
		"a port of TCP in nothing":        {"80001a020050", "match at byte 0: OFPBMC_BAD_PREREQ: tcp_src", OFPBMC_BAD_PREREQ},
		"a field that nobody knows":       {"800000040000000180008c0400000001", "match at byte 8: OFPBMC_BAD_FIELD: header 80008c04", OFPBMC_BAD_FIELD},
		"a field twice":                   {"80000004000000018000000400000001", "match at byte 8: OFPBMC_DUP_FIELD: in_port_oxm", OFPBMC_DUP_FIELD},
		"a value beyond its mask":         {"000101080000000300000001", "match at byte 0: OFPBMC_BAD_WILDCARDS: reg0", OFPBMC_BAD_WILDCARDS},
		"a mask where there is none":      {"80000b040800ff00", "match at byte 0: OFPBMC_BAD_MASK: eth_type", OFPBMC_BAD_MASK},
		"a value that cannot be":          {"00011e0400000001" + "80000a0208008000100140", "match at byte 14: OFPBMC_BAD_VALUE: ip_dscp", OFPBMC_BAD_VALUE},
		"a TLV that ends too early":       {"8000000400", "match at byte 4: OFPBMC_BAD_LEN", OFPBMC_BAD_LEN},
		"a header that ends too early":    {"800000", "match at byte 3: OFPBMC_BAD_LEN", OFPBMC_BAD_LEN},
		"an experimenter without a place": {"ffff0002", "match at byte 4: OFPBMC_BAD_LEN", OFPBMC_BAD_LEN},
	} {
		_, err := DecodeMatch(unhex(t, c.hex))
		if !errors.Is(err, c.code) || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestOddTextsOfMatchesAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a number that is too long for flags is cut off":           {"ct_state=4294967297", "ct_state=new"},
		"a later condition replaces an earlier one":                {"reg0=1,reg0=2", "reg0=0x2"},
		"another protocol takes the ports along":                   {"udp,tp_dst=53,tcp", "tcp,tp_dst=53"},
		"the address of an ARP":                                    {"arp,nw_src=10.0.0.1", "arp,arp_spa=10.0.0.1"},
		"the type of an ICMP by the name of a port":                {"icmp,tp_src=8", "icmp,icmp_type=8"},
		"a condition that the packet has no field for is left out": {"nw_src=10.0.0.1,reg0=1", "reg0=0x1"},
		"a number without a value asks for nothing":                {"reg0=1,ip,nw_tos", "ip,reg0=0x1"},
		"no VLAN tag":          {"dl_vlan=0xffff", "vlan_tci=0x0000/0x1fff"},
		"a VLAN ID of 13 bits": {"vlan_vid=0x1005", "dl_vlan=5"},
		"parts of a register":  {"reg1[0..3]=5,reg1[4..7]=6", "reg1=0x65/0xff"},
		"a part of an extended register by its header": {"OXM_OF_PKT_REG0[0..7]=9", "reg1=0x9/0xff"},
		"a part of what was the type of an ICMP":       {"icmp_type=57,udp,udp_src[2..5]=0", "udp,tp_src=1"},
		"an address wraps around":                      {"ip,nw_src=300.1.1.1", "ip,nw_src=44.1.1.1"},
		"a reserved port of OpenFlow 1.0":              {"in_port=65534", "in_port=LOCAL"},
		"anything":                                     {"reg0=*,ip", "ip"},
		"values in parentheses and spaces between":     {"tcp tp_dst(80)\treg0:5", "tcp,reg0=0x5,tp_dst=80"},
	} {
		m, err := ParseMatch(c.in)
		if err != nil || m.String() != c.want {
			t.Errorf("%s: %s is read as %v, %v, want %s", name, c.in, m, err, c.want)
		}
	}
}

func TestMistakesInTextsOfMatchesSayWhere(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a field that there is not":         {"tcp,tp_dts=80", `column 5: there is no field "tp_dts"`},
		"an address that is none":           {"ip,nw_src=10.0.0", `column 11: "10.0.0" is not an IPv4 address, ADDRESS/LENGTH or ADDRESS/MASK`},
		"a number that is none":             {"reg0=five", `column 6: "five" is not a number for the 4 bytes of reg0`},
		"a mask that is none":               {"reg0=5/x", `column 8: "x" is not a mask for the 4 bytes of reg0`},
		"a number that is too large":        {"reg0=0x123456789", `column 6: "0x123456789" is not a number for the 4 bytes of reg0`},
		"a mask where there can be none":    {"dl_type=0x800/0xff00", "column 9: eth_type is matched as a whole or not at all: leave out the mask"},
		"a state that there is not":         {"ct_state=+new-old", `column 15: "old" is none of the flags new, est, rel, rpl, inv, trk, snat, dnat`},
		"a state twice":                     {"ct_state=+new+new", "column 15: new stands twice"},
		"a part that is too small":          {"reg0[0..3]=16", "column 12: 16 does not fit into 4 bits"},
		"a field that no switch is told of": {"tun_ttl=5", "column 1: tun_ttl cannot be matched"},
		"a tunnel option twice":             {"tun_metadata0=1,tun_metadata0=2", "column 17: tun_metadata0 stands twice"},
	} {
		_, err := ParseMatch(c.in)
		var at *SyntaxError
		if !errors.As(err, &at) || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func ExampleParseMatch() {
	m, err := ParseMatch("ct_state=+new+trk,tcp,nw_src=10.0.0.0/8,tp_dst=443,reg5=0x10/0xff")
	fmt.Println(m, err)
	_, err = ParseMatch("tcp,nw_src=10.0.0.0/33")
	fmt.Println(err)
	// Output:
	// ct_state=+new+trk,tcp,reg5=0x10/0xff,nw_src=10.0.0.0/8,tp_dst=443 <nil>
	// column 12: "10.0.0.0/33" is not an IPv4 address, ADDRESS/LENGTH or ADDRESS/MASK
}

func ExampleDecodeMatch() {
	tlvs, _ := hex.DecodeString("80000a020800" + "8000140106" + "80001c0201bb") // eth_type, ip_proto, tcp_dst
	m, err := DecodeMatch(tlvs)
	fmt.Println(m, err)
	_, err = DecodeMatch(tlvs[:len(tlvs)-6-5])
	fmt.Println(err)
	_, err = DecodeMatch(tlvs[6+5:])
	fmt.Println(err, errors.Is(err, OFPBMC_BAD_PREREQ))
	// Output:
	// tcp,tp_dst=443 <nil>
	// <nil>
	// match at byte 0: OFPBMC_BAD_PREREQ: tcp_dst true
}

func ExampleMatchOn() {
	m := MatchOn(
		CT(New|Trk, Inv),
		Is(VLANVID, 0x1000|7),
		InPrefix(IPv4Dst, netip.MustParsePrefix("192.0.2.0/24")),
		Masked(Reg5, 0x10, 0xff),
	)
	fmt.Println(m)
	// Output: ct_state=+new-inv+trk,ip,reg5=0x10/0xff,dl_vlan=7,nw_dst=192.0.2.0/24
}
