package ofproto_test

import (
	"encoding/hex"
	"errors"
	"fmt"

	"weir/ofproto"
)

func ExamplePrint() {
	b, err := ofproto.Append(nil, 7, ofproto.FlowMod{Flow: ofproto.Flow{
		Table: 3, Priority: 10,
		Match:   ofproto.MatchOn(ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPDst, 80)),
		Actions: []ofproto.Action{ofproto.Output{Port: 2}},
	}})
	if err != nil {
		fmt.Println(err)
	}
	s, err := ofproto.Print(b)
	fmt.Println(s, err)
	// Output: OFPT_FLOW_MOD (OF1.3) (xid=0x7): ADD table:3 priority=10,tcp,tp_dst=80 actions=output:2 <nil>
}

func ExampleCheck() {
	b, _ := hex.DecodeString("0418001800000003000000040000000000000000000000ff") // asks for role 4
	err := ofproto.Check(b)
	fmt.Println(errors.Is(err, ofproto.OFPRRFC_BAD_ROLE))
	// Output: true
}

func ExampleDecode() {
	b, _ := hex.DecodeString("0402000c00000009cafe0001")
	xid, m, err := ofproto.Decode(b)
	if echo, ok := m.(ofproto.EchoRequest); ok {
		answer, _ := ofproto.Append(nil, xid, ofproto.EchoReply(echo))
		fmt.Printf("%x %v\n", answer, err)
	}
	// Output: 0403000c00000009cafe0001 <nil>
}

func ExampleReassembly() {
	var r ofproto.Reassembly
	for _, p := range []ofproto.MultipartReply{
		{Type: ofproto.MultipartTable, More: true, Body: ofproto.AppendTableStats(nil, ofproto.TableStats{Table: 0, Active: 2})},
		{Type: ofproto.MultipartTable, Body: ofproto.AppendTableStats(nil, ofproto.TableStats{Table: 1, Active: 5})},
	} {
		body, done, err := r.Add(p)
		if err != nil || !done {
			continue
		}
		tables, err := ofproto.DecodeTableStats(nil, body)
		fmt.Println(tables[0].Active, tables[1].Active, err)
	}
	// Output: 2 5 <nil>
}
