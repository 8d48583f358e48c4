package ofproto

import (
	"fmt"
	"slices"
)

// A Desc says what a switch is (A.3.5.1). Texts are at most 255 bytes, the serial number 31.
type Desc struct {
	Manufacturer, Hardware, Software, Serial, Datapath string
}

// An Aggregate is the sum of the counters of flows (A.3.5.3).
type Aggregate struct {
	Packets, Bytes uint64
	Flows          uint32
}

// TableStats are the counters of a table (A.3.5.4).
type TableStats struct {
	Table            Table
	Active           uint32 // flows
	Lookups, Matched uint64 // packets
}

// PortStats are the counters of a port (A.3.5.6). A counter that the switch does not have
// is all ones.
type PortStats struct {
	Port                                     uint32
	RxPackets, TxPackets, RxBytes, TxBytes   uint64
	RxDropped, TxDropped, RxErrors, TxErrors uint64
	RxFrame, RxOver, RxCRC, Collisions       uint64
	DurationSec, DurationNsec                uint32
}

// QueueStats are the counters of a queue (A.3.5.8).
type QueueStats struct {
	Port, Queue                  uint32
	TxBytes, TxPackets, TxErrors uint64
	DurationSec, DurationNsec    uint32
}

// GroupStats are the counters of a group (A.3.5.9).
type GroupStats struct {
	Group, References         uint32
	Packets, Bytes            uint64
	DurationSec, DurationNsec uint32
	Buckets                   []Counter
}

// A Counter counts packets and their bytes. All ones: not known.
type Counter struct{ Packets, Bytes uint64 }

// GroupFeatures says which groups a switch can have (A.3.5.11). The arrays are by
// GroupType.
type GroupFeatures struct {
	Types        uint32 // bit N: type N
	Capabilities uint32 // OFPGFC_*: 1 weights, 2 liveness in select groups, 4 chaining, 8 checks for loops
	Max          [4]uint32
	Actions      [4]uint32 // bit N: OpenFlow's action type N
}

// MeterStats are the counters of a meter (A.3.5.12).
type MeterStats struct {
	Meter, Flows              uint32
	Packets, Bytes            uint64
	DurationSec, DurationNsec uint32
	Bands                     []Counter
}

// MeterFeatures says which meters a switch can have (A.3.5.14).
type MeterFeatures struct {
	Max          uint32 // meters
	Bands        uint32 // bit N: band type N
	Capabilities uint32 // flags that a MeterConfig can have
	MaxBands     uint8
	MaxColor     uint8
}

// IPFIXStats are the counters of an IPFIX exporter (NXST_IPFIX_BRIDGE, NXST_IPFIX_FLOW).
// A counter that the switch does not have is all ones.
type IPFIXStats struct {
	Flows, CurrentFlows, Packets, IPv4, IPv6 uint64
	Errors, IPv4Errors, IPv6Errors           uint64
	TxPackets, TxErrors                      uint64
	Collector                                uint32
}

// A FlowQuery asks for flows, or for the sum of their counters (A.3.5.2).
type FlowQuery struct {
	Table              Table  // or AllTables
	OutPort            uint32 // only flows that output there; zero: all (OFPP_ANY on the wire)
	OutGroup           uint32 // zero: all (OFPG_ANY on the wire)
	Cookie, CookieMask uint64 // only flows whose cookie has the bits of the mask as Cookie has them
	Match              Match  // flows that match at least this
}

// Stats returns a request for the flows.
func (q FlowQuery) Stats() MultipartRequest {
	return MultipartRequest{Type: MultipartFlow, Body: q.append(nil)}
}

// Aggregate returns a request for the sum of their counters.
func (q FlowQuery) Aggregate() MultipartRequest {
	return MultipartRequest{Type: MultipartAggregate, Body: q.append(nil)}
}

func (q FlowQuery) append(b []byte) []byte {
	b = be.AppendUint32(append(b, byte(q.Table), 0, 0, 0), swapAny(q.OutPort))
	b = append(be.AppendUint32(b, swapAny(q.OutGroup)), 0, 0, 0, 0)
	b = be.AppendUint64(be.AppendUint64(b, q.Cookie), q.CookieMask)
	return appendMatch(b, q.Match)
}

func (d *decoder) flowQuery() (q FlowQuery) {
	q.Table = Table(d.u8())
	d.skip(3)
	q.OutPort = swapAny(d.portNumber())
	q.OutGroup = swapAny(d.u32())
	d.skip(4)
	q.Cookie, q.CookieMask = d.u64(), d.u64()
	q.Match = d.match()
	return q
}

// DecodeFlowQuery reads the body of a request for flows, strictly.
func DecodeFlowQuery(body []byte) (FlowQuery, error) {
	d := decoder{b: body, what: "flow stats request", short: OFPBRC_BAD_LEN, strict: true}
	q := d.flowQuery()
	return q, d.err
}

