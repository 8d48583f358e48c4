package lb

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/frame"
	"weir/ofproto"
)

// Reset has the client of a TCP connection told that it is over, when the tracker has forgotten
// it. Nobody here knows the number that a reset must have to be believed (RFC 5961, 3). So the
// client gets a SYN, which it does not believe either, and answers with an acknowledgement
// (RFC 5961, 4). That is for a load balancer, as all that is sent to its address; and whoever it
// is given to now knows no such connection, and resets it with the right number.
func Reset(in pipeline.Input, t *intent.Tenant, c pipeline.Connection) []ofproto.PacketOut {
	from, to := netip.AddrPortFrom(c.Orig.Dst, c.Orig.DstPort), netip.AddrPortFrom(c.Orig.Src, c.Orig.SrcPort)
	i := slices.IndexFunc(t.Endpoints, func(e *intent.Endpoint) bool { return slices.Contains(e.IPs, to.Addr()) })
	if i >= 0 {
		e := t.Endpoints[i]
		return []ofproto.PacketOut{{InPort: ofproto.PortController, Data: frame.SYN(frame.Link{From: pipeline.RouterMAC, To: e.MAC}, from, to), Actions: []ofproto.Action{
			ofproto.Set(pipeline.RegOut.Whole(), uint64(in.Numbers.Tag(e.ID()))), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: pipeline.Out},
		}}}
	}
	if len(in.Outsides()) == 0 {
		return nil
	}
	return []ofproto.PacketOut{{InPort: ofproto.PortController, Data: frame.SYN(frame.Link{From: pipeline.RouterMAC, To: pipeline.RouterMAC}, from, to), Actions: []ofproto.Action{
		pipeline.Established.Set(), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: pipeline.Route},
	}}}
}
