package ofproto

import "slices"

// Flags of a MeterConfig (OpenFlow 1.3, A.3.4.4).
const (
	MeterKilobits         uint16 = 1 // OFPMF_KBPS
	MeterPacketsPerSecond uint16 = 2 // OFPMF_PKTPS
	MeterBurst            uint16 = 4 // OFPMF_BURST
	MeterCounted          uint16 = 8 // OFPMF_STATS
)

// The types of bands.
const (
	MeterDrop       uint16 = 1 // OFPMBT_DROP: drops
	MeterDSCPRemark uint16 = 2 // OFPMBT_DSCP_REMARK: raises the drop precedence
)

// A MeterConfig is one entry of the meter table.
type MeterConfig struct {
	ID    uint32
	Flags uint16 // MeterKilobits and so on
	Bands []MeterBand
}

// A MeterBand is one band of a MeterConfig.
type MeterBand struct {
	Type  uint16 // MeterDrop, MeterDSCPRemark
	Rate  uint32 // in kbit/s or packets/s, as Flags say
	Burst uint32 // in kbit or packets; zero: as much as Rate in a second
	Prec  uint8  // of MeterDSCPRemark
}

// Equal reports whether m and n would be the same entry in a switch.
func (m MeterConfig) Equal(n MeterConfig) bool {
	return m.ID == n.ID && m.Flags == n.Flags && slices.EqualFunc(m.Bands, n.Bands, MeterBand.equal)
}

// equal takes a burst of zero for the rate, as the userspace datapath does: it reports the
// rate as the burst, and a plan that set it to zero would never be done.
func (b MeterBand) equal(c MeterBand) bool {
	if b.Burst == 0 {
		b.Burst = b.Rate
	}
	if c.Burst == 0 {
		c.Burst = c.Rate
	}
	return b == c
}

// String returns m as ovs-ofctl dump-meters prints it, with a line for each band, which is
// also what add-meter takes.
func (m MeterConfig) String() string {
	p := printer{}
	p.meterConfig(&m)
	p.chomp('\n')
	return string(p.out)
}

// MeterMod changes the meter table (A.3.4.4).
type MeterMod struct {
	Command uint16 // MeterAdd, MeterModify, MeterDelete
	Meter   MeterConfig
}

func (MeterMod) messageType() uint8 { return typeMeterMod }

func (m MeterMod) appendBody(b []byte) ([]byte, error) {
	flags := m.Meter.Flags
	if m.Command == MeterDelete {
		flags = 0
	}
	b = be.AppendUint16(be.AppendUint16(b, m.Command), flags)
	b = be.AppendUint32(b, m.Meter.ID)
	if m.Command == MeterDelete {
		return b, nil
	}
	return appendBands(b, m.Meter.Bands), nil
}

func appendBands(b []byte, bands []MeterBand) []byte {
	for _, k := range bands {
		b = be.AppendUint16(be.AppendUint16(b, k.Type), bandLen)
		b = be.AppendUint32(be.AppendUint32(b, k.Rate), k.Burst)
		b = append(b, k.Prec, 0, 0, 0)
	}
	return b
}

func (d *decoder) meterMod() (m MeterMod) {
	m.Command = d.u16()
	m.Meter.Flags, m.Meter.ID = d.u16(), d.u32()
	switch {
	case m.Command > MeterDelete:
		d.refuse(OFPMMFC_BAD_COMMAND)
	case m.Command == MeterDelete: // says nothing more
		m.Meter.Flags = 0
		return m
	case m.Meter.Flags&(MeterKilobits|MeterPacketsPerSecond) == MeterKilobits|MeterPacketsPerSecond:
		d.refuse(OFPMMFC_BAD_FLAGS)
	}
	m.Meter.Bands = d.bands(len(d.b))
	return m
}

// bandLen is the length of all kinds of bands.
const bandLen = 16

// bands reads n bytes of bands.
func (d *decoder) bands(n int) (bands []MeterBand) {
	s := d.sub(n, "band", OFPBRC_BAD_LEN)
	for s.more() {
		k := MeterBand{Type: s.u16()}
		size := s.u16()
		k.Rate, k.Burst, k.Prec = s.u32(), s.u32(), s.u8()
		s.skip(3)
		switch {
		case s.err == nil && size != bandLen:
			s.fail(OFPBRC_BAD_LEN)
		case k.Type != MeterDrop && k.Type != MeterDSCPRemark:
			s.refuse(OFPMMFC_BAD_BAND)
		case k.Type == MeterDrop:
			k.Prec = 0
		}
		bands = append(bands, k)
	}
	d.done(&s)
	return bands
}

func init() {
	onMessage(openflowMessage, typeMeterMod, messageForm{name: "METER_MOD", print: (*printer).meterMod, least: 8, unit: 8,
		read: func(d *decoder, _ head) Message { return d.meterMod() }})
}
