// Package nat compiles the outside of a bridge, and what is translated on the way to it and
// from it: SNATs and floating IPs.
//
// An address outside is a tenant's. What comes for it is the tenant's from then on, and the
// one lookup in the tenant's zone puts answers back to whom they are for. What is new is only
// given a target, and is routed and judged as if it had been for that; the commit makes it so.
// So policies speak of the endpoints' own addresses, and what is denied leaves no trace.
// Nothing leaves that nobody has said as whom.
package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// App is the outside and NAT.
var App = pipeline.App{Bridge: bridge, Tenant: tenant}

// Priorities in SNATSel. What is judged again has its address already.
const (
	again    = 60000
	floating = 50000
	sources  = 40000 // and down from there, in the order of the SNATs
)

// tenant adds the addresses that a tenant has outside.
func tenant(b *pipeline.Builder, t *pipeline.TenantSite) {
	if t.Mode == intent.Off || len(b.Externals) == 0 {
		return
	}
	known := map[netip.Prefix]bool{}
	for rank, s := range t.SNATs {
		for _, x := range b.Externals {
			for _, p := range s.PoolsOn(b.Bridge.Name, x.Network) {
				snat(b, t, x, s, p, rank, known)
			}
		}
	}
	for _, f := range t.FloatingIPs {
		if x, ok := b.Outside(f.External); ok && f.Bridge == b.Bridge.Name {
			float(b, t, x, f, known)
		}
	}
	for _, f := range t.PortForwards {
		if x, ok := b.Outside(f.External); ok && f.Bridge == b.Bridge.Name {
			forward(b, t, x, f, known)
		}
	}
	hairpins(b, t)
	notSpoofed(b, t)
	keepIn(b, t)
}

// keepIn drops what is bound for a network of the tenant that the router does not lead to. By
// the routes outside it would leave.
func keepIn(b *pipeline.Builder, t *pipeline.TenantSite) {
	for _, n := range t.Tenant.Networks {
		for _, s := range n.Subnets {
			if slices.Contains(n.Bridges, b.Bridge.Name) && s.Gateway.IsValid() && !b.Refused(n.ID()) {
				continue
			}
			b.Flow(t.ID(), pipeline.Route, pipeline.OwnRoute+uint16(s.CIDR.Bits()), ofproto.MatchOn(pipeline.InVRF(t.Zone),
				ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC), ofproto.InPrefix(dstField(s.CIDR.Addr()), s.CIDR)), pipeline.ToDrop(pipeline.NoRoute)...)
		}
	}
}

// hairpins lets endpoints reach themselves by the addresses that stand for theirs.
func hairpins(b *pipeline.Builder, t *pipeline.TenantSite) {
	done, turned := map[netip.Addr]bool{}, map[bool]bool{}
	back := func(of *intent.Endpoint, a netip.Addr) {
		e, here := t.Site(of)
		if !here || b.Refused(e.ID()) {
			return
		}
		if four := a.Is4(); !turned[four] {
			turned[four] = true
			b.TurnBack(t, four)
		}
		if !done[a] {
			done[a] = true
			b.Hairpin(e.ID(), e, a, first(done, e, a))
		}
	}
	for _, f := range t.FloatingIPs {
		back(f.Endpoint, f.IP)
	}
	for _, f := range t.PortForwards {
		back(f.Endpoint, f.IP)
	}
}

// first reports whether no other address of e, of a's version of IP, is done.
func first(done map[netip.Addr]bool, e pipeline.EndpointSite, a netip.Addr) bool {
	return !slices.ContainsFunc(e.IPs, func(o netip.Addr) bool { return o != a && o.Is4() == a.Is4() && done[o] })
}

// notSpoofed drops what comes from outside and says that it comes from the inside.
func notSpoofed(b *pipeline.Builder, t *pipeline.TenantSite) {
	for _, n := range t.Tenant.Networks {
		for _, s := range n.Subnets {
			b.Flow(n.ID(), pipeline.IDSrc, 200, ofproto.MatchOn(pipeline.InZone(t.Zone), pipeline.FromOutside.Is(),
				ofproto.InPrefix(srcField(s.CIDR.Addr()), s.CIDR)), pipeline.ToDrop(pipeline.Spoofed)...)
		}
	}
}

// owns makes addresses outside those of a tenant: the router answers for them on the link,
// and what comes for them is the tenant's. Several intents may say the same ones.
func owns(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, id intent.ID, p netip.Prefix, known map[netip.Prefix]bool) {
	if known[p] {
		return
	}
	known[p] = true
	b.Flow(id, pipeline.ExtIn, 100+uint16(p.Bits()), ofproto.MatchOn(cameBy(x), ofproto.InPrefix(dstField(p.Addr()), p)), t.EnterTenant()...)
	stillAs(b, t, id, p)
	if s, onLink := x.OnLink(p.Addr()); onLink && !(p.IsSingleIP() && s.Address == p.Addr()) {
		answerFor(b, id, x, p)
	}
}

