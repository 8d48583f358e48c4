package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/internal/words"
)

func balancersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "balancers",
		Aliases: []string{"lb"},
		Short:   "list load balancers, with what each of their backends has",
		Long: `balancers lists load balancers and their backends: the weight of each as it is written and as it is in
force, how many connections it has, how many were begun with it, and, where it is to have none, how long they may go on.
--chart draws how connections are spread.`,
		Args: cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	tenant := cmd.Flags().StringP("tenant", "t", "", "only this tenant's (default: all)")
	chart := cmd.Flags().Bool("chart", false, "draw how many connections each backend has")
	watch := watchFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := newClient(*socket)
		return show(cmd, *format, *watch, func(ctx context.Context) (listing, error) {
			var list []api.Balancer
			err := c.get(ctx, "/v1/balancers", url.Values{"tenant": {*tenant}}, &list)
			l := balancersListing(list, time.Now())
			if *chart && *format == "table" {
				l.table = func(w io.Writer, _ bool) { balancersChart(w, list, time.Now()) }
			}
			return l, err
		})
	}
	return cmd
}

func balancersListing(list []api.Balancer, now time.Time) listing {
	l := listing{value: list, table: func(w io.Writer, _ bool) { balancersTable(w, list, now) }}
	for _, b := range list {
		l.names = append(l.names, b.ID)
	}
	return l
}

func balancersTable(w io.Writer, list []api.Balancer, now time.Time) {
	row(w, "TENANT", "BALANCER", "ADDRESS", "BACKEND", "WEIGHT", "IN FORCE", "HEALTH", "CONNECTIONS", "BEGUN", "STATE")
	for _, b := range list {
		name, address := api.LastPart(b.ID), b.Address+" "+strings.Join(b.Ports, " ")
		if len(b.Backends) == 0 {
			row(w, b.Tenant, name, address, "none", "", "", "", "", "", "")
		}
		for _, n := range b.Backends {
			row(w, b.Tenant, name, address, backendText(n), n.Weight, n.InForce, n.Health, n.Connections, begunText(n), backendStateText(n, now))
		}
	}
}

// begunText is how many connections were begun, and how many are in a second, if any are.
func begunText(b api.Backend) string {
	switch {
	case b.PerSecond == 0:
		return fmt.Sprint(b.Begun)
	case b.PerSecond < 10:
		return fmt.Sprintf("%d, %.2g/s", b.Begun, b.PerSecond)
	}
	return fmt.Sprintf("%d, %.0f/s", b.Begun, b.PerSecond)
}

// backendText names a backend by its endpoint, if it is one's, and its address.
func backendText(b api.Backend) string {
	if b.Endpoint == "" {
		return b.Address
	}
	return api.LastPart(b.Endpoint) + " " + b.Address
}

// backendStateText says what a backend is, and how long its connections may go on if it is to have none.
func backendStateText(b api.Backend, now time.Time) string {
	if b.Deadline == nil || b.Connections == 0 {
		return b.State
	}
	return b.State + ", " + leftText(*b.Deadline, now)
}

// leftText is how long there is until a deadline.
func leftText(deadline, now time.Time) string {
	return max(0, deadline.Sub(now)).Round(time.Second).String() + " left"
}

// chartWidth is how many characters the longest bar of a chart has.
const chartWidth = 40

// balancersChart draws how the connections of each load balancer are spread over its backends.
func balancersChart(w io.Writer, list []api.Balancer, now time.Time) {
	for i, b := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		total, most, widest := 0, 1, 0
		for _, n := range b.Backends {
			total, most, widest = total+n.Connections, max(most, n.Connections), max(widest, len(backendText(n)))
		}
		fmt.Fprintf(w, "%s  %s %s: %s\n", b.ID, b.Address, strings.Join(b.Ports, " "), words.Count(total, "connection", "connections"))
		for _, n := range b.Backends {
			note := fmt.Sprintf("%d", n.Connections)
			if n.State != "serving" {
				note += "  " + backendStateText(n, now)
			}
			fmt.Fprintf(w, "  %-*s  weight %-5d %s %s\n", widest, backendText(n), n.InForce, bar(n.Connections, most), note)
		}
	}
}

// bar is a bar of n of most.
func bar(n, most int) string {
	eighths := 8 * chartWidth * n / most
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return cmp.Or(text, "▏")
}

// drainingList says which backends are to have no connections, and have some.
func drainingList(w io.Writer, bridge string, all []api.Draining, wide bool) {
	var list []api.Reason
	for _, b := range all {
		why := fmt.Sprintf("%s, %s", b.State, words.Count(b.Connections, "connection", "connections"))
		if b.Deadline != nil {
			why += ", ended at " + b.Deadline.Local().Format(time.TimeOnly)
		}
		list = append(list, api.Reason{ID: fmt.Sprintf("%s %s/%d to %s", b.Balancer, b.Protocol, b.Port, b.Backend), Why: why})
	}
	reasonList(w, bridge+": backends that are to have no connections, and have some (weir balancers)", list, wide)
}
