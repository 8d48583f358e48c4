package ovsdb

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ovn-kubernetes/libovsdb/client"
)

// settle is how long the database has to say all that belongs together.
const settle = 5 * time.Millisecond

// Watch calls f with a snapshot now and whenever something has changed, until ctx is
// done. Changes that come together make one snapshot. While the database is away it is
// tried again and again, and f gets the last snapshot with Connected false.
func Watch(ctx context.Context, at Database, f func(Snapshot)) error {
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	var last Snapshot
	for delay := first; ; delay = min(2*delay, longest) {
		connected, err := follow(ctx, at, &last, f)
		if connected {
			delay = first
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		last.Connected, last.Err = false, err
		f(last)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
	}
}

// follow follows one connection to its end, and reports whether there was one; else the error is why
// there was none.
func follow(ctx context.Context, at Database, last *Snapshot, f func(Snapshot)) (bool, error) {
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	c, err := connect(ctx, at, notify)
	if err != nil {
		return false, err
	}
	defer c.Close()
	gone := c.DisconnectNotify()
	notify()
	for {
		select {
		case <-ctx.Done():
			return true, nil
		case <-gone:
			return true, nil
		case <-changed:
		}
		select { // the rows of one transaction come one by one
		case <-ctx.Done():
			return true, nil
		case <-time.After(settle):
		}
		s, err := snapshot(ctx, c)
		if err != nil {
			return true, nil
		}
		*last = s
		f(s)
	}
}

// rows are the tables, by UUID.
type rows struct {
	bridges     []bridgeRow
	ports       map[string]portRow
	interfaces  map[string]interfaceRow
	controllers map[string]controllerRow
	root        rootRow
	datapaths   map[string]datapathRow
	ctZones     map[string]zoneRow
	policies    map[string]policyRow
}

func read(ctx context.Context, c client.Client) (r rows, err error) {
	var roots []rootRow
	if err = c.List(ctx, &roots); err == nil && len(roots) > 0 {
		r.root = roots[0]
	}
	if err == nil {
		err = c.List(ctx, &r.bridges)
	}
	if err == nil {
		r.ports, err = table(ctx, c, func(p portRow) string { return p.UUID })
	}
	if err == nil {
		r.interfaces, err = table(ctx, c, func(i interfaceRow) string { return i.UUID })
	}
	if err == nil {
		r.controllers, err = table(ctx, c, func(k controllerRow) string { return k.UUID })
	}
	if err == nil {
		r.datapaths, err = table(ctx, c, func(d datapathRow) string { return d.UUID })
	}
	if err == nil {
		r.ctZones, err = table(ctx, c, func(z zoneRow) string { return z.UUID })
	}
	if err == nil {
		r.policies, err = table(ctx, c, func(p policyRow) string { return p.UUID })
	}
	return r, err
}

func table[T any](ctx context.Context, c client.Client, uuid func(T) string) (map[string]T, error) {
	var all []T
	if err := c.List(ctx, &all); err != nil {
		return nil, err
	}
	m := make(map[string]T, len(all))
	for _, row := range all {
		m[uuid(row)] = row
	}
	return m, nil
}

func snapshot(ctx context.Context, c client.Client) (Snapshot, error) {
	r, err := read(ctx, c)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Connected: true, OVSVersion: deref(r.root.OVSVersion), Keys: r.root.SSL != nil, Bridges: make(map[string]Bridge, len(r.bridges)), Zones: r.zones()}
	for _, b := range r.bridges {
		s.Bridges[b.Name] = r.bridge(b)
	}
	return s, nil
}

func (r rows) bridge(row bridgeRow) Bridge {
	b := Bridge{
		Name: row.Name, DatapathID: deref(row.DatapathID), DatapathType: row.DatapathType, FailMode: deref(row.FailMode),
		Protocols: slices.Sorted(slices.Values(row.Protocols)), ExternalIDs: row.ExternalIDs,
	}
	for _, uuid := range row.Controller {
		k := r.controllers[uuid]
		b.Controllers = append(b.Controllers, Controller{k.Target, k.IsConnected, deref(k.Role)})
	}
	slices.SortFunc(b.Controllers, func(x, y Controller) int { return cmp.Compare(x.Target, y.Target) })
	for _, port := range row.Ports {
		for _, uuid := range r.ports[port].Interfaces {
			i := r.interfaces[uuid]
			if i.OFPort == nil || *i.OFPort <= 0 { // not opened, or failed
				continue
			}
			b.Ports = append(b.Ports, Port{i.Name, i.ExternalIDs["iface-id"], uint32(*i.OFPort), deref(i.MACInUse), deref(i.Error)})
		}
	}
	slices.SortFunc(b.Ports, func(x, y Port) int { return cmp.Compare(x.Name, y.Name) })
	return b
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
