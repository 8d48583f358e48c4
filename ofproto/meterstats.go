package ofproto

import "fmt"

// DecodeMeterConfig appends the meters in one part of a meter-config reply to meters.
func DecodeMeterConfig(meters []MeterConfig, body []byte) ([]MeterConfig, error) {
	return decodeAll(room(meters, countEntries(body, 8)), body, "meter config", false, (*decoder).meterConfig)
}

func (d *decoder) meterConfig() (m MeterConfig) {
	n := int(d.peek16())
	if len(d.b) < 8 || n < 8 || n > len(d.b) {
		d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
		return m
	}
	e := d.sub(n, "meter config", OFPBRC_BAD_LEN)
	e.skip(2)
	m.Flags, m.ID = e.u16(), e.u32()
	m.Bands = e.bands(len(e.b))
	d.done(&e)
	return m
}

// AppendMeterConfig appends m as an entry of a meter-config reply.
func AppendMeterConfig(b []byte, m MeterConfig) ([]byte, error) {
	start := len(b)
	b = be.AppendUint32(be.AppendUint16(append(b, 0, 0), m.Flags), m.ID)
	b = appendBands(b, m.Bands)
	return b, setLen(b, start, 0)
}

// DecodeMeterStats appends the meters in one part of a meter reply to meters.
func DecodeMeterStats(meters []MeterStats, body []byte) ([]MeterStats, error) {
	return decodeAll(meters, body, "meter stats", false, (*decoder).meterStats)
}

// meterStatsLen is the length of an entry without its bands.
const meterStatsLen = 40

func (d *decoder) meterStats() (s MeterStats) {
	s.Meter = d.u32()
	n := int(d.u16())
	d.skip(6)
	s.Flows, s.Packets, s.Bytes = d.u32(), d.u64(), d.u64()
	s.DurationSec, s.DurationNsec = d.u32(), d.u32()
	if d.err == nil && (n < meterStatsLen || n-meterStatsLen > len(d.b) || (n-meterStatsLen)%16 != 0) {
		d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
		return s
	}
	s.Bands = d.countersIn((n - meterStatsLen) / 16)
	return s
}

// AppendMeterStats appends s as an entry of a meter reply.
func AppendMeterStats(b []byte, s MeterStats) ([]byte, error) {
	start := len(b)
	b = append(be.AppendUint32(b, s.Meter), 0, 0, 0, 0, 0, 0, 0, 0)
	b = be.AppendUint64(be.AppendUint64(be.AppendUint32(b, s.Flows), s.Packets), s.Bytes)
	b = be.AppendUint32(be.AppendUint32(b, s.DurationSec), s.DurationNsec)
	b = appendCounters(b, s.Bands)
	return b, setLen(b, start, 4)
}

// DecodeMeterFeatures reads the body of a meter-features reply.
func DecodeMeterFeatures(body []byte) (MeterFeatures, error) {
	return decodeOne(body, "meter features", 16, (*decoder).meterFeatures)
}

func (d *decoder) meterFeatures() MeterFeatures {
	f := MeterFeatures{d.u32(), d.u32(), d.u32(), d.u8(), d.u8()}
	d.skip(2)
	return f
}

// AppendMeterFeatures appends the body of a meter-features reply.
func AppendMeterFeatures(b []byte, f MeterFeatures) []byte {
	b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, f.Max), f.Bands), f.Capabilities)
	return append(b, f.MaxBands, f.MaxColor, 0, 0)
}

func init() {
	onMessage(multipartAnswer, uint32(MultipartMeter), messageForm{name: "METER", print: (*printer).meterStats, unit: 8})
	onMessage(multipartAnswer, uint32(MultipartMeterConfig), messageForm{name: "METER_CONFIG", print: (*printer).meterConfigs, unit: 8})
	onMessage(multipartAnswer, uint32(MultipartMeterFeatures), messageForm{name: "METER_FEATURES", print: (*printer).meterFeatures, least: 16})
}
