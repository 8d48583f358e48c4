package intent

import (
	"net/netip"

	"github.com/goccy/go-yaml/ast"
)

// A Spec is a configuration as written: well formed, and not yet checked as a whole.
// Parse makes it.
type Spec struct {
	bridges   []bridgeSpec
	tenants   []tenantSpec
	networks  []networkSpec
	endpoints []endpointSpec
	groups    []groupSpec
	policies  []policySpec
	snats     []snatSpec
	floatings []floatingSpec
	forwards  []forwardSpec
	balancers []balancerSpec
	lines     map[string][]string // of the files, for excerpts
	objects   int                 // documents with something in them
	unsound   bool                // Parse has found problems
	lost      bool                // there are objects whose names are not known
}

// meta is the metadata of an object.
type meta struct {
	name   value[string]
	tenant value[string]
	labels map[string]string
	place  place    // of the object
	node   ast.Node // of the name, until the kind is known, which says what a name is
}

type (
	bridgeSpec struct {
		meta
		foreign         value[string]
		allowDisruption value[bool]
		certificate     value[string]
		externals       []externalSpec
		flawed          bool // there is more to its externals than could be read
	}
	externalSpec struct {
		place    place
		network  value[string]
		port     value[string]
		mac      value[MAC]
		subnets  []externalSubnetSpec
		prefixes []value[netip.Prefix]
		routes   []routeSpec
		nextHops []nextHopSpec
	}
	externalSubnetSpec struct {
		subnetSpec
		address value[netip.Addr]
	}
	routeSpec struct {
		to  value[netip.Prefix]
		via value[netip.Addr]
	}
	nextHopSpec struct {
		address value[netip.Addr]
		mac     value[MAC]
	}
	tenantSpec struct {
		meta
		zone                      value[uint64] // zero: auto
		mode                      value[string]
		ingress, egress           value[string]
		invalid                   value[string]
		strictTCP                 value[bool]
		implicitARP               value[bool]
		allowDisruption           value[bool]
		connections, newPerSecond value[uint64]
		timeouts                  []timeoutSpec
	}
	timeoutSpec struct {
		state   Timeout
		seconds value[uint64]
	}
	networkSpec struct {
		meta
		bridges []value[string]
		subnets []subnetSpec
		unknown value[string]
		flawed  bool // there is more to it than could be read
	}
	subnetSpec struct {
		cidr    value[netip.Prefix]
		gateway value[netip.Addr]
	}
	endpointSpec struct {
		meta
		network       value[string]
		ifaceID, port value[string]
		mac           value[MAC] // zero: any
		ips           []value[netip.Addr]
		trusted       value[bool]
		roles         []value[string]
		newPerSecond  value[uint64]
	}
	groupSpec struct {
		meta
		members selectorSpec
	}
	policySpec struct {
		meta
		tier      value[string]
		priority  value[uint64]
		onRevoke  value[string]
		appliesTo selectorSpec
		rules     []ruleSpec
	}
	ruleSpec struct {
		place     place
		name      value[string]
		about     value[string]
		direction value[string]
		action    value[string]
		from, to  selectorSpec
		protocol  value[Protocol]
		ports     []value[PortRange]
		portsAt   place
		types     []value[ICMPType]
		typesAt   place // set if types are given
		alg, log  value[string]
		mark      value[uint64]
	}
	selectorSpec struct {
		place     place
		set       bool
		cidrs     []value[netip.Prefix]
		labels    map[string][]string
		endpoints []value[string]
		groups    []value[string]
	}
	snatSpec struct {
		meta
		network     value[string]
		from        selectorSpec
		to          destinationSpec
		exempt      []value[netip.Prefix]
		exemptAt    place
		addresses   []value[AddrRange]
		addressesAt place
		ports       value[PortRange] // zero: preserve
		selection   value[string]
		priority    value[uint64]
		shared      value[bool]
	}
	destinationSpec struct {
		place    place
		cidrs    []value[netip.Prefix]
		protocol value[Protocol]
		ports    []value[PortRange]
		portsAt  place
	}
	floatingSpec struct {
		meta
		address value[netip.Addr]
		target  targetSpec
	}
	forwardSpec struct {
		meta
		address  value[netip.Addr]
		protocol value[string]
		ports    value[PortRange]
		target   targetSpec
		toPorts  value[PortRange]
	}
	targetSpec struct {
		endpoint value[string]
		ip       value[netip.Addr]
		snat     value[string]
	}
)
