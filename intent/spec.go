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
	text   string   // of the document
	place  place    // of the object
	node   ast.Node // of the name, until the kind is known, which says what a name is
}

type (
	bridgeSpec struct {
		meta
		foreign         value[string]
		allowDisruption value[bool]
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
)
