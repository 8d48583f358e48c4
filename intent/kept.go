package intent

import (
	"maps"
	"reflect"
	"slices"
)

// A Reader reads a configuration again and again, as a daemon does. Documents that have not
// changed since they were last read are not parsed again, and tenants that have not are
// not checked again: they are the same *Tenant in the one Model and in the next. It is for
// one goroutine. The zero Reader is ready for use.
type Reader struct {
	files   map[string]*file // by name, of the last model with which nothing was wrong
	bridges *Model           // its bridges
	kept    map[string]*kept // its tenants, by name
}

// A kept is a tenant as it was read last. As long as none of its documents changes it is the same
// *Tenant, which tells everybody that there is nothing to do for it.
type kept struct {
	tenant  *Tenant
	at      map[ID]Position
	checker *checker // what is known of it, to check leaves with; nil: it is to be checked whole
}

// Read is like the function Read.
func (r *Reader) Read(sources ...Source) (*Model, error) {
	if m := r.again(sources); m != nil {
		return m, nil
	}
	return Read(sources...) // to say what is wrong, all has to be looked at together
}

// again returns the model of files with which nothing is wrong, or nil. Only documents are read that
// were not there before, and only tenants are checked that have others than they had.
func (r *Reader) again(sources []Source) *Model {
	e := r.edit(sources)
	if e == nil {
		return nil
	}
	now := Reader{files: e.byName(), bridges: r.bridges, kept: r.kept}
	if _, other := e.changes[""]; other || r.bridges == nil {
		if !now.readBridges(e.files) {
			return nil
		}
	}
	if r.bridges == nil || !slices.EqualFunc(now.bridges.bridges, r.bridges.bridges, sameSite) { // networks lie on them
		now.kept = nil
		e.allStale()
	}
	delete(e.changes, "")
	alone, whole := now.checkLeaves(e)
	e.recall(whole)
	if !now.check(e.files, whole) {
		return nil
	}
	m := now.model(e.files)
	if len(whole) > 0 && m.conflict() || slices.ContainsFunc(alone, m.conflictOf) {
		return nil
	}
	*r = now
	for _, d := range e.todo {
		d.doc.slim()
	}
	return m
}

// checkLeaves checks the tenants of which only leaves have changed. It returns these leaves, and
// which tenants are still to be checked.
func (r *Reader) checkLeaves(e *edition) (alone []arrival, whole map[string]bool) {
	whole = map[string]bool{}
	now := maps.Clone(r.kept)
	for name, x := range e.changes {
		if r.kept[name] != nil {
			if k := r.kept[name].withOther(x); k != nil {
				now[name], alone = k, append(alone, x.arrivals()...)
				continue
			}
		}
		whole[name] = true
	}
	r.kept = now
	return alone, whole
}

// model puts a model together.
func (r *Reader) model(files []*file) *Model {
	m := &Model{bridges: r.bridges.bridges, at: maps.Clone(r.bridges.at), files: files}
	for _, name := range slices.Sorted(maps.Keys(r.kept)) {
		m.tenants = append(m.tenants, r.kept[name].tenant)
		m.at[name] = r.kept[name].at
	}
	return m
}

// readBridges reads what files say of bridges, and reports whether nothing is wrong with it. What is
// outside of a bridge stays what it was as long as it says the same, for tenants' flows are made of
// it.
func (r *Reader) readBridges(files []*file) bool {
	bridges, err := New(specsOf(files, map[string]bool{"": true})[""])
	if err != nil {
		return false
	}
	if r.bridges != nil && slices.EqualFunc(bridges.bridges, r.bridges.bridges, sameSite) {
		for i, b := range bridges.bridges {
			b.Externals = r.bridges.bridges[i].Externals
		}
	}
	r.bridges = bridges
	return true
}

// sameSite reports whether two bridges are the same to tenants.
func sameSite(a, b *Bridge) bool {
	return a.Name == b.Name && reflect.DeepEqual(a.Externals, b.Externals)
}

// recall reads documents of some tenants again of which it is not known any more what they say. They are
// read with what is new, and forgotten with it.
func (e *edition) recall(tenants map[string]bool) {
	first := len(e.todo)
	for _, f := range e.files {
		for _, s := range f.slots {
			if s.doc != nil && s.doc.spec == nil && tenants[s.doc.tenant] {
				e.todo = append(e.todo, reading{s.doc, s.doc.text, 0})
			}
		}
	}
	some := e.todo[first:]
	inParts(len(some), maxParts, func(i int) { some[i].doc.read(some[i].text, 0) })
}

// specsOf returns what files say of some tenants.
func specsOf(files []*file, tenants map[string]bool) map[string]Spec {
	specs := make(map[string]*Spec, len(tenants))
	for _, f := range files {
		for _, s := range f.slots {
			if s.doc == nil || !tenants[s.doc.tenant] {
				continue
			}
			if specs[s.doc.tenant] == nil {
				specs[s.doc.tenant] = new(Spec)
			}
			specs[s.doc.tenant].add(*s.doc.spec)
		}
	}
	all := make(map[string]Spec, len(specs))
	for name, s := range specs {
		all[name] = *s
	}
	return all
}

// check checks the tenants that are stale, several at a time. It reports whether nothing is wrong
// with any.
func (r *Reader) check(files []*file, stale map[string]bool) bool {
	if len(stale) == 0 {
		return true
	}
	specs := specsOf(files, stale)
	bridges := specsOf(files, map[string]bool{"": true})[""]
	names := slices.Sorted(maps.Keys(specs))
	found := make([]*kept, len(names))
	inParts(len(names), maxParts, func(i int) { found[i] = checkOne(specs[names[i]], bridges) })
	if slices.Contains(found, nil) {
		return false
	}
	now := maps.Clone(r.kept)
	if now == nil {
		now = make(map[string]*kept, len(found))
	}
	maps.DeleteFunc(now, func(name string, _ *kept) bool { return stale[name] })
	for i, name := range names {
		now[name] = found[i]
	}
	r.kept = now
	return true
}

// checkOne checks a tenant beside the bridges, but not what clashes. It returns nil if something is wrong.
func checkOne(s, bridges Spec) *kept {
	s.bridges = bridges.bridges
	c := newChecker(s, uncompiled)
	c.quick = true
	if err := c.all(); err != nil || len(c.model.tenants) != 1 {
		return nil
	}
	return c.kept()
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
