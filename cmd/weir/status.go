package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/internal/words"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what the daemon drives, and how far it has come",
		Args:  cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	watch := watchFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := newClient(*socket)
		return show(cmd, *format, *watch, c.status)
	}
	return cmd
}

// status reads what weir status shows.
func (c *client) status(ctx context.Context) (listing, error) {
	var s api.Status
	err := c.get(ctx, "/v1/status", nil, &s)
	return statusListing(s), err
}

func statusListing(s api.Status) listing {
	l := listing{value: s, table: func(w io.Writer, wide bool) { statusTable(w, s, wide) }}
	for _, b := range s.Bridges {
		l.names = append(l.names, "bridge/"+b.Name)
	}
	for _, t := range s.Tenants {
		l.names = append(l.names, t.Name)
	}
	return l
}

func statusTable(w io.Writer, s api.Status, wide bool) {
	if len(s.Hosts) > 0 {
		fmt.Fprintf(w, "weir %s   %s   model %s, revision %d\n", s.Version, words.Count(len(s.Hosts), "host", "hosts"), s.Model.Source, s.Model.Revision)
	} else {
		fmt.Fprintf(w, "weir %s   Open vSwitch %s   model %s, revision %d\n", s.Version, databaseText(s.Database), s.Model.Source, s.Model.Revision)
	}
	if s.Model.Error != "" {
		fmt.Fprintf(w, "the last change of the model was refused; revision %d stays in force:\n%s\n", s.Model.Revision, indent(s.Model.Error))
	}
	databaseList(w, "", s.Database)
	if len(s.Model.Held) > 0 {
		which := "the last change of the model"
		if s.Model.Error != "" { // it is the last one
			which = "the change before that"
		}
		fmt.Fprintf(w, "%s is held, and revision %d stays in force:\n%s\n", which, s.Model.Revision, indent(strings.Join(s.Model.Held, "\n")))
	}
	reasonList(w, "the daemon lacks rights", s.Rights, true)
	hostList(w, s.Hosts)
	fmt.Fprintln(w)
	row(w, "BRIDGE", "STATE", "REVISION", "FLOWS", "GROUPS", "PENDING", "REFUSED", "FOREIGN", "SENT", "DRIFT")
	for _, b := range s.Bridges {
		row(w, b.Name, b.State(), b.Revision, b.Flows, b.Groups, len(b.Pending), len(b.Refused), b.Foreign, b.FlowModsSent, drifts(b.Drift))
	}
	fmt.Fprintln(w)
	row(w, "TENANT", "ZONE", "EPOCH", "LIMIT")
	for _, t := range s.Tenants {
		row(w, t.Name, zonesText(t), t.Epoch, limitText(t.Limit))
	}
	trackerList(w, s.Trackers)
	endedList(w, s.Tenants, wide)
	unservedList(w, s.Balancers, wide)
	healthList(w, s.Backends, wide)
	reasons(w, s.Bridges, wide)
	tlsList(w, s, wide)
}

// databaseList says what is wrong with a database.
func databaseList(w io.Writer, before string, d api.Database) {
	if d.Away != "" {
		fmt.Fprintf(w, "%sthe database cannot be reached: %s\n", before, d.Away)
	}
	if d.Error != "" {
		fmt.Fprintf(w, "%stimeouts of connections are not as they should be: %s\n", before, d.Error)
	}
}

// hostList says how the hosts are.
func hostList(w io.Writer, hosts []api.Host) {
	if len(hosts) == 0 {
		return
	}
	fmt.Fprintln(w)
	row(w, "HOST", "OPEN VSWITCH", "DATABASE")
	for _, h := range hosts {
		version := h.Database.OVSVersion
		switch {
		case !h.Database.Connected:
			version = "not reached"
		case h.Unanswered != "":
			version = "not answering"
		}
		row(w, h.Name, version, h.Database.Target)
	}
	for _, h := range hosts {
		databaseList(w, "host "+h.Name+": ", h.Database)
		if h.Unanswered != "" {
			fmt.Fprintf(w, "host %s: what ovs-vswitchd alone knows, as connections in userspace, is in no figure: %s\n", h.Name, h.Unanswered)
		}
	}
}

// zonesText is a tenant's zone, and that of its source translations, if it has one.
func zonesText(t api.Tenant) string {
	if t.SourceZone == 0 {
		return fmt.Sprint(t.Zone)
	}
	return fmt.Sprintf("%d, %d", t.Zone, t.SourceZone)
}

// limitText is how much of a limit is used.
func limitText(f *api.Fill) string {
	if f == nil {
		return "-"
	}
	return fillText(*f)
}

// fillText is how much of something is used, and how near to its end that is.
func fillText(f api.Fill) string {
	text := fmt.Sprintf("%d of %d", f.Connections, f.Max)
	if f.Alarm != "" {
		text += " (" + alarmWords[f.Alarm] + ")"
	}
	return text
}

var alarmWords = map[string]string{"near": "near the limit", "critical": "NEARLY FULL", "full": "FULL: new ones are dropped"}

// trackerList says how full the connection trackers are.
func trackerList(w io.Writer, trackers []api.Tracker) {
	for _, t := range trackers {
		if t.Max > 0 {
			calm := t.Fill
			calm.Alarm = ""
			fmt.Fprintf(w, "\nconnection tracker of %s: %s connections", api.OnHost(t.Host, t.Datapath), fillText(calm))
			if t.Alarm != "" {
				fmt.Fprintf(w, ": %s", alarmWords[t.Alarm])
			}
			fmt.Fprintln(w)
		}
		if t.Through != "" {
			fmt.Fprintf(w, "\nconnections of %s are read through ovs-vswitchd, which waits for that: %s\n", api.OnHost(t.Host, t.Datapath), t.Through)
		}
		if t.Error != "" {
			fmt.Fprintf(w, "\nlimits of connections in %s: %s\n", api.OnHost(t.Host, t.Datapath), t.Error)
		}
	}
}

