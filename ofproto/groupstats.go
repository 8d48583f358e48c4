package ofproto

import "fmt"

// DecodeGroupDesc appends the groups in one part of a group-desc reply to groups.
func DecodeGroupDesc(groups []Group, body []byte) ([]Group, error) {
	return decodeAll(room(groups, countEntries(body, 8)), body, "group desc", false, func(d *decoder) Group {
		g := d.groupDesc()
		if g.Type != GroupSelect { // a weight means nothing there
			for i := range g.Buckets {
				g.Buckets[i].Weight = 0
			}
		}
		return g
	})
}

func (d *decoder) groupDesc() (g Group) {
	n := int(d.peek16())
	if len(d.b) < 8 || n < 8 || n > len(d.b) {
		d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
		return g
	}
	e := d.sub(n, "group desc", OFPBRC_BAD_LEN)
	e.skip(2)
	g.Type = GroupType(e.u8())
	e.skip(1)
	g.ID = e.u32()
	g.Buckets = e.buckets(len(e.b))
	d.done(&e)
	return g
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

// DecodeGroupStats appends the groups in one part of a group reply to groups.
func DecodeGroupStats(groups []GroupStats, body []byte) ([]GroupStats, error) {
	return decodeAll(groups, body, "group stats", false, (*decoder).groupStats)
}

// groupStatsLen is the length of an entry without its buckets.
const groupStatsLen = 40

// groupStats reads one entry. Open vSwitch takes as many buckets as the length has room
// for, and goes on behind the last of them.
func (d *decoder) groupStats() (s GroupStats) {
	n := int(d.u16())
	d.skip(2)
	s.Group, s.References = d.u32(), d.u32()
	d.skip(4)
	s.Packets, s.Bytes = d.u64(), d.u64()
	s.DurationSec, s.DurationNsec = d.u32(), d.u32()
	if d.err == nil && n < groupStatsLen {
		d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
		return s
	}
	s.Buckets = d.countersIn((n - groupStatsLen) / 16)
	return s
}

// countersIn reads n counters.
func (d *decoder) countersIn(n int) []Counter {
	if n <= 0 || n*16 > len(d.b) {
		d.skip(n * 16)
		return nil
	}
	all := make([]Counter, n)
	for i := range all {
		all[i] = Counter{d.u64(), d.u64()}
	}
	return all
}

// AppendGroupStats appends s as an entry of a group reply.
func AppendGroupStats(b []byte, s GroupStats) ([]byte, error) {
	start := len(b)
	b = be.AppendUint32(be.AppendUint32(append(b, 0, 0, 0, 0), s.Group), s.References)
	b = be.AppendUint64(be.AppendUint64(append(b, 0, 0, 0, 0), s.Packets), s.Bytes)
	b = be.AppendUint32(be.AppendUint32(b, s.DurationSec), s.DurationNsec)
	b = appendCounters(b, s.Buckets)
	return b, setLen(b, start, 0)
}

func appendCounters(b []byte, all []Counter) []byte {
	for _, c := range all {
		b = be.AppendUint64(be.AppendUint64(b, c.Packets), c.Bytes)
	}
	return b
}

// DecodeGroupFeatures reads the body of a group-features reply.
func DecodeGroupFeatures(body []byte) (GroupFeatures, error) {
	return decodeOne(body, "group features", 40, (*decoder).groupFeatures)
}

func (d *decoder) groupFeatures() GroupFeatures {
	f := GroupFeatures{Types: d.u32(), Capabilities: d.u32()}
	for i := range f.Max {
		f.Max[i] = d.u32()
	}
	for i := range f.Actions {
		f.Actions[i] = d.u32()
	}
	return f
}

// AppendGroupFeatures appends the body of a group-features reply.
func AppendGroupFeatures(b []byte, f GroupFeatures) []byte {
	b = be.AppendUint32(be.AppendUint32(b, f.Types), f.Capabilities)
	for _, v := range f.Max {
		b = be.AppendUint32(b, v)
	}
	for _, v := range f.Actions {
		b = be.AppendUint32(b, v)
	}
	return b
}

func init() {
	onMessage(multipartAnswer, uint32(MultipartGroup), messageForm{name: "GROUP", print: (*printer).groupStats, unit: 8})
	onMessage(multipartAnswer, uint32(MultipartGroupDesc), messageForm{name: "GROUP_DESC", print: (*printer).groupDesc, unit: 8})
	onMessage(multipartAnswer, uint32(MultipartGroupFeatures), messageForm{name: "GROUP_FEATURES", print: (*printer).groupFeatures, least: 40})
}
