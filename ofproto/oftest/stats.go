package oftest

import (
	"maps"
	"slices"
	"time"

	"weir/ofproto"
)

// Software is what a Switch says it is, in its Desc.
const software = "3.1.0"

// multipart answers a request for a part of the switch's state.
func (n *session) multipart(xid uint32, m ofproto.MultipartRequest) error {
	entries, err := n.entries(m)
	if err != nil {
		return err
	}
	n.replyParts(xid, ofproto.MultipartReply{Type: m.Type}, entries)
	return nil
}

// entries returns the entries of the answer. One that is not a list has one.
func (n *session) entries(m ofproto.MultipartRequest) ([][]byte, error) {
	switch m.Type {
	case ofproto.MultipartDesc:
		return one(ofproto.AppendDesc(nil, ofproto.Desc{Manufacturer: "Nicira, Inc.", Hardware: "Open vSwitch", Software: software, Serial: "None", Datapath: "None"})), nil
	case ofproto.MultipartFlow:
		return n.flowEntries(m.Body)
	case ofproto.MultipartAggregate:
		return n.aggregate(m.Body)
	case ofproto.MultipartTable:
		return n.tableEntries(), nil
	case ofproto.MultipartPort:
		return n.portEntries(m.Body)
	case ofproto.MultipartQueue:
		return n.queueEntries(m.Body)
	case ofproto.MultipartPortDesc:
		return each(n.ports, func(p ofproto.PortDesc) ([]byte, error) { return ofproto.AppendPortDesc(nil, p), nil })
	case ofproto.MultipartGroup:
		return n.groupEntries(m.Body)
	case ofproto.MultipartGroupDesc:
		return each(n.tables.sortedGroups(), func(g *group) ([]byte, error) { return ofproto.AppendGroupDesc(nil, g.Group) })
	case ofproto.MultipartGroupFeatures:
		return one(ofproto.AppendGroupFeatures(nil, groupFeatures)), nil
	case ofproto.MultipartMeter:
		return n.meterEntries(m.Body, func(k *meter) ([]byte, error) { return ofproto.AppendMeterStats(nil, n.meterStats(k)) })
	case ofproto.MultipartMeterConfig:
		return n.meterEntries(m.Body, func(k *meter) ([]byte, error) { return ofproto.AppendMeterConfig(nil, k.MeterConfig) })
	case ofproto.MultipartMeterFeatures:
		return one(ofproto.AppendMeterFeatures(nil, meterFeatures)), nil
	case ofproto.MultipartTableFeatures:
		return tableFeatures(m.Body)
	}
	return nil, ofproto.OFPBRC_BAD_STAT
}

func one(b []byte) [][]byte { return [][]byte{b} }

// each encodes every element of a list.
func each[T any](all []T, encode func(T) ([]byte, error)) (entries [][]byte, err error) {
	for _, v := range all {
		b, err := encode(v)
		if err != nil {
			return nil, err
		}
		entries = append(entries, b)
	}
	return entries, nil
}

// asked returns the flows that a request asks for.
func (n *session) asked(body []byte) ([]*flow, error) {
	q, err := ofproto.DecodeFlowQuery(body)
	if err != nil {
		return nil, err
	}
	if err := n.checkTLVs(ofproto.Flow{Match: q.Match}); err != nil {
		return nil, err
	}
	return n.tables.selected(selection{
		table: q.Table, match: q.Match, cookie: q.Cookie, cookieMask: q.CookieMask, outPort: q.OutPort, outGroup: q.OutGroup,
	}), nil
}

func (n *session) flowEntries(body []byte) ([][]byte, error) {
	flows, err := n.asked(body)
	if err != nil {
		return nil, err
	}
	return each(flows, func(f *flow) ([]byte, error) { return ofproto.AppendFlowStats(nil, f.stats()) })
}

// stats returns f with its counters.
func (f *flow) stats() ofproto.FlowStats {
	s := ofproto.FlowStats{Flow: f.Flow, Packets: f.packets, Bytes: f.bytes}
	s.DurationSec, s.DurationNsec = since(f.created)
	return s
}

// since returns how long ago t was, as OpenFlow says it; in whole milliseconds.
func since(t time.Time) (sec, nsec uint32) {
	d := time.Since(t).Truncate(time.Millisecond)
	return uint32(d / time.Second), uint32(d % time.Second)
}

func (n *session) aggregate(body []byte) ([][]byte, error) {
	flows, err := n.asked(body)
	if err != nil {
		return nil, err
	}
	a := ofproto.Aggregate{Flows: uint32(len(flows))}
	for _, f := range flows {
		a.Packets += f.packets
		a.Bytes += f.bytes
	}
	return one(ofproto.AppendAggregate(nil, a)), nil
}

