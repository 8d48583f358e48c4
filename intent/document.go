package intent

import (
	"bytes"
	"net/netip"
	"strings"
)

// A cutter cuts a text at the lines that begin a document.
type cutter struct {
	text  string
	begin int  // where it cuts next
	begun bool // there was a line that begins a document, with nothing to be cut off before it
}

// A segment is a part of a file that can be parsed by itself, so that a mistake in one
// document does not hide those in the next. Together they are the whole file.
type segment struct {
	text    string
	content bool // there is something in it
	begun   bool // as the cutter was before it
}

// next returns the next segment, or false at the end. What has only comments and directives before
// it is not cut off from them.
func (c *cutter) next() (s segment, more bool) {
	if c.begin == len(c.text) {
		return s, false
	}
	s.begun = c.begun
	at := c.begin
	for l := range strings.Lines(c.text[c.begin:]) {
		if marker(l) && (at > c.begin || at == 0) {
			if s.content || c.begun {
				break
			}
			c.begun = true
		}
		s.content = s.content || hasContent(l)
		at += len(l)
	}
	s.text, c.begin = c.text[c.begin:at], at
	return s, true
}

// A file is a source, and what its documents say. It never changes: models share it.
type file struct {
	name  string
	text  string
	slots []slot
}

// A slot is a segment of a file.
type slot struct {
	size, lines int
	preface     int  // lines before those that its document counts from
	begun       bool // as the cutter was before it
	doc         *sheet
}

// A sheet is a document that has been read on its own, wherever it is: its places count from
// its own lines. What it says never changes.
type sheet struct {
	text   string // without its preface, if that says nothing
	spec   *Spec  // nil: it is known already, and read again if its tenant is to be checked whole
	kind   string
	name   string     // of the object; empty: there is none
	tenant string     // to which it belongs; of a bridge none
	claims netip.Addr // of a leaf
	wrong  bool       // it has to be read with its file, which says what is wrong
}

// read reads one document.
func (p *sheet) read(text string, preface int) {
	r := &reader{doc: p}
	p.spec = new(Spec)
	for _, object := range r.nodes(document{text, -preface}) {
		p.spec.objects++
		kind, m := p.spec.object(r, object)
		p.kind, p.name, p.tenant = kind, m.name.v, m.tenant.v
		if kind == "Tenant" {
			p.tenant = p.name
		}
	}
	p.wrong = len(r.problems) > 0 || r.lost || p.spec.objects > 1
	if l := leaves[p.kind]; l.at != nil && !p.wrong {
		p.claims = l.at(*p.spec)
	}
}

// bulky are the kinds of which what is read takes many times the room of the text, and of what comes of
// it. There may be thousands of them, and seldom is all of a tenant checked.
var bulky = map[string]bool{"LoadBalancer": true}

// slim gives back what is not needed once a document has been checked.
func (p *sheet) slim() {
	if bulky[p.kind] {
		p.spec = nil
	}
}

// maxPreface bounds the lines before a document that are as good as none: a mistake that needs more
// of them must be seen where it is.
const maxPreface = maxBlank / 2

// withoutPreface returns a document without the blank lines and the comments before it, and how many
// lines these are. If they are anything else they belong to it.
func withoutPreface(text string) (string, int) {
	rest, lines, marked := text, 0, false
	for line := range strings.Lines(text) {
		if hasContent(line) {
			return rest, lines
		}
		l := strings.TrimSuffix(line, "\n")
		marks := l == "---" && !marked
		if !marks && l != "" && (l[0] != '#' || !printable(l)) || lines == maxPreface {
			break
		}
		marked = marked || marks
		rest, lines = rest[len(line):], lines+1
	}
	return text, 0
}

// recut cuts a text that was f before. It returns how many slots there are before what has changed,
// what is there now, and from which slot on nothing has.
func (f *file) recut(text string) (head int, now []segment, tail int) {
	same := sameStart(f.text, text)
	after := sameEnd(f.text[same:], text[same:])
	head, begin := f.before(same)
	c := cutter{text: text, begin: begin}
	if head < len(f.slots) {
		c.begun = f.slots[head].begun
	}
	tail, left := head, len(f.text)-begin
	for {
		rest := len(text) - c.begin
		for rest <= after && left > rest {
			left -= f.slots[tail].size
			tail++
		}
		if rest <= after && left == rest && tail > 0 && c.begin > 0 && tail < len(f.slots) && f.slots[tail].begun == c.begun {
			return head, now, tail
		}
		s, more := c.next()
		if !more {
			return head, now, len(f.slots)
		}
		now = append(now, s)
	}
}

// before returns how many slots are as they were if so much of the text is, and where the next
// one begins. The line with which that begins is what ends the one before it.
func (f *file) before(same int) (n, begin int) {
	for n+1 < len(f.slots) {
		next := begin + f.slots[n].size
		line := strings.IndexByte(f.text[next:], '\n')
		if line < 0 || next+line >= same {
			break
		}
		n, begin = n+1, next
	}
	return n, begin
}

// block is how much of two texts is compared at once.
const block = 512

// sameStart returns how many bytes two texts have in common at their start.
func sameStart(a, b string) (n int) {
	most := min(len(a), len(b))
	for n+block <= most && a[n:n+block] == b[n:n+block] {
		n += block
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

// sameEnd returns how many bytes two texts have in common at their end.
func sameEnd(a, b string) (n int) {
	most := min(len(a), len(b))
	for n+block <= most && a[len(a)-n-block:len(a)-n] == b[len(b)-n-block:len(b)-n] {
		n += block
	}
	for n < most && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// withoutMark returns a text without a byte order mark.
func withoutMark(data []byte) []byte { return bytes.TrimPrefix(data, []byte(byteOrderMark)) }

// place returns where in which of some files a place of a document is.
func (at Position) in(files []*file) Position {
	for _, f := range files {
		line := 0
		for _, s := range f.slots {
			if s.doc == at.doc {
				return Position{File: f.name, Line: line + s.preface + at.Line, Column: at.Column}
			}
			line += s.lines
		}
	}
	return Position{}
}