// DecodeFlowStats appends the flows in one part of a flow reply to flows.
func DecodeFlowStats(flows []FlowStats, body []byte) ([]FlowStats, error) {
	q := quickReader{atOnce: min(len(body)/16, 512)}
	d := decoder{b: body, what: "flow stats", short: OFPBRC_BAD_LEN}
	for d.more() {
		n := len(flows)
		if n == cap(flows) { // those that follow will be much like the first
			flows = slices.Grow(flows, 1+len(d.b)/max(flowStatsLen, int(d.peek16())))
		}
		flows = append(flows, FlowStats{})
		if e := d.entry(); !q.flow(e, &flows[n]) {
			flows[n] = d.flowStats()
		} else {
			d.skip(len(e))
		}
		if d.err != nil {
			flows = flows[:n]
		}
	}
	return flows, d.err
}

// entry returns the bytes of the entry that begins with its length; none if that is wrong.
func (d *decoder) entry() []byte {
	if n := int(d.peek16()); n <= len(d.b) {
		return d.b[:n:n]
	}
	return nil
}

// flowStatsLen is the length of an entry without its match and instructions.
const flowStatsLen = 48

// flowStats reads an entry. Open vSwitch reads the match before it looks whether it ends
// within the entry.
func (d *decoder) flowStats() (f FlowStats) {
	n, left := int(d.peek16()), len(d.b)
	if left < flowStatsLen || n < flowStatsLen {
		d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
		return f
	}
	d.skip(2)
	f.Table = Table(d.u8())
	d.skip(1)
	f.DurationSec, f.DurationNsec = d.u32(), d.u32()
	f.Priority, f.IdleTimeout, f.HardTimeout = d.u16(), d.u16(), d.u16()
	f.Flags = FlowFlags(d.u16())
	d.skip(4)
	f.Cookie, f.Packets, f.Bytes = d.u64(), d.u64(), d.u64()
	d.flowMatch(&f.Flow)
	if f.Flags&^allFlowFlags != 0 {
		d.refuse(OFPFMFC_BAD_FLAGS)
	}
	f.Actions = d.instructionsUpTo(n - (left - len(d.b)))
	return f
}

// instructionsUpTo reads n bytes of instructions, of which there may be fewer, or less than
// none.
func (d *decoder) instructionsUpTo(n int) []Action {
	if d.err == nil && (n < 0 || n > len(d.b)) {
		d.fail(OFPBIC_BAD_LEN)
		return nil
	}
	return d.instructions(n)
}

// AppendFlowStats appends f as an entry of a flow reply.
func AppendFlowStats(b []byte, f FlowStats) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, byte(f.Table), 0)
	b = be.AppendUint32(be.AppendUint32(b, f.DurationSec), f.DurationNsec)
	b = be.AppendUint16(be.AppendUint16(be.AppendUint16(b, f.Priority), f.IdleTimeout), f.HardTimeout)
	b = append(be.AppendUint16(b, uint16(f.Flags)), 0, 0, 0, 0)
	b = be.AppendUint64(be.AppendUint64(be.AppendUint64(b, f.Cookie), f.Packets), f.Bytes)
	b, err := appendInstructions(f.appendMatch(b), f.Actions)
	if err != nil {
		return b, err
	}
	return b, setLen(b, start, 0)
}

// DecodeDesc reads the body of a desc reply.
func DecodeDesc(body []byte) (Desc, error) {
	return decodeOne(body, "desc", 1056, func(d *decoder) Desc {
		next := func(n int) string { return text0(d.bytes(n), n) }
		return Desc{next(256), next(256), next(256), next(32), next(256)}
	})
}

// AppendDesc appends the body of a desc reply.
func AppendDesc(b []byte, s Desc) []byte {
	b = appendFixed(b, s.Manufacturer, 256)
	b = appendFixed(b, s.Hardware, 256)
	b = appendFixed(b, s.Software, 256)
	b = appendFixed(b, s.Serial, 32)
	return appendFixed(b, s.Datapath, 256)
}

// appendFixed appends s in n bytes, of which the last is zero.
func appendFixed(b []byte, s string, n int) []byte {
	s = s[:min(len(s), n-1)]
	return append(append(b, s...), make([]byte, n-len(s))...)
}

// DecodeAggregate reads the body of an aggregate reply.
func DecodeAggregate(body []byte) (Aggregate, error) {
	return decodeOne(body, "aggregate", 24, (*decoder).aggregate)
}

func (d *decoder) aggregate() Aggregate {
	a := Aggregate{d.u64(), d.u64(), d.u32()}
	d.skip(4)
	return a
}

// AppendAggregate appends the body of an aggregate reply.
func AppendAggregate(b []byte, a Aggregate) []byte {
	b = be.AppendUint32(be.AppendUint64(be.AppendUint64(b, a.Packets), a.Bytes), a.Flows)
	return append(b, 0, 0, 0, 0)
}

// DecodeTableStats appends the tables in one part of a table reply to tables.
func DecodeTableStats(tables []TableStats, body []byte) ([]TableStats, error) {
	return decodeAll(tables, body, "table stats", false, (*decoder).tableStats)
}

