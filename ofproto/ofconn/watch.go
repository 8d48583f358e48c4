package ofconn

import (
	"context"
	"fmt"

	"weir/ofproto"
)

// watchID is the number of the flow monitor of a Watch.
const watchID = 0x77656972

// allRequests are the reasons for which requests of other controllers are forwarded: they
// change a group, or a meter (OFPRFR_*).
const allRequests = 1<<0 | 1<<1

// Watch has the switch tell what others change in its tables: flows by a Monitor, groups
// and meters by forwarding the requests (OpenFlow 1.4, 7.4.8, which Open vSwitch has over
// 1.3 as well). What this session changes is not told.
//
// next waits for the next change. Changes come in the order in which they happened.
func (c *Conn) Watch(ctx context.Context) (next func(context.Context) (ofproto.TableChange, error), err error) {
	forward := ofproto.NXSetAsync2{Masks: []ofproto.AsyncMask{{Type: 11, Mask: allRequests}}}
	if err := c.Do(ctx, forward); err != nil {
		return nil, fmt.Errorf("requests of others: %w", err)
	}
	flags := ofproto.MonitorAdd | ofproto.MonitorDelete | ofproto.MonitorModify | ofproto.MonitorActions
	m, err := c.monitorOf(ctx, true, []ofproto.FlowMonitor{{ID: watchID, Flags: flags, Table: ofproto.AllTables}})
	if err != nil {
		return nil, fmt.Errorf("flow monitor: %w", err)
	}
	w := watcher{m: m}
	return w.next, nil
}

// A watcher is a Monitor whose changes are told as what they mean.
type watcher struct {
	m      *Monitor
	paused bool
}

func (w *watcher) next(ctx context.Context) (t ofproto.TableChange, err error) {
	for len(t.Flows) == 0 && !t.Groups && !t.All {
		c, err := w.m.Next(ctx)
		if err != nil {
			return t, err
		}
		t = w.told(c)
	}
	return t, nil
}

// told says what a change means. After a pause the tables say more than what is made up
// for: deletions are told while it lasts, and what was put back after them is told last.
func (w *watcher) told(c Change) (t ofproto.TableChange) {
	switch {
	case c.Paused:
		w.paused = true
	case c.Resumed, c.Lost: // a pause or its end may be among what was lost
		w.paused, t.All = false, true
	case c.Request != nil:
		t.Groups = true
	case !w.paused:
		t.Flows = others(c.Updates)
	}
	return t
}

// others returns the updates that are not of our own making.
func others(updates []ofproto.FlowUpdate) (theirs []ofproto.FlowUpdate) {
	for _, u := range updates {
		if u.Event != ofproto.UpdateAbbreviated {
			theirs = append(theirs, u)
		}
	}
	return theirs
}
