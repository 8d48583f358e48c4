package controller

import (
	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A carried is what is known of what a bridge carries. Mostly that is what it was given, and
// then no list of its flows is kept: the program has them, and two programs are compared by
// their units.
type carried struct {
	given  *pipeline.Program // what it was given last; nil: not known
	exact  bool              // it carries given, and theirs, and nothing else
	theirs []ofproto.Flow    // of others; only if exact
	read   ofproto.Tables    // what it carries; only if not exact
}

// gave notes that the bridge has been made as the program says.
func (c *carried) gave(p *pipeline.Program, theirs []ofproto.Flow) {
	*c = carried{given: p, exact: true, theirs: theirs}
}

// reads notes what the bridge has been found to carry.
func (c *carried) reads(t ofproto.Tables) { *c = carried{given: c.given, read: t} }

// doubt notes that something was sent, and nobody knows what has become of it.
func (c *carried) doubt() { *c = carried{read: c.tables()} }

// tables returns all that the bridge carries.
func (c *carried) tables() ofproto.Tables {
	if !c.exact {
		return c.read
	}
	t := c.given.Tables()
	t.Flows = append(t.Flows, c.theirs...)
	return t
}

// A change is the way from what a bridge carries to a program.
type change struct {
	plan   ofproto.Plan
	want   ofproto.Tables // of the program, what the bridge may not have
	have   ofproto.Tables // what it may have instead
	theirs []ofproto.Flow // what it will have of others

	narrowed []intent.ID // tenants whose live connections have to be judged again
}

// to returns the change to a program. Only the units are looked at that were not given, unless
// the bridge carries something else than it was given.
func (c *carried) to(p *pipeline.Program, mode intent.ForeignFlows) (change, error) {
	if c.exact && (len(c.theirs) == 0 || mode == intent.ForeignKeep) {
		var x change
		x.want, x.have = p.Unlike(c.given)
		x.plan = ofproto.Diff(x.want, x.have)
		x.theirs = without(c.theirs, x.plan.PutFlows)
		return x, nil
	}
	x := change{want: p.Tables(), have: c.tables()}
	ours, theirs, err := divide(x.have, p, mode)
	x.theirs = theirs
	if err == nil {
		x.plan = ofproto.Diff(x.want, ours)
	}
	return x, err
}

// without returns flows without those in whose place others are put.
func without(flows, put []ofproto.Flow) (rest []ofproto.Flow) {
	if len(flows) == 0 {
		return nil
	}
	taken := make(map[ofproto.FlowKey]bool, len(put))
	for _, f := range put {
		taken[f.Key()] = true
	}
	for _, f := range flows {
		if !taken[f.Key()] {
			rest = append(rest, f)
		}
	}
	return rest
}
