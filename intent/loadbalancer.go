package intent

import (
	"net/netip"
	"strconv"
)

// A LoadBalancer is an address that stands for several backends: who opens a connection to one
// of its ports gets to one of them, and stays there as long as the connection lasts. Whatever
// is about a backend, as policy and routing are, sees the backend's own address and port.
type LoadBalancer struct {
	Tenant    string
	Name      string
	Address   netip.Addr
	Network   *Network   // inside: in whose subnet Address is; nil: it is outside
	Bridge    string     // outside: on which Address is; empty: it is inside
	External  string     // outside: the outside's network; empty: it is inside
	Ports     []LBPort   // never empty; as written, none twice
	Backends  []Backend  // by endpoint, those that are nobody's last, and by address; none twice; may be empty
	Selects   []Selector // by labels, what some of Backends were selected by
	Outward   bool       // some of Backends are outside
	Algorithm Algorithm
	Health    *Health  // nil: backends are not asked, and taken to be well
	Load      *Load    // nil: weights stay as they are written
	Drain     Duration // how long connections of a backend that has weight 0, or is no longer listed, may go on; zero: for ever while it is listed, and no longer
	SNAT      SNATMode // whether backends see their gateway's address, and not the client's
	WhenEmpty WhenEmpty
	Stale     Stale
}

// ID returns "TENANT/loadbalancer/NAME".
func (l *LoadBalancer) ID() ID { return ID(l.Tenant + "/loadbalancer/" + l.Name) }

// Inside reports whether the address of l is in a network of its tenant.
func (l *LoadBalancer) Inside() bool { return l.Network != nil }

// Bridged reports whether the address of l is in a subnet without a gateway. Then l is for those
// on its link, who get to its backends without a router, and back.
func (l *LoadBalancer) Bridged() bool { return l.Inside() && !l.Subnet().Gateway.IsValid() }

// Subnet returns the subnet that the address of l is in; the zero Subnet if it is outside.
func (l *LoadBalancer) Subnet() Subnet {
	if l.Inside() {
		for _, s := range l.Network.Subnets {
			if s.CIDR.Contains(l.Address) {
				return s
			}
		}
	}
	return Subnet{}
}

// Asker returns the address from which a backend of l is asked how it is: its gateway's, or that of l
// itself where there is none. It is unset if b is outside.
func (l *LoadBalancer) Asker(b Backend) netip.Addr {
	if !b.Gateway.IsValid() && b.Network != nil && l.Bridged() {
		return l.Address
	}
	return b.Gateway
}

// ProbesFrom are the ports from which backends are asked how they are.
var ProbesFrom = PortRange{Lo: 0xf000, Hi: 0xf3ff}

// CheckPort returns the port of b that is asked how it is: the one that is said, or that to
// which connections of the first port of that protocol go. It is zero if l has no Health, or
// one of ICMP.
func (l *LoadBalancer) CheckPort(b Backend) uint16 {
	if l.Health == nil || l.Health.Port != 0 {
		return l.Health.port()
	}
	return l.firstPort(l.Health.Type.carrier(), b)
}

// LoadPort returns the port of b that is asked for its load: the one that is said, or that to
// which connections of the first TCP port go. It is zero if nobody is asked.
func (l *LoadBalancer) LoadPort(b Backend) uint16 {
	switch {
	case l.Load == nil || l.Load.Type != LoadReported:
		return 0
	case l.Load.Port != 0:
		return l.Load.Port
	}
	return l.firstPort(TCP, b)
}

// firstPort returns where connections of the first port of a protocol go, or zero.
func (l *LoadBalancer) firstPort(p Protocol, b Backend) uint16 {
	for _, q := range l.Ports {
		if q.Protocol == p {
			return b.Target(q)
		}
	}
	return 0
}

// An LBPort is a port of a LoadBalancer.
type LBPort struct {
	Protocol Protocol // TCP, UDP or SCTP
	Port     uint16
	Target   uint16 // the backends' port, but for those that have one of their own
}

// A Backend is who gets connections of a LoadBalancer: one address.
type Backend struct {
	Endpoint *Endpoint  // whose address it is; nil: it is nobody's, in a network or outside
	Network  *Network   // in whose subnet it is; nil: it is outside
	IP       netip.Addr // of the family of the LoadBalancer's
	Port     uint16     // its own target port, whatever the LoadBalancer's says; zero: it has none
	Weight   uint16     // its share is this of the sum of all; zero: no new connections
	Gateway  netip.Addr // of the subnet of IP; unset: it has none, or is outside
}

// Outside reports whether b is in no network of the tenant.
func (b Backend) Outside() bool { return b.Network == nil }

