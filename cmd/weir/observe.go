package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"weir/api"
)

// watchPause is how long weir observe -w waits between two looks.
const watchPause = 300 * time.Millisecond

func observeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "observe",
		Short: "list what rules with log report: connections with their verdicts",
		Args:  cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	var q api.ObservationQuery
	cmd.Flags().StringVarP(&q.Tenant, "tenant", "t", "", "only this tenant's (default: all)")
	cmd.Flags().StringVar(&q.Verdict, "verdict", "", "only allowed, denied, rejected or audited ones (default: all)")
	cmd.Flags().BoolVar(&q.Explain, "explain", false, "say where each rule is written, and which rule would have let pass what was stopped")
	watch := cmd.Flags().BoolP("watch", "w", false, "go on, and print what comes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return observe(cmd.Context(), cmd.OutOrStdout(), newClient(*socket), q, *format, *watch)
	}
	return cmd
}

// observe prints what there is; and with watch what comes, until ctx is done.
func observe(ctx context.Context, w io.Writer, c *client, q api.ObservationQuery, format string, watch bool) error {
	for first := true; ; first = false {
		var list []api.Observation
		if err := c.get(ctx, "/v1/observations", observationQuery(q), &list); err != nil {
			if watch && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		if first || len(list) > 0 {
			if err := observationListing(list, first).print(w, format); err != nil {
				return err
			}
		}
		if !watch {
			return nil
		}
		if len(list) > 0 {
			q.After = list[len(list)-1].N
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

func observationQuery(q api.ObservationQuery) url.Values {
	return url.Values{"tenant": {q.Tenant}, "verdict": {q.Verdict}, "after": {strconv.FormatUint(q.After, 10)}, "explain": {strconv.FormatBool(q.Explain)}}
}

func observationListing(list []api.Observation, head bool) listing {
	l := listing{value: list, table: func(w io.Writer, wide bool) { observationTable(w, list, head, wide) }}
	for _, o := range list {
		l.names = append(l.names, fmt.Sprintf("%s/%s/%s-%s", o.Tenant, o.Protocol, o.Source(), o.Target()))
	}
	return l
}

func observationTable(w io.Writer, list []api.Observation, head, wide bool) {
	if head {
		cells := []any{"TIME", "VERDICT", "TENANT", "PROTOCOL", "FROM", "TO", "RULE"}
		if wide {
			cells = append(cells, "WHY", "SENDER", "RECEIVER", "BRIDGE", "SAMPLED")
		}
		row(w, append(cells, "ID")...)
	}
	for _, o := range list {
		cells := []any{o.At.Format(time.RFC3339), o.Verdict, o.Tenant, o.Protocol, o.Source(), o.Target(), o.Rule}
		if wide {
			cells = append(cells, o.Why, o.From, o.To, o.Bridge, o.Sampled)
		}
		if o.RuleAt != "" {
			cells[6] = o.Rule + " " + o.RuleAt
		}
		row(w, append(cells, o.Ref)...)
		if o.Nearest != "" {
			fmt.Fprintf(w, "  nearest allow: %s\n", o.Nearest)
		}
	}
}
