package ofproto_test

import (
	"errors"
	"fmt"
	"net/netip"

	"weir/ofproto"
)

// A flow is read, sent and shown; then a switch has another one, and has to be told.
func Example() {
	want, err := ofproto.ParseFlow("table=1,priority=50,tcp,tp_dst=80,actions=ct(commit,zone=7),output:2")
	if err != nil {
		fmt.Println(err)
		return
	}
	message, err := ofproto.Append(nil, 0, ofproto.FlowMod{Flow: want})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := ofproto.Print(message)
	fmt.Println(text, err)

	have := want
	have.Actions = nil
	plan := ofproto.Diff(ofproto.Tables{Flows: []ofproto.Flow{want}}, ofproto.Tables{Flows: []ofproto.Flow{have}})
	fmt.Println("put", plan.PutFlows[0])
	// Output:
	// OFPT_FLOW_MOD (OF1.3) (xid=0x0): ADD table:1 priority=50,tcp,tp_dst=80 actions=ct(commit,zone=7),output:2 <nil>
	// put table=1, priority=50,tcp,tp_dst=80 actions=ct(commit,zone=7),output:2
}

// A flow put together from values is the one that its text says.
func Example_values() {
	f := ofproto.Flow{
		Table:    24,
		Priority: 300,
		Match:    ofproto.MatchOn(ofproto.CT(ofproto.New|ofproto.Trk, 0), ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPDst, 80)),
		Actions:  []ofproto.Action{ofproto.ConnTrack{Commit: true, Zone: 7, Table: ofproto.NoTable}, ofproto.GotoTable(36)},
	}
	g, err := ofproto.ParseFlow("table=24,priority=300,ct_state=+new+trk,tcp,tp_dst=80,actions=ct(commit,zone=7),goto_table:36")
	fmt.Println(f.Equal(g), err)
	// Output: true <nil>
}

func ExampleMatchOn() {
	web := netip.MustParsePrefix("10.1.0.0/24")
	m := ofproto.MatchOn(ofproto.InPrefix(ofproto.IPv4Dst, web), ofproto.Is(ofproto.TCPDst, 443), ofproto.CT(ofproto.Est|ofproto.Trk, ofproto.Inv))
	fmt.Println(m)
	// Output: ct_state=+est-inv+trk,tcp,nw_dst=10.1.0.0/24,tp_dst=443
}

// A flow per range of ports is one per aligned block: a mask cannot say more.
func ExampleCoverPorts() {
	for _, c := range ofproto.CoverPorts(ofproto.TCPDst, 1000, 1023) {
		fmt.Println(c)
	}
	// Output:
	// tp_dst=0x3e8/0xfff8
	// tp_dst=0x3f0/0xfff0
}

func ExampleParseFlow() {
	f, err := ofproto.ParseFlow("cookie=0x5, table=24, ip,nw_src=10.0.0.0/8,actions=mod_nw_ttl:9,resubmit(,36)")
	fmt.Println(f, err)
	// Output: cookie=0x5, table=24, ip,nw_src=10.0.0.0/8 actions=mod_nw_ttl:9,resubmit(,36) <nil>
}

// An error says where it is, and which error a switch would answer.
func ExampleParseFlow_refused() {
	_, err := ofproto.ParseFlow("table=1,arp,actions=output:2,ct(table=2)")
	fmt.Println(err)
	fmt.Println(errors.Is(err, ofproto.OFPBAC_MATCH_INCONSISTENT))

	_, err = ofproto.ParseFlow("table=1,ipp,actions=output:2")
	fmt.Println(err)
	// Output:
	// column 30: ct(table=2) does not go with the match or the table of the flow
	// true
	// column 9: there is no field "ipp"
}

// To choose flows by their cookie, its mask is said.
func ExampleParseFlowMod() {
	m, err := ofproto.ParseFlowMod(ofproto.FlowDelete, "cookie=0x5/-1,tcp,out_port=3")
	fmt.Println(m.Flow.Match, m.Flow.Cookie, m.CookieMask == 1<<64-1, m.OutPort, m.Flow.Table == ofproto.AllTables, err)
	// Output: tcp 5 true 3 true <nil>
}

func ExampleParseGroup() {
	g, err := ofproto.ParseGroup("group_id=7,type=select,bucket=weight=2,actions=output:1,bucket=actions=set_field:2->reg0,output:2")
	fmt.Println(g, err)
	// Output: group_id=7,type=select,bucket=weight:2,actions=output:1,bucket=actions=set_field:0x2->reg0,output:2 <nil>
}

func ExampleParseMeter() {
	m, err := ofproto.ParseMeter("meter=1,kbps,burst,bands=type=drop,rate=1000,burst_size=64")
	fmt.Println(m, err)
	// Output:
	// meter=1 kbps burst bands=
	// type=drop rate=1000 burst_size=64 <nil>
}

// Bytes that Open vSwitch would refuse are refused with the same error.
func ExampleDecodeActions() {
	actions, err := ofproto.DecodeActions([]byte{0, 0, 0, 16, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	fmt.Println(ofproto.Text(actions), err)
	_, err = ofproto.DecodeActions([]byte{0, 99, 0, 8, 0, 0, 0, 0})
	fmt.Println(err, errors.Is(err, ofproto.OFPBAC_BAD_TYPE))
	// Output:
	// output:2 <nil>
	// action at byte 0: OFPBAC_BAD_TYPE true
}

func ExampleDecodeMatch() {
	m, err := ofproto.DecodeMatch([]byte{0x80, 0, 0x0a, 2, 0x08, 0, 0x80, 0, 0x14, 1, 6})
	fmt.Println(m, err)
	// Output: tcp <nil>
}

func ExampleFlow() {
	f := ofproto.Flow{
		Table: 24, Priority: 300, Cookie: 5,
		Match:   ofproto.MatchOn(ofproto.CT(ofproto.New|ofproto.Trk, 0), ofproto.Masked(ofproto.Reg5, 4096, 0xffff), ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPDst, 80)),
		Actions: []ofproto.Action{ofproto.Set(ofproto.Reg0.Range(24, 31), 3), ofproto.GotoTable(36)},
	}
	fmt.Println(f)
	// Output: cookie=0x5, table=24, priority=300,ct_state=+new+trk,tcp,reg5=0x1000/0xffff,tp_dst=80 actions=load:0x3->NXM_NX_REG0[24..31],goto_table:36
}
