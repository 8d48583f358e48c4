package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"weir/api"
	"weir/apps/pipeline"
	"weir/explain"
	"weir/intent"
	"weir/ofproto"
)

// keptObservations is how many of the newest reports of rules are kept.
const keptObservations = 500

// A notebook has the newest reports of rules. The sessions of all bridges write into it, and
// requests read it.
type notebook struct {
	mu   sync.Mutex
	last uint64 // how many there have been
	kept []api.Observation
}

func (n *notebook) add(o api.Observation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	o.N = n.last
	if len(n.kept) == keptObservations { // a copy now and then, not each time
		n.kept = append(make([]api.Observation, 0, 2*keptObservations), n.kept[1:]...)
	}
	n.kept = append(n.kept, o)
}

// since returns what has come after the n-th and is wanted, oldest first.
func (n *notebook) since(q api.ObservationQuery) []api.Observation {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := []api.Observation{}
	for _, o := range n.kept {
		if o.N > q.After && (q.Tenant == "" || o.Tenant == q.Tenant) && (q.Verdict == "" || o.Verdict == q.Verdict) {
			list = append(list, o)
		}
	}
	return list
}

// Observations returns the newest reports of rules.
func (d *desk) Observations(_ context.Context, q api.ObservationQuery) ([]api.Observation, error) {
	if q.Tenant != "" && d.inForce.Load().model.Tenant(q.Tenant) == nil {
		return nil, api.UnknownTenant(q.Tenant)
	}
	list := d.notes.since(q)
	if q.Explain {
		for i := range list {
			d.explainReport(&list[i])
		}
	}
	return list, nil
}

// explainReport says where the rule of a report is written, and which rule would allow what was stopped.
func (d *desk) explainReport(o *api.Observation) {
	m := d.inForce.Load().model
	o.RuleAt = placeText(explain.PlaceOf(m, intent.ID(o.Rule)))
	seen := explain.Observation{
		Tenant: o.Tenant, Verdict: explain.Verdict(o.Verdict), From: intent.ID(o.From), To: intent.ID(o.To), Egress: intent.ID(o.Egress), Ingress: intent.ID(o.Ingress),
		Protocol: protocolNumber(o.Protocol), SrcPort: o.Sport, DstPort: o.Dport, Type: o.Type, Code: o.Code,
	}
	seen.Src, _ = netip.ParseAddr(o.Src) // they were made by String
	seen.Dst, _ = netip.ParseAddr(o.Dst)
	if near, found := seen.Nearest(m); found {
		o.Nearest = near.String()
	}
}

// protocolNumber is the inverse of protocolName.
func protocolNumber(name string) uint8 {
	for n := range 256 {
		if protocolName(uint8(n)) == name {
			return uint8(n)
		}
	}
	return 0
}

// observe notes and logs the report of a rule, if p is one.
func (d *desk) observe(bridge string, in pipeline.Input, p ofproto.PacketIn) bool {
	seen, ok := explain.Observe(in, p)
	if !ok {
		return false
	}
	o := observationOf(bridge, seen, time.Now())
	d.notes.add(o)
	d.log.WithFields(logrus.Fields{
		"bridge": bridge, "tenant": o.Tenant, "verdict": o.Verdict, "protocol": o.Protocol, "from": o.Source(), "to": o.Target(), "rule": o.Rule,
	}).Info("observed")
	return true
}

func observationOf(bridge string, o explain.Observation, at time.Time) api.Observation {
	v := api.Observation{
		At: at.UTC(), Bridge: bridge, Tenant: o.Tenant, Verdict: string(o.Verdict), Why: o.Why, Protocol: protocolName(o.Protocol),
		Src: o.Src.String(), Dst: o.Dst.String(), Sport: o.SrcPort, Dport: o.DstPort, Type: o.Type, Code: o.Code,
		From: string(o.From), To: string(o.To), Egress: string(o.Egress), Ingress: string(o.Ingress), Sampled: o.Sampled,
	}
	if v.Rule = v.Ingress; v.Rule == "" { // the sender's end has stopped it
		v.Rule = v.Egress
	}
	return v
}

// protocolName is the common name of an IP protocol, or its number.
func protocolName(p uint8) string {
	names := map[uint8]string{1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp"}
	if name, ok := names[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

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
		row(w, cells...)
	}
	for _, o := range list {
		cells := []any{o.At.Format(time.RFC3339), o.Verdict, o.Tenant, o.Protocol, o.Source(), o.Target(), o.Rule}
		if wide {
			cells = append(cells, o.Why, o.From, o.To, o.Bridge, o.Sampled)
		}
		if o.RuleAt != "" {
			cells[6] = o.Rule + " " + o.RuleAt
		}
		row(w, cells...)
		if o.Nearest != "" {
			fmt.Fprintf(w, "  nearest allow: %s\n", o.Nearest)
		}
	}
}
