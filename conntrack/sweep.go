package conntrack

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DefaultSweep is how often Open vSwitch takes connections that have timed out off the userspace datapath, unless it is told otherwise.
const DefaultSweep = 20 * time.Second

// Sweep returns how often connections that have timed out are taken away. Until then they are neither listed
// nor found by packets, but count to limits. The error is ErrUnsupported before Open vSwitch 3.2, which
// takes them away at once, and on the kernel's datapath.
func (d Datapath) Sweep(ctx context.Context) (time.Duration, error) {
	if d.kind == Kernel {
		return 0, fmt.Errorf("the kernel takes them away by itself: %w", ErrUnsupported)
	}
	text, err := d.call(ctx, "dpctl/ct-get-sweep-interval")
	if err != nil {
		return 0, supported(err)
	}
	ms, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("dpctl/ct-get-sweep-interval: %q is no number of milliseconds", text)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// SetSweep says how often, in whole milliseconds, not zero. It is forgotten when ovs-vswitchd ends. The errors are Sweep's.
func (d Datapath) SetSweep(ctx context.Context, every time.Duration) error {
	_, err := d.call(ctx, "dpctl/ct-set-sweep-interval", strconv.FormatInt(every.Milliseconds(), 10))
	return supported(err)
}
