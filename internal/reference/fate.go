package reference

import (
	"net/netip"
	"slices"
	"strings"

	"weir/intent"
)

// A Frame is what a host sends, as far as that decides what becomes of it.
type Frame struct {
	Packet             // of IP; whose it is, From and To, is not asked for
	Port    string     // by which it comes: the interface's name, or its iface-id
	By, For intent.MAC // Ethernet addresses: source and destination
	Kind    Kind
	Piece   Piece
	Router  bool       // For is the router's there
	Opens   bool       // it can only begin a connection: a SYN, an INIT, a question
	Life    uint8      // at which router it ends (TTL); of more than 3 that is not told apart
	Says    netip.Addr // of ARP: who the sender says it is
	SaysMAC intent.MAC // of ARP: and where
}

// A Kind is what a frame carries; the zero Kind is IP.
type Kind uint8

// The other kinds.
const (
	ARP Kind = iota + 1
	Neither
)

// A Piece is the part of a datagram that a frame carries; the zero Piece is all of it.
type Piece uint8

// The other pieces.
const (
	FirstPiece Piece = iota + 1
	LaterPiece       // which has no ports
)

// A Cause is why a packet is dropped.
type Cause string

// The causes.
const (
	Unbound         Cause = "no endpoint is at the port"
	Spoofed         Cause = "from where its sender is not, or nobody can be"
	Undiscovered    Cause = "ARP or ND that nobody may see"
	NotItsRole      Cause = "a router's, or a DHCP server's"
	NeitherIPNorARP Cause = "neither IP nor ARP"
	TooMany         Cause = "too many stations are behind the port"
	InvalidPacket   Cause = "invalid to the tracker"
	NotSYN          Cause = "TCP that begins without a SYN"
	Expired         Cause = "its life has ended at a router"
	NoRoute         Cause = "the router leads nowhere"
	NoNeighbour     Cause = "nobody is there"
	NobodyOnLink    Cause = "nobody on the link has its MAC and IP address"
	ByRule          Cause = "a rule denies it"
	ByReject        Cause = "a rule rejects it"
	ByDefault       Cause = "a default denies it"
	OverLimit       Cause = "the tenant has as many connections as it may"
	NotOurs         Cause = "for an address outside that nobody has"
	NotExpected     Cause = "for an address outside that nobody is behind"
	NotOfItsOwn     Cause = "for an address outside of its own tenant that nobody is behind"
	NotTranslated   Cause = "nothing says as whom it may leave"
	NoPortLeft      Cause = "no port is left as which it may leave"
	WithoutPorts    Cause = "it has no ports, by which answers would be told apart"
	NobodysPort     Cause = "for a port of nobody, at an address of several"
	NoBackend       Cause = "no backend takes connections"
	NotServed       Cause = "no load balancer is at the port"
	WhoseFragment   Cause = "a fragment that does not say for which port it is"
	PortlessPiece   Cause = "a fragment that does not say as whom it leaves"
	Lost            Cause = "from a forwarded port, of a connection that is not known"
	NotBothEnds     Cause = "both ends were to be translated"
)

// A Fate is what may become of a frame, whatever the tracker and the neighbours say.
type Fate struct {
	Passes  bool      // somebody may get it, for some state of its connection
	Admits  bool      // somebody may get it that begins a connection
	Causes  []Cause   // why it may be dropped, each once
	Arrives []Arrival // to whom it may come
	Freely  bool      // to whom else it may come is not said: it leaves as it is, or was announced
}

// An Arrival is a packet at somebody's port.
type Arrival struct {
	Port, IfaceID string
	Sight
}

func (f *Fate) may(all ...Cause) {
	for _, c := range all {
		if !slices.Contains(f.Causes, c) {
			f.Causes = append(f.Causes, c)
		}
	}
}

func (f *Fate) passes() { f.Passes, f.Admits = true, true }

func (f *Fate) arrives(e *intent.Endpoint, s Sight) {
	f.passes()
	f.Arrives = append(f.Arrives, Arrival{e.Port, e.IfaceID, s})
}

// denied notes who denies it.
func (f *Fate) denied(v Verdict) {
	switch {
	case v.Told:
		f.may(ByReject)
	case strings.HasSuffix(string(v.By), "/default/ingress"), strings.HasSuffix(string(v.By), "/default/egress"):
		f.may(ByDefault)
	default:
		f.may(ByRule)
	}
}

// FateOf says what may become of a frame under a model.
func FateOf(m *intent.Model, f Frame) (w Fate) {
	bound := false
	for _, b := range m.Bridges() {
		for _, x := range b.Externals {
			if x.Port == f.Port {
				bound = true
				w.outside(m, b, x, f)
			}
		}
	}
	for _, t := range m.Tenants() {
		for _, e := range t.Endpoints {
			if e.IfaceID == f.Port || e.Port == f.Port {
				bound, f.From = true, e
				w.inside(m, t, f)
			}
		}
	}
	if !bound {
		w.may(Unbound)
	}
	return w
}

