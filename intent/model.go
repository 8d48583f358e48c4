// Package intent is what the operator wants: bridges, tenants, and in each tenant networks,
// endpoints and policies. Parse reads it from YAML, New checks it as a whole, and what
// comes out is a Model, which everything after this package can rely on: names resolve,
// addresses are unique, ports are in order.
//
// A person writes these files, often under pressure. So all that is wrong is said at
// once, each with the file, line and column, the line itself, and what was probably
// meant; and what cannot be known because something else is broken is not complained
// about. What is left out has a default, and what is not understood is an error, never
// ignored: a firewall with a misspelt rule is not the firewall that was asked for.
//
// The package is pure. It reads no files and has no clock; whoever has the bytes gives
// them, with a name for the messages.
package intent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// An ID names an intent for life: "blue", "blue/policy/db-ingress/app-to-postgres".
type ID string

// A MAC is an Ethernet address.
type MAC [6]byte

// A Position is a place in a file. Line and Column count from 1; zero is unknown.
type Position struct {
	File         string
	Line, Column int

	doc *sheet // from whose beginning the line counts; nil: from that of the file
}

// A Model is a Spec that has been checked. New is the only door to it; it never
// changes, and neither must what its methods return.
type Model struct {
	bridges []*Bridge
	tenants []*Tenant
	at      map[string]map[ID]Position // by tenant; of bridges by "bridge"
	files   []*file                    // with the documents that places count from
}

// ForeignFlows says what to do with flows that somebody else put on the bridge.
type ForeignFlows string

// The values of Bridge.ForeignFlows; refuse is the default.
const (
	ForeignRefuse ForeignFlows = "refuse" // leave the bridge alone, and say so
	ForeignKeep   ForeignFlows = "keep"
	ForeignRemove ForeignFlows = "remove"
)

// A Bridge is an Open vSwitch bridge that Weir drives.
type Bridge struct {
	Name            string
	ForeignFlows    ForeignFlows
	AllowDisruption bool        // a change of the file may delete more than a quarter of the flows
	Certificate     string      // the name that its switch has to prove over TLS: a common name, DNS name or URI; empty: any will do
	Externals       []*External // as they are written: where several have a gateway, the first leads to everything else
}

// ID returns "bridge/NAME".
func (b *Bridge) ID() ID { return ID("bridge/" + b.Name) }

// A Mode says how much the firewall does for a tenant.
type Mode string

// The modes of a Tenant; enforce is the default.
const (
	Enforce Mode = "enforce"
	Audit   Mode = "audit" // forwards everything, and reports what it would have dropped
	Off     Mode = "off"   // judges nothing and tracks nothing
)

// A Tenant is a zone with its networks, endpoints, groups, floating IPs, port forwards and load
// balancers, each by name, its policies and its SNATs.
type Tenant struct {
	Name            string
	Zone            uint16 // zero: given by Weir
	Mode            Mode
	Ingress         Action // the default: Allow or Deny
	Egress          Action
	InvalidAllow    bool // let packets pass that the tracker calls invalid
	StrictTCP       bool // a TCP connection begins with a SYN, not with any segment
	ImplicitARP     bool // ARP and ND pass without a rule
	AllowDisruption bool // a change of the file may end established connections
	Limits          Limits
	Timeouts        map[Timeout]uint32 // in seconds; one that is missing is the datapath's own
	Networks        []*Network
	Endpoints       []*Endpoint
	Groups          []*Group
	Policies        []*Policy // in the order in which they are asked: by tier, from the highest priority down, by name
	SNATs           []*SNAT   // in the order in which they are asked: from the highest priority down, by name
	FloatingIPs     []*FloatingIP
	PortForwards    []*PortForward
	LoadBalancers   []*LoadBalancer
}

// Limits bound what one tenant may have; zero: no limit.
type Limits struct {
	Connections  uint32 // tracked at a time
	NewPerSecond uint32 // connections opened in a second
}

