package ofproto

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
)

// A dice returns a number below n. Texts are made from one, so that rapid can shrink what a
// plain random source can make fast.
type dice func(n int) int

func seeded(seed uint64) dice {
	r := rand.New(rand.NewPCG(seed, 42))
	return r.IntN
}

func (d dice) of(s ...string) string { return s[d(len(s))] }

func (d dice) often() bool { return d(4) > 0 }

// number returns a number of at most the given bits, in one of the ways of writing it.
func (d dice) number(bits int) string {
	v := d.uint(bits)
	if d(3) == 0 {
		return fmt.Sprintf("%#x", v)
	}
	return fmt.Sprint(v)
}

func (d dice) uint(bits int) uint64 {
	v := uint64(d(1<<16))<<48 | uint64(d(1<<16))<<32 | uint64(d(1<<16))<<16 | uint64(d(1<<16))
	switch v &= 1<<bits - 1; d(6) {
	case 0:
		return v & 3
	case 1:
		return 1<<bits - 1
	default:
		return v
	}
}

func (d dice) ip4() string {
	return fmt.Sprintf("%d.%d.%d.%d", 1+d(223), d(256), d(256), d(256))
}

func (d dice) ip6() string {
	return d.of("::1", "2001:db8::1", "fe80::"+fmt.Sprintf("%x", 1+d(65535)), fmt.Sprintf("2001:db8:%x:%x::%x", d(65536), d(65536), d(65536)))
}

func (d dice) mac() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", d(256), d(256), d(256), d(256), d(256), d(256))
}

func (d dice) port() string {
	return d.of("1", "2", fmt.Sprint(d(65279)), "LOCAL", "in_port", "CONTROLLER", "65279", "65534")
}

// A setting is a sort of packet: what a match says of it, and which fields it then has.
type setting struct {
	match string
	needs []prereq
}

var settings = []setting{
	{"", nil},
	{"", nil},
	{"ip", []prereq{isIPv4, isIP}},
	{"ipv6", []prereq{isIPv6, isIP}},
	{"tcp", []prereq{isIPv4, isIP, isTCP}},
	{"tcp6", []prereq{isIPv6, isIP, isTCP}},
	{"udp", []prereq{isIPv4, isIP, isUDP}},
	{"udp6", []prereq{isIPv6, isIP, isUDP}},
	{"sctp", []prereq{isIPv4, isIP, isSCTP}},
	{"sctp6", []prereq{isIPv6, isIP, isSCTP}},
	{"icmp", []prereq{isIPv4, isIP, isICMPv4}},
	{"icmp6", []prereq{isIPv6, isIP, isICMPv6}},
	{"icmp6,icmp_type=135,icmp_code=0", []prereq{isIPv6, isIP, isND, isNDSolicit}},
	{"icmp6,icmp_type=136,icmp_code=0", []prereq{isIPv6, isIP, isND, isNDAdvert}},
	{"arp", []prereq{isARP}},
	{"rarp", []prereq{isARP}},
	{"mpls", []prereq{isMPLS}},
	{"dl_vlan=5", []prereq{isVLAN}},
	{"dl_type=0x894f", []prereq{isNSH}},
	{"ct_state=+trk,tcp", []prereq{isCT, isIPv4, isIP, isTCP}},
}

func (s setting) has(f Field) bool {
	n := info[f].needs
	return n == always || n == isEthernet || slices.Contains(s.needs, n)
}

// field returns a field that a packet of the setting has.
func (d dice) field(s setting, ok func(Field) bool) Field {
	for {
		f := Field(1 + d(int(numFields)-1))
		if tun := f >= TunMetadata0 && f <= TunMetadata63; s.has(f) && !tun && (ok == nil || ok(f)) {
			return f
		}
	}
}

func isWritable(f Field) bool {
	return len(info[f].codes) > 0 && info[f].access&writable != 0 && f != CTMark && f != CTLabel && f != InPort && f != InPort16
}

