package ofproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

// ofctlPrint has ovs-ofctl print messages whose headers give their lengths, and returns what
// it says of each. Between them it prints barriers, which tell them apart. It goes on behind
// one that ovs-ofctl dies of, to which the answer is "died".
func ofctlPrint(t testing.TB, messages [][]byte) []string {
	var answers []string
	const mark = "OFPT_BARRIER_REPLY (OF1.3) (xid=0xfeed5eed):\n"
	for len(answers) < len(messages) {
		var in bytes.Buffer
		for _, b := range messages[len(answers):] {
			in.Write(b)
			in.WriteString("\x04\x15\x00\x08\xfe\xed\x5e\xed")
		}
		cmd := exec.CommandContext(t.Context(), "ovs-ofctl", "-voff", "ofp-parse", "-")
		cmd.Stdin = &in
		out, err := cmd.Output()
		got := strings.Split(string(out), mark)
		if answers = append(answers, got[:len(got)-1]...); err != nil {
			answers = append(answers, "died")
		}
	}
	for i := range answers {
		answers[i] = strings.TrimRight(answers[i], "\n")
	}
	return answers[:len(messages)]
}

// frames are packets of all kinds that are looked into.
func frames() (all [][]byte) {
	u16 := func(v uint16) []byte { return be.AppendUint16(nil, v) }
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	macs := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	ip4 := func(proto byte, frag uint16, payload []byte) []byte {
		b := []byte{0x45, 0xb9, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
		be.PutUint16(b[2:], uint16(20+len(payload)))
		be.PutUint16(b[6:], frag)
		return append(b, payload...)
	}
	ip6 := func(next byte, payload []byte) []byte {
		b := append([]byte{0x6b, 0x91, 0x23, 0x45, 0, 0, next, 63}, make([]byte, 32)...)
		be.PutUint16(b[4:], uint16(len(payload)))
		copy(b[8:], []byte{0x20, 1, 0xd, 0xb8})
		b[23], b[39] = 1, 2
		return append(b, payload...)
	}
	tcp := []byte{0x1f, 0x90, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x5a, 0xff, 1, 0, 0xab, 0xcd, 0, 0}
	udp := []byte{0, 53, 0, 54, 0, 8, 0xbe, 0xef}
	sctp := []byte{0, 53, 0, 54, 0, 8, 0xbe, 0xef, 1, 2, 3, 4}
	icmp := []byte{8, 0, 0xab, 0xcd, 0, 1, 0, 2}
	nd := cat([]byte{135, 0, 0xab, 0xcd, 0xe0, 1, 0, 2}, make([]byte, 15), []byte{9}, []byte{1, 1, 1, 2, 3, 4, 5, 6}, []byte{2, 1, 6, 5, 4, 3, 2, 1})
	na := append(bytes.Clone(nd), 1, 1, 1, 2, 3, 4, 5, 7)
	for _, l4 := range []struct {
		proto byte
		b     []byte
	}{{6, tcp}, {17, udp}, {132, sctp}, {1, icmp}, {58, icmp}, {58, nd}, {58, na}, {2, icmp}, {47, nil}, {6, tcp[:10]}} {
		all = append(all, cat(macs, u16(0x800), ip4(l4.proto, 0, l4.b)), cat(macs, u16(0x86dd), ip6(l4.proto, l4.b)))
		all = append(all, cat(macs, u16(0x8100), u16(0x2005), u16(0x800), ip4(l4.proto, 0x2000, l4.b), make([]byte, 9)))
		all = append(all, cat(macs, u16(0x88a8), u16(0x5), u16(0x8100), u16(0xf006), u16(0x86dd), ip6(0, cat([]byte{43, 0, 0, 0, 0, 0, 0, 0, 51, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, l4.proto, 0, 0, 1, 0, 0, 0, 0}, l4.b))))
		all = append(all, cat(macs, u16(0x800), ip4(l4.proto, 0x10, l4.b)), cat(macs, u16(0x86dd), ip6(44, cat([]byte{l4.proto, 0, 0, 9, 0, 0, 0, 0}, l4.b))))
	}
	arp := cat([]byte{0, 1, 8, 0, 6, 4, 0, 1}, macs[:6], []byte{10, 0, 0, 1}, macs[6:], []byte{10, 0, 0, 2})
	all = append(all, cat(macs, u16(0x806), arp), cat(macs, u16(0x8035), arp), cat(macs, u16(0x806), arp[:20]))
	all = append(all, cat(macs, u16(0x8847), []byte{0, 0, 0x10, 0x40, 0, 0, 0x20, 0x40, 0, 0, 0x31, 0x40}, ip4(6, 0, tcp)), cat(macs, u16(0x8848), []byte{0, 0, 0x11, 0x40}))
	all = append(all, cat(macs, u16(0x894f), []byte{0x0f, 0xc6, 1, 3, 1, 2, 3, 4}, make([]byte, 16)), cat(macs, u16(0x894f), []byte{0x1f, 0xc2, 2, 3, 1, 2, 3, 4}))
	all = append(all, cat(macs, u16(30), []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, ip4(17, 0, udp)), cat(macs, u16(30), []byte{0x42, 0x42, 3}), macs, nil)
	return all
}

// sampleMessages are messages of kinds that no vector has, or few.
func sampleMessages(t testing.TB) (all [][]byte) {
	add := func(m Message) {
		b, err := Append(nil, 7, m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		all = append(all, b)
	}
	reply := func(typ MultipartType, b []byte, _ ...error) { add(MultipartReply{Type: typ, Body: b}) }
	match := MatchOn(IsIPv4, Is(IPProto, 6), Is(TCPDst, 80), Is(InPort, 3), Masked(Reg3, 5, 0xff), Is(TunID, 9))
	packet := MatchOn(Is(InPort, 1), Is(Reg0, 7), Is(Metadata, 5), CT(New|Trk, 0))
	typed := MatchOn(Is(PacketType, 1<<16|0x800), Is(InPort, 2))
	flow := Flow{Table: 3, Priority: 7, Cookie: 9, IdleTimeout: 4, HardTimeout: 5, Flags: SendFlowRem, Match: match, Actions: []Action{Output{Port: 2}, GotoTable(9)}}
	continuation := []byte{
		0x80, 0, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 0, 0x80, 1, 0, 6, 0, 5, 0, 0,
		0x80, 2, 0, 8, 0, 0, 0, 3, 0x80, 3, 0, 4, 0, 0, 0, 0, 0x80, 4, 0, 5, 7, 0, 0, 0, 0x80, 5, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9,
		0x80, 6, 0, 24, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 7, 0, 24, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0,
		0x80, 8, 0, 8, 0, 0, 0, 3,
	}
	for _, f := range frames() {
		in := PacketIn{BufferID: NoBuffer, Reason: 1, Table: 2, Cookie: 3, Match: packet, Data: f}
		add(in)
		add(PacketOut{InPort: PortController, Actions: []Action{Output{Port: 2}}, Data: f})
		add(NXPacketIn{in})
		in2 := PacketIn2{PacketIn: in, UserData: []byte{1, 2, 3}, Continuation: continuation}
		add(in2)
		add(Resume{in2})
		if len(f) > 14 {
			in2.Match, in2.Data = typed, f[14:]
			add(in2)
			in2.Match = MatchOn(Is(PacketType, 1<<16|uint64(be.Uint16(f[12:]))))
			add(in2)
		}
	}
	bands := []MeterBand{{MeterDrop, 5, 6, 0}, {MeterDSCPRemark, 7, 8, 2}}
	group := Group{ID: 3, Type: GroupSelect, Buckets: []Bucket{{Weight: 2, Actions: []Action{Output{Port: 2}}}, {WatchPort: 3, WatchGroup: 4}}}
	counters := []Counter{{1, 2}, {^uint64(0), 3}}
	for _, m := range []Message{
		FlowMod{Flow: flow}, FlowMod{Command: FlowDelete, Flow: flow, CookieMask: 5, OutPort: 4, OutGroup: 5}, NXFlowMod{Flow: flow},
		FlowRemoved{FlowStats: FlowStats{Flow: flow, Packets: 3}}, NXFlowRemoved{FlowRemoved{FlowStats: FlowStats{Flow: flow}}},
		GroupMod{Group: group}, GroupMod{Command: GroupAddOrMod, Group: Group{ID: 1, Type: GroupFastFailover, Buckets: group.Buckets[1:]}},
		GroupMod{Command: GroupInsertBucket, Group: group}, MeterMod{Meter: MeterConfig{3, 7, bands}}, RequestForward{7, GroupMod{Group: group}},
		RequestForward{7, MeterMod{Meter: MeterConfig{3, 7, bands}}}, RoleStatus{2, 1, 5}, NXRoleRequest{1}, QueueConfigRequest{3},
		QueueConfigReply{3, []QueueConfig{{3, 7, 500, 1001}, {3, 2, NoRate, 20}}}, NXSetAsync2{[]AsyncMask{{0, 1}, {1, 7}, {10, 3}, {9, 8}}},
		TLVTableMod{TLVAdd, []TLVMap{{0xffff, 0, 4, 1}, {0, 255, 124, 63}}}, TLVTableReply{200, 64, []TLVMap{{0xffff, 0, 4, 1}}},
		CTFlush{Proto: 6, Zone: 5, HasZone: true, Original: CTTuple{Src: netip.MustParseAddr("10.0.0.1"), DstPort: 80}, Reply: CTTuple{Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 9}},
		CTFlush{Proto: 58, Original: CTTuple{Src: netip.MustParseAddr("2001:db8::1"), SrcPort: 8, ICMPType: 3}},
		FlowMonitorRequest{Monitors: []FlowMonitor{{1, allMonitorFlags, 3, AllTables, match}, {2, MonitorAdd, 0, 5, nil}}},
		FlowMonitorReply{Updates: []FlowUpdate{{Flow: flow}, {Event: UpdateAbbreviated, XID: 5}, {Event: UpdateDeleted, Reason: 3, Flow: Flow{}}}},
		FlowMonitorPaused{}, BundleAdd{1, 3, 7, FlowMod{Flow: flow}}, BundleAdd{1, 3, 7, PortMod{Port: 3}}, PortMod{Port: 3, Config: 0xff, Mask: 0x7f, Advertise: 0x1ff},
		PortStatus{1, PortDesc{Number: PortLocal, Name: "br0", Config: 1, State: 7, Current: 0xffff, CurrSpeed: 12345678}},
		FlowQuery{Table: AllTables, Match: match}.Stats(), FlowQuery{OutPort: 3, Table: 5}.Aggregate(), QueueStatsRequest(3, AllQueues),
		FlowModTableID{true}, FlowAge{}, TableMod{Table: 3}, TableMod{Table: AllTables}, SetPacketInFormat{2},
	} {
		add(m)
	}
	for i := range 6 { // the match of OpenFlow 1.1
		m := Flow{RawMatch: string(standardMatchBytes(i))}
		add(FlowMod{Flow: m})
	}
	two := func(one func(b []byte) []byte) []byte { return one(one(nil)) }
	reply(MultipartFlow, two(func(b []byte) []byte {
		b, _ = AppendFlowStats(b, FlowStats{Flow: flow, DurationNsec: 1234567})
		return b
	}))
	reply(MultipartGroupDesc, two(func(b []byte) []byte { b, _ = AppendGroupDesc(b, group); return b }))
	reply(MultipartGroup, two(func(b []byte) []byte { b, _ = AppendGroupStats(b, GroupStats{Group: 3, Buckets: counters}); return b }))
	reply(MultipartMeter, two(func(b []byte) []byte { b, _ = AppendMeterStats(b, MeterStats{Meter: 3, Bands: counters}); return b }))
	reply(MultipartMeterConfig, two(func(b []byte) []byte { b, _ = AppendMeterConfig(b, MeterConfig{3, 5, bands}); return b }))
	reply(MultipartPort, two(func(b []byte) []byte { return AppendPortStats(b, PortStats{Port: 3, RxCRC: ^uint64(0)}) }))
	reply(MultipartQueue, two(func(b []byte) []byte { return AppendQueueStats(b, QueueStats{Port: 3, TxErrors: ^uint64(0)}) }))
	reply(MultipartPortDesc, two(func(b []byte) []byte { return AppendPortDesc(b, PortDesc{Number: 3, Name: "eth1"}) }))
	reply(MultipartTable, two(func(b []byte) []byte {
		return AppendTableStats(AppendTableStats(b, TableStats{Table: 3, Active: 4}), TableStats{Table: 4, Active: 4})
	}))
	reply(MultipartAggregate, AppendAggregate(nil, Aggregate{1, 2, 3}))
	reply(MultipartGroupFeatures, AppendGroupFeatures(nil, GroupFeatures{15, 15, [4]uint32{1, 2, 3, 4}, [4]uint32{^uint32(0), 1, 1 << 27, 0}}))
	reply(MultipartMeterFeatures, AppendMeterFeatures(nil, MeterFeatures{1, 7, 15, 2, 3}))
	var tables []byte
	for i := range 5 {
		f := TableFeatures{Table: Table(i), MaxEntries: 100, MetadataMatch: 1, Match: FieldSet{^uint64(1)}, Mask: FieldSet{0xff0}, Wildcard: FieldSet{0xfff00}}
		f.Flows = InstructionFeatures{Instructions: 0x7e, Next: [4]uint64{^uint64(0) << (i + 1), 5}, Write: ActionFeatures{^uint32(0), FieldSet{0xf0}}}
		if i > 2 {
			f.Miss, f.Name = f.Flows, "classifier"
		}
		tables, _ = AppendTableFeatures(tables, f)
	}
	reply(MultipartTableFeatures, tables)
	ipfix := make([]byte, 88)
	add(MultipartReply{Type: MultipartExperimenter, Body: append(appendExperimenter(nil, nicira, 3), ipfix...)})
	add(MultipartReply{Type: MultipartExperimenter, Body: append(appendExperimenter(nil, nicira, 4), append(ipfix, ipfix...)...)})
	return all
}

// standardMatchBytes is a match of OpenFlow 1.1 that asks for all that it can.
func standardMatchBytes(kind int) []byte {
	b := make([]byte, matchStandardLen)
	b[3] = matchStandardLen
	b[7] = 3
	be.PutUint32(b[8:], []uint32{0, 0x3ff, 0x300, 0, 0x6, 0}[kind])
	copy(b[12:], []byte{1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0xff, 0, 0, 0, 0, 0})
	be.PutUint16(b[36:], []uint16{5, 0xffff, 0xfffe, 0xfff, 0, 0x5}[kind])
	b[38] = 3
	be.PutUint16(b[40:], []uint16{0x800, 0x806, 0x800, 0x8847, 0x86dd, 0x800}[kind])
	b[42], b[43] = 0x40, []byte{6, 1, 17, 0, 6, 1}[kind]
	copy(b[44:], []byte{10, 0, 0, 0, 0, 0, 0, 0xff, 10, 0, 0, 1, 0, 0, 0, 0, 0, 80, 0, 81})
	be.PutUint32(b[64:], 0x12345)
	b[68], b[79] = 5, 1
	return b
}

// A messageMutator damages messages as a bad peer would.
type messageMutator struct {
	*rand.Rand
	seeds  [][]byte
	others int // of seeds stand before the flow-mods
}

func (m *messageMutator) message() []byte {
	b := bytes.Clone(m.seeds[m.IntN(len(m.seeds))])
	if m.IntN(2) == 0 { // not a flow-mod, of which there are most
		b = bytes.Clone(m.seeds[m.IntN(m.others)])
	}
	for range m.IntN(4) {
		if b = m.damage(b); len(b) > 4000 {
			b = b[:4000]
		}
	}
	for len(b) < HeaderLen {
		b = append(b, 0)
	}
	b[0] = Version
	be.PutUint16(b[2:], uint16(len(b)))
	return b
}

// kind makes b another kind of message, with the same body.
func (m *messageMutator) kind(b []byte) {
	switch b[1] {
	case typeExperimenter:
		if len(b) >= 16 {
			be.PutUint32(b[12:], []uint32{uint32(m.IntN(36)), 1870, 1871, 1872, 1911, 2300, 2301, 2350}[m.IntN(8)])
		}
	case typeMultipartRequest, typeMultipartReply:
		if len(b) >= 10 {
			be.PutUint16(b[8:], uint16(m.IntN(15)))
		}
	}
	if m.IntN(2) == 0 {
		b[1] = byte(m.IntN(31))
	}
}

func (m *messageMutator) damage(b []byte) []byte {
	if len(b) <= HeaderLen {
		return append(b, byte(m.Uint32()))
	}
	at := m.IntN(len(b))
	half := HeaderLen + m.IntN((len(b)-HeaderLen+1)/2)*2
	half = min(half, len(b)-2)
	other := m.seeds[m.IntN(len(m.seeds))]
	switch m.IntN(14) {
	case 13: // another kind of message
		m.kind(b)
	case 0, 1, 2:
		b[at] ^= 1 << m.IntN(8)
	case 3:
		b[at] = []byte{0, 1, 2, 0x10, 0x7f, 0x80, 0xff, byte(m.Uint32())}[m.IntN(8)]
	case 4, 5: // another length, or type
		be.PutUint16(b[half:], be.Uint16(b[half:])+uint16([]int{-16, -8, -4, -1, 1, 4, 8, 16}[m.IntN(8)]))
	case 6:
		be.PutUint16(b[half:], uint16([]int{0, 1, 4, 8, 16, 0xff00, 0xffff}[m.IntN(7)]))
	case 7:
		return b[:at]
	case 8:
		return b[:at/8*8]
	case 9: // twice what there is
		cut := at / 8 * 8
		return append(b[:cut:cut], append(bytes.Clone(b[cut/2/8*8:cut]), b[cut:]...)...)
	case 10: // part of another one
		n := m.IntN(len(other)+1) / 8 * 8
		return append(b[:at/8*8:at/8*8], other[n:]...)
	case 11:
		return append(b, make([]byte, 8)...)
	case 12: // without a part
		to := min(len(b), at+8)
		return append(b[:at:at], b[to:]...)
	}
	return b
}

func TestDamagedMessagesAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	n := hunted(t, 3000)
	m := messageMutator{Rand: rand.New(rand.NewPCG(huntSeed(), 2)), seeds: sampleMessages(t)}
	for _, file := range []string{"messages_of13.jsonl", "flowmods_of13.jsonl"} {
		m.others = len(m.seeds)
		for _, v := range vectors(t, file) {
			if b := v.bytes(t); len(b) >= HeaderLen && int(be.Uint16(b[2:])) == len(b) {
				m.seeds = append(m.seeds, b)
			}
		}
	}
	different, refused, deaths := 0, 0, 0
	for done := 0; done < n; {
		batch := make([][]byte, min(n-done, 5000))
		for i := range batch {
			if i+done < len(m.seeds) {
				batch[i] = m.seeds[i+done]
			} else {
				batch[i] = m.message()
			}
		}
		for i, want := range ofctlPrint(t, batch) {
			got, err := Print(batch[i])
			if err != nil {
				refused++
			}
			if want == "died" {
				deaths++
				continue
			}
			if got == want || otherInside(batch[i]) || elsewhere("", got, want) {
				continue
			}
			if different++; different <= 12 {
				t.Errorf("%s\n got %s\nwant %s", hex.EncodeToString(batch[i]), short(got), short(want))
			}
		}
		done += len(batch)
	}
	t.Logf("%d messages, %d of them refused: %d differ; ovs-ofctl dies of %d", n, refused, different, deaths)
}

// otherInside reports whether b is an error about a message of another version, of which
// there is no more than the name here.
func otherInside(b []byte) bool {
	for _, at := range []int{12, 16, 20} {
		if b[1] == typeError && len(b) > at && isOther(b[at]) {
			return true
		}
	}
	return false
}

// short leaves out most of the bytes.
func short(s string) string {
	if i := strings.Index(s, "\n00000020 "); i >= 0 {
		return s[:i]
	}
	return s
}

func TestMessagesOfTheWrongLengthAreShownAsOpenVSwitchShowsThem(t *testing.T) {
	n := min(hunted(t, 100), 3000) // one process each
	m := messageMutator{Rand: rand.New(rand.NewPCG(huntSeed(), 3)), seeds: sampleMessages(t)}
	for _, v := range vectors(t, "messages_of13.jsonl") {
		m.seeds = append(m.seeds, v.bytes(t))
	}
	for i := range n {
		b := bytes.Clone(m.seeds[m.IntN(len(m.seeds))])
		b = b[:m.IntN(len(b)+1)]
		if m.IntN(2) == 0 {
			b = m.damage(b)
		}
		if i == 0 {
			b = nil
		}
		if len(b) > 0 && i%8 > 0 {
			b[0] = Version
		}
		out, err := exec.CommandContext(t.Context(), "ovs-ofctl", "-voff", "ofp-print", hex.EncodeToString(b), "2").Output()
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		want := strings.TrimRight(string(out), "\n")
		if got, err := Print(b); got != want && !errors.Is(err, OFPBRC_BAD_VERSION) && !(len(b) > 0 && isOther(b[0])) {
			t.Errorf("%x\n got %s\nwant %s", b, got, want)
		}
	}
}
