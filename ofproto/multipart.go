package ofproto

import (
	"fmt"
	"slices"
)

type (
	// MultipartRequest asks for a part of the switch's state (A.3.5). The functions and
	// types that are named after the part make one.
	MultipartRequest struct {
		Type MultipartType
		More bool   // more to come with the same xid
		Body []byte // of that type
	}

	// MultipartReply is one part of the answer. The functions that are named after the
	// part decode its Body.
	MultipartReply struct {
		Type MultipartType
		More bool
		Body []byte
	}
)

// MultipartType is OFPMP_*.
type MultipartType uint16

// The multipart types of OpenFlow 1.3.
const (
	MultipartDesc          MultipartType = 0
	MultipartFlow          MultipartType = 1
	MultipartAggregate     MultipartType = 2
	MultipartTable         MultipartType = 3
	MultipartPort          MultipartType = 4
	MultipartQueue         MultipartType = 5
	MultipartGroup         MultipartType = 6
	MultipartGroupDesc     MultipartType = 7
	MultipartGroupFeatures MultipartType = 8
	MultipartMeter         MultipartType = 9
	MultipartMeterConfig   MultipartType = 10
	MultipartMeterFeatures MultipartType = 11
	MultipartTableFeatures MultipartType = 12
	MultipartPortDesc      MultipartType = 13
	MultipartExperimenter  MultipartType = 0xffff // Body begins with the experimenter and its subtype
)

func (MultipartRequest) messageType() uint8 { return typeMultipartRequest }
func (MultipartReply) messageType() uint8   { return typeMultipartReply }

func (m MultipartRequest) appendBody(b []byte) ([]byte, error) {
	return MultipartReply(m).appendBody(b)
}

func (m MultipartReply) appendBody(b []byte) ([]byte, error) {
	b = be.AppendUint16(be.AppendUint16(b, uint16(m.Type)), flag(m.More, more))
	return append(append(b, 0, 0, 0, 0), m.Body...), nil
}

// multipart reads a whole multipart message whose body is left for others to read.
func multipart(b []byte) Message {
	d := decoder{b: b[16:]}
	m := MultipartReply{MultipartType(be.Uint16(b[8:])), be.Uint16(b[10:])&more != 0, d.rest()}
	if b[1] == typeMultipartRequest {
		return MultipartRequest(m)
	}
	return m
}

// A Reassembly joins the parts of a multipart message that are sent with one xid. The zero
// Reassembly is ready to use.
type Reassembly struct {
	Limit int // bytes of all parts, with 16 for the headers of each; zero: 64 MiB

	typ   MultipartType
	parts int
	size  int
	body  []byte
}

// Add adds a part. Once that was the last it returns the bodies of all, joined: entries do
// not straddle parts. Parts of another type are an error (OFPBRC_BAD_STAT), and so are too
// many (OFPBRC_MULTIPART_BUFFER_OVERFLOW): a peer may never say which is the last.
func (r *Reassembly) Add(p MultipartReply) (body []byte, done bool, err error) {
	limit := r.Limit
	if limit == 0 {
		limit = 64 << 20
	}
	if r.parts > 0 && p.Type != r.typ {
		return nil, false, fmt.Errorf("multipart of type %d after one of type %d: %w", p.Type, r.typ, OFPBRC_BAD_STAT)
	}
	if r.size += len(p.Body) + 16; r.size > limit {
		return nil, false, fmt.Errorf("multipart of type %d is longer than %d bytes: %w", p.Type, limit, OFPBRC_MULTIPART_BUFFER_OVERFLOW)
	}
	r.typ, r.parts, r.body = p.Type, r.parts+1, append(r.body, p.Body...)
	if p.More {
		return nil, false, nil
	}
	body = r.body
	*r = Reassembly{Limit: r.Limit}
	return body, true, nil
}

// decodeAll reads the entries of a body, appending them to a slice.
func decodeAll[T any](all []T, body []byte, what string, strict bool, read func(*decoder) T) ([]T, error) {
	d := decoder{b: body, what: what, short: OFPBRC_BAD_LEN, strict: strict}
	for d.more() {
		if v := read(&d); d.err == nil {
			all = append(all, v)
		}
	}
	return all, d.err
}

// countEntries returns how many entries there are in b, each of which begins with its
// length of at least least. It is worth to look: small ones take much more memory than they
// are long, and more so if it is taken bit by bit.
func countEntries(b []byte, least int) (n int) {
	for len(b) >= least && int(be.Uint16(b)) >= least {
		n++
		b = b[min(len(b), int(be.Uint16(b))):]
	}
	return n
}

// room returns s with room for n more.
func room[T any](s []T, n int) []T {
	if n == 0 {
		return s
	}
	return slices.Grow(s, n)
}

