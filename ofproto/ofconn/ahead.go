package ofconn

import (
	"context"
	"errors"

	"weir/ofproto"
)

// mostAhead bounds how many changes are sent ahead, with those that follow them: a bundle's xids
// are reserved when it is opened.
const mostAhead = 1 << 20

var errTooMuchAhead = errors.New("more is sent ahead than a bundle takes")

// An ahead is a bundle that is filled before the plan is known of which its members are parts.
type ahead struct {
	*bundle
	forget func()
	parts  []ofproto.Plan // as they were sent
	opened bool
	err    error // the first
}

// Prepare sends groups and flows ahead, while the rest of a plan is still being made: the switch reads
// them, and keeps them in a bundle that is not in force. The next Apply commits it, if all that was
// sent ahead is part of its plan: the very groups and flows, those of each Prepare one after the other and in their order. If
// not, and if Abandon is called, the switch forgets them. Each Prepare's flows may use its own groups and those that are there.
//
// What goes wrong is said by nobody: Apply then sends its plan as if nothing had been prepared. One goroutine
// may prepare at a time, and not while Apply or Abandon is called.
func (c *Conn) Prepare(ctx context.Context, t ofproto.Tables) {
	if c.ahead == nil {
		s, forget := c.span(mostAhead, bundleControls)
		c.ahead = &ahead{bundle: &bundle{span: s, id: s.first}, forget: forget}
		c.ahead.err = c.ahead.open(ctx)
		c.ahead.opened = c.ahead.err == nil
	}
	c.ahead.put(ctx, ofproto.Plan{PutGroups: t.Groups, PutFlows: t.Flows})
}

// Abandon has the switch forget what was prepared.
func (c *Conn) Abandon() {
	if a := c.ahead; a != nil {
		c.ahead = nil
		if a.opened {
			a.discard()
		}
		a.forget()
	}
}

func (a *ahead) put(ctx context.Context, p ofproto.Plan) {
	first := a.messages.len()
	a.messages.add(p)
	a.parts = append(a.parts, p)
	if a.err == nil && a.messages.len() > mostAhead {
		a.err = errTooMuchAhead
	}
	for i := first; i < a.messages.len() && a.err == nil; i++ {
		a.err = a.add(ctx, i)
	}
	if _, why := a.rejected(); why != nil && a.err == nil { // the rest would be in vain
		a.err = why
	}
}

// applyPrepared carries p out, if what was prepared is part of it. Else the switch has
// forgotten that, and done is not set.
func (c *Conn) applyPrepared(ctx context.Context, p ofproto.Plan) (done bool, err error) {
	a := c.ahead
	if a == nil {
		return false, nil
	}
	rest, fits := a.restOf(p)
	if !fits || a.err != nil || a.messages.len()+sizeOf(rest) > mostAhead {
		c.Abandon()
		return false, nil
	}
	c.ahead = nil
	defer a.forget()
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	first := a.messages.len()
	a.messages.add(rest)
	return true, a.complete(ctx, first)
}

// restOf returns what of p was not sent, if all that was is part of p.
func (a *ahead) restOf(p ofproto.Plan) (rest ofproto.Plan, fits bool) {
	rest = p
	sent := 0
	rest.PutGroups, sent = a.groupsBut(p.PutGroups)
	begin := make(map[*ofproto.Cond][]ofproto.Flow, len(a.parts)) // each part, by the first match of its flows
	for _, part := range a.parts {
		sent -= len(part.PutGroups)
		switch {
		case len(part.PutFlows) == 0:
		case len(part.PutFlows[0].Match) == 0:
			return rest, false // it could not be found
		default:
			begin[&part.PutFlows[0].Match[0]] = part.PutFlows
		}
	}
	rest.PutFlows = nil
	for i := 0; i < len(p.PutFlows); {
		part := partAt(begin, p.PutFlows[i:])
		if part == nil {
			rest.PutFlows = append(rest.PutFlows, p.PutFlows[i])
		}
		i += max(len(part), 1)
	}
	return rest, sent == 0 && len(begin) == 0
}

// groupsBut returns those of some groups that were not sent, and how many were.
func (a *ahead) groupsBut(groups []ofproto.Group) (rest []ofproto.Group, sent int) {
	ahead := map[uint32]*ofproto.Group{}
	for _, part := range a.parts {
		for i := range part.PutGroups {
			ahead[part.PutGroups[i].ID] = &part.PutGroups[i]
		}
	}
	for _, g := range groups {
		if was := ahead[g.ID]; was != nil && was.Equal(g) {
			sent++
		} else {
			rest = append(rest, g)
		}
	}
	return rest, sent
}

// partAt returns the part with which flows begin, and takes it out; nil: none.
func partAt(begin map[*ofproto.Cond][]ofproto.Flow, flows []ofproto.Flow) []ofproto.Flow {
	if len(begin) == 0 || len(flows[0].Match) == 0 {
		return nil
	}
	first := &flows[0].Match[0]
	part := begin[first]
	if len(part) == 0 || len(part) > len(flows) {
		return nil
	}
	for i := range part {
		if !isCopy(&part[i], &flows[i]) {
			return nil
		}
	}
	delete(begin, first)
	return part
}

// isCopy reports whether two flows are copies of one another, or equal: they never change.
func isCopy(f, g *ofproto.Flow) bool {
	shares := len(f.Match) > 0 && len(f.Match) == len(g.Match) && &f.Match[0] == &g.Match[0] &&
		len(f.Actions) > 0 && len(f.Actions) == len(g.Actions) && &f.Actions[0] == &g.Actions[0]
	if !shares {
		return f.Equal(*g)
	}
	return f.Table == g.Table && f.Priority == g.Priority && f.Cookie == g.Cookie && f.Flags == g.Flags
}
