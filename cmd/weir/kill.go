package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/quirk"
)

func killCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kill -t TENANT [filters] | --all",
		Short: "have the connection tracker forget connections",
		Long: `kill has the connection tracker forget the connections of a tenant that the filters mean,
by who opened them, what translates them, or as what they are known outside. The next packet of each is judged by the policy as a new connection:
what policy admits goes on, or begins again (with strictTCP, a TCP connection has to).
That there is no such connection is no error.`,
		Args: cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	flags := cmd.Flags()
	tenant := flags.StringP("tenant", "t", "", "whose")
	all := flags.Bool("all", false, "all of the tenant's")
	query := filterFlags(cmd)
	_ = cmd.MarkFlagRequired("tenant") // it is a flag of ours
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		q := query()
		q.Set("tenant", *tenant)
		if *all {
			q.Set("all", "true")
		}
		var k api.Killed
		if err := newClient(*socket).do(cmd.Context(), http.MethodDelete, "/v1/connections?"+q.Encode(), nil, &k); err != nil {
			return err
		}
		l := listing{value: k, table: func(w io.Writer, _ bool) {
			fmt.Fprintf(w, "%s of %s forgotten\n", count(k.Killed, "connection", "connections"), *tenant)
		}}
		if err := l.print(cmd.OutOrStdout(), *format); err != nil || k.Kept == 0 {
			return err
		}
		return fmt.Errorf("%s left: %s", count(k.Kept, "connection is", "connections are"), k.Why)
	}
	return cmd
}

// flushBatch is how many connections are removed between two signs of life.
const flushBatch = 256

// Kill has the tracker forget connections of one tenant.
func (d *desk) Kill(ctx context.Context, f api.Filter) (k api.Killed, err error) {
	numbers, model := d.numbers.Load(), d.inForce.Load().model
	t := model.Tenant(f.Tenant)
	if t == nil {
		return k, api.UnknownTenant(f.Tenant)
	}
	if numbers == nil || numbers.Zone(t.ID()) == 0 {
		return k, errStarting
	}
	seen, err := d.published(ctx, t.ID(), numbers, model)
	if err != nil {
		return k, err
	}
	tracked, err := d.matching(ctx, f, numbers.Zone(t.ID()), numbers, seen)
	if err != nil {
		return k, err
	}
	bridges, n := d.bridgesByDatapath(t), len(tracked)
	if slices.ContainsFunc(bridges, d.sparesICMPv6) {
		tracked = slices.DeleteFunc(tracked, func(c pipeline.Connection) bool { return c.Protocol == pipeline.ProtoICMPv6 })
	}
	if k.Kept = n - len(tracked); k.Kept > 0 {
		k.Why = "removing one of ICMPv6 kills this version of ovs-vswitchd (" + string(quirk.FlushICMPv6) + "): they expire by themselves"
	}
	for _, b := range bridges {
		if err := d.flush(ctx, b, tracked, pipeline.HalvesOf(numbers, t.ID(), model)); err != nil {
			return k, err
		}
	}
	k.Killed = len(tracked)
	return k, nil
}

// matching returns the connections of a zone that f means.
func (d *desk) matching(ctx context.Context, f api.Filter, zone uint16, n pipeline.Numbers, seen published) (some []pipeline.Connection, err error) {
	err = d.entriesOf(ctx, zone, func(e conntrack.Entry) {
		if f.Matches(seen.tell(connectionOf(f.Tenant, e, n), e)) {
			some = append(some, trackedOf(e))
		}
	})
	return some, err
}

// bridgesByDatapath returns a bridge of the tenant on each datapath that it has some on.
func (d *desk) bridgesByDatapath(t *intent.Tenant) (bridges []string) {
	s := d.snapshot.Load()
	if s == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, b := range d.inForce.Load().model.Bridges() {
		have, there := s.Bridges[b.Name]
		if kind := conntrack.Kind(have.DatapathType); there && onBridge(t, b.Name) && !seen[kind] {
			seen[kind] = true
			bridges = append(bridges, b.Name)
		}
	}
	return bridges
}

// sparesICMPv6 reports whether a bridge must not be asked to remove a connection of ICMPv6.
// It must not as long as it is not known.
func (d *desk) sparesICMPv6(bridge string) bool {
	all := d.quirks.Load()
	if all == nil {
		return true
	}
	quirks := (*all)[bridge] // each version has some
	return len(quirks) == 0 || slices.ContainsFunc(quirks, func(q quirk.Quirk) bool { return q.ID == quirk.FlushICMPv6 })
}

// flush removes connections through a bridge of their datapath, and their other halves.
func (d *desk) flush(ctx context.Context, bridge string, some []pipeline.Connection, halves pipeline.Halves) error {
	if len(some) == 0 {
		return nil
	}
	conn, err := ofconn.Dial(ctx, "unix:"+filepath.Join(d.flags.rundir, bridge+".mgmt"), ofconn.Config{})
	if err != nil {
		return err
	}
	defer conn.Close()
	for part := range slices.Chunk(some, flushBatch) {
		var flushes []ofproto.CTFlush
		for _, c := range part {
			flushes = append(flushes, c.Flushes(halves)...)
		}
		if err := conn.FlushConnections(ctx, flushes); err != nil {
			return err
		}
	}
	return nil
}
