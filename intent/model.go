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
	"maps"
	"net/netip"
	"slices"
)

// An ID names an intent for life: "blue", "blue/policy/db-ingress/app-to-postgres".
type ID string

// A MAC is an Ethernet address.
type MAC [6]byte

// A Position is a place in a file. Line and Column count from 1; zero is unknown.
type Position struct {
	File         string
	Line, Column int
}

// A Model is a Spec that has been checked. New is the only door to it; it never
// changes, and neither must what its methods return.
type Model struct {
	bridges []*Bridge
	tenants []*Tenant
	at      map[ID]Position
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
	Name         string
	ForeignFlows ForeignFlows
}

// ID returns "bridge/NAME".
func (b *Bridge) ID() ID { return ID("bridge/" + b.Name) }

// A Tenant is a zone with its networks, endpoints and policies, each by name.
type Tenant struct {
	Name         string
	Zone         uint16 // zero: given by Weir
	Ingress      Action // the default: Allow or Deny
	Egress       Action
	InvalidAllow bool // let packets pass that the tracker calls invalid
	ImplicitARP  bool // ARP and ND pass without a rule
	Networks     []*Network
	Endpoints    []*Endpoint
	Policies     []*Policy
}

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
}

// ID returns "TENANT/network/NAME".
func (n *Network) ID() ID { return ID(n.Tenant + "/network/" + n.Name) }

// A Subnet is a prefix of a Network; Gateway is the router's address in it, unset
// if it has none.
type Subnet struct {
	CIDR    netip.Prefix // masked
	Gateway netip.Addr
}

// An Endpoint is one port of a Network with its addresses.
type Endpoint struct {
	Tenant  string
	Name    string
	Labels  map[string]string
	Network *Network
	IfaceID string // bind.ifaceID, or empty
	Port    string // bind.port: the interface's name, or empty
	MAC     MAC
	IPs     []netip.Addr // as written
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
	Stateless Action = "stateless" // allow, and do not track
)

// A Policy is an ordered list of rules for the endpoints it selects.
type Policy struct {
	Tenant    string
	Name      string
	AppliesTo Selector // empty: all endpoints of the tenant
	Rules     []*Rule  // in order: the first that matches decides
}

// ID returns "TENANT/policy/NAME".
func (p *Policy) ID() ID { return ID(p.Tenant + "/policy/" + p.Name) }

// A Rule judges new connections.
type Rule struct {
	Policy    *Policy
	Name      string
	Direction Direction
	Action    Action
	Peer      Selector // from (ingress) or to (egress); empty: anybody
	Protocol  Protocol
	Ports     []PortRange // destination ports; empty: all
	Mark      uint16      // a class shown with the connection (ct_mark bits 16 to 31); zero: none
}

// ID returns "TENANT/policy/POLICY/RULE".
func (r *Rule) ID() ID { return r.Policy.ID() + ID("/"+r.Name) }

// Protocol is a rule's protocol.
type Protocol string

// The protocols of a Rule. ARP and ND have rules of their own only where the
// tenant's implicitARP is false.
const (
	AnyProtocol Protocol = "any"
	TCP         Protocol = "tcp"
	UDP         Protocol = "udp"
	ICMP        Protocol = "icmp"   // IPv4 only
	ICMPv6      Protocol = "icmpv6" // IPv6 only
	ARP         Protocol = "arp"
	ND          Protocol = "nd"
)

// A PortRange is the ports from Lo to Hi, both included.
type PortRange struct{ Lo, Hi uint16 }

// A Selector selects endpoints and addresses: the union of what its parts select.
// The zero Selector selects everything.
type Selector struct {
	CIDRs     []netip.Prefix      // masked
	Labels    map[string][]string // endpoints that have, for every key, one of the values
	Endpoints []string            // names
}

// Empty reports whether s is the zero Selector, which selects everything.
func (s Selector) Empty() bool {
	return len(s.CIDRs) == 0 && len(s.Labels) == 0 && len(s.Endpoints) == 0
}

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
func (m *Model) Position(id ID) Position { return m.at[id] }

// IDs returns the ids of everything that is written somewhere, rules too, in order.
func (m *Model) IDs() []ID { return slices.Sorted(maps.Keys(m.at)) }

// BridgesOf returns the names of the bridges that t has a network on, in order.
func (m *Model) BridgesOf(t *Tenant) []string {
	var names []string
	for _, n := range t.Networks {
		names = append(names, n.Bridges...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
