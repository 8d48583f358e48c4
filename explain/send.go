package explain

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// A Site is a bridge that is connected, with its ports.
type Site struct {
	Bridge string
	Ports  []pipeline.Port
}

// A Sent is the packet that a question is about: who sends it, where, and for whom.
type Sent struct {
	Question Question
	Bridge   string
	Port     uint32           // OpenFlow port by which it comes in
	Tenant   *intent.Tenant   // of the sender, or, of what comes from outside, of whoever has the target; nil: nobody has
	From     *intent.Endpoint // nil: a host outside
	To       *intent.Endpoint // who has the target address; nil: nobody, or not an endpoint
	Src, Dst netip.Addr
	Sport    uint16
	Dport    uint16
	Protocol uint8
	Type     uint8 // of ICMP and ICMPv6
	Code     uint8
	Assumed  []string // what the question does not say
	packet   flowsim.Packet
}

// ephemeralPort is the source port of a packet of which none was said.
const ephemeralPort = 40000

// Send makes the packet that a question is about, as its sender would put it on the wire. The error is a *Mistake,
// unless the sender is at no bridge.
func Send(m *intent.Model, sites []Site, q Question) (s Sent, err error) {
	s = Sent{Question: q, Protocol: q.Protocol, Type: q.Type, Code: q.Code, Dport: q.To.Port, Sport: q.From.Port}
	r := &finder{model: m, q: q}
	if err := s.source(r, sites); err != nil {
		return s, err
	}
	if err := s.target(r); err != nil {
		return s, err
	}
	if err := s.service(); err != nil {
		return s, err
	}
	return s, s.frame(r, sites)
}

func (s *Sent) assume(format string, args ...any) {
	s.Assumed = append(s.Assumed, fmt.Sprintf(format, args...))
}

// hasPorts reports whether a protocol has ports that flows see.
func hasPorts(protocol uint8) bool { _, has := ports[protocol]; return has }

// service fills in what is left of the ports, or the type.
func (s *Sent) service() error {
	q := s.Question
	v6 := s.Dst.Is6()
	switch {
	case q.Any6 && v6:
		s.Protocol = pipeline.ProtoICMPv6
	case s.Protocol == pipeline.ProtoICMPv6 && !v6, s.Protocol == pipeline.ProtoICMP && v6:
		return q.wrongEnd(q.To, "icmp is for IPv4, icmpv6 for IPv6", "%v has no such protocol", s.Dst)
	}
	switch s.Protocol {
	case pipeline.ProtoICMP, pipeline.ProtoICMPv6:
		if !q.Typed && s.Protocol == pipeline.ProtoICMP {
			s.Type = 8
		} else if !q.Typed {
			s.Type = 128
		}
	}
	if !hasPorts(s.Protocol) {
		if q.To.Port != 0 {
			return q.wrongEnd(q.To, "leave it out", "the protocol has no ports")
		}
		return nil
	}
	if s.Dport == 0 {
		return q.wrongEnd(q.To, "say it behind the target, as in db-1:5432", "it says no port")
	}
	if s.Sport == 0 {
		s.Sport = ephemeralPort
	}
	return nil
}

// frame puts the packet together.
func (s *Sent) frame(r *finder, sites []Site) error {
	src, dst, err := s.stations(r, sites)
	if err != nil {
		return err
	}
	conds := []ofproto.Cond{
		ofproto.Is(ofproto.InPort, uint64(s.Port)), ofproto.IsMAC(ofproto.EthSrc, src), ofproto.IsMAC(ofproto.EthDst, dst),
		ofproto.Is(ofproto.IPProto, uint64(s.Protocol)), ofproto.Is(ofproto.IPTTL, 64),
	}
	ipSrc, ipDst := ofproto.IPv4Src, ofproto.IPv4Dst
	if s.Dst.Is6() {
		ipSrc, ipDst = ofproto.IPv6Src, ofproto.IPv6Dst
	}
	s.packet = flowsim.Of(append(conds, ofproto.IsAddr(ipSrc, s.Src), ofproto.IsAddr(ipDst, s.Dst))...)
	switch s.Question.Fragment {
	case "":
	case "first":
		s.packet.SetUint(ofproto.IPFrag, 1)
	case "later":
		s.packet.SetUint(ofproto.IPFrag, 3)
		s.Sport, s.Dport = 0, 0 // only the first one has them
		s.assume("later fragments of one packet: the connection tracker sees it put together, and no flow sees its ports")
		return nil
	default:
		return fmt.Errorf("fragment %q: must be first or later", s.Question.Fragment)
	}
	if f, ok := ports[s.Protocol]; ok {
		s.packet.SetUint(f[0], uint64(s.Sport))
		s.packet.SetUint(f[1], uint64(s.Dport))
	}
	switch s.Protocol {
	case pipeline.ProtoTCP:
		s.packet.SetUint(ofproto.TCPFlags, synFlag)
		if s.Question.Established {
			s.packet.SetUint(ofproto.TCPFlags, ackFlag)
		}
	case pipeline.ProtoICMP:
		s.packet.SetUint(ofproto.ICMPv4Type, uint64(s.Type))
		s.packet.SetUint(ofproto.ICMPv4Code, uint64(s.Code))
	case pipeline.ProtoICMPv6:
		s.packet.SetUint(ofproto.ICMPv6Type, uint64(s.Type))
		s.packet.SetUint(ofproto.ICMPv6Code, uint64(s.Code))
	}
	if s.begins() {
		return nil
	}
	s.packet.Invalid = true
	s.assume("no connection begins with such a message, and it belongs to none that is known")
	return nil
}

