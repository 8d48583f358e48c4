package controller

import (
	"cmp"
	"context"
	"slices"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
)

// A Metered is what has come to the meter of an intent since the meter was made.
type Metered struct {
	Intent  intent.ID
	Packets uint64
	Dropped uint64 // of these
}

// Between two readings of the meters' counters: as often as somebody may look, if reading is
// cheap.
const (
	countEvery = 2 * time.Second
	countShare = 50 // of the time, one part is for reading
)

// count reads what the meters of intents have dropped, and tells it if it has changed.
func (s *session) count(ctx context.Context) error {
	began := time.Now()
	defer func() { s.counting = time.After(max(countEvery, countShare*time.Since(began))) }()
	if s.given == nil {
		return nil
	}
	if err := s.countPorts(ctx); err != nil || len(s.given.Meters()) == 0 {
		return err
	}
	stats, err := s.conn.MeterStats(ctx)
	if err != nil {
		return err
	}
	var now []Metered
	for _, m := range stats {
		tag, _ := pipeline.MeterTag(m.Meter)
		id, known := s.job.input.Numbers.Origin(tag)
		if !known {
			continue
		}
		c := Metered{Intent: id, Packets: m.Packets}
		for _, b := range m.Bands {
			c.Dropped += b.Packets
		}
		now = append(now, c)
	}
	slices.SortFunc(now, func(a, b Metered) int { return cmp.Compare(a.Intent, b.Intent) })
	if slices.Equal(now, s.report.Metered) {
		return nil
	}
	s.report.Metered = now
	return s.tell(ctx)
}