// value returns a value of f as a text, without a mask.
func (d dice) value(f Field) string {
	i := &info[f]
	switch i.format {
	case ipv4:
		return d.ip4()
	case ipv6:
		return d.ip6()
	case mac:
		return d.mac()
	case port, port16:
		return d.port()
	case ctState:
		return d.of("+trk", "+new+trk", "+est+trk-rel", "+trk+inv", "0x21/0x21", "-new+est-rel-inv+trk", "+snat+trk", "-trk")
	case frag:
		return d.of("no", "yes", "first", "later", "not_later")
	case tcpFlags:
		return d.of("+syn-ack", "0x2/0x12", "+fin+psh", "0xfff", "-urg", "+ns")
	case tunFlags:
		return d.of("oam", "+oam", "-oam", "1/1")
	case packetType:
		return d.of("(0,0)", "(1,0x800)", "(1,0x86dd)", "(1,0x894f)")
	}
	if i.bits > 64 {
		return fmt.Sprintf("0x%x%016x", d(1<<16), d.uint(63))
	}
	return d.number(int(i.bits))
}

// masked adds a mask to a value of f, at times.
func (d dice) masked(f Field, value string) string {
	i := &info[f]
	if i.access&maskable == 0 || d.often() {
		return value
	}
	switch i.format {
	case ipv4:
		return value + "/" + d.of(fmt.Sprint(d(33)), "255.255.255.0", "255.0.255.0")
	case ipv6:
		return value + "/" + d.of(fmt.Sprint(d(129)), "ffff::", "ffff:ffff::ffff")
	case mac:
		return value + "/" + d.of("ff:ff:ff:00:00:00", "01:00:00:00:00:00", d.mac())
	case decimal, hexadecimal:
		return value + "/" + fmt.Sprintf("%#x", d.uint(min(int(i.bits), 63)))
	}
	return value
}

// matchText returns the conditions of a flow.
func (d dice) matchText(s setting) string {
	var all []string
	if s.match != "" {
		all = append(all, s.match)
	}
	for range d(5) {
		f := d.field(s, nil)
		if f == PacketType || f == ActsetOutput || f == IPProto || f == EthType || f == RecircID {
			continue
		}
		name := info[f].name
		if a := info[f].alias; a != "" && d(2) == 0 {
			name = a
		}
		if d(12) == 0 && info[f].access&maskable != 0 && info[f].bits >= 8 {
			all = append(all, name+"[0..3]="+fmt.Sprint(d(16)))
			continue
		}
		all = append(all, name+"="+d.masked(f, d.value(f)))
	}
	return strings.Join(all, ",")
}

// rareCondition returns a condition that few use, or that needs others.
func (d dice) rareCondition() string {
	tun := fmt.Sprintf("tun_metadata%d", d(64))
	f := Field(1 + d(int(numFields)-1))
	return d.of(
		tun+"="+d.number(62), tun+"="+d.number(62)+"/"+d.number(62), tun, tun+"=*", tun+"[0..31]=5", "eth", "ip4", "ipv4", "ip6", "mplsm", "packet_type=(1,0x800)", "packet_type=(0,0)", "packet_type=(1,0x894f)",
		"dl_vlan=0xffff", "dl_vlan=-1", "dl_vlan=4095", "vlan_vid=0", "vlan_vid=0x1000/0x1000", "vlan_tci=0/0x1000", "vlan_tci=0x1005/0x1fff", "dl_vlan_pcp=8", "ip_dscp=0x3f", "nw_tos=252", "nw_tos=1", "nw_ecn=4",
		"in_port="+d.port(), "in_port=ANY", "in_port=UNSET", "actset_output="+d.port(), "recirc_id=5", "skb_priority=5", "ct_state=0x7/0x7", "ct_state=+new-new", "ct_state=", "ct_state=+trk+foo", "ct_state=-trk",
		"nw_src=10.0.0.1/255.0.255.0", "nw_src=1.2.3.4/0", "ipv6_src=::/0", "ipv6_src=fe80::1/ffff::1", "nw_frag=maybe", "nw_frag=1/3", "tcp_flags=+syn+foo", "tcp_flags=0x1000", "tun_flags=+foo", "tun_id=5/-1", "tunnel_id=0x",
		"dl_type=0x05ff", "dl_type=0x88a8", "dl_src=01:02:03:04:05:06/ff:ff", "dl_src=1:2:3:4:5:6", "nw_proto=6", "tp_src=5", "tp_dst=5/0xff", "icmp_type=8", "icmp_code=1", "nd_target=::1", "arp_op=1", "arp_op=256", "arp_tpa=1.2.3.4", "metadata=1/2/3",
		info[f].name+"="+d.value(f)+"/"+d.value(f), info[f].name, info[f].name+"=*", info[f].name+"[]=1", info[f].name+"[0]=1", info[f].name+"[3..5]="+d.number(3), info[f].name+"="+d.number(62),
	)
}

