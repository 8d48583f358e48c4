package ofconn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"weir/ofproto"
)

// Support is whether a switch can do something.
type Support uint8

// What can be known of that.
const (
	Unknown Support = iota // it could not be found out
	No
	Yes
)

// String returns "unknown", "no" or "yes".
func (s Support) String() string { return [...]string{"unknown", "no", "yes"}[min(s, Yes)] }

// Abilities are what a switch and its datapath can do.
type Abilities struct {
	Bundles  Support // atomic ones, of flows and groups; without them the rest is not known
	Monitors Support

	CT         Support // ct with commit and zone, and ct_state
	CTForce    Support // ct(commit,force)
	CTMark     Support // set and matched
	CTLabel    Support // set and matched
	CTOriginal Support // matching ct_nw_src and its kind
	NAT        Support // ct(commit,nat) of IPv4
	NAT6       Support // of IPv6

	NDExtension    Support // setting nd_reserved and nd_options_type
	CheckPktLarger Support
	Clone          Support
	Learn          Support
	UserData       Support // controller(userdata=...,pause)

	Groups ofproto.GroupFeatures
	Meters ofproto.MeterFeatures // a Max of zero: there are none
}

// Probe finds out what the switch can do, by asking it and not by its version: a datapath
// may be older than the switch, and a feature backported. What it is asked to do are flows
// in bundles that cannot be committed, as they add the same group twice. So nothing is ever
// in force, and nothing is left behind.
//
// A session that may not change the switch (ofproto.OFPBRC_IS_SECONDARY) cannot find out.
func (c *Conn) Probe(ctx context.Context) (a Abilities, err error) {
	if a.Groups, err = one(ctx, c, ofproto.GroupFeaturesRequest(), ofproto.DecodeGroupFeatures); broken(err) {
		return a, err
	}
	if a.Meters, err = one(ctx, c, ofproto.MeterFeaturesRequest(), ofproto.DecodeMeterFeatures); broken(err) {
		return a, err
	}
	if a.Monitors, err = c.probeMonitor(ctx); err != nil {
		return a, err
	}
	if a.Bundles, err = c.probeFlow(ctx, ofproto.Flow{}); err != nil || a.Bundles != Yes {
		return a, err
	}
	for _, q := range questions(&a) {
		if *q.answer, err = c.probeFlow(ctx, q.flow); err != nil {
			return a, err
		}
	}
	return a, nil
}

// A question is a flow that a switch takes if it can do something.
type question struct {
	answer *Support
	flow   ofproto.Flow
}

func questions(a *Abilities) []question {
	tracked := ofproto.CT(ofproto.Trk, 0)
	ct := func(c ofproto.ConnTrack) ofproto.Flow {
		c.Commit, c.Zone, c.Table = true, 1, ofproto.NoTable
		return on(c, ofproto.IsIPv4, tracked)
	}
	nat := func(ip string) ofproto.ConnTrack {
		return ofproto.ConnTrack{Commit: true, Table: ofproto.NoTable, NAT: &ofproto.NAT{Src: true, AddrMin: netip.MustParseAddr(ip)}}
	}
	exec := func(f ofproto.Field) ofproto.Flow {
		flow := ct(ofproto.ConnTrack{Exec: []ofproto.Action{ofproto.Set(f.Range(0, 7), 1)}})
		flow.Match = ofproto.MatchOn(ofproto.IsIPv4, tracked, ofproto.Masked(f, 1, 1))
		return flow
	}
	advertisement := []ofproto.Cond{ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, 58), ofproto.Is(ofproto.ICMPv6Type, 136), ofproto.Is(ofproto.ICMPv6Code, 0)}
	extended := on(ofproto.Set(ofproto.NDReserved.Whole(), 1), advertisement...)
	extended.Actions = append(extended.Actions, ofproto.Set(ofproto.NDOptionsType.Whole(), 2))
	return []question{
		{&a.CT, ct(ofproto.ConnTrack{})},
		{&a.CTForce, ct(ofproto.ConnTrack{Force: true})},
		{&a.CTMark, exec(ofproto.CTMark)},
		{&a.CTLabel, exec(ofproto.CTLabel)},
		{&a.CTOriginal, on(ofproto.CTClear{}, ofproto.IsIPv4, ofproto.CT(ofproto.Trk|ofproto.Est, 0), ofproto.Is(ofproto.CTNwSrc, 1))},
		{&a.NAT, on(nat("192.0.2.1"), ofproto.IsIPv4)},
		{&a.NAT6, on(nat("2001:db8::1"), ofproto.IsIPv6)},
		{&a.NDExtension, extended},
		{&a.CheckPktLarger, on(ofproto.CheckPktLarger{Len: 1500, Dst: ofproto.Reg0.Range(0, 0)})},
		{&a.Clone, on(ofproto.Clone{Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortInPort}}})},
		{&a.Learn, on(ofproto.Learn{Table: 1})},
		{&a.UserData, on(ofproto.Controller{MaxLen: 0xffff, UserData: "?", Pause: true})},
	}
}

