package daemon

import (
	"context"
	"net/netip"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/intent"
)

// published says as what connections of a tenant are seen outside of which its own zone knows an
// alias only: those of addresses that it shares with others.
type published map[half]conntrack.Tuple

// A half is what a connection is in the zone of shared addresses.
type half struct {
	protocol         conntrack.Protocol
	src, dst         netip.Addr
	srcPort, dstPort uint16
	icmpID           uint16
}

// published reads the zones of the addresses that a tenant shares, if there are such.
func (d *desk) published(ctx context.Context, tenant intent.ID, n pipeline.Numbers, m *intent.Model) (published, error) {
	all, halves := published{}, pipeline.HalvesOf(n, tenant, m)
	for _, zone := range halves.Shared() {
		err := d.entriesOf(ctx, zone, func(e conntrack.Entry) {
			if halves.Alias(e.Orig.Src) {
				all[half{e.Protocol, e.Orig.Src, e.Orig.Dst, e.Orig.SrcPort, e.Orig.DstPort, e.Orig.ICMPID}] = e.Reply
			}
		})
		if err = api.AsFarAsReached(err); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// tell puts into c as what e is seen outside.
func (p published) tell(c api.Connection, e conntrack.Entry) api.Connection {
	outside, known := p[half{e.Protocol, e.Reply.Dst, e.Reply.Src, e.Reply.DstPort, e.Reply.SrcPort, e.Reply.ICMPID}]
	if known {
		c.Alias, c.Reply = c.Reply.To(), tupleOf(outside)
	}
	return c
}
