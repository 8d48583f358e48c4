package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
)

func conntrackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conntrack",
		Short: "show how full the connection trackers are, and what each zone has",
		Long: `conntrack shows how many connections the trackers have, of how many at most, by protocol, and how
many each of Weir's zones has. From 80 % of a limit on, and from 95 %, there is an alarm, in the daemon's log
and in weir status as well: what is over a limit is dropped, and nobody is told.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(
		conntrackPart("stats", "how many connections the trackers have, by protocol", trackerRows),
		conntrackPart("zones", "what each of Weir's zones has", zoneRows),
		conntrackPart("limits", "the limits, and how much of each is used", limitRows),
		expectationsCommand(),
	)
	showTrackings(cmd, func(w io.Writer, all []api.Tracking, wide bool) {
		trackerRows(w, all, wide)
		fmt.Fprintln(w)
		zoneRows(w, all, wide)
	})
	return cmd
}

// A trackingTable writes some of what trackers have.
type trackingTable func(w io.Writer, all []api.Tracking, wide bool)

func conntrackPart(name, short string, table trackingTable) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs}
	showTrackings(cmd, table)
	return cmd
}

func showTrackings(cmd *cobra.Command, table trackingTable) {
	socket, format, watch := socketFlag(cmd), outputFlag(cmd), watchFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := newClient(*socket)
		return show(cmd, *format, *watch, func(ctx context.Context) (listing, error) {
			var all []api.Tracking
			err := c.get(ctx, "/v1/conntrack", nil, &all)
			return trackingListing(all, table), err
		})
	}
}

func trackingListing(all []api.Tracking, table trackingTable) listing {
	l := listing{value: all, table: func(w io.Writer, wide bool) {
		table(w, all, wide)
		for _, t := range all {
			if t.Error != "" {
				fmt.Fprintf(w, "\n%s: %s\n", api.OnHost(t.Host, t.Datapath), t.Error)
			}
		}
	}}
	for _, t := range all {
		for _, z := range t.Zones {
			l.names = append(l.names, fmt.Sprintf("%s/%d", api.OnHost(t.Host, t.Datapath), z.Zone))
		}
	}
	return l
}

func trackerRows(w io.Writer, all []api.Tracking, wide bool) {
	head := []any{"DATAPATH", "CONNECTIONS", "MAX", "USED", "ALARM", "PROTOCOLS"}
	if wide {
		head = append(head, "TCP STATES", "SEQUENCE CHECK")
	}
	row(w, head...)
	for _, t := range all {
		cells := []any{api.OnHost(t.Host, t.Datapath), t.Connections, maxText(t.Max), usedText(t.Fill), t.Alarm, countsText(t.Protocols)}
		if wide {
			check := ""
			if t.SequenceCheck != nil {
				check = map[bool]string{true: "on", false: "off"}[*t.SequenceCheck]
			}
			cells = append(cells, countsText(t.TCPStates), check)
		}
		row(w, cells...)
	}
}

func limitRows(w io.Writer, all []api.Tracking, _ bool) {
	row(w, "DATAPATH", "OF", "CONNECTIONS", "MAX", "USED", "ALARM")
	for _, t := range all {
		row(w, api.OnHost(t.Host, t.Datapath), "all zones", t.Connections, maxText(t.Max), usedText(t.Fill), t.Alarm)
		for _, z := range t.Zones {
			if z.Limit != nil {
				row(w, api.OnHost(t.Host, t.Datapath), z.ID, z.Limit.Connections, z.Limit.Max, usedText(*z.Limit), z.Limit.Alarm)
			}
		}
	}
}

func zoneRows(w io.Writer, all []api.Tracking, wide bool) {
	head := []any{"DATAPATH", "ZONE", "OF", "CONNECTIONS", "LIMIT", "USED", "ALARM"}
	if wide {
		head = append(head, "PROTOCOLS")
	}
	row(w, head...)
	for _, t := range all {
		for _, z := range t.Zones {
			cells := []any{api.OnHost(t.Host, t.Datapath), z.Zone, z.ID, z.Connections, limitText(calmed(z.Limit)), "", ""}
			if z.Limit != nil {
				cells[5], cells[6] = usedText(*z.Limit), z.Limit.Alarm
			}
			if wide {
				cells = append(cells, countsText(z.Protocols))
			}
			row(w, cells...)
		}
	}
}

// calmed is f without its alarm, which has a column of its own.
func calmed(f *api.Fill) *api.Fill {
	if f == nil {
		return nil
	}
	return &api.Fill{Connections: f.Connections, Max: f.Max}
}

// maxText is how many there may be, if that is known.
func maxText(most uint64) string {
	if most == 0 {
		return ""
	}
	return fmt.Sprint(most)
}

func usedText(f api.Fill) string {
	if f.Max == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f%%", 100*float64(f.Connections)/float64(f.Max))
}

// countsText is "tcp 12, udp 3", the most first.
func countsText(by map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		if by[a] != by[b] {
			return map[bool]int{true: -1, false: 1}[by[a] > by[b]]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, by[name])
	}
	return strings.Join(names, ", ")
}
