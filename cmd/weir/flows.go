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
)

func flowsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flows [BRIDGE]",
		Short: "list installed flows, each with the intent that it serves",
		Long: `flows lists what is installed in the bridges of the model, or in one of them: by table, from the
highest priority down, with what each flow has counted, the intent that it serves and where that is
written. What somebody else has put there has no intent. When a flow of policy was hit last is
known to within 30 seconds, and not for the time before the daemon began.

With --offload it lists those that keep all that meets them on the processor, where hardware takes over flows by
TC flower (hw-offload of the kernel's datapath).`,
		Args: cobra.MaximumNArgs(1),
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	var q api.FlowQuery
	cmd.Flags().StringVarP(&q.Tenant, "tenant", "t", "", "only flows that serve this tenant's intents (default: all)")
	cmd.Flags().StringVar(&q.Table, "table", "", "only this table's: a name, as POL_IN, or a number")
	cmd.Flags().StringVar(&q.Intent, "intent", "", "only those of an intent, and of what is under it: policy/db-ingress")
	cmd.Flags().BoolVar(&q.Unused, "unused", false, "only those that have counted nothing")
	cmd.Flags().BoolVar(&q.Offload, "offload", false, "only those that keep what meets them off the hardware, and why; those that have counted most first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := newClient(*socket)
		if len(args) == 0 {
			var s api.Status
			if err := c.get(cmd.Context(), "/v1/status", nil, &s); err != nil {
				return err
			}
			for _, b := range s.Bridges {
				args = append(args, b.Name)
			}
		}
		query := url.Values{"tenant": {q.Tenant}, "table": {q.Table}, "intent": {q.Intent}, "unused": {strconv.FormatBool(q.Unused)}, "offload": {strconv.FormatBool(q.Offload)}}
		if *format == "json" {
			out := newJSONList(cmd.OutOrStdout())
			if err := eachFlow(cmd.Context(), c, args, query, out.add); err != nil {
				return err
			}
			return out.end()
		}
		list := []api.Flow{}
		err := eachFlow(cmd.Context(), c, args, query, func(f api.Flow) error {
			list = append(list, f)
			return nil
		})
		switch {
		case err != nil:
			return err
		case q.Offload:
			return offloadListing(list).print(cmd.OutOrStdout(), *format)
		}
		return flowsListing(list).print(cmd.OutOrStdout(), *format)
	}
	return cmd
}

// eachFlow goes through the flows of some bridges as the daemon describes them.
func eachFlow[T any](ctx context.Context, c *client, bridges []string, query url.Values, each func(T) error) error {
	for _, b := range bridges {
		if err := eachOf(ctx, c, "/v1/bridges/"+url.PathEscape(b)+"/flows?"+query.Encode(), each); err != nil {
			return err
		}
	}
	return nil
}

func flowsListing(list []api.Flow) listing {
	l := listing{value: list, table: func(w io.Writer, wide bool) { flowsTable(w, list, wide) }}
	for _, f := range list {
		l.names = append(l.names, fmt.Sprintf("%s/%s/%d/%s", f.Bridge, f.Table, f.Priority, f.Match))
	}
	return l
}

func flowsTable(w io.Writer, list []api.Flow, wide bool) {
	head := []any{"TABLE", "PRIORITY", "PACKETS", "LAST HIT", "INTENT", "AT", "MATCH"}
	if wide {
		head = append([]any{"BRIDGE"}, append(head, "ACTIONS", "COOKIE")...)
	}
	row(w, head...)
	for _, f := range list {
		cells := []any{f.Table, f.Priority, f.Packets, sinceText(f.LastHit), f.Intent, f.At, f.Match}
		if wide {
			cells = append([]any{f.Bridge}, append(cells, f.Actions, f.Cookie)...)
		}
		row(w, cells...)
	}
}

// offloadListing is flowsListing, with what is in the way of hardware instead of what is asked.
func offloadListing(list []api.Flow) listing {
	l := flowsListing(list)
	l.table = func(w io.Writer, wide bool) {
		head := []any{"PACKETS", "TABLE", "INTENT", "AT", "IN THE WAY"}
		if wide {
			head = append(head, "MATCH", "ACTIONS")
		}
		row(w, head...)
		for _, f := range list {
			cells := []any{f.Packets, f.Table, f.Intent, f.At, strings.Join(f.Obstacles, "; ")}
			if wide {
				cells = append(cells, f.Match, f.Actions)
			}
			row(w, cells...)
		}
	}
	return l
}

// sinceText is how long ago something was; empty: never.
func sinceText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}
