package ofconn

import (
	"context"
	"errors"
	"sort"

	"weir/ofproto"
)

// large is how many changes are too many for one atomic bundle, where it need not be one:
// a bundle holds the main loop of ovs-vswitchd while it is committed, for 4 ms per 1,000
// changes, and no echo is answered and no port comes up meanwhile.
const large = 5000

// Apply carries out p: the meters first, then groups and flows in p's order, then the
// meters that go. It does so wholly or not at all, meters aside, which cannot be in a bundle:
// if the switch refuses part of p, no group and no flow of it is in force and the error is an
// *ofproto.Rejected; one that is about a meter that should go comes when all else is done.
// If it is not known what has become of p, the error is ErrUnknownOutcome and no
// *ofproto.Rejected. An empty plan sends nothing.
//
// One flow alone is one flow-mod. Of more there is a choice, between one atomic bundle and
// ordered batches. The bundle costs
// the switch more than plain flow-mods do, in time (100,000 flows hold its main loop for 0.2
// to 0.4 s; batches of 500 hold it for a few ms at a time) and in memory. It is chosen all the same,
// because a policy of which one half is in force is nobody's policy. The exception is a
// large plan that only adds, to a bridge that is empty: the switch is asked whether it is.
// No packet can be in the pipeline then, so all but the first table is filled in batches
// that nothing leads to yet, and the first table at last, atomically. What was put is taken
// back if the switch refuses any of it.
func (c *Conn) Apply(ctx context.Context, p ofproto.Plan) error {
	for i := range p.PutMeters {
		if err := c.putMeter(ctx, &p.PutMeters[i]); err != nil {
			return err
		}
	}
	if err := c.applyTables(ctx, p); err != nil {
		return err
	}
	for i := range p.DeleteMeters {
		m := &p.DeleteMeters[i]
		if err := rejectedMeter(m, c.Do(ctx, ofproto.MeterMod{Command: meterDelete, Meter: *m})); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) applyTables(ctx context.Context, p ofproto.Plan) error {
	if done, err := c.applyPrepared(ctx, p); done {
		return err
	}
	n := sizeOf(p)
	if n == 0 {
		return nil
	}
	if n >= c.large && len(p.DeleteFlows)+len(p.DeleteGroups) == 0 {
		empty, err := c.empty(ctx)
		if err != nil {
			return err
		}
		if empty {
			return c.fill(ctx, p)
		}
	}
	if n == len(p.PutFlows)+len(p.DeleteFlows) && n == 1 {
		return c.applyOne(ctx, messagesOf(p))
	}
	return c.ApplyAtomically(ctx, p)
}

// applyOne sends the one flow of a plan, which is carried out wholly or not at all without a
// bundle, and is there one round trip earlier.
func (c *Conn) applyOne(ctx context.Context, m messages) error {
	mod, _, _ := m.at(0)
	if _, bad := ofproto.Append(nil, 0, mod); bad != nil {
		return m.rejected(0, bad)
	}
	err := c.Do(ctx, mod)
	var refused *ofproto.Error
	if errors.As(err, &refused) && !errors.Is(err, ErrUnknownOutcome) {
		return m.rejected(0, refused)
	}
	return err
}

// Commands of a MeterMod (OFPMC_*).
const (
	meterAdd    = 0
	meterModify = 1
	meterDelete = 2
)

// putMeter adds a meter, or changes the one that is there.
func (c *Conn) putMeter(ctx context.Context, m *ofproto.MeterConfig) error {
	err := c.Do(ctx, ofproto.MeterMod{Command: meterAdd, Meter: *m})
	if errors.Is(err, ofproto.OFPMMFC_METER_EXISTS) {
		err = c.Do(ctx, ofproto.MeterMod{Command: meterModify, Meter: *m})
	}
	return rejectedMeter(m, err)
}

func rejectedMeter(m *ofproto.MeterConfig, err error) error {
	var e *ofproto.Error
	if errors.As(err, &e) && !errors.Is(err, ErrUnknownOutcome) {
		return &ofproto.Rejected{Meter: m, Err: e}
	}
	return err
}

// messages are those that carry out the groups and flows of plans, one after the other and each in its order.
type messages struct {
	plans []ofproto.Plan
	first []int // of each, the place of its first message
	n     int
}

func messagesOf(p ofproto.Plan) (m messages) {
	m.add(p)
	return m
}

func (m *messages) add(p ofproto.Plan) {
	m.plans, m.first = append(m.plans, p), append(m.first, m.n)
	m.n += sizeOf(p)
}

func (m messages) len() int { return m.n }

// sizeOf returns how many messages carry p out, without its meters.
func sizeOf(p ofproto.Plan) int {
	return len(p.PutGroups) + len(p.PutFlows) + len(p.DeleteFlows) + len(p.DeleteGroups)
}

// at returns the i-th message, and what of the plans it stands for.
func (m messages) at(i int) (ofproto.Message, *ofproto.Flow, *ofproto.Group) {
	k := len(m.plans) - 1
	if i < m.first[k] { // mostly it is of the last
		k = sort.SearchInts(m.first, i+1) - 1
	}
	p := &m.plans[k]
	i -= m.first[k]
	if i < len(p.PutGroups) {
		g := &p.PutGroups[i]
		return ofproto.GroupMod{Command: ofproto.GroupAddOrMod, Group: *g}, nil, g
	}
	if i -= len(p.PutGroups); i < len(p.PutFlows) {
		f := &p.PutFlows[i]
		return ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: *f}, f, nil
	}
	if i -= len(p.PutFlows); i < len(p.DeleteFlows) {
		f := &p.DeleteFlows[i]
		return ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: *f}, f, nil
	}
	g := &p.DeleteGroups[i-len(p.DeleteFlows)]
	return ofproto.GroupMod{Command: ofproto.GroupDelete, Group: *g}, nil, g
}

func (m messages) rejected(i int, why error) error {
	_, f, g := m.at(i)
	return &ofproto.Rejected{Flow: f, Group: g, Err: why}
}