func (n *session) tableEntries() (entries [][]byte) {
	var all [internalTable]ofproto.TableStats
	for _, f := range n.tables.flows {
		if f.Table == internalTable {
			continue
		}
		s := &all[f.Table]
		s.Active++
		s.Lookups += f.packets
		s.Matched += f.packets
	}
	for i := range all {
		all[i].Table = ofproto.Table(i)
		entries = append(entries, ofproto.AppendTableStats(nil, all[i]))
	}
	return entries
}

// portEntries has counters of zero, for no packet passes through this switch, and all ones
// for those that not every kind of port has.
func (n *session) portEntries(body []byte) ([][]byte, error) {
	number, err := ofproto.RequestNumber(body)
	if err == nil {
		err = checkNumber(number)
	}
	if err != nil {
		return nil, err
	}
	const unknown = ^uint64(0)
	s := ofproto.PortStats{RxDropped: unknown, TxDropped: unknown, RxErrors: unknown, TxErrors: unknown, RxFrame: unknown, RxOver: unknown, RxCRC: unknown, Collisions: unknown}
	s.DurationSec, s.DurationNsec = since(n.created)
	var entries [][]byte
	for _, p := range n.ports {
		if number == ofproto.PortAny || number == p.Number {
			s.Port = p.Number
			entries = append(entries, ofproto.AppendPortStats(nil, s))
		}
	}
	return entries, nil
}

// checkNumber refuses the number of a port that does not fit into the 16 bits that Open
// vSwitch has for it.
func checkNumber(port uint32) error {
	const most, reserved = 0xff00, 0xffffff00
	if port >= most && port < reserved {
		return ofproto.OFPBAC_BAD_OUT_PORT
	}
	return nil
}

// allQueues is OFPQ_ALL.
const allQueues = 0xffffffff

// queueEntries is empty, for there are no queues.
func (n *session) queueEntries(body []byte) ([][]byte, error) {
	port, queue, err := ofproto.DecodeQueueQuery(body)
	if err == nil {
		err = checkNumber(port)
	}
	switch {
	case err != nil:
		return nil, err
	case port != ofproto.PortAny && n.port(port) < 0:
		return nil, ofproto.OFPQOFC_BAD_PORT
	case queue != allQueues || len(n.ports) == 0:
		return nil, ofproto.OFPQOFC_BAD_QUEUE
	}
	return nil, nil
}

// groupEntries has the counters of a group, or of all. One that is not there is no error.
func (n *session) groupEntries(body []byte) ([][]byte, error) {
	id, err := ofproto.RequestNumber(body)
	if err != nil {
		return nil, err
	}
	groups := slices.DeleteFunc(n.tables.sortedGroups(), func(g *group) bool { return id != ofproto.AllGroups && id != g.ID })
	return each(groups, func(g *group) ([]byte, error) { return ofproto.AppendGroupStats(nil, n.groupStats(g)) })
}

func (n *session) groupStats(g *group) ofproto.GroupStats {
	s := ofproto.GroupStats{Group: g.ID, Buckets: make([]ofproto.Counter, len(g.Buckets))}
	for _, f := range n.tables.flows {
		s.References += uint32(usesOf(f.Actions, g.ID))
	}
	s.DurationSec, s.DurationNsec = since(g.created)
	return s
}

// meterEntries has what encode makes of a meter, or of all.
func (n *session) meterEntries(body []byte, encode func(*meter) ([]byte, error)) ([][]byte, error) {
	id, err := ofproto.RequestNumber(body)
	switch {
	case err != nil:
		return nil, err
	case id == ofproto.AllMeters:
		return each(n.tables.sortedMeters(), encode)
	case n.tables.meters[id] == nil:
		return nil, ofproto.OFPMMFC_UNKNOWN_METER
	}
	return each([]*meter{n.tables.meters[id]}, encode)
}

func (n *session) meterStats(m *meter) ofproto.MeterStats {
	s := ofproto.MeterStats{Meter: m.ID, Bands: make([]ofproto.Counter, len(m.Bands))}
	s.Flows = uint32(len(n.tables.flowsThat(func(f *flow) bool { return usesMeter(f.Actions, m.ID) })))
	s.DurationSec, s.DurationNsec = since(m.created)
	return s
}

// groupFeatures are Open vSwitch's.
var groupFeatures = ofproto.GroupFeatures{
	Types: 0xf, Capabilities: 7,
	Max:     [4]uint32{maxGroup, maxGroup, maxGroup, maxGroup},
	Actions: [4]uint32{groupActions, groupActions, groupActions, groupActions},
}

// groupActions are OFPAT_OUTPUT and those from OFPAT_SET_MPLS_TTL to OFPAT_SET_FIELD.
const groupActions = 1 | 1<<26 - 1<<15

// meterFeatures are those of Open vSwitch's userspace datapath.
var meterFeatures = ofproto.MeterFeatures{Max: maxMeters, Bands: 1 << ofproto.MeterDrop, Capabilities: uint32(knownMeterFlags), MaxBands: maxBands}

func sortedKeys[V any](m map[uint32]V) []uint32 { return slices.Sorted(maps.Keys(m)) }