// tracked notes what the tracker may have against a frame of t.
func (w *Fate) tracked(t *intent.Tenant, f Frame) {
	if t.Mode == intent.Off {
		return
	}
	w.Passes = w.Passes || !f.Opens
	if !f.Opens || f.Piece != 0 {
		w.may(InvalidPacket)
	}
	if t.StrictTCP && f.Protocol == TCP && !f.Opens {
		w.may(NotSYN)
	}
	if t.Limits.Connections > 0 {
		w.may(OverLimit)
	}
	if announces(t) { // what has announced it lets it pass
		w.Passes, w.Freely = true, true
	}
	if t.Limits.NewPerSecond > 0 || f.From != nil && f.From.NewPerSecond > 0 { // what is over it is lost without a word
		w.Passes = true
	}
}

// announces reports whether connections of t may announce others.
func announces(t *intent.Tenant) bool {
	return slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool {
		return slices.ContainsFunc(p.Rules, func(r *intent.Rule) bool { return r.ALG != "" })
	})
}

// bridgesOf are those on which a network of the model is.
func bridgesOf(m *intent.Model, n *intent.Network) (all []*intent.Bridge) {
	for _, b := range m.Bridges() {
		if slices.Contains(n.Bridges, b.Name) {
			all = append(all, b)
		}
	}
	return all
}

// routed asks what the router of a bridge does with f: whichever backend it chooses. Whether it knows who is next outside nobody says.
func (w *Fate) routed(m *intent.Model, b *intent.Bridge, f Frame, x *intent.External) {
	r := Router{Model: m, Bridge: b, Known: func(*intent.External, netip.Addr) bool { return true }}
	backends := r.Backends(f.Packet, x)
	if len(backends) == 0 {
		backends = []intent.Backend{{}}
	}
	for _, r.Backend = range backends {
		v := r.Forward(f.Packet, x, New)
		w.way(r, f, v)
		if v.Out != nil && v.Then == nil {
			w.may(NoNeighbour)
		}
	}
}

// way notes where a packet ends that goes a way. Of several outsides it is that of its address that has to lead there.
func (w *Fate) way(r Router, f Frame, v Way) {
	switch {
	case v.Unserved:
		w.unserved(r, f)
	case v.Result == Refused && f.From != nil && MayBe(r.Model.Tenant(f.From.Tenant), f.From, f.Src): // its tenant's mode is off
		w.may(NotTranslated)
	case v.Result == Refused:
		w.may(Spoofed)
	case v.Result == Astray:
		w.may(NoRoute, NoNeighbour, NobodyOnLink, NotExpected)
	case v.Lost:
		w.may(NoNeighbour)
	case v.Result == Denied && v.By != "":
		w.denied(v.Verdict)
	case v.Portless:
		w.may(WithoutPorts)
	case v.Result == Denied:
		w.may(NotTranslated)
	case v.Result == "":
		w.may(NoRoute, NotOfItsOwn)
	case v.Third:
		w.may(NotExpected, NotOfItsOwn)
	case v.Back:
		w.may(NotBothEnds)
	default:
		w.goes(r, f, v)
	}
}

// goes notes what may still happen to what passes.
func (w *Fate) goes(r Router, f Frame, v Way) {
	if v.Out != nil && len(r.Bridge.Externals) > 1 {
		w.may(NoRoute)
	}
	if v.Out != nil && v.As != "" {
		w.may(NoPortLeft)
		if !hasPorts(f.Protocol) || f.Piece == LaterPiece {
			w.may(WithoutPorts)
		}
	}
	if v.Twice() {
		w.may(NotBothEnds)
	}
	switch {
	case v.Then != nil:
		w.expires(f, 2)
		w.way(r, f, *v.Then)
		w.may(NotOurs, NobodysPort, NotExpected) // other tenants share the address
	case v.To != nil:
		w.arrives(v.To, v.Seen)
	case v.Out != nil:
		w.passes()
		w.Arrives = append(w.Arrives, Arrival{v.Out.Port, "", v.Seen})
	default:
		w.passes()
	}
}

// expires notes that the life of f ends at a router, or before it.
func (w *Fate) expires(f Frame, router uint8) {
	if f.Life <= router {
		w.may(Expired)
	}
}

// unserved says why a load balancer does not serve f.
func (w *Fate) unserved(r Router, f Frame) {
	for _, t := range r.Model.Tenants() {
		switch l, _ := r.serving(t, f.Packet); {
		case l != nil:
			w.may(NoBackend)
		case len(BalancersAt(t, f.Dst)) > 0:
			w.may(NotServed)
		}
	}
}

// stood notes what may happen to f since addresses stand for others: for backends that fall ill, and for fragments.
func (w *Fate) stood(m *intent.Model, f Frame) {
	for _, t := range m.Tenants() {
		for _, l := range BalancersAt(t, f.Dst) {
			if f.Type == 8 && f.Protocol == ICMP || f.Type == 128 && f.Protocol == ICMPv6 { // pings are answered
				w.Passes = true
			}
			if l.Health != nil || l.Load != nil || l.Drain != 0 {
				w.may(NoBackend)
			}
			if f.Piece != 0 {
				w.may(WhoseFragment, NotServed)
			}
			if l.Outward && !f.Opens { // of a connection whose other half is known no more
				w.may(NotTranslated)
			}
		}
		for _, p := range t.PortForwards {
			if p.Address == f.Dst && f.Piece != 0 {
				w.may(WhoseFragment, NotExpected)
			}
		}
	}
	if f.Piece == LaterPiece {
		w.may(PortlessPiece)
	}
}
