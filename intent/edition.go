package intent

import "strings"

// An edition is files as they are now, and what has changed since they were read last.
type edition struct {
	files   []*file
	changes map[string]change   // by tenant; of bridges under no name
	gone    map[string][]*sheet // documents that are not where they were, by their text
	todo    []reading           // documents to be read
}

// A change is the documents of a tenant that it had, and those that it has now.
type change struct{ gone, come []*sheet }

// A reading is a document that is to be read, of which nothing is known but its text.
type reading struct {
	doc     *sheet
	text    string
	preface int
}

// edit reads those documents that are new, or returns nil if something is wrong: with a file, with
// a document, or that there is none.
func (r *Reader) edit(sources []Source) *edition {
	e := &edition{changes: map[string]change{}, gone: map[string][]*sheet{}, files: make([]*file, len(sources))}
	cuts := make([]cut, len(sources))
	names := make(map[string]bool, len(sources))
	for i, src := range sources {
		if names[src.Name] {
			return nil
		}
		names[src.Name] = true
		was := r.files[src.Name]
		if data := withoutMark(src.Data); was != nil && was.text == string(data) {
			e.files[i] = was
			continue
		}
		if unreadable(src.Data) != "" {
			return nil
		}
		cuts[i] = e.cut(was, src)
	}
	for name, f := range r.files {
		if !names[name] {
			e.leave(f.slots)
		}
	}
	for i, c := range cuts {
		if e.files[i] == nil {
			e.files[i] = e.file(c)
		}
	}
	if !e.read() || !e.something() {
		return nil
	}
	e.notice()
	return e
}

// A cut is a file that has changed, cut again.
type cut struct {
	file        *file
	first, last []slot // as they were
	between     []segment
}

// cut cuts a file that was another before, or nil.
func (e *edition) cut(was *file, src Source) cut {
	if was == nil {
		was = &file{}
	}
	f := &file{name: src.Name, text: string(withoutMark(src.Data))}
	head, between, tail := was.recut(f.text)
	e.leave(was.slots[head:tail])
	return cut{f, was.slots[:head], was.slots[tail:], between}
}

// leave notes documents that are no longer where they were.
func (e *edition) leave(slots []slot) {
	for _, s := range slots {
		if s.doc != nil {
			e.gone[s.doc.text] = append(e.gone[s.doc.text], s.doc)
		}
	}
}

// file puts a file together. A document that was elsewhere is the same.
func (e *edition) file(c cut) *file {
	slots := make([]slot, 0, len(c.first)+len(c.between)+len(c.last))
	slots = append(slots, c.first...)
	whole := len(c.first)+len(c.last) == 0
	for _, s := range c.between {
		slots = append(slots, e.slot(s, whole))
	}
	c.file.slots = append(slots, c.last...)
	return c.file
}

// slot returns a segment with its document, which may have to be read. If little of a file is new
// it gets a copy of its text, which must not hold on to that of the whole file when the next one has
// come.
func (e *edition) slot(s segment, whole bool) slot {
	v := slot{size: len(s.text), lines: strings.Count(s.text, "\n"), begun: s.begun}
	if !s.content {
		return v
	}
	text := s.text
	if !whole {
		text = strings.Clone(text)
	}
	body, preface := withoutPreface(text)
	v.preface = preface
	if same := e.gone[body]; len(same) > 0 {
		v.doc, e.gone[body] = same[0], same[1:]
		return v
	}
	v.doc = &sheet{text: body}
	e.todo = append(e.todo, reading{v.doc, text, preface})
	return v
}

// read reads what is new, and reports whether nothing is wrong with it.
func (e *edition) read() bool {
	inParts(len(e.todo), min(maxParts, 1+len(e.todo)/minPart), func(i int) {
		d := e.todo[i]
		d.doc.read(d.text, d.preface)
	})
	for _, d := range e.todo {
		if d.doc.wrong {
			return false
		}
	}
	return true
}

// something reports whether there is an object.
func (e *edition) something() bool {
	for _, f := range e.files {
		for _, s := range f.slots {
			if s.doc != nil && s.doc.name != "" {
				return true
			}
		}
	}
	return false
}

// notice notes whose documents have changed.
func (e *edition) notice() {
	for _, d := range e.todo {
		x := e.changes[d.doc.tenant]
		x.come = append(x.come, d.doc)
		e.changes[d.doc.tenant] = x
	}
	for _, some := range e.gone {
		for _, d := range some {
			x := e.changes[d.tenant]
			x.gone = append(x.gone, d)
			e.changes[d.tenant] = x
		}
	}
}

// allStale has all tenants checked.
func (e *edition) allStale() {
	for _, f := range e.files {
		for _, s := range f.slots {
			if s.doc != nil {
				e.changes[s.doc.tenant] = change{}
			}
		}
	}
}

func (e *edition) byName() map[string]*file {
	by := make(map[string]*file, len(e.files))
	for _, f := range e.files {
		by[f.name] = f
	}
	return by
}
