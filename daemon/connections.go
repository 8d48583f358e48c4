package daemon

import (
	"context"
	"iter"
	"slices"
	"time"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/explain"
	"weir/intent"
)

// Connections returns the connections of a tenant, or of all, as they are read. Few are put in order.
func (d *desk) Connections(ctx context.Context, tenant string) (iter.Seq2[api.Connection, error], error) {
	zones, tell, err := d.tellers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if len(zones) > 1 && !slices.ContainsFunc(d.hosts, func(h *Host) bool { return !d.few(h) }) { // else zones come one after another
		return d.fewConnections(ctx, zones, tell), nil
	}
	return func(yield func(api.Connection, error) bool) {
		for e, err := range d.entriesFrom(ctx, zones) {
			if err != nil {
				yield(api.Connection{}, err)
				return
			}
			if !yield(tell[e.Zone](e), nil) {
				return
			}
		}
	}, nil
}

// fewConnections returns connections by zone, that are read all at once.
func (d *desk) fewConnections(ctx context.Context, zones []uint16, tell map[uint16]func(conntrack.Entry) api.Connection) iter.Seq2[api.Connection, error] {
	return func(yield func(api.Connection, error) bool) {
		by := map[uint16][]api.Connection{}
		err := d.entriesIn(ctx, zones, func(e conntrack.Entry) { by[e.Zone] = append(by[e.Zone], tell[e.Zone](e)) })
		if api.AsFarAsReached(err) != nil {
			yield(api.Connection{}, err)
			return
		}
		for _, zone := range zones {
			for _, c := range by[zone] {
				if !yield(c, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(api.Connection{}, err)
		}
	}
}

// tellers returns the zones in which a tenant, or all of them, has its connections, and by zone how
// an entry is told.
func (d *desk) tellers(ctx context.Context, tenant string) (zones []uint16, tell map[uint16]func(conntrack.Entry) api.Connection, err error) {
	numbers, model := d.numbers.Load(), d.inForce.Load().Model
	if numbers == nil {
		return nil, nil, errStarting
	}
	found := tenant == ""
	tell = map[uint16]func(conntrack.Entry) api.Connection{}
	for _, t := range model.Tenants() {
		if tenant != "" && tenant != t.Name {
			continue
		}
		found = true
		seen, err := d.published(ctx, t.ID(), numbers, model)
		if err != nil {
			return nil, nil, err
		}
		services, owners := d.services(t, numbers), ownersOf(t)
		for _, id := range []intent.ID{t.ID(), t.ID() + pipeline.SourceZone} {
			zone := numbers.Zone(id)
			if zone == 0 {
				continue // no number yet, or none needed, and so no connection
			}
			zones = append(zones, zone)
			tell[zone] = func(e conntrack.Entry) api.Connection {
				c := owners.tell(seen.tell(connectionOf(t.Name, e, numbers), e), e)
				c.Backend = backendState(services, e)
				return c
			}
		}
	}
	if !found {
		return nil, nil, api.UnknownTenant(tenant)
	}
	return zones, tell, nil
}

func connectionOf(tenant string, e conntrack.Entry, n pipeline.Numbers) api.Connection {
	a := explain.Connection(e.Label, e.Mark, n)
	nat, _ := n.Origin(pipeline.ObjectOf(e.Label, e.Mark))
	c := api.Connection{
		Tenant: tenant, Host: e.Host, Ref: refOf(e), NAT: string(nat), Zone: e.Zone, Protocol: e.Protocol.String(),
		Orig: tupleOf(e.Orig), Reply: tupleOf(e.Reply), State: e.State.String(),
		Mark: e.Mark, Class: a.Class, Label: e.Label.String(),
		Epoch: a.Epoch, Blocked: a.Blocked, Audited: a.Audited, Egress: string(a.Egress), Ingress: string(a.Ingress),
		StateOrig: e.StateOrig.String(), StateReply: e.StateReply.String(), ScaleOrig: e.ScaleOrig, ScaleReply: e.ScaleReply,
		TagOrig: e.TagOrig, TagReply: e.TagReply, Expires: e.Timeout, Start: nanoseconds(e.Start),
		Helper: e.Helper, ID: e.ID, Status: uint32(e.Status), Other: e.Other.Map(),
	}
	c.Orig.Packets, c.Orig.Bytes = e.CountOrig.Packets, e.CountOrig.Bytes
	c.Reply.Packets, c.Reply.Bytes = e.CountReply.Packets, e.CountReply.Bytes
	if e.Status != 0 {
		c.StatusNames = e.Status.String()
	}
	if e.FlagsOrig|e.FlagsReply != 0 {
		c.FlagsOrig, c.FlagsReply = e.FlagsOrig.String(), e.FlagsReply.String()
	}
	if e.Parent.Src.IsValid() {
		parent := tupleOf(e.Parent)
		c.Parent = &parent
	}
	return c
}

// nanoseconds returns a time of a tracker; nil: not said.
func nanoseconds(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(0, unix).UTC()
	return &t
}

func tupleOf(t conntrack.Tuple) api.Tuple {
	return api.Tuple{
		Src: t.Src.String(), Dst: t.Dst.String(), Sport: t.SrcPort, Dport: t.DstPort,
		ICMPID: t.ICMPID, Type: t.ICMPType, Code: t.ICMPCode,
	}
}
