package daemon

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

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
	tag  string // tells its reports from those of other daemons; empty: there is none yet
	last uint64 // how many there have been
	kept []api.Observation
}

// add notes a report, and returns it with its id.
func (n *notebook) add(o api.Observation) api.Observation {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tag == "" {
		n.tag = fmt.Sprintf("%04x", rand.N(1<<16))
	}
	n.last++
	o.N, o.Ref = n.last, fmt.Sprintf("%s-%d", n.tag, n.last)
	if len(n.kept) == keptObservations { // a copy now and then, not each time
		n.kept = append(make([]api.Observation, 0, 2*keptObservations), n.kept[1:]...)
	}
	n.kept = append(n.kept, o)
	return o
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

// find returns a report by its id.
func (n *notebook) find(ref string) (api.Observation, error) {
	gone := func(status int, format string, args ...any) (api.Observation, error) {
		return api.Observation{}, &api.Problem{Status: status, Detail: fmt.Sprintf(format, args...)}
	}
	tag, number, _ := strings.Cut(ref, "-")
	i, err := strconv.ParseUint(number, 10, 64)
	if err != nil || tag == "" {
		return gone(http.StatusBadRequest, "%q is no id of an observation: weir observe lists them with their ids, as in 5f3a-17", ref)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case len(n.kept) == 0:
		return gone(http.StatusNotFound, "there is no observation %q: no rule with log has reported anything since the daemon began", ref)
	case tag != n.tag:
		return gone(http.StatusNotFound, "there is no observation %q: another daemon has made it, or nobody; those of this one begin with %s-", ref, n.tag)
	case i == 0 || i > n.last:
		return gone(http.StatusNotFound, "there is no observation %q: the last one is %s-%d", ref, n.tag, n.last)
	case i < n.kept[0].N:
		first := n.kept[0]
		return gone(http.StatusGone, "observation %q is forgotten: the newest %d are kept, from %s of %s on; the daemon's log has all", ref, keptObservations, first.Ref, first.At.Format(time.RFC3339))
	}
	return n.kept[i-n.kept[0].N], nil
}

// Observations returns the newest reports of rules.
func (d *desk) Observations(_ context.Context, q api.ObservationQuery) ([]api.Observation, error) {
	if q.Tenant != "" && d.inForce.Load().Model.Tenant(q.Tenant) == nil {
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
	m := d.inForce.Load().Model
	o.RuleAt = placeText(explain.PlaceOf(m, intent.ID(o.Rule)))
	if near, found := reportOf(*o).Nearest(m); found {
		o.Nearest = near.String()
	}
}

// reportOf is the inverse of observationOf.
func reportOf(o api.Observation) explain.Observation {
	seen := explain.Observation{
		Tenant: o.Tenant, Verdict: explain.Verdict(o.Verdict), Why: o.Why, From: intent.ID(o.From), To: intent.ID(o.To), Egress: intent.ID(o.Egress), Ingress: intent.ID(o.Ingress),
		Protocol: protocolNumber(o.Protocol), SrcPort: o.Sport, DstPort: o.Dport, Type: o.Type, Code: o.Code, Sampled: o.Sampled,
	}
	seen.Src, _ = netip.ParseAddr(o.Src) // they were made by String
	seen.Dst, _ = netip.ParseAddr(o.Dst)
	return seen
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
	o := d.notes.add(observationOf(bridge, seen, time.Now()))
	d.log.WithFields(logrus.Fields{
		"id": o.Ref, "bridge": bridge, "tenant": o.Tenant, "verdict": o.Verdict, "protocol": o.Protocol, "from": o.Source(), "to": o.Target(), "rule": o.Rule,
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
