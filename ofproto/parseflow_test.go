package ofproto

import (
	"errors"
	"testing"
)

func TestFlowModsAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	everything := "00000000" + "0001000400000000" // no flags, and the match of all packets
	anything := "ffffffffffffffffffffffff"        // no buffer, any port, any group
	for name, c := range map[string]struct {
		cmd      FlowCommand
		in, want string // the message without its header; or what is wrong
	}{
		"a flow without a table is put into table 0":           {FlowAdd, "actions=drop", zeroes(16) + "0000000000008000" + anything + everything},
		"table 255 says no table":                              {FlowAdd, "table=255,actions=goto_table:3", zeroes(16) + "0000000000008000" + anything + everything + "0001000803000000"},
		"statistics are read and forgotten":                    {FlowAdd, "cookie=0x5, duration=1.5s, n_packets=3, n_bytes=7, idle_age=2, hard_age=9, actions=drop", "0000000000000005" + zeroes(8) + "0000000000008000" + anything + everything},
		"importance is checked, and not sent":                  {FlowAdd, "importance=7,actions=drop", zeroes(16) + "0000000000008000" + anything + everything},
		"all flags":                                            {FlowAdd, "send_flow_rem,check_overlap,reset_counts,no_packet_counts,no_byte_counts,actions=drop", zeroes(16) + "0000000000008000" + anything + "001f0000" + "0001000400000000"},
		"a modification chooses by the cookie that has a mask": {FlowModify, "cookie=0xff/0x0f,actions=drop", "000000000000000f" + "000000000000000f" + "0001000000008000" + anything + everything},
		"a modification cannot set a cookie in OpenFlow 1.3":   {FlowModifyStrict, "cookie=5,actions=drop", zeroes(16) + "0002000000008000" + anything + everything},
		"a deletion without a table is one in all of them":     {FlowDelete, "", zeroes(16) + "ff03000000008000" + anything + everything},
		"a deletion by cookie, port and group":                 {FlowDelete, "cookie=5/-1,out_port=LOCAL,out_group=7", "0000000000000005ffffffffffffffff" + "ff03000000008000" + "fffffffffffffffe00000007" + everything},
		"port and group 0 are not any":                         {FlowDelete, "out_port=0,out_group=0", zeroes(16) + "ff03000000008000" + "ffffffff0000000000000000" + everything},
		"a strict deletion has a priority":                     {FlowDeleteStrict, "priority=3", zeroes(16) + "ff04000000000003" + anything + everything},
		"the last of two conditions counts":                    {FlowAdd, "tcp,dl_type=0x800,reg0=1,reg0=2,udp,actions=drop", zeroes(16) + "0000000000008000" + anything + "00000000" + "0001001780000a020800800014011100010004" + "00000002" + "00"},
		"the packet type has the last word on the EtherType":   {FlowAdd, "arp,packet_type=(1,0x800),actions=drop", zeroes(16) + "0000000000008000" + anything + "00000000" + "000100128000580400010800" + "80000a020800" + "000000000000"},
		"no actions":                              {FlowAdd, "tcp", "column 4: actions=... is missing at the end: actions=drop does nothing"},
		"actions without an equals sign":          {FlowAdd, "tcp,actions", "column 5: want actions=..."},
		"a field that there is not":               {FlowAdd, "tcp,tp_dest=80,actions=drop", `column 5: there is no field "tp_dest"`},
		"a field without its value":               {FlowAdd, "priority,actions=drop", "column 10: priority has no value"},
		"a priority that 16 bits do not hold":     {FlowAdd, "tcp,priority=65536,actions=drop", "column 14: 65536 is not a number from 0 to 65535"},
		"a table that there is not":               {FlowAdd, "table=256,actions=drop", `column 7: "256" is not a number from 0 to 255`},
		"a mask of the cookie of a new flow":      {FlowAdd, "cookie=1/2,actions=drop", "column 9: a flow that is added has a cookie without a mask"},
		"a cookie without a mask in a deletion":   {FlowDelete, "cookie=5", "column 8: to choose flows by their cookie, say its mask: cookie=5/-1"},
		"actions in a deletion":                   {FlowDelete, "tcp,actions=drop", `column 5: there is no field "actions"`},
		"a priority in a deletion of many":        {FlowDelete, "priority=3", "column 1: priority cannot be said here: another command takes it"},
		"a port in an addition":                   {FlowAdd, "out_port=3,actions=drop", "column 1: out_port cannot be said here: another command takes it"},
		"an action that there is not":             {FlowAdd, "tcp,actions=output:1,outptu:2", `column 22: there is no action "outptu"`},
		"an action that the packets do not have":  {FlowAdd, "arp,actions=output:1,dec_ttl", "column 22: dec_ttl does not go with the match of the flow"},
		"a command that there is not":             {5, "actions=drop", "column 1: there is no command 5 for flows"},
		"a table that a flow cannot go back to":   {FlowAdd, "table=3,actions=output:2,goto_table:3", "column 26: goto_table:3 does not go with the match or the table of the flow"},
		"a field that no OpenFlow can match":      {FlowAdd, "skb_priority=3,actions=drop", "column 1: skb_priority cannot be matched"},
		"an instruction that does not come last":  {FlowAdd, "actions=goto_table:3,output:1", "column 22: apply_actions has to stand before goto_table"},
		"two actions that drop, and one that not": {FlowAdd, "actions=drop,drop,output:1", "column 14: drop cannot stand beside other actions"},
	} {
		m, err := ParseFlowMod(c.cmd, c.in)
		if got := sent(m, err); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", name, c.in, got, c.want)
		}
	}
}

func TestATextThatCannotBeSentWrapsTheErrorOfTheSwitch(t *testing.T) {
	for in, want := range map[string]ErrorCode{
		"arp,actions=ct(table=2)":                OFPBAC_MATCH_INCONSISTENT,
		"table=3,actions=goto_table:3":           OFPBIC_BAD_TABLE_ID,
		"skb_priority=3,actions=drop":            OFPBAC_MATCH_INCONSISTENT,
		"actions=enqueue:CONTROLLER:1":           OFPBAC_BAD_OUT_PORT,
		"actions=conjunction(1,1/2),output:1":    0, // ovs-ofctl does not come to send it
		"tcp,actions=set_field:1->ct_mark":       0,
		"actions=pop_vlan":                       0, // OpenFlow 1.0 could say it
		"actions=pop_vlan,push_vlan:0x8100":      OFPBAC_MATCH_INCONSISTENT,
		"reset_counts,actions=strip_vlan":        OFPBAC_MATCH_INCONSISTENT,
		"actions=pop_vlan,clone(output:1),flood": 0,
	} {
		_, err := ParseFlow(in)
		var code ErrorCode
		if errors.As(err, &code); err == nil || code != want {
			t.Errorf("%s: %v, want %v", in, err, want)
		}
	}
}
