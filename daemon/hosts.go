package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"weir/api"
	"weir/conntrack"
	"weir/internal/unixctl"
)

// answerWait is how long an ovs-vswitchd may take to say that it is there, before its host is passed over: it
// answers nobody else while it writes a dump.
const answerWait = 5 * time.Second

// entriesOnAll returns the connections of zones on all hosts, each with the name of its host, and then an
// api.Unread if some hosts could not be read. The hosts are read at once: who does not answer keeps
// nobody from the others.
func (d *desk) entriesOnAll(ctx context.Context, zones []uint16) iter.Seq2[conntrack.Entry, error] {
	return func(yield func(conntrack.Entry, error) bool) {
		var each []func(context.Context) iter.Seq2[conntrack.Entry, error]
		for _, h := range d.hosts {
			each = append(each, func(ctx context.Context) iter.Seq2[conntrack.Entry, error] { return d.entriesOfHost(ctx, h, zones) })
		}
		var unread []error
		for e, err := range together(ctx, each) {
			if err != nil {
				unread = append(unread, err)
			} else if !yield(e, nil) {
				return
			}
		}
		if err := errors.Join(append(unread, ctx.Err())...); err != nil {
			yield(conntrack.Entry{}, api.Unread{Why: err.Error()})
		}
	}
}

// entriesOfHost returns those of a host that has a name, if it answers.
func (d *desk) entriesOfHost(ctx context.Context, h *Host, zones []uint16) iter.Seq2[conntrack.Entry, error] {
	return func(yield func(conntrack.Entry, error) bool) {
		if !h.direct() { // else nobody is asked
			if err := h.answers(ctx); err != nil {
				yield(conntrack.Entry{}, h.trouble(err))
				return
			}
		}
		for e, err := range d.entriesOn(ctx, h, zones) {
			e.Host = h.name
			if !yield(e, h.trouble(err)) || err != nil {
				return
			}
		}
	}
}

// answers asks the host's ovs-vswitchd for something that costs nothing.
func (h *Host) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWait, fmt.Errorf("ovs-vswitchd has not answered for %v", answerWait))
	defer cancel()
	c, err := unixctl.DialDaemon(ctx, h.rundir, "ovs-vswitchd")
	if err == nil {
		_, err = c.Call(ctx, "version")
		_ = c.Close() // nothing is lost
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// asked reports why a host that has a name cannot be asked: who asks several must not wait for one that is away.
func (h *Host) asked(ctx context.Context) error {
	if h.name == "" {
		return nil
	}
	return h.answers(ctx)
}

// watchers tell what becomes of connections, each on one host.
type watchers struct {
	hosts []*Host
	each  []conntrack.Watcher
}

// Watch implements conntrack.Watcher.
func (w watchers) Watch(ctx context.Context, f conntrack.Filter) iter.Seq2[conntrack.Change, error] {
	var each []func(context.Context) iter.Seq2[conntrack.Change, error]
	for i, h := range w.hosts {
		each = append(each, func(ctx context.Context) iter.Seq2[conntrack.Change, error] {
			return func(yield func(conntrack.Change, error) bool) {
				for c, err := range w.each[i].Watch(ctx, f) {
					c.Entry.Host, c.Before.Host = h.name, h.name
					if !yield(c, h.trouble(err)) {
						return
					}
				}
			}
		})
	}
	return together(ctx, each)
}

// together goes through several sequences at once. What comes of each is in order.
func together[T any](ctx context.Context, each []func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	type item struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		items := make(chan item, 64)
		var all sync.WaitGroup
		for _, seq := range each {
			all.Go(func() {
				for v, err := range seq(ctx) {
					select {
					case items <- item{v, err}:
					case <-ctx.Done():
						return
					}
				}
			})
		}
		go func() {
			all.Wait()
			close(items)
		}()
		defer func() {
			cancel()
			for range items { // until all have ended
			}
		}()
		for i := range items {
			if !yield(i.value, i.err) {
				return
			}
		}
	}
}