// decodeOne reads a body that is one entry.
func decodeOne[T any](body []byte, what string, size int, read func(*decoder) T) (T, error) {
	d := decoder{b: body, what: what, short: OFPBRC_BAD_LEN}
	if len(body) != size {
		d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, len(body)))
	}
	v := read(&d)
	return v, d.err
}

// empty is a request that says nothing but its type.
func empty(t MultipartType) MultipartRequest { return MultipartRequest{Type: t} }

// DescRequest asks what the switch is.
func DescRequest() MultipartRequest { return empty(MultipartDesc) }

// TableStatsRequest asks for the counters of all tables.
func TableStatsRequest() MultipartRequest { return empty(MultipartTable) }

// PortDescRequest asks for all ports.
func PortDescRequest() MultipartRequest { return empty(MultipartPortDesc) }

// GroupDescRequest asks for all groups.
func GroupDescRequest() MultipartRequest { return empty(MultipartGroupDesc) }

// GroupFeaturesRequest asks which groups the switch can have.
func GroupFeaturesRequest() MultipartRequest { return empty(MultipartGroupFeatures) }

// MeterFeaturesRequest asks which meters the switch can have.
func MeterFeaturesRequest() MultipartRequest { return empty(MultipartMeterFeatures) }

// TableFeaturesRequest asks what the tables can do.
func TableFeaturesRequest() MultipartRequest { return empty(MultipartTableFeatures) }

// PortStatsRequest asks for the counters of a port, or of all with PortAny.
func PortStatsRequest(port uint32) MultipartRequest {
	return MultipartRequest{Type: MultipartPort, Body: append(be.AppendUint32(nil, port), 0, 0, 0, 0)}
}

// QueueStatsRequest asks for the counters of a queue, or of all with AllQueues, on a port,
// or on all with PortAny.
func QueueStatsRequest(port, queue uint32) MultipartRequest {
	return MultipartRequest{Type: MultipartQueue, Body: be.AppendUint32(be.AppendUint32(nil, port), queue)}
}

// GroupStatsRequest asks for the counters of a group, or of all with AllGroups.
func GroupStatsRequest(group uint32) MultipartRequest {
	return MultipartRequest{Type: MultipartGroup, Body: append(be.AppendUint32(nil, group), 0, 0, 0, 0)}
}

// MeterStatsRequest asks for the counters of a meter, or of all with AllMeters.
func MeterStatsRequest(meter uint32) MultipartRequest {
	return MultipartRequest{Type: MultipartMeter, Body: append(be.AppendUint32(nil, meter), 0, 0, 0, 0)}
}

// MeterConfigRequest returns a request for all meters.
func MeterConfigRequest() MultipartRequest {
	return MultipartRequest{Type: MultipartMeterConfig, Body: append(be.AppendUint32(nil, AllMeters), 0, 0, 0, 0)}
}

// FlowStatsRequest returns a request for all flows.
func FlowStatsRequest() MultipartRequest { return FlowQuery{Table: AllTables}.Stats() }

// RequestNumber reads the one number that a request for ports, groups or meters asks for.
func RequestNumber(body []byte) (uint32, error) {
	return decodeOne(body, "request", 8, (*decoder).u32)
}

// DecodeQueueQuery reads what QueueStatsRequest asks for.
func DecodeQueueQuery(body []byte) (port, queue uint32, err error) {
	d := decoder{b: body, what: "queue stats request", short: OFPBRC_BAD_LEN}
	port, queue = d.u32(), d.u32()
	return port, queue, d.err
}

func init() {
	ask := func(t MultipartType, name string, least, unit int, print func(*printer, *decoder, head)) {
		onMessage(multipartAsk, uint32(t), messageForm{name: name, least: least, unit: unit, print: print})
	}
	ask(MultipartDesc, "DESC", 0, 0, nil)
	ask(MultipartFlow, "FLOW", 32, 8, (*printer).flowStatsRequest)
	ask(MultipartAggregate, "AGGREGATE", 32, 8, (*printer).flowStatsRequest)
	ask(MultipartTable, "TABLE", 0, 0, nil)
	ask(MultipartPort, "PORT", 8, 0, (*printer).portRequest)
	ask(MultipartQueue, "QUEUE", 8, 0, (*printer).queueRequest)
	ask(MultipartGroup, "GROUP", 8, 0, (*printer).groupRequest)
	ask(MultipartGroupDesc, "GROUP_DESC", 0, 0, (*printer).groupDescRequest)
	ask(MultipartGroupFeatures, "GROUP_FEATURES", 0, 0, nil)
	ask(MultipartMeter, "METER", 8, 0, (*printer).meterRequest)
	ask(MultipartMeterConfig, "METER_CONFIG", 8, 0, (*printer).meterRequest)
	ask(MultipartMeterFeatures, "METER_FEATURES", 0, 0, nil)
	ask(MultipartTableFeatures, "TABLE_FEATURES", 0, 8, (*printer).tableFeatures)
	ask(MultipartPortDesc, "PORT_DESC", 0, 0, (*printer).portDescRequest)
}
