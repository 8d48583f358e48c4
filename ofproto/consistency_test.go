package ofproto

import (
	"errors"
	"testing"
)

// What Open vSwitch 3.1 says when it reads a flow-mod with such a match and such actions.
var consistency = []struct {
	name    string
	match   string
	table   Table
	actions string
	err     ErrorCode
}{
	{"a third VLAN tag", "", 0, "push_vlan:0x8100,push_vlan:0x8100,push_vlan:0x8100", OFPBAC_BAD_TAG},
	{"a third VLAN tag after one was taken off", "", 0, "push_vlan:0x8100,push_vlan:0x8100,pop_vlan,push_vlan:0x8100", 0},
	{"a second VLAN tag on packets that have one", "vlan_tci=0x1000/0x1000", 0, "push_vlan:0x8100,pop_vlan,pop_vlan", 0},
	{"no VLAN tag to take off", "", 0, "pop_vlan", OFPBAC_MATCH_INCONSISTENT},
	{"no VLAN tag to take off, in an action set", "", 0, "write_actions(pop_vlan)", 0},
	{"no VLAN tag to take off, in a clone", "", 0, "clone(pop_vlan)", OFPBAC_MATCH_INCONSISTENT},
	{"a VLAN tag that a clone put on", "", 0, "clone(push_vlan:0x8100),pop_vlan", OFPBAC_MATCH_INCONSISTENT},
	{"a third VLAN tag in an action set", "", 0, "write_actions(push_vlan:0x8100,push_vlan:0x8100,push_vlan:0x8100)", OFPBAC_BAD_TAG},
	{"a VLAN of packets without a tag", "", 0, "set_field:4101->vlan_vid", OFPBAC_MATCH_INCONSISTENT},
	{"a VLAN of packets that get a tag", "", 0, "push_vlan:0x8100,set_field:4101->vlan_vid", 0},
	{"a priority of packets without a tag", "", 0, "set_field:1->vlan_pcp", OFPBAC_MATCH_INCONSISTENT},
	{"a tag that a set_field puts on", "", 0, "set_field:0x1005->vlan_tci,pop_vlan", 0},
	{"an address of packets that are not IP", "arp", 0, "set_field:10.0.0.1->ip_src", OFPBAC_MATCH_INCONSISTENT},
	{"an address of IPv6 packets", "ipv6", 0, "set_field:10.0.0.1->ip_src", OFPBAC_MATCH_INCONSISTENT},
	{"a port of packets of another protocol", "udp", 0, "set_field:80->tcp_dst", OFPBAC_MATCH_INCONSISTENT},
	{"a port of later fragments", "tcp,ip_frag=later", 0, "set_field:80->tcp_dst", OFPBAC_MATCH_INCONSISTENT},
	{"a target of neighbour discovery", "icmp6,icmp_type=135,icmp_code=0", 0, "set_field:2001:db8::1->nd_target", 0},
	{"a target of another ICMPv6 code", "icmp6,icmp_type=135,icmp_code=1", 0, "move:NXM_NX_ND_TARGET[]->NXM_NX_XXREG0[]", OFPBAC_MATCH_INCONSISTENT},
	{"an address of packets that have become MPLS", "ip", 0, "push_mpls:0x8847,set_field:10.0.0.1->ip_src", OFPBAC_MATCH_INCONSISTENT},
	{"an address of packets that are no longer MPLS", "mpls", 0, "pop_mpls:0x0800,set_field:10.0.0.1->ip_src", 0},
	{"a port of packets that were MPLS: the protocol is not known", "tcp", 0, "push_mpls:0x8847,pop_mpls:0x0800,set_field:80->tcp_dst", OFPBAC_MATCH_INCONSISTENT},
	{"no label to take off", "ip", 0, "pop_mpls:0x0800", OFPBAC_MATCH_INCONSISTENT},
	{"a TTL of packets that are not IP", "arp", 0, "dec_ttl", OFPBAC_MATCH_INCONSISTENT},
	{"a TTL of packets that are not IP, and then a ct, for which it is refused", "arp", 0, "dec_ttl,ct(commit)", OFPBAC_MATCH_INCONSISTENT},
	{"a TTL of packets that are not IP, and then a table that is not later, for which it is refused", "arp", 3, "dec_ttl,goto_table:2", OFPBIC_BAD_TABLE_ID},
	{"a source address of decapsulated packets", "", 0, "decap(),set_field:00:00:00:00:00:01->eth_src", OFPBAC_MATCH_INCONSISTENT},
	{"an NSH header of packets that get one", "ip", 0, "encap(nsh),set_field:1->nsh_si", 0},
	{"an NSH header of packets that have none", "ip", 0, "set_field:1->nsh_si", OFPBAC_MATCH_INCONSISTENT},
	{"a ct of packets that are not IP", "", 0, "ct(commit)", OFPBAC_MATCH_INCONSISTENT},
	{"a ct of packets that have become IP", "mpls", 0, "pop_mpls:0x86dd,ct(commit)", 0},
	{"a ct that sets a mark in an exec", "ip", 0, "ct(commit,exec(set_field:1->ct_mark))", 0},
	{"a ct whose nat is of the other family", "ipv6", 0, "ct(commit,nat(src=10.0.0.1))", OFPBAC_MATCH_INCONSISTENT},
	{"a ct in the zone of a register looks no further", "ipv6", 0, "ct(commit,zone=reg0[0..15],nat(src=10.0.0.1))", 0},
	{"a ct in a zone from a field that the packet does not have", "ip", 0, "ct(commit,zone=NXM_OF_TCP_SRC[])", OFPBAC_MATCH_INCONSISTENT},
	{"a commit of what is invalid", "ip,ct_state=+trk+inv", 0, "ct(commit)", OFPBAC_MATCH_INCONSISTENT},
	{"a ct of what is invalid", "ip,ct_state=+trk+inv", 0, "ct(table=1)", 0},
	{"an ALG of another protocol", "udp", 0, "ct(commit,alg=ftp)", OFPBAC_MATCH_INCONSISTENT},
	{"the tuple of what may be invalid", "ip,ct_state=+trk", 0, "resubmit(,1,ct)", OFPBAC_MATCH_INCONSISTENT},
	{"the tuple of what is not invalid", "ip,ct_state=+trk-inv", 0, "resubmit(,1,ct)", 0},
	{"the tuple of a reply", "ip,ct_state=+rpl+trk", 0, "resubmit(,1,ct)", 0},
	{"a learn from a field that the packet does not have", "", 0, "learn(NXM_OF_IN_PORT[],load:NXM_OF_IP_SRC[]->NXM_NX_REG0[])", OFPBAC_MATCH_INCONSISTENT},
	{"a learn of a field before what it needs", "ip", 0, "learn(NXM_OF_IP_SRC[],eth_type=0x800)", OFPBAC_MATCH_INCONSISTENT},
	{"a learn of a field after what it needs", "ip", 0, "learn(eth_type=0x800,NXM_OF_IP_SRC[])", 0},
	{"a learn of a field after half of what it needs", "ip", 0, "learn(NXM_OF_ETH_TYPE[8..15]=8,NXM_OF_ETH_TYPE[0..7]=0,NXM_OF_IP_SRC[])", OFPBAC_MATCH_INCONSISTENT},
	{"a fin_timeout of UDP", "udp", 0, "fin_timeout(idle_timeout=1)", OFPBAC_MATCH_INCONSISTENT},
	{"a goto_table of the same table", "", 3, "goto_table:3", OFPBIC_BAD_TABLE_ID},
	{"a goto_table of table 255, which is none", "", NoTable, "goto_table:3", 0},
	{"a meter that is virtual", "", 0, "meter:0xffff0001", OFPMMFC_INVALID_METER},
	{"a deleted field that is no tunnel option", "", 0, "delete_field:reg0", OFPBAC_BAD_ARGUMENT},
}

