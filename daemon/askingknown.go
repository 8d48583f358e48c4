package daemon

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/netip"
	"slices"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/explain"
	"weir/intent"
)

// refOf names a connection as long as it lasts: by its host, if that has a name, its zone, its protocol and how it was opened.
func refOf(e conntrack.Entry) string {
	h := fnv.New64a()
	fmt.Fprintln(h, e.Zone, uint8(e.Protocol), e.Orig)
	if e.Host != "" {
		fmt.Fprintln(h, e.Host)
	}
	return fmt.Sprintf("%010x", h.Sum64()>>24)
}

// ExplainConnection says why a connection is there, and what becomes of it.
func (d *desk) ExplainConnection(ctx context.Context, ref string) (api.KnownExplanation, error) {
	numbers, model := d.numbers.Load(), d.inForce.Load().Model
	if numbers == nil {
		return api.KnownExplanation{}, errStarting
	}
	t, e, err := d.find(ctx, model, numbers, ref)
	if err != nil {
		return api.KnownExplanation{}, err
	}
	c := explain.Scene{Model: model, Numbers: numbers}
	a := explain.Connection(e.Label, e.Mark, numbers)
	v := api.KnownExplanation{Connection: connectionOf(t.Name, e, numbers), Egress: intentOf(model, a.Egress), Ingress: intentOf(model, a.Ingress), Epoch: numbers.Epoch(t.ID())}
	v.NAT = intentOf(model, intent.ID(v.Connection.NAT))
	known := explain.Known{Connection: trackedOf(e), Label: e.Label}
	sent, err := explain.Send(model, d.sites(), explain.QuestionOf(known.Connection, t.Name, !holds(t, e.Orig.Src)))
	if err != nil {
		v.Error = err.Error()
		return v, nil
	}
	if err := d.explainKnown(ctx, c, sent, known, a, &v); err != nil {
		v.Error = err.Error()
	}
	return v, nil
}

// explainKnown asks ovs-vswitchd about a connection.
func (d *desk) explainKnown(ctx context.Context, c explain.Scene, sent explain.Sent, known explain.Known, a explain.Admission, v *api.KnownExplanation) error {
	return d.asking(ctx, sent.Bridge, func(b *explain.Bridge) error {
		next, anew, err := c.ExplainKnown(b, sent, known)
		if err != nil {
			return err
		}
		n, f := explanationOf(c, next), explanationOf(c, anew)
		v.Next, v.Anew, v.Same = &n, &f, anew.Same(a)
		return nil
	})
}

// find finds a connection, and whose it is.
func (d *desk) find(ctx context.Context, m *intent.Model, n pipeline.Numbers, ref string) (of *intent.Tenant, found conntrack.Entry, err error) {
	for _, t := range m.Tenants() {
		zone := n.Zone(t.ID())
		if zone == 0 {
			continue
		}
		err := d.entriesOf(ctx, zone, func(e conntrack.Entry) {
			if refOf(e) == ref {
				of, found = t, e
			}
		})
		if of != nil || api.AsFarAsReached(err) != nil {
			return of, found, api.AsFarAsReached(err)
		}
	}
	return nil, found, &api.Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("no tenant has a connection %q now: weir connections -o wide lists them with their ids", ref)}
}

// holds reports whether an endpoint of a tenant has an address, or may have any.
func holds(t *intent.Tenant, a netip.Addr) bool {
	return slices.ContainsFunc(t.Endpoints, func(e *intent.Endpoint) bool { return slices.Contains(pipeline.AddressesOf(e), a) })
}