// snat has what a tenant opens to an outside leave from a pool.
func snat(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, s *intent.SNAT, pool intent.Pool, rank int, known map[netip.Prefix]bool) {
	ip := version(pool.Is4())
	for _, r := range pool.Ranges {
		for _, p := range prefixesOf(r) {
			owns(b, t, x, s.ID(), p, known)
		}
	}
	selected := []ofproto.Action{
		pipeline.SNAT.Set(), ofproto.Set(pipeline.RegSNAT.Whole(), uint64(b.Numbers.Tag(s.ID()))), ofproto.GotoTable(pipeline.Commit),
	}
	serves := s.ID()
	if b.Refused(serves) { // the next SNAT has not been asked for
		serves, selected = t.ID(), pipeline.ToDrop(pipeline.NotTranslated)
	}
	for _, who := range senders(b, t, s, pool.Is4()) {
		b.Flow(serves, pipeline.SNATSel, sources-uint16(rank), ofproto.MatchOn(append(who, ip, pipeline.InZone(t.Zone), leavesBy(x))...), selected...)
	}
	r := pool.Ranges[0]
	b.Translate(t, pipeline.Translation{
		Of:    s.ID(),
		Conds: []ofproto.Cond{ip, pipeline.SNAT.Is(), ofproto.Is(pipeline.RegSNAT, uint64(b.Numbers.Tag(s.ID()))), leavesBy(x)},
		NAT:   sourceOf(r, s.Ports),
		Sure:  r.Lo == r.Hi && s.Preserves(),
	})
}

// sourceOf is the translation to an address of a range. What is one address, or one port, has
// no end.
func sourceOf(r intent.AddrRange, ports intent.PortRange) ofproto.NAT {
	n := ofproto.NAT{Src: true, AddrMin: r.Lo, PortMin: ports.Lo}
	if r.Hi != r.Lo {
		n.AddrMax = r.Hi
	}
	if ports.Hi != ports.Lo {
		n.PortMax = ports.Hi
	}
	return n
}

