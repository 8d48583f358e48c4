package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
)

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
