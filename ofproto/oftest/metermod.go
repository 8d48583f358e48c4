package oftest

import (
	"cmp"
	"slices"
	"time"

	"weir/ofproto"
)

// maxMeter is OFPM_MAX, the highest number of a meter.
const maxMeter = 0xffff0000

// Limits of Open vSwitch's userspace datapath.
const (
	maxMeters = 1 << 18
	maxBands  = 8
)

const knownMeterFlags = ofproto.MeterKilobits | ofproto.MeterPacketsPerSecond | ofproto.MeterBurst | ofproto.MeterCounted

// changeMeters carries out a meter-mod (OpenFlow 1.3, 6.6), and tells who wants to know.
func (s *Switch) changeMeters(m ofproto.MeterMod, by change) error {
	if m.Command == ofproto.MeterDelete {
		for _, k := range s.tables.sortedMeters() {
			if id := m.Meter.ID; id == k.ID || id == ofproto.AllMeters {
				s.tables.deleteMeter(k)
				s.tell(s.tables.keep())
			}
		}
		s.forward(m, by)
		return nil
	}
	if err := s.tables.putMeter(m); err != nil {
		return err
	}
	m.Meter = s.tables.meters[m.Meter.ID].MeterConfig // of which a part may not have been said
	s.forward(m, by)
	return nil
}

// putMeter adds or modifies a meter.
func (t *tables) putMeter(m ofproto.MeterMod) error {
	id := m.Meter.ID
	old := t.meters[id]
	switch {
	case id == 0 || id > maxMeter && id != ofproto.MeterSlowpath && id != ofproto.MeterController:
		return ofproto.OFPMMFC_INVALID_METER
	case len(m.Meter.Bands) > maxBands:
		return ofproto.OFPMMFC_OUT_OF_BANDS
	case m.Command == ofproto.MeterAdd && old != nil:
		return ofproto.OFPMMFC_METER_EXISTS
	case m.Command == ofproto.MeterModify && old == nil:
		return ofproto.OFPMMFC_UNKNOWN_METER
	case m.Command == ofproto.MeterAdd && len(t.meters) >= maxMeters:
		return ofproto.OFPMMFC_OUT_OF_METERS
	}
	bands, err := measured(m.Meter)
	if err != nil {
		return err
	}
	n := &meter{MeterConfig: ofproto.MeterConfig{ID: id, Flags: m.Meter.Flags, Bands: bands}, created: time.Now()}
	if old != nil {
		n.created = old.created
	}
	t.meters[id] = n
	return nil
}

// measured returns the bands of a meter as the userspace datapath keeps them: a burst that is
// not given is as large as the rate.
func measured(m ofproto.MeterConfig) ([]ofproto.MeterBand, error) {
	noRate := func(b ofproto.MeterBand) bool { return b.Rate == 0 }
	remarks := func(b ofproto.MeterBand) bool { return b.Type != ofproto.MeterDrop }
	switch {
	case m.Flags&(ofproto.MeterKilobits|ofproto.MeterPacketsPerSecond) == 0:
		return nil, ofproto.OFPMMFC_BAD_FLAGS
	case len(m.Bands) == 0:
		return nil, ofproto.OFPMMFC_OUT_OF_BANDS
	case slices.ContainsFunc(m.Bands, noRate):
		return nil, ofproto.OFPMMFC_BAD_RATE
	case m.Flags&^knownMeterFlags != 0:
		return nil, ofproto.OFPMMFC_BAD_FLAGS
	case slices.ContainsFunc(m.Bands, remarks):
		return nil, ofproto.OFPMMFC_BAD_BAND
	}
	bands := slices.Clone(m.Bands)
	for i := range bands {
		if b := &bands[i]; b.Burst == 0 {
			b.Burst = b.Rate
		}
	}
	return bands, nil
}

// deleteMeter deletes a meter and the flows that use it.
func (t *tables) deleteMeter(m *meter) {
	t.removeFlows(t.flowsThat(func(f *flow) bool { return usesMeter(f.Actions, m.ID) }), event{reason: ofproto.RemovedByMeter})
	delete(t.meters, m.ID)
}

func (t *tables) sortedMeters() []*meter {
	all := make([]*meter, 0, len(t.meters))
	for _, m := range t.meters {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *meter) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
