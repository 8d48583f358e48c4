package intent

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// someLines returns some lines, of those that mean something where documents begin and end.
func someLines(draw *rand.Rand, most int) string {
	var b strings.Builder
	for range draw.IntN(most) {
		b.WriteString([]string{"---\n", "---\n", "a: 1\n", "b: 2\n", "\n", "# c\n", "%d\n", "...\n", "--- x\n", "---", "é\n"}[draw.IntN(11)])
	}
	return b.String()
}

// cutAnew cuts a text that nothing is known of.
func cutAnew(text string) *file {
	f := &file{text: text}
	e := edition{gone: map[string][]*sheet{}}
	c := cutter{text: text}
	for s, more := c.next(); more; s, more = c.next() {
		f.slots = append(f.slots, e.slot(s, true))
	}
	return f
}

// like reports whether two slots are of the same segment.
func (s slot) like(t slot) bool {
	if (s.doc == nil) != (t.doc == nil) || s.doc != nil && s.doc.text != t.doc.text {
		return false
	}
	s.doc, t.doc = nil, nil
	return s == t
}

func TestAFileThatIsCutAgainIsCutAsOneThatIsCutForTheFirstTime(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 6))
	kept := 0
	for range 50000 {
		first, between, last := someLines(draw, 12), someLines(draw, 4), someLines(draw, 12)
		was, text := cutAnew(first+between+last), first+someLines(draw, 4)+last
		e := edition{gone: map[string][]*sheet{}}
		now := e.file(e.cut(was, Source{"f", []byte(text)}))
		if want := cutAnew(text); !slices.EqualFunc(now.slots, want.slots, slot.like) {
			t.Fatalf("%q, and then %q: %+v; want %+v", was.text, text, now.slots, want.slots)
		}
		for _, s := range now.slots {
			if slices.Contains(was.slots, s) {
				kept++
			}
		}
	}
	if kept < 50000 {
		t.Errorf("only %d segments were kept", kept)
	}
}

func TestSegmentsAreTheWholeFile(t *testing.T) {
	draw := rand.New(rand.NewPCG(7, 8))
	for range 10000 {
		text := someLines(draw, 20)
		var all strings.Builder
		c := cutter{text: text}
		for s, more := c.next(); more; s, more = c.next() {
			all.WriteString(s.text)
		}
		if all.String() != text {
			t.Fatalf("%q is cut into %q", text, all.String())
		}
	}
}

func TestWhatIsBeforeADocumentBelongsToItIfItSaysSomething(t *testing.T) {
	for text, want := range map[string]struct {
		body    string
		preface int
	}{
		"a: 1\n":                                 {"a: 1\n", 0},
		"---\na: 1\n":                            {"a: 1\n", 1},
		"# c\n\n---\n# d\na: 1\n":                {"a: 1\n", 4},
		"---\n---\na: 1\n":                       {"---\n---\na: 1\n", 0},
		"%YAML 1.2\n---\na: 1\n":                 {"%YAML 1.2\n---\na: 1\n", 0},
		"...\na: 1\n":                            {"...\na: 1\n", 0},
		" # c\na: 1\n":                           {" # c\na: 1\n", 0},
		"# \x01\na: 1\n":                         {"# \x01\na: 1\n", 0},
		"--- # c\na: 1\n":                        {"--- # c\na: 1\n", 0},
		strings.Repeat("\n", 60) + "a: |\n  b\n": {strings.Repeat("\n", 60) + "a: |\n  b\n", 0},
		"# nothing else\n":                       {"# nothing else\n", 0},
	} {
		if body, preface := withoutPreface(text); body != want.body || preface != want.preface {
			t.Errorf("%q: %q, %d", text, body, preface)
		}
	}
}