// begins reports whether the connection tracker takes the packet for the first of a connection: of ICMP only
// what is answered (echo, timestamp, information and address mask).
func (s *Sent) begins() bool {
	switch s.Protocol {
	case pipeline.ProtoICMP:
		return s.Type == 8 || s.Type == 13 || s.Type == 15 || s.Type == 17
	case pipeline.ProtoICMPv6:
		return s.Type == 128
	}
	return true
}

// Flags of TCP (RFC 9293, 3.1).
const (
	synFlag = 0x02
	ackFlag = 0x10
)

// nobody is the MAC address of somebody who is not there, and stranger that of a host outside.
var (
	nobody   = [6]byte{0x02, 0, 0, 0xff, 0xff, 0xfe}
	stranger = [6]byte{0x02, 0, 0, 0xff, 0xff, 0xfd}
)

// stations are the MAC addresses of the frame.
func (s *Sent) stations(r *finder, sites []Site) (src, dst [6]byte, err error) {
	q := s.Question
	if s.From == nil {
		x := r.external
		src, dst = stranger, pipeline.ExternalSite{External: x}.RouterMAC()
		for _, h := range x.NextHops {
			if h.MAC != (intent.MAC{}) {
				src = h.MAC
				break
			}
		}
	} else {
		src, dst = s.From.MAC, s.nextStation()
		if pipeline.AnyMAC(s.From) {
			src = stranger
		}
	}
	for text, to := range map[string]*[6]byte{q.AsMAC: &src, q.ToMAC: &dst} {
		if text == "" {
			continue
		}
		mac, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err != nil || len(mac) != 6 || strings.Count(text, ":") != 5 {
			return src, dst, fmt.Errorf("%q is no MAC address: want it as in 02:00:00:00:00:11", text)
		}
		*to = [6]byte(mac)
	}
	return src, dst, nil
}

// nextStation is the MAC address to which an endpoint sends the packet: the receiver's in its own network, and
// the router's beyond.
func (s *Sent) nextStation() [6]byte {
	own := slices.ContainsFunc(s.From.Network.Subnets, func(n intent.Subnet) bool { return n.CIDR.Contains(s.Dst) }) || s.Dst.IsLinkLocalUnicast()
	switch {
	case !own:
		gateway := func(n intent.Subnet) bool { return n.Gateway.IsValid() && n.Gateway.Is4() == s.Dst.Is4() }
		if !slices.ContainsFunc(s.From.Network.Subnets, gateway) {
			s.assume("%s has no gateway to send it to", s.From.Network.ID())
		}
		return pipeline.RouterMAC
	case slices.ContainsFunc(s.From.Network.Subnets, func(n intent.Subnet) bool { return n.Gateway == s.Dst }),
		slices.ContainsFunc(s.Tenant.LoadBalancers, func(l *intent.LoadBalancer) bool { return l.Address == s.Dst }):
		return pipeline.RouterMAC
	case s.To != nil && pipeline.AnyMAC(s.To):
		s.assume("%s has any MAC address: one that the bridge has not learned is taken", s.To.ID())
		return nobody
	case s.To != nil:
		return s.To.MAC
	}
	if s.Question.ToMAC == "" {
		s.assume("nobody declares %v in %s: the sender's question for its MAC address is not answered", s.Dst, s.From.Network.ID())
	}
	return nobody
}

// A finder finds who is meant.
type finder struct {
	model    *intent.Model
	q        Question
	external *intent.External // by which the packet comes in
}

// source says who sends.
func (s *Sent) source(r *finder, sites []Site) error {
	q := r.q
	switch {
	case q.From.Outside:
		return s.outside(r, sites)
	case q.From.Name != "":
		e, err := r.endpoint(q.From)
		if err != nil {
			return err
		}
		s.From = e
	default:
		e, err := r.holder(q.From, q.From.Addr)
		if err != nil {
			return err
		}
		if e == nil {
			return q.wrongEnd(q.From, "for a host outside say outside/"+q.From.Addr.String()+"; for an address that is not the sender's, name the endpoint and say --as", "no endpoint has %v", q.From.Addr)
		}
		s.From, s.Src = e, q.From.Addr
	}
	s.Tenant = r.model.Tenant(s.From.Tenant)
	if q.As.IsValid() {
		s.Src = q.As
	}
	return s.port(sites)
}