// subfieldText returns bits of a field: count of them, or any if count is zero.
func (d dice) subfieldText(f Field, count int) string {
	i := &info[f]
	name := i.name
	if n := len(i.codes); n > 0 && d(2) == 0 {
		name = i.codes[d(n)].name
	}
	width := int(i.bits)
	if count == 0 {
		if d(3) == 0 {
			return name + d.of("[]", "")
		}
		count = 1 + d(width)
	}
	first := d(width - count + 1)
	if count == 1 {
		return fmt.Sprintf("%s[%d]", name, first)
	}
	return fmt.Sprintf("%s[%d..%d]", name, first, first+count-1)
}

func (d dice) registers(count int) string {
	f := Reg0 + Field(d(16))
	if count > 32 {
		f = XXReg0 + Field(d(4))
	}
	return d.subfieldText(f, count)
}

// moveText copies bits of a field into a register, or of a register into a field.
func (d dice) moveText(s setting) string {
	f := d.field(s, func(f Field) bool { return isWritable(f) && info[f].format != tunFlags })
	n := 1 + d(min(int(info[f].bits), 128))
	if d(2) == 0 {
		return "move:" + d.subfieldText(f, n) + "->" + d.registers(n)
	}
	return "move:" + d.registers(n) + "->" + d.subfieldText(f, n)
}

func (d dice) setText(s setting) string {
	f := d.field(s, isWritable)
	return "set_field:" + d.masked(f, d.value(f)) + "->" + info[f].name
}

func (d dice) loadText(s setting) string {
	f := d.field(s, isWritable)
	n := 1 + d(min(int(info[f].bits), 64))
	return fmt.Sprintf("load:%#x->%s", d.uint(n), d.subfieldText(f, n))
}

func (d dice) natText(s setting) string {
	addr, brackets := d.ip4(), false
	if strings.HasSuffix(s.match, "6") || strings.Contains(s.match, "v6") {
		addr, brackets = d.ip6(), true
	}
	kind := d.of("src", "dst")
	to := "=" + addr
	if last := d.ip4(); d(4) == 0 && !brackets && netip.MustParseAddr(addr).Less(netip.MustParseAddr(last)) {
		to += "-" + last
	}
	if d(2) == 0 {
		if brackets {
			to = "=[" + addr + "]"
		}
		to += fmt.Sprintf(":%d", 1+d(1000))
		if d(2) == 0 {
			to += fmt.Sprintf("-%d", 1001+d(1000))
		}
		to += d.of("", ",random", ",hash", ",persistent", ",persistent,random")
	}
	return d.of("nat", "nat("+kind+")", "nat("+kind+to+")")
}

func (d dice) ctText(s setting) string {
	var args []string
	commit := d.often()
	if commit {
		args = append(args, "commit")
	}
	if commit && d(3) == 0 {
		args = append(args, "force")
	}
	if d(2) == 0 {
		args = append(args, "table="+fmt.Sprint(d(250)))
	}
	if d(2) == 0 {
		args = append(args, "zone="+d.of(d.number(16), d.registers(16), "NXM_NX_CT_ZONE[]"))
	}
	if d(3) == 0 {
		args = append(args, d.natText(s))
	}
	if d(4) == 0 && commit {
		args = append(args, "alg="+d.of("ftp", "tftp"))
	}
	if commit && d(2) == 0 {
		args = append(args, "exec("+d.of("set_field:"+d.number(32)+"->ct_mark", "set_field:0x5/0xf->ct_mark", "load:0x1->NXM_NX_CT_LABEL[127]", "move:NXM_NX_REG9[]->NXM_NX_CT_MARK[],set_field:0x2->ct_label")+")")
	}
	return "ct(" + strings.Join(args, ",") + ")"
}

func (d dice) learnText(s setting) string {
	args := []string{"table=" + fmt.Sprint(d(250))}
	for _, a := range []string{"idle_timeout=" + d.number(16), "hard_timeout=" + d.number(16), "priority=" + d.number(16), "cookie=" + d.number(63), "send_flow_rem", "delete_learned", "fin_idle_timeout=7", "fin_hard_timeout=8", "limit=" + d.number(16), "limit=3,result_dst=" + d.registers(1)} {
		if d(5) == 0 {
			args = append(args, a)
		}
	}
	for range 1 + d(3) {
		args = append(args, d.of(
			"eth_type=0x800", "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]", "NXM_OF_VLAN_TCI[0..11]", "reg1=0x5",
			"output:NXM_OF_IN_PORT[]", "output:reg3[0..15]", "load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]",
			"load:0x7->NXM_NX_REG2[0..3]", "load:0->NXM_OF_VLAN_TCI[]", "NXM_NX_REG0[0..15]=NXM_NX_REG1[16..31]", "eth_src=02:00:00:00:00:01",
		))
	}
	return "learn(" + strings.Join(args, ",") + ")"
}

