package ofproto

import (
	"fmt"
	"testing"
)

// typical is a flow-mod as the pipeline sends them: nine fields, a commit, a resubmit.
var typical = FlowMod{Flow: Flow{
	Table: 60, Priority: 30000, Cookie: 0x7765697200000001,
	Match: MatchOn(IsIPv4, Is(IPProto, 6), Is(TCPDst, 443), Is(Reg3, 7), Is(Reg4, 8), Is(Metadata, 9), CT(New|Trk, 0), Masked(Reg5, 1, 0xffff), Is(InPort, 3)),
	Actions: []Action{
		ConnTrack{Commit: true, ZoneIn: Reg5.Range(0, 15), Table: NoTable, NAT: &NAT{}, Exec: []Action{Move{Reg6.Whole(), CTLabel.Range(0, 31)}}},
		Resubmit{Port: PortInPort16, Table: 80},
	},
}}

func BenchmarkAppendFlowMod(b *testing.B) {
	var m Message = typical
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Append(buf[:0], 1, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeFlowMod(b *testing.B) {
	wire, err := Append(nil, 1, typical)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiffOf10000EqualFlows(b *testing.B) {
	flows := make([]Flow, 10000)
	for i := range flows {
		flows[i] = typical.Flow
		flows[i].Match = MatchOn(IsIPv4, Is(IPProto, 6), Is(TCPDst, uint64(i)), Is(Reg3, uint64(i)))
	}
	t := Tables{Flows: flows}
	b.ReportAllocs()
	for b.Loop() {
		if p := Diff(t, t); !p.Empty() {
			b.Fatal(len(p.PutFlows))
		}
	}
}

func ExampleFlow() {
	f := Flow{
		Table: 24, Priority: 300, Cookie: 5,
		Match:   MatchOn(CT(New|Trk, 0), Masked(Reg5, 4096, 0xffff), IsIPv4, Is(IPProto, 6), Is(TCPDst, 80)),
		Actions: []Action{Set(Reg0.Range(24, 31), 3), GotoTable(36)},
	}
	fmt.Println(f)
	// Output: cookie=0x5, table=24, priority=300,ct_state=+new+trk,tcp,reg5=0x1000/0xffff,tp_dst=80 actions=load:0x3->NXM_NX_REG0[24..31],goto_table:36
}
