package daemon

import (
	"context"
	"errors"
	"iter"
	"maps"
	"sync"
	"time"

	"weir/api"
	"weir/conntrack"
)

// tellAgain is how often it is asked whose zones are, where connections come in others.
const tellAgain = time.Second

// Changes tells what becomes of connections: by the kernel's events, or from one reading to the next.
func (d *desk) Changes(ctx context.Context, tenant string) (iter.Seq[api.ConnectionChange], error) {
	zones, tell, err := d.tellers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // watchers of several hosts ask again
	var trouble error // in learning whose the zones are by now
	asked := time.Now()
	again := func() []uint16 {
		now, more, err := d.tellers(ctx, tenant)
		mu.Lock()
		defer mu.Unlock()
		if trouble = err; err == nil {
			zones = now
			maps.Copy(tell, more) // who has gone is told of still: the connections have ended
		}
		asked = time.Now()
		return zones
	}
	tellerOf := func(zone uint16) (func(conntrack.Entry) api.Connection, bool, error) {
		mu.Lock()
		defer mu.Unlock()
		was := trouble
		trouble = nil
		return tell[zone], time.Since(asked) > tellAgain, was
	}
	w := d.watcher(ctx, again)
	return func(yield func(api.ConnectionChange) bool) {
		for c, err := range w.Watch(ctx, conntrack.Filter{}) {
			teller, old, trouble := tellerOf(c.Entry.Zone)
			if teller == nil && old && err == nil {
				again()
				teller, _, trouble = tellerOf(c.Entry.Zone)
			}
			if err := errors.Join(trouble, err); err != nil && !yield(api.ConnectionChange{At: time.Now().UTC(), Error: err.Error()}) {
				return
			}
			if err == nil && teller != nil && !yield(changeOf(c, teller)) {
				return
			}
		}
	}, nil
}

// watcher tells what becomes of connections in zones.
func (d *desk) watcher(ctx context.Context, zones func() []uint16) conntrack.Watcher {
	w := watchers{hosts: d.hosts}
	for _, h := range d.hosts {
		looks := &conntrack.Looks{Source: h.tracker, Zones: zones, Few: func() bool { return d.few(h) }, Turn: h.looks}
		w.each = append(w.each, h.reader.watcher(ctx, looks))
	}
	if d.hosts[0].name == "" {
		return w.each[0]
	}
	return w
}

func changeOf(c conntrack.Change, tell func(conntrack.Entry) api.Connection) api.ConnectionChange {
	is := tell(c.Entry)
	change := api.ConnectionChange{At: time.Now().UTC(), Change: c.Kind.String(), Connection: &is}
	if c.Kind == conntrack.Changed {
		was := tell(c.Before)
		change.Before = &was
	}
	return change
}
