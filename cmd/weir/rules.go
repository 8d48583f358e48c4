package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/explain"
	"weir/intent"
	"weir/ofproto"
)

// A use is how much a rule is used.
type use struct {
	flows, connections int
	hits               uint64
	last               time.Time
}

// of notes it with its rule.
func (u use) of(r *api.Rule) {
	r.Flows, r.Hits, r.Connections, r.LastHit = u.flows, u.hits, u.connections, u.last
}

// Rules returns the rules of a tenant, or of all.
func (d *desk) Rules(ctx context.Context, q api.RuleQuery) ([]api.Rule, error) {
	numbers, model, ctl := d.numbers.Load(), d.inForce.Load().model, d.ctl.Load()
	switch {
	case numbers == nil || ctl == nil:
		return nil, errStarting
	case q.Tenant != "" && model.Tenant(q.Tenant) == nil:
		return nil, api.UnknownTenant(q.Tenant)
	}
	uses, err := d.uses(ctx, ctl.Status())
	if err != nil {
		return nil, err
	}
	list := []api.Rule{}
	for _, t := range model.Tenants() {
		if q.Tenant != "" && t.Name != q.Tenant {
			continue
		}
		if err := d.admitted(ctx, numbers.Zone(t.ID()), uses); err != nil {
			return nil, err
		}
		for _, r := range rulesOf(t) {
			r.At = placeText(explain.PlaceOf(model, intent.ID(r.ID)))
			uses[numbers.Tag(intent.ID(r.ID))].of(&r)
			if q.Matches(r) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// uses counts the flows of policy and what they have judged, on all bridges, by tag.
func (d *desk) uses(ctx context.Context, now *controller.Status) (map[uint32]use, error) {
	all := map[uint32]use{}
	for name := range now.Bridges {
		flows, hits, err := d.policyFlows(ctx, name)
		if err != nil {
			return nil, err
		}
		noteUses(all, flows, hits)
	}
	return all, nil
}

// noteUses counts flows of policy and what they have judged, by tag.
func noteUses(all map[uint32]use, flows []ofproto.FlowStats, hits map[ofproto.FlowKey]tallied) {
	for _, f := range flows {
		tag, _ := pipeline.TagOf(f.Cookie)
		u := all[tag]
		u.flows, u.hits = u.flows+1, u.hits+f.Packets
		if hit := hits[f.Key()].hit; hit.After(u.last) {
			u.last = hit.UTC()
		}
		all[tag] = u
	}
}

// admitted counts the connections of a zone, by what has let them out and in.
func (d *desk) admitted(ctx context.Context, zone uint16, uses map[uint32]use) error {
	if zone == 0 { // no number yet, and so no connection
		return nil
	}
	all, err := d.trackedIn(ctx, "", zone)
	for _, c := range all {
		admit(uses, c)
	}
	return err
}

// admit counts a connection for what has let it out and in.
func admit(uses map[uint32]use, c pipeline.Connection) {
	if c.Over || c.Blocked() {
		return
	}
	for _, tag := range []uint32{c.RuleOut, c.RuleIn} {
		u := uses[tag]
		u.connections++
		uses[tag] = u
	}
}

// rulesOf returns the rules of a tenant and its defaults, in the order in which they are asked.
func rulesOf(t *intent.Tenant) (all []api.Rule) {
	for _, d := range []intent.Direction{intent.Egress, intent.Ingress} {
		for _, p := range t.Policies {
			for _, r := range p.Rules {
				if r.Direction == d {
					all = append(all, api.Rule{Tenant: t.Name, ID: string(r.ID()), Tier: string(p.Tier), Direction: string(d), Action: string(r.Action)})
				}
			}
		}
		action := map[intent.Direction]intent.Action{intent.Egress: t.Egress, intent.Ingress: t.Ingress}[d]
		all = append(all, api.Rule{Tenant: t.Name, ID: string(t.DefaultID(d)), Direction: string(d), Action: string(action)})
	}
	return all
}

func getCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "get", Short: "list what is in force, and how much it is used"}
	cmd.AddCommand(getRulesCommand())
	return cmd
}

func getRulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "list rules with their hits, their connections and when they were hit last",
		Long: `rules lists the rules and the defaults of tenants in the order in which they are asked, egress
first. HITS are packets that a rule has judged: the first one of each connection, and one of each
that is judged again, also of those that it has stopped; of a stateless rule, all. They count from
when its flows came to the bridge. CONNECTIONS are those that there are now. When a rule was hit last
is known to within 30 seconds, and not for the time before the daemon began.`,
		Args: cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	tenant := cmd.Flags().StringP("tenant", "t", "", "only this tenant's (default: all)")
	unused := cmd.Flags().Bool("unused", false, "only those without hits and connections")
	watch := watchFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, query := newClient(*socket), url.Values{"tenant": {*tenant}, "unused": {strconv.FormatBool(*unused)}}
		return show(cmd, *format, *watch, func(ctx context.Context) (listing, error) {
			var list []api.Rule
			err := c.get(ctx, "/v1/rules", query, &list)
			return rulesListing(list), err
		})
	}
	return cmd
}

func rulesListing(list []api.Rule) listing {
	l := listing{value: list, table: func(w io.Writer, wide bool) { rulesTable(w, list, wide) }}
	for _, r := range list {
		l.names = append(l.names, r.ID)
	}
	return l
}

func rulesTable(w io.Writer, list []api.Rule, wide bool) {
	head := []any{"TENANT", "RULE", "DIRECTION", "ACTION", "HITS", "CONNECTIONS", "LAST HIT", "AT"}
	if wide {
		head = append(head, "TIER", "FLOWS")
	}
	row(w, head...)
	for _, r := range list {
		cells := []any{r.Tenant, strings.TrimPrefix(r.ID, r.Tenant+"/"), r.Direction, r.Action, r.Hits, r.Connections, sinceText(r.LastHit), r.At}
		if wide {
			cells = append(cells, r.Tier, fmt.Sprint(r.Flows))
		}
		row(w, cells...)
	}
}
