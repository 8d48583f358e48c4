package main

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"weir/conntrack"
)

// A reader reads connections where the datapaths of the bridges keep them: those of the kernel's
// datapath out of the kernel, which holds ovs-vswitchd in nothing, and all others through
// ovs-vswitchd. Where the kernel may not be asked it goes through ovs-vswitchd, too.
type reader struct {
	rundir  string
	kinds   func() []string        // types of the datapaths of the bridges; none: not known yet
	kernel  atomic.Pointer[string] // why the kernel's table is not read by netlink; nil: it is, or was not asked for yet
	through conntrack.Source       // ovs-vswitchd
}

func newReader(rundir string, kinds func() []string) *reader {
	return &reader{rundir: rundir, kinds: kinds, through: conntrack.NewUnixctl(rundir)}
}

// Entries implements conntrack.Source.
func (r *reader) Entries(ctx context.Context, f conntrack.Filter) iter.Seq2[conntrack.Entry, error] {
	kinds := r.kinds()
	if len(kinds) != 1 || kinds[0] != conntrack.Kernel {
		return r.through.Entries(ctx, f)
	}
	return func(yield func(conntrack.Entry, error) bool) {
		listening, err := r.fromKernel(ctx, f, yield)
		if err == nil {
			r.kernel.Store(nil)
			return
		}
		if ctx.Err() == nil {
			why := err.Error()
			r.kernel.Store(&why)
		}
		if listening {
			r.through.Entries(ctx, f)(yield)
		}
	}
}

// fromKernel reads the kernel's table. The error is that of a table of which nothing can be read;
// listening says whether somebody waits for entries still.
func (r *reader) fromKernel(ctx context.Context, f conntrack.Filter, yield func(conntrack.Entry, error) bool) (listening bool, err error) {
	source, err := conntrack.NetlinkOf(r.rundir)
	if err != nil {
		return true, err
	}
	begun := false
	for e, err := range source.Entries(ctx, f) {
		var damage *conntrack.Damage
		if err != nil && !errors.As(err, &damage) && !begun {
			return true, err
		}
		begun = true
		if !yield(e, err) {
			return false, nil
		}
	}
	return false, nil
}