// endedList says which connections were ended because policy no longer admits them.
func endedList(w io.Writer, tenants []api.Tenant, wide bool) {
	for _, t := range tenants {
		if t.Ended == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s: %s ended that its policy no longer admits; last:\n", t.Name, words.Count(int(t.Ended), "connection was", "connections were"))
		for i, e := range t.RecentlyEnded {
			if i == shownReasons && !wide {
				fmt.Fprintf(w, "  and %d more (-o wide)\n", len(t.RecentlyEnded)-i)
				break
			}
			fmt.Fprintf(w, "  %s %d %s: %s\n", e.At.Format(time.RFC3339), e.Connections, letBy(e.Egress, e.Ingress), e.Example)
		}
	}
}

// letBy says who let connections out and in. What comes from outside nobody lets out, and what
// goes there nobody in.
func letBy(egress, ingress string) string {
	var by []string
	if egress != "" {
		by = append(by, "out by "+egress)
	}
	if ingress != "" {
		by = append(by, "in by "+ingress)
	}
	if len(by) == 0 {
		return "let by nobody"
	}
	return "let " + strings.Join(by, ", ")
}

// shownReasons is how many intents of a kind the narrow table names.
const shownReasons = 5

// reasons says what stands in the way of each bridge.
func reasons(w io.Writer, bridges []api.Bridge, wide bool) {
	for _, b := range bridges {
		if b.Error != "" {
			fmt.Fprintf(w, "\n%s: %s\n", b.Name, b.Error)
		}
		reasonList(w, b.Name+" refused", b.Refused, wide)
		reasonList(w, b.Name+" waits for", b.Pending, wide)
		meterList(w, b.Name, b.Meters, wide)
		noPortList(w, b.Name, b.NoPort, wide)
		drainingList(w, b.Name, b.Draining, wide)
		driftList(w, b.Name, b.Drift, wide)
		quirkList(w, b.Name, b.Quirks, wide)
	}
}

// meterList says which meters have dropped something.
func meterList(w io.Writer, bridge string, meters []api.Meter, wide bool) {
	var list []api.Reason
	for _, m := range meters {
		if m.Dropped > 0 || wide {
			list = append(list, api.Reason{ID: m.ID, Why: fmt.Sprintf("%d of %d packets dropped", m.Dropped, m.Packets)})
		}
	}
	reasonList(w, bridge+" drops what is over a rate", list, wide)
}

// noPortList says which SNATs have run out of ports.
func noPortList(w io.Writer, bridge string, all []api.NoPort, wide bool) {
	var list []api.Reason
	for _, n := range all {
		list = append(list, api.Reason{ID: n.ID, Why: fmt.Sprintf("%d packets dropped", n.Dropped)})
	}
	reasonList(w, bridge+" has had no port left for new connections (add addresses, or widen ports; weir connections --by-address)", list, wide)
}

// drifts counts what somebody else has changed.
func drifts(d api.Drift) (n int64) {
	for _, c := range d.Counts {
		n += c.N
	}
	return n
}

func driftList(w io.Writer, bridge string, d api.Drift, wide bool) {
	if len(d.Recent) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s was changed by somebody else (repairs: %d); last:\n", bridge, d.Repairs)
	for i, e := range d.Recent {
		if i == shownReasons && !wide {
			fmt.Fprintf(w, "  and %d more (-o wide)\n", len(d.Recent)-i)
			break
		}
		fmt.Fprintf(w, "  %s\n", driftText(e))
	}
	for _, what := range d.Contested {
		fmt.Fprintf(w, "  somebody changes this again as soon as it is repaired: %s\n", what)
	}
}

// driftText is one event in one line.
func driftText(e api.DriftEvent) string {
	text := e.At.Format(time.RFC3339) + " " + e.What + " " + e.Change
	for _, part := range []struct{ name, value string }{{" of ", e.Intent}, {": was ", e.Was}, {": is ", e.Is}, {": not repaired: ", e.Error}} {
		if part.value != "" {
			text += part.name + part.value
		}
	}
	if e.More > 0 {
		text += fmt.Sprintf(", and %d more", e.More)
	}
	return text
}

func quirkList(w io.Writer, bridge string, quirks []api.Reason, wide bool) {
	if len(quirks) == 0 {
		return
	}
	if wide {
		reasonList(w, bridge+": quirks of this version of Open vSwitch", quirks, wide)
		return
	}
	var names []string
	for _, q := range quirks {
		names = append(names, q.ID)
	}
	fmt.Fprintf(w, "\n%s: quirks of this version of Open vSwitch (-o wide): %s\n", bridge, strings.Join(names, ", "))
}

func reasonList(w io.Writer, title string, list []api.Reason, wide bool) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for i, r := range list {
		if i == shownReasons && !wide {
			fmt.Fprintf(w, "  and %d more (-o wide)\n", len(list)-i)
			return
		}
		fmt.Fprintf(w, "  %s: %s\n", r.ID, r.Why)
	}
}

func databaseText(d api.Database) string {
	if !d.Connected {
		return "not reached at " + d.Target
	}
	return d.OVSVersion
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ")
}