// port finds the port at which the sender is.
func (s *Sent) port(sites []Site) error {
	e := s.From
	for _, site := range sites {
		for _, p := range site.Ports {
			if slices.Contains(e.Network.Bridges, site.Bridge) && (e.IfaceID != "" && p.IfaceID == e.IfaceID || e.Port != "" && p.Name == e.Port) {
				s.Bridge, s.Port = site.Bridge, p.OFPort
				return nil
			}
		}
	}
	return fmt.Errorf("%s is at no bridge that is connected: its port (%s) is not there", e.ID(), e.IfaceID+e.Port)
}

// outside has the packet come from a host outside.
func (s *Sent) outside(r *finder, sites []Site) error {
	s.Src = r.q.From.Addr
	for _, site := range sites {
		for _, b := range r.model.Bridges() {
			if b.Name != site.Bridge {
				continue
			}
			for _, x := range b.Externals {
				for _, p := range site.Ports {
					if p.Name == x.Port && (r.external == nil || r.leads(x) && !r.leads(r.external)) {
						r.external, s.Bridge, s.Port = x, site.Bridge, p.OFPort
					}
				}
			}
		}
	}
	if r.external == nil {
		return r.q.wrongEnd(r.q.From, "a Bridge has one with spec.external", "no bridge that is connected has an outside")
	}
	if !s.Src.IsValid() {
		if len(r.external.NextHops) == 0 {
			return r.q.wrongEnd(r.q.From, "say which, as in outside/203.0.113.9", "an outside without a gateway has no host that is meant by itself")
		}
		s.Src = r.external.NextHops[0].Address
	}
	return nil
}

// leads reports whether the target is an address of an outside, if it is known.
func (r *finder) leads(x *intent.External) bool {
	for _, a := range r.addresses() {
		if x.Has(a) {
			return true
		}
	}
	return false
}

// addresses are those that the target may have.
func (r *finder) addresses() []netip.Addr {
	if r.q.To.Addr.IsValid() {
		return []netip.Addr{r.q.To.Addr}
	}
	found, _ := r.named(r.q.To)
	var all []netip.Addr
	for _, t := range found {
		all = append(all, t.addrs...)
	}
	return all
}

// endpoint returns the endpoint of a name.
func (r *finder) endpoint(e End) (*intent.Endpoint, error) {
	found, names := r.named(e)
	found = slices.DeleteFunc(found, func(t targetNamed) bool { return t.endpoint == nil })
	switch {
	case len(found) == 1:
		return found[0].endpoint, nil
	case len(found) > 1:
		return nil, r.ambiguous(e, found)
	}
	return nil, r.q.wrongEnd(e, meant(e.Name, names), "there is no endpoint %q", e.Name)
}

func (r *finder) ambiguous(e End, found []targetNamed) error {
	var ids []string
	for _, t := range found {
		ids = append(ids, strings.Replace(string(t.id), "/endpoint/", "/", 1))
	}
	name := e.Name
	if name == "" {
		name = e.Addr.String()
	}
	return r.q.wrongEnd(e, "say which: "+strings.Join(ids, ", "), "%d are meant by %q", len(found), name)
}

// A targetNamed is what may be named.
type targetNamed struct {
	id       intent.ID
	tenant   *intent.Tenant
	endpoint *intent.Endpoint // nil: it is something else
	addrs    []netip.Addr
	port     uint16 // the only one that it has
}

// named returns what has a name, and all names that there are.
func (r *finder) named(e End) (found []targetNamed, names []string) {
	tenant, name, qualified := strings.Cut(e.Name, "/")
	if !qualified {
		tenant, name = r.q.Tenant, e.Name
	}
	for _, t := range r.model.Tenants() {
		if tenant != "" && t.Name != tenant {
			continue
		}
		for n, all := range namesOf(t) {
			names = append(names, n)
			if n == name {
				found = append(found, all...)
			}
		}
	}
	slices.Sort(names)
	slices.SortFunc(found, func(a, b targetNamed) int { return strings.Compare(string(a.id), string(b.id)) })
	return found, names
}