// senders returns conditions of which those that s translates meet one.
func senders(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, four bool) (all [][]ofproto.Cond) {
	var in []ofproto.Cond
	if s.Network != nil {
		in = append(in, pipeline.InNet(b.Numbers.Group(s.Network.ID())))
	}
	if s.From.Empty() {
		return [][]ofproto.Cond{in}
	}
	from := s.From.Prefixes()
	for _, e := range t.Tenant.Endpoints {
		if s.From.Selects(e) {
			for _, a := range e.IPs {
				from = append(from, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	slices.SortFunc(from, netip.Prefix.Compare)
	for _, p := range slices.Compact(from) {
		if p.Addr().Is4() == four {
			all = append(all, append(slices.Clip(in), ofproto.InPrefix(srcField(p.Addr()), p)))
		}
	}
	return all
}

// stillAs lets a connection go on, when it is judged again, as whom it has left so far.
func stillAs(b *pipeline.Builder, t *pipeline.TenantSite, id intent.ID, p netip.Prefix) {
	b.Flow(id, pipeline.SNATSel, again, ofproto.MatchOn(pipeline.InZone(t.Zone), pipeline.JudgeAgain.Is(), ofproto.InPrefix(srcField(p.Addr()), p)),
		pipeline.ToOutside.Clear(), ofproto.GotoTable(pipeline.Commit))
}

// float has an address stand for one of an endpoint, in both directions.
func float(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, f *intent.FloatingIP, known map[netip.Prefix]bool) {
	id, tag := f.ID(), uint64(b.Numbers.Tag(f.ID()))
	one := netip.PrefixFrom(f.Address, f.Address.BitLen())
	ip := version(f.Address.Is4())
	owns(b, t, x, id, one, known)
	target(b, t, f, tag)

	serves, as := id, []ofproto.Action{pipeline.SNAT.Set(), ofproto.Set(pipeline.RegSNAT.Whole(), tag), ofproto.GotoTable(pipeline.Commit)}
	if b.Refused(id) { // an SNAT has not been asked for
		serves, as = t.ID(), pipeline.ToDrop(pipeline.NotTranslated)
	}
	b.Flow(serves, pipeline.SNATSel, floating, ofproto.MatchOn(pipeline.InZone(t.Zone), leavesBy(x), ofproto.IsAddr(srcField(f.IP), f.IP)), as...)
	b.Translate(t, pipeline.Translation{
		Of: id, Conds: []ofproto.Cond{ip, pipeline.SNAT.Is(), ofproto.Is(pipeline.RegSNAT, tag)},
		NAT: ofproto.NAT{Src: true, AddrMin: f.Address}, Sure: true,
	})
}

// target has what is new for a floating IP go to its endpoint.
func target(b *pipeline.Builder, t *pipeline.TenantSite, f *intent.FloatingIP, tag uint64) {
	aim(b, t, aimed{of: f.ID(), tag: tag, address: f.Address, ip: f.IP})
}

// An aimed address, or a port of it, stands for one of an endpoint.
type aimed struct {
	of       intent.ID
	tag      uint64
	address  netip.Addr
	ip       netip.Addr
	protocol intent.Protocol
	port, to uint16 // zero: all protocols, with whatever port
}

// aim has what is new for an address go to an endpoint. From here on the packet is to all
// tables as if it had been sent there: it is routed and judged so. Before the commit it is what
// it was again, for that has to remember what it makes of it. Open vSwitch writes neither into
// the packet, as nothing has been done with it in between.
func aim(b *pipeline.Builder, t *pipeline.TenantSite, a aimed) {
	to := dstField(a.address)
	asked, original, meant := a.service(a.port), a.original(), a.service(a.to)
	there := []ofproto.Action{pipeline.DNAT.Set(), ofproto.Set(pipeline.RegTarget.Whole(), a.tag), setAddr(to, a.ip)}
	back := []ofproto.Action{setAddr(to, a.address)}
	if a.to != a.port {
		there, back = append(there, a.setPort(a.to)), append(back, a.setPort(a.port))
	}
	b.Flow(a.of, pipeline.LBVIP, 100, ofproto.MatchOn(append(asked, pipeline.InZone(t.Zone), ofproto.IsAddr(to, a.address))...),
		append(there, ofproto.GotoTable(pipeline.IDSrc))...)
	b.Flow(a.of, pipeline.LBVIP, 200, ofproto.MatchOn(append(append(original, meant...), pipeline.InZone(t.Zone), pipeline.JudgeAgain.Is(), ofproto.CT(ofproto.Est|ofproto.Trk, 0),
		ofproto.IsAddr(originalDst(a.address), a.address), ofproto.IsAddr(to, a.ip))...), ofproto.GotoTable(pipeline.IDSrc))
	n := ofproto.NAT{Dst: true, AddrMin: a.ip}
	if a.to != a.port {
		n.PortMin = a.to
	}
	b.Translate(t, pipeline.Translation{
		Of: a.of, Conds: []ofproto.Cond{version(a.address.Is4()), pipeline.DNAT.Is(), ofproto.Is(pipeline.RegTarget, a.tag)},
		First: back, Service: asked[:min(len(asked), 1)], NAT: n, Sure: true,
	})
}

// protocols are those that have ports to forward: their numbers, and the fields of the ports.
var protocols = map[intent.Protocol]struct {
	number uint64
	dst    ofproto.Field
}{intent.TCP: {6, ofproto.TCPDst}, intent.UDP: {17, ofproto.UDPDst}, intent.SCTP: {132, ofproto.SCTPDst}}

// service is the condition that a packet is of a's protocol, for a port.
func (a aimed) service(port uint16) []ofproto.Cond {
	if a.port == 0 {
		return nil
	}
	p := protocols[a.protocol]
	return []ofproto.Cond{ofproto.Is(ofproto.IPProto, p.number), ofproto.Is(p.dst, uint64(port))}
}

// original is the condition that a connection was opened to a's port.
func (a aimed) original() []ofproto.Cond {
	if a.port == 0 {
		return nil
	}
	return []ofproto.Cond{ofproto.Is(ofproto.CTNwProto, protocols[a.protocol].number), ofproto.Is(ofproto.CTTpDst, uint64(a.port))}
}

func (a aimed) setPort(port uint16) ofproto.Action {
	return ofproto.SetField{Field: protocols[a.protocol].dst, Value: ofproto.Uint(uint64(port))}
}

func setAddr(f ofproto.Field, a netip.Addr) ofproto.Action {
	var v ofproto.Bits
	b := a.AsSlice()
	copy(v[16-len(b):], b)
	return ofproto.SetField{Field: f, Value: v}
}

// forward sends ports of an address to an endpoint, each to its own.
func forward(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, f *intent.PortForward, known map[netip.Prefix]bool) {
	owns(b, t, x, f.ID(), netip.PrefixFrom(f.Address, f.Address.BitLen()), known)
	aim(b, t, aimed{
		of: f.ID(), tag: uint64(b.Numbers.Tag(f.ID())), address: f.Address, ip: f.IP,
		protocol: f.Protocol, port: f.Ports.Lo, to: f.ToPorts.Lo,
	})
}

func originalDst(a netip.Addr) ofproto.Field {
	if a.Is4() {
		return ofproto.CTNwDst
	}
	return ofproto.CTIPv6Dst
}

// prefixesOf returns the fewest prefixes that are a range together.
func prefixesOf(r intent.AddrRange) (all []netip.Prefix) {
	for lo := r.Lo; lo.IsValid() && lo.Compare(r.Hi) <= 0; {
		p := netip.PrefixFrom(lo, lo.BitLen())
		for p.Bits() > 0 {
			wider := netip.PrefixFrom(lo, p.Bits()-1)
			if wider.Masked().Addr() != lo || lastOf(wider).Compare(r.Hi) > 0 {
				break
			}
			p = wider
		}
		all = append(all, p)
		lo = lastOf(p).Next()
	}
	return all
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