func (d dice) controllerText() string {
	var args []string
	for _, a := range []string{"max_len=" + d.number(16), "reason=" + d.of("action", "no_match", "invalid_ttl", "action_set", "group", "packet_out"), "id=" + d.number(16), "userdata=00.01.fe.ff", "userdata=", "pause", "meter_id=" + d.number(16)} {
		if d(3) == 0 {
			args = append(args, a)
		}
	}
	return "controller(" + strings.Join(args, ",") + ")"
}

// actionText returns one action that a packet of the setting can have. Within is what it
// stands in: "" is a flow.
func (d dice) actionText(s setting, within string) string {
	switch d(20) {
	case 0, 1:
		return d.setText(s)
	case 2:
		return d.loadText(s)
	case 3:
		return d.moveText(s)
	case 4:
		if strings.Contains(s.match, "ip") || slices.Contains(s.needs, isIP) {
			return d.ctText(s)
		}
	case 5:
		return d.learnText(s)
	case 6:
		return d.controllerText()
	case 7, 8:
		return d.of("output:", "") + d.port()
	case 9:
		if within == "" {
			return "clone(" + d.listText(s, "clone") + ")"
		}
	case 10:
		if slices.Contains(s.needs, isIP) {
			return d.of("dec_ttl", "dec_ttl(1)", "dec_ttl(1,2,3)", "mod_nw_ttl:"+d.number(8), "mod_nw_ecn:"+fmt.Sprint(d(4)), "mod_nw_tos:"+fmt.Sprint(4*d(64)), "set_nw_ttl:7")
		}
		if slices.Contains(s.needs, isMPLS) {
			return d.of("dec_mpls_ttl", "set_mpls_ttl:"+d.number(8), "set_mpls_label:"+d.number(20), "set_mpls_tc:"+fmt.Sprint(d(8)), "pop_mpls:0x8847", "push_mpls:0x8848")
		}
		return d.of("strip_vlan", "pop_vlan", "push_vlan:0x8100", "push_vlan:0x88a8", "mod_vlan_vid:"+d.number(12), "mod_vlan_pcp:"+fmt.Sprint(d(8)), "push_mpls:0x8847")
	}
	return d.of(
		"normal", "flood", "ALL", "output:"+d.registers(0), "output(port="+fmt.Sprint(1+d(100))+",max_len="+d.number(15)+")", "group:"+d.number(8),
		"enqueue:"+fmt.Sprint(1+d(100))+":"+d.number(8), "set_queue:"+d.number(32), "pop_queue", "set_tunnel:"+d.number(32), "set_tunnel64:"+d.number(63),
		"mod_dl_src:"+d.mac(), "mod_dl_dst:"+d.mac(), "resubmit(,"+fmt.Sprint(d(255))+")", "resubmit("+fmt.Sprint(1+d(99))+","+fmt.Sprint(d(255))+")", "resubmit:"+fmt.Sprint(1+d(99)), "resubmit(in_port,3)",
		"note:"+d.of("01", "01.02.03", "00.01.02.03.04.05.06", "de.ad"), "exit", "ct_clear", "check_pkt_larger("+d.number(16)+")->"+d.registers(1),
		"multipath("+d.of("eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3")+","+d.number(16)+","+d.of("modulo_n", "hash_threshold", "hrw", "iter_hash")+",1,"+d.number(16)+","+d.registers(1)+")",
		"bundle("+d.of("eth_src", "symmetric_l4")+","+d.number(16)+","+d.of("active_backup", "hrw")+",ofport,members:"+d.of("1", "1,2", "LOCAL,3")+")",
		"bundle_load(symmetric_l4,"+d.number(16)+",hrw,ofport,"+d.registers(16)+",members:4,8)",
		"sample(probability="+fmt.Sprint(1+d(65535))+",collector_set_id="+d.number(32)+",obs_domain_id="+d.number(32)+",obs_point_id="+d.number(32)+d.of("", ",sampling_port=5", ",sampling_port=7,egress", ",ingress")+")",
		d.rareText(s), d.rareText(s), d.rareText(s), "push:"+d.registers(0), "pop:"+d.registers(0), "set_field:0x1234->reg7", "controller:"+d.number(16), "CONTROLLER",
	)
}

