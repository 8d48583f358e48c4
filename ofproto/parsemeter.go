package ofproto

import (
	"slices"
	"strconv"
	"strings"
)

// Numbers of meters that have a meaning of their own (OpenFlow 1.3, A.3.4.4).
const (
	MaxMeter        uint32 = 0xffff0000 // OFPM_MAX: the largest number of a meter
	MeterSlowpath   uint32 = 0xfffffffd // OFPM_SLOWPATH: for what the fast path hands up
	MeterController uint32 = 0xfffffffe // OFPM_CONTROLLER: for what goes to the controller
	AllMeters       uint32 = 0xffffffff // OFPM_ALL: all meters, in deletes
)

// The commands of a MeterMod (OFPMC_*).
const (
	MeterAdd uint16 = iota
	MeterModify
	MeterDelete
)

// ParseMeter reads a meter in the syntax that ovs-ofctl add-meter takes, and in which
// dump-meters prints meters: "meter=1,kbps,bands=type=drop,rate=1000". It returns a
// *SyntaxError.
func ParseMeter(s string) (MeterConfig, error) {
	m, err := ParseMeterMod(MeterAdd, s)
	return m.Meter, err
}

// ParseMeterMod reads the text that ovs-ofctl add-meter, mod-meter or del-meters takes, and
// returns the message that it sends. To delete, an empty text says all meters.
func ParseMeterMod(cmd uint16, s string) (MeterMod, error) {
	p := parser{whole: s}
	m := p.meterMod(cmd, text{s, 0})
	if p.err != nil {
		return MeterMod{}, p.err
	}
	return m, nil
}

func (p *parser) meterMod(cmd uint16, t text) MeterMod {
	m := MeterMod{Command: cmd}
	switch {
	case cmd == MeterDelete && t.s == "":
		m.Meter.ID = AllMeters
	case cmd == MeterDelete:
		p.meterHead(&m.Meter, t, false)
	case cmd == MeterAdd || cmd == MeterModify:
		head, bands := p.splitAt(t, "band", "")
		p.meterHead(&m.Meter, head, true)
		p.meterBands(&m.Meter, bands)
	default:
		p.bad(t, "there is no command %d for meters", cmd)
	}
	return m
}

// word takes a word off t that one of ends ends, after any number of them.
func word(t *text, ends string) (w text, ok bool) {
	*t = t.from(len(t.s) - len(strings.TrimLeft(t.s, ends)))
	n := strings.IndexAny(t.s, ends)
	if n < 0 {
		n = len(t.s)
	}
	w, *t = t.to(n), t.from(n)
	if t.s != "" {
		*t = t.from(1)
	}
	return w, w.s != ""
}

// In meters the keys end at an equals sign as well.
const (
	valueEnds = "," + blanks
	keyEnds   = "=" + valueEnds
)

// meterValue takes the value of a key off t.
func (p *parser) meterValue(key text, t *text) text {
	value, ok := word(t, valueEnds)
	if !ok {
		p.bad(key, "%s has no value", key.s)
	}
	return value
}

// meterFlags are the flags by their names in a text.
var meterFlags = map[string]uint16{"kbps": MeterKilobits, "pktps": MeterPacketsPerSecond, "burst": MeterBurst, "stats": MeterCounted}

// meterHead reads what stands before the bands.
func (p *parser) meterHead(m *MeterConfig, t text, flags bool) {
	whole := t
	for key, ok := word(&t, keyEnds); ok && p.err == nil; key, ok = word(&t, keyEnds) {
		if flag := meterFlags[key.s]; flags && flag != 0 {
			m.Flags |= flag
			continue
		}
		value := p.meterValue(key, &t)
		if key.s != "meter" {
			p.bad(key, "there is no %q in a meter: want meter=..., kbps, pktps, burst or stats", key.s)
			return
		}
		m.ID = p.meterID(value)
	}
	switch {
	case m.ID == 0:
		p.bad(whole, "meter=... is missing")
	case flags && m.Flags == 0:
		p.bad(whole, "kbps or pktps is missing")
	}
}

func (p *parser) meterID(t text) uint32 {
	switch t.s {
	case "all":
		return AllMeters
	case "controller":
		return MeterController
	case "slowpath":
		return MeterSlowpath
	}
	id := uint32(p.uint(t, 32))
	if id == 0 || id > MaxMeter {
		p.bad(t, "meter %s is not one of 1 to %d, controller or slowpath", t.s, MaxMeter)
	}
	return id
}

// bandTypes are the types of bands by their names in a text; zero is none.
var bandTypes = []string{"", "drop", "dscp_remark"}

// bandTypeName is the name of a type, or its number.
func bandTypeName(t uint16) string {
	if t > 0 && int(t) < len(bandTypes) {
		return bandTypes[t]
	}
	return strconv.FormatUint(uint64(t), 10)
}

// meterBands reads the bands, each of which begins with its type.
func (p *parser) meterBands(m *MeterConfig, t text) {
	var band text // the type of the one that is being read
	whole := t
	for key, ok := word(&t, keyEnds); ok && p.err == nil; key, ok = word(&t, keyEnds) {
		value := p.meterValue(key, &t)
		if key.s == "type" {
			p.checkBand(m, band)
			band = value
			m.Bands = append(m.Bands, MeterBand{Type: p.bandType(value)})
			continue
		}
		if len(m.Bands) == 0 {
			p.bad(key, "a band begins with its type: type=drop or type=dscp_remark")
			return
		}
		p.bandKey(&m.Bands[len(m.Bands)-1], key, value)
	}
	if len(m.Bands) == 0 {
		p.bad(whole, "the meter has no band")
	}
	p.checkBand(m, band)
}

func (p *parser) bandType(t text) uint16 {
	n := slices.Index(bandTypes, t.s)
	if n <= 0 {
		p.bad(t, "a band of type %q is not known: want drop or dscp_remark", t.s)
		return 0
	}
	return uint16(n)
}

func (p *parser) bandKey(band *MeterBand, key, value text) {
	switch key.s {
	case "rate":
		band.Rate = uint32(p.uint(value, 32))
	case "burst_size":
		band.Burst = uint32(p.uint(value, 32))
	case "prec_level":
		band.Prec = uint8(p.uint(value, 8))
	default:
		p.bad(key, "there is no %q in a band: want rate, burst_size or prec_level", key.s)
	}
}

// checkBand checks the last band of m, whose type stands at t.
func (p *parser) checkBand(m *MeterConfig, t text) {
	if p.err != nil || len(m.Bands) == 0 {
		return
	}
	band := m.Bands[len(m.Bands)-1]
	remark, bursts := bandTypes[band.Type] == "dscp_remark", m.Flags&MeterBurst != 0
	switch {
	case remark && band.Prec == 0:
		p.bad(t, "a band that remarks needs a prec_level")
	case !remark && band.Prec != 0:
		p.bad(t, "only a band that remarks has a prec_level")
	case band.Rate == 0:
		p.bad(t, "the band needs a rate")
	case bursts && band.Burst == 0:
		p.bad(t, "a band of a meter with the flag burst needs a burst_size")
	case !bursts && band.Burst != 0:
		p.bad(t, "only a meter with the flag burst has bands with a burst_size")
	}
}