// Target returns the port of b that connections to a port of the LoadBalancer get to.
func (b Backend) Target(p LBPort) uint16 {
	if b.Port != 0 {
		return b.Port
	}
	return p.Target
}

// DefaultWeight is the weight of a Backend that says none.
const DefaultWeight = 100

// An Algorithm says how a backend is chosen for a new connection.
type Algorithm string

// The values of LoadBalancer.Algorithm; hash is the default.
const (
	Hash       Algorithm = "hash"       // by a hash of the connection: each for itself
	Consistent Algorithm = "consistent" // likewise, and few move when a backend comes or goes
	SourceIP   Algorithm = "sourceIP"   // by the client's address: all of its connections go to one backend
)

// A WhenEmpty says what a client gets when no backend takes connections.
type WhenEmpty string

// The values of LoadBalancer.WhenEmpty; drop is the default.
const (
	EmptyDrop   WhenEmpty = "drop"   // nothing
	EmptyReject WhenEmpty = "reject" // a TCP reset, or an ICMP error
)

// A Stale says what becomes of open TCP connections of a backend that has failed, or whose time
// to drain is over. Those of other protocols end, so that what comes next goes to another one.
type Stale string

// The values of LoadBalancer.Stale; flush is the default.
const (
	StaleKeep  Stale = "keep"  // they live on until they end, or the backend comes back
	StaleFlush Stale = "flush" // they are forgotten, and hear nothing more
	StaleReset Stale = "reset" // they are forgotten, and both ends are told
)

// A Health says how backends are asked whether they are well.
type Health struct {
	Type      CheckType
	Port      uint16        // zero: see LoadBalancer.CheckPort; of ICMP always
	Path      string        // of HTTP
	Host      string        // of HTTP: the header; empty: the backend's address
	Expect    []StatusRange // of HTTP: what is well; in order
	Interval  Duration      // from one question to the next
	Timeout   Duration      // after which no answer is taken for a bad one
	Rise      uint8         // so many good answers in a row, and it is well
	Fall      uint8         // so many bad ones, and it is not
	SlowStart Duration      // in which the weight of one that has become well rises to what it is; zero: at once
}

// port returns the port that is said, of no Health too.
func (h *Health) port() uint16 {
	if h == nil {
		return 0
	}
	return h.Port
}

// A CheckType is how a backend is asked.
type CheckType string

// The values of Health.Type.
const (
	CheckTCP  CheckType = "tcp"  // it accepts a connection
	CheckHTTP CheckType = "http" // it answers a GET with a status that is expected
	CheckUDP  CheckType = "udp"  // it does not answer an empty datagram with an ICMP error
	CheckICMP CheckType = "icmp" // it answers a ping
)

// carrier returns the protocol of the port that is asked; empty: none.
func (c CheckType) carrier() Protocol {
	return map[CheckType]Protocol{CheckTCP: TCP, CheckHTTP: TCP, CheckUDP: UDP}[c]
}

// A StatusRange is status codes of HTTP from Lo to Hi, both included.
type StatusRange struct{ Lo, Hi uint16 }

// Contains reports whether a code is in r.
func (r StatusRange) Contains(code uint16) bool { return r.Lo <= code && code <= r.Hi }

// String returns "204" or "200-399".
func (r StatusRange) String() string { return PortRange(r).String() }

// A Load says by what weights are lowered and raised while it runs.
type Load struct {
	Type     LoadType
	Port     uint16 // of reported: zero: see LoadBalancer.LoadPort
	Path     string // of reported
	Interval Duration
	Strength uint8 // percent of its weight that a backend may lose by it: 1 to 100
}

// A LoadType is where it is known from how busy a backend is.
type LoadType string

// The values of Load.Type.
const (
	LoadConnections LoadType = "connections" // from its open connections
	LoadReported    LoadType = "reported"    // it says so itself, by HTTP
)

// A Duration is a span of time in nanoseconds, as a time.Duration is, to which it converts: this
// package knows no clock.
type Duration int64

// Units of a Duration.
const (
	Millisecond Duration = 1e6
	Second      Duration = 1e9
	Minute               = 60 * Second
	Hour                 = 60 * Minute
	Day                  = 24 * Hour
)

// String returns "500ms", "90s", "1h" or "0s": in the largest unit in which it has no fraction.
func (d Duration) String() string {
	for _, u := range []struct {
		size Duration
		name string
	}{{Day, "d"}, {Hour, "h"}, {Minute, "m"}, {Second, "s"}} {
		if d != 0 && d%u.size == 0 {
			return strconv.FormatInt(int64(d/u.size), 10) + u.name
		}
	}
	if d == 0 {
		return "0s"
	}
	return strconv.FormatInt(int64(d/Millisecond), 10) + "ms"
}
