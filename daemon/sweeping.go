package daemon

import (
	"context"
	"errors"
	"time"

	"weir/conntrack"
)

// limitSweep is how often what has timed out is taken off a userspace datapath on which a tenant has a
// limit: what is not taken away counts there, and keeps new connections out. It costs that thread of ovs-vswitchd
// 120 ns for each connection, and never more than some 3 % of a processor, as it pauses between parts.
const limitSweep = time.Second

// A sweeping is what is known of how often an ovs-vswitchd takes away what has timed out.
type sweeping struct {
	process string
	limited bool // somebody there has a limit
	ours    bool // it is limitSweep because we have said so
}

// hasten has a datapath take away often what has timed out, as long as somebody there has a limit, unless somebody
// else has said how often already.
func (s *sweeping) hasten(ctx context.Context, d conntrack.Datapath, process string, limited bool) (err error) {
	if s.process != process {
		*s = sweeping{process: process} // which knows nothing of what the one before was told
	}
	switch {
	case limited && !s.limited:
		s.ours, err = sweepAnew(ctx, d, conntrack.DefaultSweep, limitSweep)
	case !limited && s.ours:
		_, err = sweepAnew(ctx, d, limitSweep, conntrack.DefaultSweep)
	}
	if err == nil {
		s.limited, s.ours = limited, s.ours && limited
	}
	return err
}

// sweepAnew changes how often a datapath takes away what has timed out, if it is what it is taken for. One that does so at
// once, and the kernel's, is left alone.
func sweepAnew(ctx context.Context, d conntrack.Datapath, from, to time.Duration) (changed bool, err error) {
	is, err := d.Sweep(ctx)
	switch {
	case errors.Is(err, conntrack.ErrUnsupported):
		return false, nil
	case err != nil || is != from:
		return false, err
	}
	return true, d.SetSweep(ctx, to)
}