// A Timeout names a state of a tracked connection, as a column key of Open vSwitch's
// table CT_Timeout_Policy: "tcp_established".
type Timeout string

// ID returns the tenant's name.
func (t *Tenant) ID() ID { return ID(t.Name) }

// DefaultID names the tenant's default in a direction: "blue/default/ingress".
func (t *Tenant) DefaultID(d Direction) ID { return ID(t.Name + "/default/" + string(d)) }

// A Network is a layer-2 segment of a tenant. A tenant's networks are routed among
// one another.
type Network struct {
	Tenant  string
	Name    string
	Bridges []string // never empty
	Subnets []Subnet
	Learn   bool // stations that no endpoint declares are learned, and reached
}

// ID returns "TENANT/network/NAME".
func (n *Network) ID() ID { return ID(n.Tenant + "/network/" + n.Name) }

// A Subnet is a prefix of a Network; Gateway is the router's address in it, unset
// if it has none.
type Subnet struct {
	CIDR    netip.Prefix // masked
	Gateway netip.Addr
}

// An Endpoint is one port of a Network with its addresses. One without addresses is a
// plain layer-2 port: it may send from any address, but only from its MAC.
type Endpoint struct {
	Tenant       string
	Name         string
	Labels       map[string]string
	Network      *Network
	IfaceID      string       // bind.ifaceID, or empty
	Port         string       // bind.port: the interface's name, or empty
	MAC          MAC          // zero: any station's, on a network that learns
	IPs          []netip.Addr // as written
	Trusted      bool         // what it sends is not checked for being its own
	DHCPServer   bool         // may answer DHCP and DHCPv6 clients
	Router       bool         // may send router advertisements
	NewPerSecond uint32       // connections that it may open in a second; zero: no limit
}

// ID returns "TENANT/endpoint/NAME".
func (e *Endpoint) ID() ID { return ID(e.Tenant + "/endpoint/" + e.Name) }

// Direction says which end of a connection a rule judges.
type Direction string

// Egress judges what the policy's endpoints open, Ingress what is opened to them.
const (
	Egress  Direction = "egress"
	Ingress Direction = "ingress"
)

// Action is what a rule does.
type Action string

// The actions of a Rule.
const (
	Allow     Action = "allow"
	Deny      Action = "deny"
	Reject    Action = "reject"    // deny, and tell the sender: a TCP reset, or an ICMP error
	Stateless Action = "stateless" // allow, and do not track
	Pass      Action = "pass"      // leave it to the next tier
)

// A Tier is a band of policies. All rules of a tier are asked before those of the next,
// and after the last the tenant's default decides.
type Tier string

// The tiers, in their order; application is the default.
const (
	AdminTier       Tier = "admin"
	ApplicationTier Tier = "application"
	BaselineTier    Tier = "baseline"
)

// OnRevoke says what becomes of live connections that a policy admitted, when it is
// changed so that it no longer would.
type OnRevoke string

// The values of Policy.OnRevoke; enforce is the default.
const (
	RevokeEnforce OnRevoke = "enforce" // they stop
	RevokeKeep    OnRevoke = "keep"    // they live on until they end
	RevokeReset   OnRevoke = "reset"   // they stop, and both ends are told
)

// A Policy is an ordered list of rules for the endpoints it selects.
type Policy struct {
	Tenant    string
	Name      string
	Tier      Tier
	Priority  uint16 // in its tier: higher ones are asked first
	OnRevoke  OnRevoke
	AppliesTo Selector // empty: all endpoints of the tenant; never CIDRs
	Rules     []*Rule  // in order: the first that matches decides
}

// DefaultPriority is the priority of a policy, or an SNAT, that says none.
const DefaultPriority = 100

// ID returns "TENANT/policy/NAME".
func (p *Policy) ID() ID { return ID(p.Tenant + "/policy/" + p.Name) }