// on is a flow with one action.
func on(a ofproto.Action, conds ...ofproto.Cond) ofproto.Flow {
	return ofproto.Flow{Match: ofproto.MatchOn(conds...), Actions: []ofproto.Action{a}}
}

// probeGroup is a group that is added twice, so that the bundle that does it fails, whatever
// groups there are.
const probeGroup = 0xfffffe00

// probeFlow finds out whether the switch would take a flow.
func (c *Conn) probeFlow(ctx context.Context, f ofproto.Flow) (Support, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	f.Table = ofproto.Table(max(c.features.Tables, 1) - 1)
	group := ofproto.GroupMod{Command: ofproto.GroupAdd, Group: ofproto.Group{ID: probeGroup}}
	members := []ofproto.Message{ofproto.FlowMod{Flow: f}, group, group}
	s, forget := c.span(len(members), bundleControls)
	defer forget()
	b := &bundle{span: s, id: s.first}
	if err := b.offer(ctx, members); err != nil {
		b.discard()
		return b.verdict(err)
	}
	err := b.committed(ctx)
	if err == nil {
		err = c.Do(ctx, ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f}, ofproto.GroupMod{Command: ofproto.GroupDelete, Group: group.Group})
		return Unknown, errors.Join(fmt.Errorf("the switch added group %d twice", group.Group.ID), err)
	}
	return b.verdict(err)
}

// offer fills a bundle that is not of a plan.
func (b *bundle) offer(ctx context.Context, members []ofproto.Message) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	for i, m := range members {
		if err, bad := b.put(ctx, i, m); err != nil {
			return errors.Join(err, bad)
		}
	}
	if err := b.filled(ctx); err != nil {
		return err
	}
	if _, why := b.rejected(); why != nil {
		return why
	}
	return nil
}

// verdict says what it means for a flow that its bundle failed with err: whether it was the
// flow. What may pass, or has to do with who asks, says nothing about the switch.
func (b *bundle) verdict(err error) (Support, error) {
	if broken(err) {
		return Unknown, err
	}
	i, why := b.rejected()
	switch {
	case errors.Is(err, ofproto.OFPBRC_IS_SECONDARY), errors.Is(err, ofproto.OFPBRC_EPERM):
		return Unknown, err
	case !b.taken(bundleOpened):
		return No, nil
	case why == nil || i > 0:
		return Yes, nil
	case why.Type == 5: // OFPET_FLOW_MOD_FAILED: the table is full, or the like
		return Unknown, nil
	}
	return No, nil
}

// probeMonitor finds out whether there are monitors, by one that watches for what does not
// happen.
func (c *Conn) probeMonitor(ctx context.Context) (Support, error) {
	c.mu.Lock()
	watched := c.monitor != nil
	c.mu.Unlock()
	if watched {
		return Yes, nil
	}
	m, err := c.Monitor(ctx, ofproto.FlowMonitor{ID: 0xfffffe00, Flags: ofproto.MonitorAdd, Table: ofproto.Table(max(c.features.Tables, 1) - 1)})
	switch {
	case broken(err):
		return Unknown, err
	case err != nil:
		return No, nil
	}
	return Yes, m.Close(ctx)
}
