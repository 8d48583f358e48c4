package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// echoed is the priority in ArpNd of pings, in front of what comes in.
const echoed = 94

// ofICMP are the numbers of ICMP's echo request and reply (RFC 792, RFC 4443).
var ofICMP = map[bool]struct{ request, reply uint64 }{true: {8, 0}, false: {128, 129}}

// host has the router answer pings of its own addresses, as any host does.
func host(b *pipeline.Builder, x pipeline.ExternalSite) {
	for _, s := range x.Subnets {
		if s.Address.IsValid() {
			echo(b, x, s.Address)
		}
	}
	if hasIPv6(x) {
		echo(b, x, pipeline.LinkLocal(x.RouterMAC()))
	}
}

// echo sends an echo request back as its reply. Of one in fragments the tracker would have to
// be asked.
func echo(b *pipeline.Builder, x pipeline.ExternalSite, own netip.Addr) {
	four := own.Is4()
	protocol, typ, code := uint64(pipeline.ProtoICMP), ofproto.ICMPv4Type, ofproto.ICMPv4Code
	if !four {
		protocol, typ, code = pipeline.ProtoICMPv6, ofproto.ICMPv6Type, ofproto.ICMPv6Code
	}
	src, dst := pipeline.IPSrc(own), pipeline.IPDst(own)
	b.Flow(x.ID(), pipeline.ArpNd, echoed, ofproto.MatchOn(
		cameBy(x), ofproto.IsMAC(ofproto.EthDst, x.RouterMAC()), pipeline.IPVersion(four), ofproto.Is(ofproto.IPProto, protocol),
		ofproto.Is(typ, ofICMP[four].request), ofproto.Is(code, 0), ofproto.Is(ofproto.IPFrag, 0), ofproto.IsAddr(dst, own)),
		ofproto.Move{Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
		ofproto.SetMAC(ofproto.EthSrc, x.RouterMAC()),
		ofproto.Move{Src: src.Whole(), Dst: dst.Whole()},
		ofproto.SetAddr(src, own),
		ofproto.SetField{Field: ofproto.IPTTL, Value: ofproto.Uint(hops)},
		ofproto.SetField{Field: typ, Value: ofproto.Uint(ofICMP[four].reply)},
		ofproto.Output{Port: ofproto.PortInPort})
}

const hops = 64

// Expired tells somebody outside that a packet has come to the end of its life at the router. It
// is quoted as it was sent.
func Expired(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	q, ok := in.Punted(p)
	if !ok || q.Outside.External == nil {
		return nil
	}
	own := routerOf(in, q.Outside, q.Sent.Src, q.Sent.Dst)
	if !own.IsValid() {
		return nil
	}
	return q.Reply(q.Sent.Expire(q.Link(), own))
}

// routerOf returns the address by which the router speaks to somebody outside of what it was
// sent: its own; or if it has none, that to which it was sent, if that is one of those for which
// it speaks.
func routerOf(in pipeline.Input, x pipeline.ExternalSite, to, asked netip.Addr) netip.Addr {
	own := netip.Addr{}
	for _, s := range x.Subnets {
		if s.Address.IsValid() && s.Address.Is4() == to.Is4() && (!own.IsValid() || s.CIDR.Contains(to)) {
			own = s.Address
		}
	}
	if !own.IsValid() && translated(in, x, asked) {
		return asked
	}
	return own
}

// translated reports whether an address of an outside stands for somebody.
func translated(in pipeline.Input, x pipeline.ExternalSite, a netip.Addr) bool {
	return slices.ContainsFunc(in.Model.Tenants(), func(t *intent.Tenant) bool {
		return slices.ContainsFunc(t.FloatingIPs, func(f *intent.FloatingIP) bool { return f.Address == a && f.Bridge == x.Bridge }) ||
			slices.ContainsFunc(t.PortForwards, func(f *intent.PortForward) bool { return f.Address == a && f.Bridge == x.Bridge }) ||
			slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool {
				return slices.ContainsFunc(s.PoolsOn(x.Bridge, x.Network), func(p intent.Pool) bool {
					return slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Contains(a) })
				})
			})
	})
}
