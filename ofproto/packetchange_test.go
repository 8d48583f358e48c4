package ofproto

import (
	"strings"
	"testing"
)

// Actions that make another packet of it, or need a packet of some sort, and matches that know
// some of it: what may stand behind what, and what is sent for the old ones, depends on both.
var (
	changes = []string{
		"mod_vlan_vid:5", "mod_vlan_pcp:2", "set_vlan_vid:6", "set_vlan_pcp:1", "push_vlan:0x8100", "push_vlan:0x88a8", "pop_vlan", "strip_vlan",
		"set_field:4100->vlan_vid", "set_field:3->vlan_pcp", "set_field:0x1005->vlan_tci", "set_field:0->vlan_tci", "set_field:0x1000/0x1000->vlan_tci",
		"load:0x1005->NXM_OF_VLAN_TCI[]", "load:1->NXM_OF_VLAN_TCI[12]", "load:0->NXM_OF_VLAN_TCI[12]", "load:5->OXM_OF_VLAN_VID[0..11]",
		"mod_tp_src:80", "mod_tp_dst:53", "mod_nw_src:1.2.3.4", "mod_nw_tos:4", "mod_nw_ttl:5", "dec_ttl", "set_field:6->tcp_src", "set_field:1.2.3.4->nw_src",
		"push_mpls:0x8847", "pop_mpls:0x0800", "pop_mpls:0x8847", "set_mpls_label:5", "set_mpls_ttl:3",
		"encap(nsh(md_type=1))", "encap(ethernet)", "decap()", "decap(packet_type(ns=1,type=0x800))", "dec_nsh_ttl", "set_field:5->nsh_ttl",
		"set_field:aa:bb:cc:dd:ee:ff->eth_src", "output:1", "set_field:1->reg0", "move:OXM_OF_VLAN_VID[0..11]->reg0[0..11]", "move:NXM_OF_TCP_SRC[]->reg0[0..15]",
	}
	packets = []string{
		"", "ip,", "tcp,", "udp,", "sctp6,", "icmp,", "dl_vlan=5,", "dl_vlan=5,tcp,", "vlan_tci=0x1000/0x1000,ip,", "vlan_tci=0,ip,", "dl_vlan=0xffff,", "mpls,", "mplsm,",
		"arp,", "ipv6,", "dl_type=0x894f,", "packet_type=(1,0x894f),", "packet_type=(1,0x800),", "packet_type=(1,0x8847),", "packet_type=(0,0),tcp,", "tcp,nw_frag=later,",
		"tcp,nw_frag=first,", "dl_vlan_pcp=3,", "vlan_vid=0x1005/0x1fff,", "vlan_vid=0/0x1000,",
	}
)

// changeText returns a list of them, some of which stand in one another.
func (d dice) changeText(depth int) string {
	var all []string
	for range 1 + d(5) {
		switch k := d(20); {
		case k == 0 && depth < 3:
			all = append(all, "clone("+d.changeText(depth+1)+")")
		case k == 1 && depth == 0:
			return strings.Join(append(all, "write_actions("+d.changeText(9)+")"), ",")
		default:
			all = append(all, d.of(changes...))
		}
	}
	return strings.Join(all, ",")
}

func TestActionsThatChangeThePacketAreAnsweredAsOpenVSwitchAnswersThem(t *testing.T) {
	integration(t)
	textHunts[0].hunt(t, textCount(1000), func(i int) string {
		d := seeded(1<<41 + textSeed() + uint64(i))
		return d.of(packets...) + "actions=" + d.changeText(0)
	})
}
