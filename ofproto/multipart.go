package ofproto

import "fmt"

// FlowStatsRequest returns the body of a request for all flows.
func FlowStatsRequest() MultipartRequest {
	b := []byte{0xff, 0, 0, 0} // OFPTT_ALL
	b = be.AppendUint32(be.AppendUint32(b, PortAny), PortAny)
	b = append(b, make([]byte, 4+8+8)...)
	return MultipartRequest{MultipartFlow, appendMatch(b, nil)}
}

// GroupDescRequest returns a request for all groups.
func GroupDescRequest() MultipartRequest { return MultipartRequest{Type: MultipartGroupDesc} }

// MeterConfigRequest returns a request for all meters.
func MeterConfigRequest() MultipartRequest {
	return MultipartRequest{MultipartMeterConfig, []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}} // OFPM_ALL
}

// DecodeFlowStats appends the flows in one part of a flow reply to flows.
func DecodeFlowStats(flows []FlowStats, body []byte) ([]FlowStats, error) {
	d := decoder{b: body, what: "flow stats", short: OFPBRC_BAD_LEN}
	for d.more() {
		n := int(d.u16())
		if d.err == nil && n < 56 {
			d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
			break
		}
		e := d.sub(n-2, "flow stats", OFPBRC_BAD_LEN)
		flows = append(flows, e.flowStats())
		d.done(&e)
	}
	return flows, d.err
}

func (d *decoder) flowStats() (f FlowStats) {
	f.Table = Table(d.u8())
	d.skip(1)
	f.DurationSec, f.DurationNsec = d.u32(), d.u32()
	f.Priority, f.IdleTimeout, f.HardTimeout = d.u16(), d.u16(), d.u16()
	f.Flags = FlowFlags(d.u16())
	d.skip(4)
	f.Cookie, f.Packets, f.Bytes = d.u64(), d.u64(), d.u64()
	d.flowMatch(&f.Flow)
	f.Actions = d.instructions(len(d.b))
	return f
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

// DecodeGroupDesc appends the groups in one part of a group-desc reply to groups.
func DecodeGroupDesc(groups []Group, body []byte) ([]Group, error) {
	d := decoder{b: body, what: "group desc", short: OFPBRC_BAD_LEN}
	for d.more() {
		n := int(d.u16())
		if d.err == nil && n < 8 {
			d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
			break
		}
		e := d.sub(n-2, "group desc", OFPBRC_BAD_LEN)
		g := Group{Type: GroupType(e.u8())}
		e.skip(1)
		g.ID = e.u32()
		g.Buckets = e.buckets(len(e.b))
		if g.Type != GroupSelect { // a weight means nothing there
			for i := range g.Buckets {
				g.Buckets[i].Weight = 0
			}
		}
		d.done(&e)
		groups = append(groups, g)
	}
	return groups, d.err
}

// AppendGroupDesc appends g as an entry of a group-desc reply.
func AppendGroupDesc(b []byte, g Group) ([]byte, error) {
	start := len(b)
	b = be.AppendUint32(append(b, 0, 0, byte(g.Type), 0), g.ID)
	b, err := appendBuckets(b, g.Buckets)
	if err != nil {
		return b, err
	}
	return b, setLen(b, start, 0)
}

// DecodeMeterConfig appends the meters in one part of a meter-config reply to meters.
func DecodeMeterConfig(meters []MeterConfig, body []byte) ([]MeterConfig, error) {
	d := decoder{b: body, what: "meter config", short: OFPBRC_BAD_LEN}
	for d.more() {
		n := int(d.u16())
		if d.err == nil && n < 8 {
			d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
			break
		}
		e := d.sub(n-2, "meter config", OFPBRC_BAD_LEN)
		m := MeterConfig{Flags: e.u16(), ID: e.u32()}
		m.Bands = e.bands(len(e.b))
		d.done(&e)
		meters = append(meters, m)
	}
	return meters, d.err
}