// A Rule judges new connections.
type Rule struct {
	Policy      *Policy
	Name        string
	Description string // why it is there, for people; empty: it is not said
	Direction   Direction
	Action      Action
	Peer        Selector // from (ingress) or to (egress); empty: anybody
	Service
	ALG  ALG    // follows the connections that this protocol announces; empty: none
	Log  Log    // what is reported; empty: nothing
	Mark uint16 // a class shown with the connection (ct_mark bits 16 to 31); zero: none
}

// ID returns "TENANT/policy/POLICY/RULE".
func (r *Rule) ID() ID { return r.Policy.ID() + ID("/"+r.Name) }

// An ALG is an application-level gateway of the connection tracker: it reads a
// protocol's control connection and expects the data connections announced there.
type ALG string

// The values of Rule.ALG.
const (
	FTP  ALG = "ftp"  // over TCP
	TFTP ALG = "tftp" // over UDP
)

// Log says which packets of a rule are reported.
type Log string

// The values of Rule.Log.
const (
	LogNew     Log = "new"     // the first packet of each connection
	LogSampled Log = "sampled" // some of those, under load few
)

// A Selector selects endpoints and addresses: the union of what its parts select.
// The zero Selector selects everything.
type Selector struct {
	CIDRs     []netip.Prefix      // masked
	Labels    map[string][]string // endpoints that have, for every key, one of the values
	Endpoints []string            // names
	Groups    []*Group            // what each of them selects
}

// Empty reports whether s is the zero Selector, which selects everything.
func (s Selector) Empty() bool {
	return len(s.CIDRs) == 0 && len(s.Labels) == 0 && len(s.Endpoints) == 0 && len(s.Groups) == 0
}

// Prefixes returns the addresses that s matches in packets, its groups' too, without those
// that are inside of others.
func (s Selector) Prefixes() []netip.Prefix {
	all := slices.Clone(s.CIDRs)
	for _, g := range s.Groups {
		all = append(all, g.Members.CIDRs...)
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	var wide []netip.Prefix // in the order of their addresses, the large before the small
	for _, p := range all {
		if len(wide) == 0 || !wide[len(wide)-1].Contains(p.Addr()) {
			wide = append(wide, p)
		}
	}
	return wide
}

// A Group is a selection with a name, which rules share.
type Group struct {
	Tenant  string
	Name    string
	Members Selector // never empty, and without groups
}

// ID returns "TENANT/group/NAME".
func (g *Group) ID() ID { return ID(g.Tenant + "/group/" + g.Name) }

// Bridges returns the bridges by name.
func (m *Model) Bridges() []*Bridge { return m.bridges }

// Tenants returns the tenants by name.
func (m *Model) Tenants() []*Tenant { return m.tenants }

// Tenant returns the tenant of a name, or nil.
func (m *Model) Tenant(name string) *Tenant {
	for _, t := range m.tenants {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Position returns where an intent is written; zero: it is not.
func (m *Model) Position(id ID) Position {
	at := m.at[owner(id)][id]
	if at.doc != nil {
		return at.in(m.files)
	}
	return at
}

// put notes where an intent is written.
func (m *Model) put(id ID, at Position) {
	of := owner(id)
	if m.at[of] == nil {
		m.at[of] = map[ID]Position{}
	}
	m.at[of][id] = at
}

// owner returns the tenant of an intent, or "bridge".
func owner(id ID) string {
	name, _, _ := strings.Cut(string(id), "/")
	return name
}

// IDs returns the ids of everything that is written somewhere, rules too, in order.
func (m *Model) IDs() []ID {
	var ids []ID
	for _, of := range m.at {
		ids = slices.AppendSeq(ids, maps.Keys(of))
	}
	slices.Sort(ids)
	return ids
}

// BridgesOf returns the names of the bridges that t has a network on, in order.
func (m *Model) BridgesOf(t *Tenant) []string {
	var names []string
	for _, n := range t.Networks {
		names = append(names, n.Bridges...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