// namesOf returns what of a tenant may be a target, by name.
func namesOf(t *intent.Tenant) map[string][]targetNamed {
	all := map[string][]targetNamed{}
	for _, e := range t.Endpoints {
		all[e.Name] = append(all[e.Name], targetNamed{e.ID(), t, e, e.IPs, 0})
	}
	for _, l := range t.LoadBalancers {
		n := targetNamed{id: l.ID(), tenant: t, addrs: []netip.Addr{l.Address}}
		if len(l.Ports) == 1 {
			n.port = l.Ports[0].Port
		}
		all[l.Name] = append(all[l.Name], n)
	}
	for _, f := range t.FloatingIPs {
		all[f.Name] = append(all[f.Name], targetNamed{id: f.ID(), tenant: t, addrs: []netip.Addr{f.Address}})
	}
	for _, f := range t.PortForwards {
		n := targetNamed{id: f.ID(), tenant: t, addrs: []netip.Addr{f.Address}}
		if f.Ports.Lo == f.Ports.Hi {
			n.port = f.Ports.Lo
		}
		all[f.Name] = append(all[f.Name], n)
	}
	return all
}

// holder returns the endpoint that has an address, or nil. Tenants may have the same one: then the question
// has to say whose is meant.
func (r *finder) holder(e End, a netip.Addr) (*intent.Endpoint, error) {
	var found []targetNamed
	for _, t := range r.model.Tenants() {
		if r.q.Tenant != "" && t.Name != r.q.Tenant {
			continue
		}
		for _, p := range t.Endpoints {
			if slices.Contains(pipeline.AddressesOf(p), a) {
				found = append(found, targetNamed{id: p.ID(), tenant: t, endpoint: p})
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0].endpoint, nil
	}
	return nil, r.ambiguous(e, found)
}

// target says for whom the packet is.
func (s *Sent) target(r *finder) error {
	q := r.q
	s.Dst = q.To.Addr
	if q.To.Name != "" {
		if err := s.named(r); err != nil {
			return err
		}
	}
	if s.From != nil && !s.Src.IsValid() {
		if s.Src = addressLike(s.From.IPs, s.Dst); !s.Src.IsValid() {
			hint := "ask about one of the other family"
			if len(s.From.IPs) == 0 {
				hint = "it is a plain port: say with --as from which address it sends"
			}
			return q.wrongEnd(q.From, hint, "%s has no address of the family of %v", s.From.ID(), s.Dst)
		}
	}
	if s.Src.Is4() != s.Dst.Is4() {
		return q.wrongEnd(q.To, "", "%v and %v are of different families", s.Src, s.Dst)
	}
	s.receiver(r)
	return nil
}

// named finds the target by its name: of the sender's tenant, if that has one, or of any.
func (s *Sent) named(r *finder) error {
	q := r.q
	found, names := r.named(q.To)
	if own := slices.DeleteFunc(slices.Clone(found), func(t targetNamed) bool { return t.tenant != s.Tenant }); len(own) > 0 {
		found = own
	}
	switch {
	case len(found) == 0:
		return q.wrongEnd(q.To, meant(q.To.Name, names), "there is no endpoint, load balancer, floating IP or port forward %q", q.To.Name)
	case len(found) > 1:
		return r.ambiguous(q.To, found)
	}
	t := found[0]
	like := s.Src
	if !like.IsValid() && s.From != nil && len(s.From.IPs) > 0 {
		like = s.From.IPs[0]
	}
	if s.Dst = addressLike(t.addrs, like); !s.Dst.IsValid() {
		return q.wrongEnd(q.To, "give an address in its place", "%s has no address of the family of the source", t.id)
	}
	if s.Dport == 0 && hasPorts(s.Protocol) {
		s.Dport = t.port
	}
	if s.Tenant == nil {
		s.Tenant = t.tenant
	}
	return nil
}

// receiver finds who has the target address, as the sender's network has it.
func (s *Sent) receiver(r *finder) {
	for _, t := range r.model.Tenants() {
		if s.Tenant != nil && t != s.Tenant {
			continue
		}
		for _, e := range t.Endpoints {
			if slices.Contains(pipeline.AddressesOf(e), s.Dst) && (s.From != nil || s.To == nil) {
				s.To = e
			}
		}
	}
	if s.From == nil {
		s.To = nil // what comes from outside is for an address there, and who has it the flows say
	}
}

// addressLike returns the first address of the family of another one; if that is none, the first.
func addressLike(all []netip.Addr, like netip.Addr) netip.Addr {
	for _, a := range all {
		if !like.IsValid() || a.Is4() == like.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// meant says which of some names was probably meant, or nothing.
func meant(got string, names []string) string {
	for _, n := range names {
		if strings.EqualFold(n, got) || sameLetters(n, got) {
			return fmt.Sprintf("did you mean %q?", n)
		}
	}
	if len(names) > 0 && len(names) <= 20 {
		return "there are " + strings.Join(slices.Compact(names), ", ")
	}
	return ""
}

// sameLetters reports whether two names have the same letters in another order, or differ in one.
func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	if string(x) == string(y) {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n == 1
}
