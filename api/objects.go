package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"weir/intent"
)

// Objects returns the objects of a model that are new, gone or different in another,
// by kind and id.
func Objects(before, after *intent.Model) []Change {
	old, now := objectsOf(before), objectsOf(after)
	var changes []Change
	for id, o := range now {
		was, ok := old[id]
		switch {
		case !ok:
			changes = append(changes, Change{Verb: Added, Kind: o.kind, ID: string(id), At: placeOf(after, id)})
		case !maps.Equal(was.fields, o.fields):
			changes = append(changes, Change{Verb: Changed, Kind: o.kind, ID: string(id), At: placeOf(after, id), Fields: fieldsOf(was, o)})
		}
	}
	for id, o := range old {
		if _, ok := now[id]; !ok {
			changes = append(changes, Change{Verb: Removed, Kind: o.kind, ID: string(id)})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	return changes
}

// placeOf returns file:line:column of an intent, or "".
func placeOf(m *intent.Model, id intent.ID) string {
	at := m.Position(id)
	if at.Line == 0 {
		return at.File
	}
	return fmt.Sprintf("%s:%d:%d", at.File, at.Line, at.Column)
}

// fieldsOf lists the fields in which two versions of an object differ, by path.
func fieldsOf(was, now object) []Field {
	paths := map[string]bool{}
	for p := range was.fields {
		paths[p] = was.fields[p] != now.fields[p]
	}
	for p := range now.fields {
		paths[p] = was.fields[p] != now.fields[p]
	}
	var fields []Field
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if paths[p] {
			fields = append(fields, Field{Path: p, Old: was.fields[p], New: now.fields[p]})
		}
	}
	return fields
}

// An object is an object of a model as a flat list of what it says.
type object struct {
	kind   string
	fields map[string]string // by path; what is empty is not there
}

// set notes a field, unless it says nothing.
func (o object) set(path string, v any) {
	if s := fmt.Sprint(v); s != "" && s != "[]" {
		o.fields[path] = s
	}
}

// limit notes a field in which zero is none.
func (o object) limit(path string, n uint32) {
	if n != 0 {
		o.set(path, n)
	}
}

// flag notes a field that is true or is not there.
func (o object) flag(path string, is bool) {
	if is {
		o.set(path, is)
	}
}

// selector notes whom a selector selects; path is what comes before its fields.
func (o object) selector(path string, s intent.Selector) {
	o.set(path+"cidrs", s.CIDRs)
	o.set(path+"endpoints", s.Endpoints)
	var groups []string
	for _, g := range s.Groups {
		groups = append(groups, g.Name)
	}
	o.set(path+"groups", groups)
	for k, v := range s.Labels {
		o.set(path+"labels."+k, v)
	}
}

func objectsOf(m *intent.Model) map[intent.ID]object {
	all := map[intent.ID]object{}
	add := func(id intent.ID, kind string) object {
		all[id] = object{kind, map[string]string{}}
		return all[id]
	}
	for _, b := range m.Bridges() {
		o := add(b.ID(), "Bridge")
		o.set("foreignFlows", b.ForeignFlows)
		o.flag("allowDisruption", b.AllowDisruption)
		o.set("certificate", b.Certificate)
		externalFields(o, b)
	}
	for _, t := range m.Tenants() {
		tenantFields(add(t.ID(), "Tenant"), t)
		for _, n := range t.Networks {
			networkFields(add(n.ID(), "Network"), n)
		}
		for _, e := range t.Endpoints {
			endpointFields(add(e.ID(), "Endpoint"), e)
		}
		for _, g := range t.Groups {
			add(g.ID(), "Group").selector("", g.Members)
		}
		for _, p := range t.Policies {
			policyFields(add(p.ID(), "Policy"), p)
		}
		for _, s := range t.SNATs {
			snatFields(add(s.ID(), "SNAT"), s)
		}
		for _, f := range t.FloatingIPs {
			floatingFields(add(f.ID(), "FloatingIP"), f)
		}
		for _, f := range t.PortForwards {
			forwardFields(add(f.ID(), "PortForward"), f)
		}
		for _, l := range t.LoadBalancers {
			balancerFields(add(l.ID(), "LoadBalancer"), l)
		}
	}
	return all
}

func tenantFields(o object, t *intent.Tenant) {
	o.set("zone", "auto")
	if t.Zone != 0 {
		o.set("zone", t.Zone)
	}
	o.set("mode", t.Mode)
	o.set("defaults.ingress", t.Ingress)
	o.set("defaults.egress", t.Egress)
	o.set("defaults.invalid", map[bool]intent.Action{false: "drop", true: intent.Allow}[t.InvalidAllow])
	o.set("defaults.strictTCP", t.StrictTCP)
	o.set("implicitARP", t.ImplicitARP)
	o.limit("limits.connections", t.Limits.Connections)
	o.limit("limits.newPerSecond", t.Limits.NewPerSecond)
	for state, seconds := range t.Timeouts {
		o.set("timeouts."+string(state), fmt.Sprint(seconds, "s"))
	}
	o.flag("allowDisruption", t.AllowDisruption)
}

func networkFields(o object, n *intent.Network) {
	o.set("bridges", n.Bridges)
	o.set("unknownStations", map[bool]string{false: "drop", true: "learn"}[n.Learn])
	for i, s := range n.Subnets {
		o.set(fmt.Sprintf("subnets[%d].cidr", i), s.CIDR)
		o.set(fmt.Sprintf("subnets[%d].gateway", i), addr(s.Gateway))
	}
}

func endpointFields(o object, e *intent.Endpoint) {
	o.set("network", e.Network.Name)
	o.set("bind.ifaceID", e.IfaceID)
	o.set("bind.port", e.Port)
	o.set("mac", macText(e.MAC))
	o.set("ips", e.IPs)
	o.flag("trusted", e.Trusted)
	o.flag("roles.dhcpServer", e.DHCPServer)
	o.flag("roles.router", e.Router)
	o.limit("limits.newPerSecond", e.NewPerSecond)
	for k, v := range e.Labels {
		o.set("labels."+k, v)
	}
}

func policyFields(o object, p *intent.Policy) {
	o.set("tier", p.Tier)
	o.set("priority", p.Priority)
	o.set("onRevoke", p.OnRevoke)
	o.selector("appliesTo.", p.AppliesTo)
	for i, r := range p.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		o.set(at+".name", r.Name)
		o.set(at+".description", r.Description)
		o.set(at+".direction", r.Direction)
		o.set(at+".action", r.Action)
		o.selector(at+map[intent.Direction]string{intent.Ingress: ".from.", intent.Egress: ".to."}[r.Direction], r.Peer)
		o.set(at+".protocol", r.Protocol)
		o.set(at+".ports", portsText(r.Ports))
		o.set(at+".types", r.Types)
		o.set(at+".alg", r.ALG)
		o.set(at+".log", r.Log)
		o.limit(at+".mark", uint32(r.Mark))
	}
}

func portsText(ranges []intent.PortRange) []string {
	var s []string
	for _, r := range ranges {
		if r.Lo == r.Hi {
			s = append(s, fmt.Sprint(r.Lo))
			continue
		}
		s = append(s, fmt.Sprintf("%d-%d", r.Lo, r.Hi))
	}
	return s
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func macText(m intent.MAC) string {
	if m == (intent.MAC{}) {
		return "any"
	}
	s := make([]string, len(m))
	for i, b := range m {
		s[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(s, ":")
}