func TestActionsHaveToGoWithTheMatch(t *testing.T) {
	for _, c := range consistency {
		t.Run(c.name, func(t *testing.T) {
			m, err := ParseMatch(c.match)
			if err != nil {
				t.Fatal(err)
			}
			actions, err := ParseInstructions(c.actions)
			if err != nil {
				t.Fatal(err)
			}
			err = checkConsistent(m, c.table, actions)
			if c.err == 0 && err != nil || c.err != 0 && !errors.Is(err, c.err) {
				t.Errorf("%s actions=%s: %v, want %v", c.match, c.actions, err, c.err)
			}
		})
	}
}

// TestActionsHaveToGoWithTheMatchAsInOpenVSwitch asks whether the table above is true.
func TestActionsHaveToGoWithTheMatchAsInOpenVSwitch(t *testing.T) {
	hunted(t, 0)
	var messages [][]byte
	for i, c := range consistency {
		m, _ := ParseMatch(c.match)
		actions, _ := ParseInstructions(c.actions)
		instructions, err := AppendInstructions(nil, actions)
		if err != nil {
			t.Fatal(err)
		}
		b := flowModOf(i+1, byte(c.table), appendMatch(nil, m), instructions)
		if c.table == NoTable {
			b[25] = byte(FlowDelete)
		}
		messages = append(messages, b)
	}
	for i, got := range ofpParse(t, messages) {
		c := consistency[i]
		if c.err == 0 && got != "" || c.err != 0 && got != c.err.Error() {
			t.Errorf("%s: %s actions=%s: Open vSwitch says %q, the table %v", c.name, c.match, c.actions, got, c.err)
		}
	}
}
