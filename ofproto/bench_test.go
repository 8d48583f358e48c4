package ofproto

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	contiv "github.com/contiv/libOpenflow/openflow13"

	"weir/internal/sidebyside"
)

// typicalFlow is a flow as the pipeline sends them: nine fields, a commit with NAT and
// a nested action, a resubmit. Every n gives another match and other actions.
func typicalFlow(n int) Flow {
	return Flow{
		Table: 60, Priority: 30000, Cookie: 0x7765697200000000 + uint64(n),
		Match: MatchOn(IsIPv4, Is(IPProto, 6), Is(TCPDst, uint64(n&0xffff)), Is(Reg3, uint64(n)),
			Is(Reg4, 8), Is(Metadata, 9), CT(New|Trk, 0), Masked(Reg5, 1, 0xffff), Is(InPort, 3)),
		Actions: []Action{
			ConnTrack{Commit: true, ZoneIn: Reg5.Range(0, 15), Table: NoTable, NAT: &NAT{},
				Exec: []Action{Set(CTMark.Range(0, 31), uint64(n))}},
			Resubmit{Port: PortInPort16, Table: 80},
		},
	}
}

// policyFlow is a flow of a policy's table, as most flows of a bridge are: it judges by
// address and port, and notes which rule it was.
func policyFlow(n int) Flow {
	return Flow{
		Table: 66, Priority: 30000, Cookie: 0x7765697200000000 + uint64(n),
		Match: MatchOn(IsIPv4, InPrefix(IPv4Src, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), 24)),
			Is(IPProto, 6), Is(TCPDst, uint64(1000+n%100)), Is(Reg5, uint64(n%50))),
		Actions: []Action{SetField{Reg7, Uint(uint64(n))}, GotoTable(68)},
	}
}

func flowsLike(flow func(int) Flow, n int) []Flow {
	flows := make([]Flow, n)
	for i := range flows {
		flows[i] = flow(i)
	}
	return flows
}

// contivFlowMod reads a flow-mod into contiv's own types, for it to write.
func contivFlowMod(b *testing.B, wire []byte) *contiv.FlowMod {
	m := contiv.NewFlowMod()
	if err := m.UnmarshalBinary(wire); err != nil {
		b.Fatal(err)
	}
	return m
}

func BenchmarkEncodeFlowMod(b *testing.B) {
	var m Message = FlowMod{Flow: typicalFlow(443)}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Append(buf[:0], 1, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode1000FlowModsBesideContiv(b *testing.B) {
	var m Message = FlowMod{Flow: typicalFlow(443)}
	buf, err := Append(nil, 1, m)
	if err != nil {
		b.Fatal(err)
	}
	theirs := contivFlowMod(b, buf)
	sidebyside.Time(b, sidebyside.Way{Name: "weir", Do: func() error {
		for range 1000 {
			if buf, err = Append(buf[:0], 1, m); err != nil {
				return err
			}
		}
		return nil
	}}, sidebyside.Way{Name: "contiv", Do: func() error {
		for range 1000 {
			if _, err := theirs.MarshalBinary(); err != nil {
				return err
			}
		}
		return nil
	}})
}

// flowReplies are the parts of a flow reply, each as long as a message may be.
func flowReplies(b *testing.B, flows []Flow) (parts [][]byte) {
	var body []byte
	flush := func() {
		m, err := Append(nil, 0, MultipartReply{Type: MultipartFlow, More: true, Body: body})
		if err != nil {
			b.Fatal(err)
		}
		parts, body = append(parts, m), nil
	}
	for _, f := range flows {
		next, err := AppendFlowStats(body, FlowStats{Flow: f, Packets: 10, Bytes: 1000})
		if err != nil {
			b.Fatal(err)
		}
		if body = next; len(body) > 64000 {
			flush()
		}
	}
	flush()
	return parts
}

func decodeFlowReplies(parts [][]byte) (n int, err error) {
	for _, p := range parts {
		flows, err := DecodeFlowStats(nil, p[16:]) // as ofconn does, behind the header of a multipart reply
		if err != nil {
			return 0, err
		}
		n += len(flows)
	}
	return n, nil
}

// BenchmarkDecode1000FlowsBesideContiv has no two flows with the same actions.
func BenchmarkDecode1000FlowsBesideContiv(b *testing.B) {
	b.Run("of a policy", func(b *testing.B) { benchmarkDecodeBesideContiv(b, policyFlow) })
	b.Run("with ct and nat", func(b *testing.B) { benchmarkDecodeBesideContiv(b, typicalFlow) })
}

func benchmarkDecodeBesideContiv(b *testing.B, flow func(int) Flow) {
	parts := flowReplies(b, flowsLike(flow, 1000))
	heap := make([]byte, 64<<20) // as a controller has one: with an empty heap both measure the collector
	defer runtime.KeepAlive(heap)
	sidebyside.Time(b, sidebyside.Way{Name: "weir", Do: func() error {
		n, err := decodeFlowReplies(parts)
		if err == nil && n != 1000 {
			err = fmt.Errorf("%d flows", n)
		}
		return err
	}}, sidebyside.Way{Name: "contiv", Do: func() error {
		n := 0
		for _, p := range parts {
			m, err := contiv.Parse(p)
			if err != nil {
				return err
			}
			n += len(m.(*contiv.MultipartReply).Body)
		}
		if n != 1000 {
			return fmt.Errorf("%d flows", n)
		}
		return nil
	}})
}

func BenchmarkDecode1000Flows(b *testing.B) {
	b.Run("of a policy", func(b *testing.B) { benchmarkDecode(b, policyFlow) })
	b.Run("with ct and nat", func(b *testing.B) { benchmarkDecode(b, typicalFlow) })
}

func benchmarkDecode(b *testing.B, flow func(int) Flow) {
	parts := flowReplies(b, flowsLike(flow, 1000))
	heap := make([]byte, 64<<20)
	defer runtime.KeepAlive(heap)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeFlowReplies(parts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiffOf100000EqualFlows(b *testing.B) {
	benchmarkDiff(b, 0)
}

func BenchmarkDiffOf100000FlowsWith10Changes(b *testing.B) {
	benchmarkDiff(b, 10)
}

// benchmarkDiff compares what is wanted with what a bridge has said, in its own order
// and in values of its own.
func benchmarkDiff(b *testing.B, changes int) {
	want, have := flowsLike(typicalFlow, 100000), flowsLike(typicalFlow, 100000)
	for i := range want {
		want[i].Match = MatchOn(append(want[i].Match, Is(Reg6, uint64(i)))...)
		have[i].Match = MatchOn(append(have[i].Match, Is(Reg6, uint64(i)))...)
	}
	for i := range changes {
		want[i*9999].Actions = nil
	}
	b.ReportAllocs()
	for b.Loop() {
		if p := Diff(Tables{Flows: want}, Tables{Flows: have}); len(p.PutFlows) != changes || len(p.DeleteFlows) != 0 {
			b.Fatal(len(p.PutFlows), len(p.DeleteFlows))
		}
	}
}