// rareText returns one of the actions that few use.
func (d dice) rareText(s setting) string {
	tun := fmt.Sprintf("tun_metadata%d", d(64))
	f := d.field(s, isWritable)
	return d.of(
		"set_field:"+d.number(62)+"->"+tun, "set_field:"+d.number(16)+"/0xff->"+tun, "load:"+d.number(8)+"->NXM_NX_TUN_METADATA"+fmt.Sprint(d(64))+"[0..31]",
		"move:"+tun+"[0..31]->NXM_NX_REG0[]", "delete_field:"+tun, "delete_field:reg0", "push:"+tun, "move:reg1[]->"+tun+"[3..34]",
		"encap(ethernet)", "encap(nsh)", "encap(nsh(md_type=1))", "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))", "encap(nsh(md_type=2,tlv(0x1000,10,0x12),tlv(0x2000,20,0xfedcba9876543210)))", "encap(mpls)", "encap(mpls_mcast)",
		"decap", "decap()", "decap(packet_type(ns=0,type=0))", "decap(packet_type(ns=1,type=0x894f))", "decap(packet_type(ns=0,type=0xfffe))",
		"dec_nsh_ttl", "fin_timeout(idle_timeout="+d.number(16)+",hard_timeout=3)", "fin_timeout()", "debug_recirc", "debug_slow", "set_queue(5)", "GROUP:3", "Output:5", "CT_clear",
		"controller(userdata=0102.03 ff)", "controller(pause,id="+d.number(16)+")", "output(max_len=100,port="+d.port()+")", "output:"+tun+"[0..15]",
		"mod_tp_src:"+d.number(16), "mod_tp_dst:"+d.number(16), "mod_nw_src:"+d.ip4(), "mod_nw_dst:"+d.ip4(), "set_vlan_vid:"+d.number(12), "set_vlan_pcp:"+d.of("0", "7"), "set_eth_src:"+d.mac(),
		"copy_field:reg0->reg1", "copy_field:src=reg0,dst=reg1", "set_field:"+d.value(f)+"->"+info[f].name+"[]", "set_field("+d.value(f)+"->"+info[f].name+")", "load("+d.number(8)+"->reg3[])",
		"ct(zone="+d.number(16)+",commit,exec(set_field:"+d.number(32)+"->ct_mark,set_field:"+d.number(62)+"->ct_label,load:"+d.number(8)+"->ct_label[64..71]))",
		"ct(commit,nat(src="+d.ip4()+":"+d.number(16)+"-"+d.number(16)+"),alg="+d.of("ftp", "tftp", "sip", "21")+")", "ct(nat)", "ct(force,commit)", "ct(table=255)", "ct(nat(dst="+d.ip6()+"-"+d.ip6()+",hash))",
		"learn(table="+d.number(8)+","+d.of("in_port", "in_port_oxm", "eth_type", "vlan_vid", "nw_proto", "ip_dscp", "tcp_dst")+"="+d.of(d.number(8), d.port(), "reg0[0..15]", "LOCAL")+",load:"+d.number(16)+"->"+d.registers(16)+")",
		"learn(nw_dst="+d.ip4()+",NXM_OF_IP_SRC[]=NXM_OF_IP_DST[],eth_type=2048,output:NXM_NX_REG0[0..15])", "learn(ipv6_dst="+d.ip6()+",eth_type=0x86dd,"+tun+"=5,load:reg0[]->"+tun+"[0..31])",
		"resubmit(,5,ct)", "resubmit(1,)", "resubmit(1)", "resubmit("+d.port()+","+d.number(8)+")", "resubmit:"+d.port(), "bundle(symmetric_l3l4,0,hrw,ofport,slaves:1,2)", "bundle_load(eth_src,0,active_backup,ofport,reg0[],members:)",
		"multipath(symmetric_l3l4+udp,50,iter_hash,"+d.number(16)+",3,"+d.registers(4)+")", "multipath(eth_src,50,modulo_n,16,0,"+d.registers(4)+")",
		"sample(probability=1)", "sample(probability=65535,collector_set_id=-1,sampling_port="+d.port()+")", "check_pkt_larger:5", "dec_ttl()", "dec_ttl(,)", "dec_mpls_ttl(1)", "push_mpls:0x8848", "pop_mpls:"+d.number(16), "exit:", "note:",
		"conjunction(1,1/2)", "write_metadata:"+d.number(62)+"/"+d.number(62), "apply_actions(output:1)", "table=3", "next_table:3", "goto_table:254", "stats_trigger",
	)
}