func (d *decoder) tableStats() (s TableStats) {
	s.Table = Table(d.u8())
	d.skip(3)
	s.Active, s.Lookups, s.Matched = d.u32(), d.u64(), d.u64()
	return s
}

// AppendTableStats appends s as an entry of a table reply.
func AppendTableStats(b []byte, s TableStats) []byte {
	b = be.AppendUint32(append(b, byte(s.Table), 0, 0, 0), s.Active)
	return be.AppendUint64(be.AppendUint64(b, s.Lookups), s.Matched)
}

// DecodePortStats appends the ports in one part of a port reply to ports.
func DecodePortStats(ports []PortStats, body []byte) ([]PortStats, error) {
	return decodeAll(ports, body, "port stats", false, (*decoder).portStats)
}

func (s *PortStats) counters() [12]*uint64 {
	return [...]*uint64{
		&s.RxPackets, &s.TxPackets, &s.RxBytes, &s.TxBytes, &s.RxDropped, &s.TxDropped,
		&s.RxErrors, &s.TxErrors, &s.RxFrame, &s.RxOver, &s.RxCRC, &s.Collisions,
	}
}

func (d *decoder) portStats() (s PortStats) {
	s.Port = d.portNumber()
	d.skip(4)
	for _, c := range s.counters() {
		*c = d.u64()
	}
	s.DurationSec, s.DurationNsec = d.u32(), d.u32()
	return s
}

// AppendPortStats appends s as an entry of a port reply.
func AppendPortStats(b []byte, s PortStats) []byte {
	b = append(be.AppendUint32(b, s.Port), 0, 0, 0, 0)
	for _, c := range s.counters() {
		b = be.AppendUint64(b, *c)
	}
	return be.AppendUint32(be.AppendUint32(b, s.DurationSec), s.DurationNsec)
}

// DecodeQueueStats appends the queues in one part of a queue reply to queues.
func DecodeQueueStats(queues []QueueStats, body []byte) ([]QueueStats, error) {
	return decodeAll(queues, body, "queue stats", false, (*decoder).queueStats)
}

func (d *decoder) queueStats() QueueStats {
	return QueueStats{d.portNumber(), d.u32(), d.u64(), d.u64(), d.u64(), d.u32(), d.u32()}
}

// AppendQueueStats appends s as an entry of a queue reply.
func AppendQueueStats(b []byte, s QueueStats) []byte {
	b = be.AppendUint32(be.AppendUint32(b, s.Port), s.Queue)
	b = be.AppendUint64(be.AppendUint64(be.AppendUint64(b, s.TxBytes), s.TxPackets), s.TxErrors)
	return be.AppendUint32(be.AppendUint32(b, s.DurationSec), s.DurationNsec)
}

// DecodeIPFIXStats appends the exporters in one part of an IPFIX reply to all.
func DecodeIPFIXStats(all []IPFIXStats, body []byte) ([]IPFIXStats, error) {
	return decodeAll(all, body, "ipfix stats", false, (*decoder).ipfixStats)
}

func (d *decoder) ipfixStats() (s IPFIXStats) {
	for _, c := range s.counters() {
		*c = d.u64()
	}
	s.Collector = d.u32()
	d.skip(4)
	return s
}

func (s *IPFIXStats) counters() [10]*uint64 {
	return [...]*uint64{
		&s.Flows, &s.CurrentFlows, &s.Packets, &s.IPv4, &s.IPv6,
		&s.Errors, &s.IPv4Errors, &s.IPv6Errors, &s.TxPackets, &s.TxErrors,
	}
}

func init() {
	answer := func(t MultipartType, name string, least, unit int, print func(*printer, *decoder, head)) {
		onMessage(multipartAnswer, uint32(t), messageForm{name: name, least: least, unit: unit, print: print})
	}
	answer(MultipartDesc, "DESC", 1056, 0, (*printer).desc)
	answer(MultipartFlow, "FLOW", 0, 1, (*printer).flowStatsReply)
	answer(MultipartAggregate, "AGGREGATE", 24, 0, (*printer).aggregate)
	answer(MultipartTable, "TABLE", 0, 24, (*printer).tableStats)
	answer(MultipartPort, "PORT", 0, 112, (*printer).portStats)
	answer(MultipartQueue, "QUEUE", 0, 40, (*printer).queueStats)
	answer(MultipartPortDesc, "PORT_DESC", 0, 64, (*printer).portDescs)
	const ipfixBridge, ipfixFlow = 3, 4
	onMessage(niciraAsk, ipfixBridge, messageForm{name: "IPFIX_BRIDGE"})
	onMessage(niciraAsk, ipfixFlow, messageForm{name: "IPFIX_FLOW"})
	onMessage(niciraAnswer, ipfixBridge, messageForm{name: "IPFIX_BRIDGE", print: (*printer).ipfixBridge, least: 88})
	onMessage(niciraAnswer, ipfixFlow, messageForm{name: "IPFIX_FLOW", print: (*printer).ipfixFlow, unit: 88})
}
