package daemon

import (
	"context"

	"weir/controller"
	"weir/ofproto"
	"weir/quirk"
)

// A forgetting is what decides how the datapath of a bridge forgets a connection: of whoever wants one
// forgotten, a person, a sweep, or a load balancer.
type forgetting struct {
	quirks    []quirk.Quirk
	userspace bool
	netlink   bool // the kernel's table is open to us
}

// A flusher removes entries through a bridge.
type flusher func(ctx context.Context, some []ofproto.CTFlush) error

// forgetting returns that of a bridge, as it is now. What is not known of its version is taken to be the worst.
func (d *desk) forgetting(ctx context.Context, bridge string) forgetting {
	w := forgetting{userspace: true}
	p, found := d.at(bridge)
	if found {
		w.userspace = userspace(p.row)
	}
	w.netlink = !w.userspace && p.host.reader != nil && p.host.reader.usable(ctx)
	w.quirks = quirk.InForce(quirk.Version{}, w.userspace)
	if all := d.quirks.Load(); all != nil && len((*all)[bridge]) > 0 { // each version has some
		w.quirks = (*all)[bridge]
	}
	return w
}

// means says how all entries of a connection are forgotten, or why they are not: nothing else may
// go with them.
func (w forgetting) means(entries []ofproto.CTFlush) (by quirk.Means, err error) {
	if w.netlink {
		return quirk.ByNetlink, nil
	}
	for _, e := range entries {
		t := quirk.Target{Protocol: e.Proto, SrcPort: e.Original.SrcPort, DstPort: e.Original.DstPort, ICMPType: e.Original.ICMPType}
		if by, err = quirk.Forget(w.quirks, w.userspace, t); err != nil {
			return "", err
		}
	}
	return by, nil
}

// forgettable says, for the controller, why the datapath of a bridge cannot be made to forget some entries.
func (d *desk) forgettable(ctx context.Context, bridge string) func([]ofproto.CTFlush) error {
	w := d.forgetting(ctx, bridge)
	return func(entries []ofproto.CTFlush) error {
		_, err := w.means(entries)
		return err
	}
}

// A forgetful is a session with a bridge through which, and past which, the connection tracker is
// made to forget what it is to.
type forgetful struct {
	controller.Conn
	desk   *desk
	bridge string
}

// FlushConnections implements controller.Conn. What cannot be forgotten alone is left, and is an
// error once the others are forgotten.
func (f forgetful) FlushConnections(ctx context.Context, flushes []ofproto.CTFlush) error {
	w, by := f.desk.forgetting(ctx, f.bridge), map[quirk.Means][]ofproto.CTFlush{}
	var left error
	for i := range flushes {
		means, err := w.means(flushes[i : i+1])
		if err != nil {
			left = err
			continue
		}
		by[means] = append(by[means], flushes[i])
	}
	if err := f.desk.forget(ctx, f.bridge, by, f.Conn.FlushConnections); err != nil {
		return err
	}
	return left
}

// FlushZone implements controller.Conn. A zone of the kernel's table is emptied without ovs-vswitchd; where
// that cannot be, through the bridge.
func (f forgetful) FlushZone(ctx context.Context, zone uint16) error {
	if p, found := f.desk.at(f.bridge); found && !userspace(p.row) && p.host.reader != nil && p.host.reader.flushZone(ctx, zone) == nil {
		return nil
	}
	return f.Conn.FlushZone(ctx, zone)
}
