package daemon

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"weir/conntrack"
)

// A reader reads connections where the datapaths of the bridges keep them: those of the kernel's
// datapath out of the kernel, which holds ovs-vswitchd in nothing, and all others through
// ovs-vswitchd. Where the kernel may not be asked it goes through ovs-vswitchd, too.
type reader struct {
	rundir  string
	kinds   func() []string                    // types of the datapaths of the bridges; none: not known yet
	kernel  atomic.Pointer[string]             // why the kernel's table is not read by netlink; nil: it is, or was not asked for yet
	through func(kind string) conntrack.Source // ovs-vswitchd, for a datapath; "": for the only one
}

func newReader(rundir string, kinds func() []string) *reader {
	return &reader{rundir: rundir, kinds: kinds, through: func(kind string) conntrack.Source {
		if kind == "" {
			return conntrack.NewUnixctl(rundir)
		}
		return conntrack.NewDatapath(rundir, kind).Source()
	}}
}

// Entries implements conntrack.Source. Where there are several datapaths it goes through one after
// the other.
func (r *reader) Entries(ctx context.Context, f conntrack.Filter) iter.Seq2[conntrack.Entry, error] {
	kinds := r.kinds()
	if len(kinds) == 0 {
		return r.through("").Entries(ctx, f)
	}
	return func(yield func(conntrack.Entry, error) bool) {
		listening := true
		some := func(e conntrack.Entry, err error) bool {
			listening = listening && yield(e, err)
			return listening
		}
		for _, kind := range kinds {
			if !listening {
				return
			}
			if kind == conntrack.Kernel {
				r.ofKernel(ctx, f, some)
			} else {
				r.through(kind).Entries(ctx, f)(some)
			}
		}
	}
}

// ofKernel reads the kernel's datapath, by the way that is open.
func (r *reader) ofKernel(ctx context.Context, f conntrack.Filter, yield func(conntrack.Entry, error) bool) {
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
		r.through(conntrack.Kernel).Entries(ctx, f)(yield)
	}
}

// onKernel reports whether all bridges are on the kernel's datapath.
func (r *reader) onKernel() bool {
	kinds := r.kinds()
	return len(kinds) == 1 && kinds[0] == conntrack.Kernel
}

// direct reports whether reading holds ovs-vswitchd in nothing.
func (r *reader) direct() bool { return r.onKernel() && r.kernel.Load() == nil }

// watcher returns who tells what becomes of connections: the kernel, where it may be asked, and
// else looks.
func (r *reader) watcher(ctx context.Context, looks conntrack.Watcher) conntrack.Watcher {
	if !r.onKernel() {
		return looks
	}
	const nobodys = 65535 // a reading of any zone shows whether it may be asked
	_, err := r.fromKernel(ctx, conntrack.Filter{Zone: nobodys}, func(conntrack.Entry, error) bool { return false })
	source, gone := conntrack.NetlinkOf(r.rundir)
	if errors.Join(err, gone) != nil {
		return looks
	}
	source.Resync = resyncEvery
	return source
}

// resyncEvery is how late it is told what becomes of a connection that was there before anybody
// listened: the kernel has no events of such.
const resyncEvery = 3 * time.Second

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

// forget removes entries from the kernel's table, each of them and no other; that one is not there is no
// error. It takes what Open vSwitch does not: any protocol, ports of zero, versions before 3.1.
func (r *reader) forget(ctx context.Context, keys []conntrack.Key) error {
	source, err := conntrack.NetlinkOf(r.rundir)
	if err != nil {
		return err
	}
	entries := make([]conntrack.Entry, len(keys))
	for i, k := range keys {
		entries[i] = conntrack.Entry{Protocol: k.Protocol, Zone: k.Zone, Orig: k.Orig}
	}
	_, err = source.Delete(ctx, entries...)
	return err
}

// flushZone removes all connections of a zone from the kernel's table.
func (r *reader) flushZone(ctx context.Context, zone uint16) error {
	source, err := conntrack.NetlinkOf(r.rundir)
	if err != nil {
		return err
	}
	_, err = source.FlushZone(ctx, zone)
	return err
}

// usable reports whether the kernel's table is open to us.
func (r *reader) usable(ctx context.Context) bool {
	source, err := conntrack.NetlinkOf(r.rundir)
	if err != nil {
		return false
	}
	_, _, err = source.Fill(ctx)
	return err == nil
}
