package intent

import (
	"maps"
	"reflect"
	"slices"
)

// A kept is a tenant as it was read last, and what it was made of. As long as none of that
// changes it is the same *Tenant, which tells everybody that there is nothing to do for it.
type kept struct {
	from   []*Spec // what each file says of it, in the order of the files
	tenant *Tenant
	at     map[ID]Position
}

// again returns the model of files with which nothing is wrong. Only tenants are checked
// that are not as they were. If something is wrong it returns nil: to say what, all has
// to be looked at together.
func (r *Reader) again(files []contents, lines map[string][]string) *Model {
	from := map[string][]*Spec{}
	for _, f := range files {
		for tenant, s := range f.of {
			from[tenant] = append(from[tenant], s)
		}
	}
	bridges := Spec{lines: lines}
	for _, s := range from[""] {
		bridges.add(*s)
	}
	delete(from, "")
	m, err := New(bridges)
	if err != nil {
		return nil
	}
	before := r.kept
	if slices.EqualFunc(m.bridges, r.bridges, sameSite) { // networks lie on them
		for i, b := range m.bridges {
			b.Externals = r.bridges[i].Externals
		}
	} else {
		before = nil
	}
	now := keep(before, from, bridges)
	if now == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		m.tenants = append(m.tenants, now[name].tenant)
		m.at[name] = now[name].at
	}
	if m.conflict() {
		return nil
	}
	r.bridges, r.kept = m.bridges, now
	return m
}

// sameSite reports whether two bridges are the same to tenants. Then what is outside stays what
// it was, for tenants' flows are made of it.
func sameSite(a, b *Bridge) bool {
	return a.Name == b.Name && reflect.DeepEqual(a.Externals, b.Externals)
}

// keep returns all tenants, those that are as they were before and those that have changed,
// or nil if something is wrong with one.
func keep(before map[string]kept, from map[string][]*Spec, bridges Spec) map[string]kept {
	now := make(map[string]kept, len(from))
	var stale []string
	for name, specs := range from {
		if was, known := before[name]; known && slices.Equal(was.from, specs) {
			now[name] = was
		} else {
			stale = append(stale, name)
		}
	}
	var parts []<-chan []kept
	for names := range slices.Chunk(stale, max(1, len(stale)/maxParts)) {
		done := make(chan []kept, 1)
		go func() { done <- checkSome(names, from, bridges) }()
		parts = append(parts, done)
	}
	wrong := false
	for _, done := range parts {
		some := <-done
		wrong = wrong || some == nil
		for _, k := range some {
			if was, known := before[k.tenant.Name]; known && sameText(was.from, k.from) {
				k.tenant = was.tenant // it stands elsewhere in its files, and that is all
			}
			now[k.tenant.Name] = k
		}
	}
	if wrong {
		return nil
	}
	return now
}

// checkSome checks some tenants one by one, beside the bridges. It returns nil if something
// is wrong.
func checkSome(names []string, from map[string][]*Spec, bridges Spec) []kept {
	all := make([]kept, 0, len(names))
	for _, name := range names {
		s := Spec{bridges: bridges.bridges, lines: bridges.lines}
		for _, part := range from[name] {
			s.add(*part)
		}
		m, err := New(s)
		if err != nil || len(m.tenants) != 1 {
			return nil
		}
		all = append(all, kept{from[name], m.tenants[0], m.at[name]})
	}
	return all
}

// conflict reports whether two tenants want the same zone or the same address outside, or
// bind the same port.
func (m *Model) conflict() bool {
	type binding struct{ bridge, ifaceID, port string }
	endpoints := 0
	for _, t := range m.tenants {
		endpoints += len(t.Endpoints)
	}
	zones, bound := map[uint16]bool{}, make(map[binding]bool, endpoints)
	for _, t := range m.tenants {
		if t.Zone != 0 && zones[t.Zone] {
			return true
		}
		zones[t.Zone] = true
		for _, e := range t.Endpoints {
			for _, b := range e.Network.Bridges {
				key := binding{b, e.IfaceID, e.Port}
				if bound[key] {
					return true
				}
				bound[key] = true
			}
		}
	}
	return len(clashes(m)) > 0
}

// byTenant returns what s says of each tenant, and, under no name, of bridges.
func (s *Spec) byTenant() map[string]*Spec {
	of := map[string]*Spec{}
	at := func(name string) *Spec {
		if of[name] == nil {
			of[name] = &Spec{}
		}
		return of[name]
	}
	for _, x := range s.bridges {
		at("").bridges = append(at("").bridges, x)
	}
	for _, x := range s.tenants {
		at(x.name.v).tenants = append(at(x.name.v).tenants, x)
	}
	for _, x := range s.networks {
		at(x.tenant.v).networks = append(at(x.tenant.v).networks, x)
	}
	for _, x := range s.endpoints {
		at(x.tenant.v).endpoints = append(at(x.tenant.v).endpoints, x)
	}
	for _, x := range s.groups {
		at(x.tenant.v).groups = append(at(x.tenant.v).groups, x)
	}
	for _, x := range s.policies {
		at(x.tenant.v).policies = append(at(x.tenant.v).policies, x)
	}
	for _, x := range s.snats {
		at(x.tenant.v).snats = append(at(x.tenant.v).snats, x)
	}
	for _, x := range s.floatings {
		at(x.tenant.v).floatings = append(at(x.tenant.v).floatings, x)
	}
	for _, x := range s.forwards {
		at(x.tenant.v).forwards = append(at(x.tenant.v).forwards, x)
	}
	for _, x := range s.balancers {
		at(x.tenant.v).balancers = append(at(x.tenant.v).balancers, x)
	}
	return of
}

// sameText reports whether two lists of specs say the same, in the same words, wherever it
// stands.
func sameText(a, b []*Spec) bool { return slices.Equal(textsOf(a), textsOf(b)) }

// textsOf returns the documents in which specs were written, by kind and in order.
func textsOf(specs []*Spec) (texts []string) {
	var all Spec
	for _, s := range specs {
		all.add(*s)
	}
	for _, x := range all.tenants {
		texts = append(texts, x.text)
	}
	for _, x := range all.networks {
		texts = append(texts, x.text)
	}
	for _, x := range all.endpoints {
		texts = append(texts, x.text)
	}
	for _, x := range all.groups {
		texts = append(texts, x.text)
	}
	for _, x := range all.policies {
		texts = append(texts, x.text)
	}
	for _, x := range all.snats {
		texts = append(texts, x.text)
	}
	for _, x := range all.floatings {
		texts = append(texts, x.text)
	}
	for _, x := range all.forwards {
		texts = append(texts, x.text)
	}
	for _, x := range all.balancers {
		texts = append(texts, x.text)
	}
	return texts
}