func (d dice) listText(s setting, within string) string {
	all := []string{d.actionText(s, within)}
	for range d(3) {
		all = append(all, d.actionText(s, within))
	}
	return strings.Join(all, ",")
}

// flowText returns a flow that most often can be sent and installed.
func (d dice) flowText() string {
	s := settings[d(len(settings))]
	table := d(250)
	var all []string
	for _, a := range []string{"table=" + fmt.Sprint(table), "priority=" + d.number(16), "cookie=" + d.number(63)} {
		if d.often() {
			all = append(all, a)
		}
	}
	for _, a := range []string{"idle_timeout=" + d.number(16), "hard_timeout=" + d.number(16), "importance=" + d.number(16), "send_flow_rem", "reset_counts", "no_packet_counts", "no_byte_counts"} {
		if d(12) == 0 {
			all = append(all, a)
		}
	}
	if m := d.matchText(s); m != "" {
		all = append(all, m)
	}
	if d(8) == 0 {
		all = append(all, d.rareCondition())
	}
	return strings.Join(append(all, "actions="+d.instructionsText(s, table)), ",")
}

func (d dice) instructionsText(s setting, table int) string {
	switch d(30) {
	case 0:
		return "drop"
	case 1:
		return fmt.Sprintf("conjunction(%d,%d/%d)", d(1000), 1+d(3), 3+d(5))
	}
	var all []string
	if d(25) == 0 {
		all = append(all, "meter:"+fmt.Sprint(1+d(3)))
	}
	all = append(all, d.listText(s, ""))
	if d(15) == 0 {
		all = append(all, "clear_actions")
	}
	if d(15) == 0 {
		all = append(all, "write_actions("+d.of("output:1", "set_field:5->reg0,output:2", "push_vlan:0x8100,set_field:4101->vlan_vid,output:3", "group:4", "output:2")+")")
	}
	if d(10) == 0 {
		all = append(all, "write_metadata:"+d.number(32)+d.of("", "/0xff"))
	}
	if d(6) == 0 {
		all = append(all, "goto_table:"+fmt.Sprint(table+1+d(253-table)))
	}
	return strings.Join(all, ",")
}

// groupText returns a group that most often can be sent.
func (d dice) groupText() string {
	s := settings[0]
	typ := d.of("all", "select", "indirect", "ff", "fast_failover")
	text := fmt.Sprintf("group_id=%d,type=%s", d(5000), typ)
	if typ == "select" && d(3) == 0 {
		text += d.of(",selection_method=dp_hash", ",selection_method=hash,fields(ip_src,ip_dst)", ",selection_method=hash,fields=ip_src,selection_method_param=0x5")
	}
	n := d(4)
	if typ == "indirect" {
		n = 1
	}
	for range n {
		text += ",bucket="
		if typ == "select" && d(2) == 0 {
			text += d.of("weight:", "weight=") + d.number(16) + ","
		}
		if typ[0] == 'f' || d(5) == 0 {
			text += d.of("watch_port:"+fmt.Sprint(1+d(100)), "watch_group:"+fmt.Sprint(1+d(100)), "watch_port=1,watch_group=2") + ","
		}
		if d(8) == 0 {
			text += "bucket_id:" + fmt.Sprint(d(9)) + ","
		}
		text += d.of("actions=", "") + d.listText(s, "")
	}
	return text
}

// meterText returns a meter that most often can be sent.
func (d dice) meterText() string {
	text := "meter=" + d.of(fmt.Sprint(1+d(1000)), "controller", "slowpath") + "," + d.of("kbps", "pktps")
	burst := d(2) == 0
	if burst {
		text += ",burst"
	}
	text += d.of("", ",stats") + ",bands="
	for i := range 1 + d(3) {
		if i > 0 {
			text += ","
		}
		text += d.of("type=drop", fmt.Sprintf("type=dscp_remark,prec_level=%d", 1+d(255))) + ",rate=" + d.number(32)
		if burst {
			text += ",burst_size=" + d.number(32)
		}
	}
	return text
}
