package intent

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A Problem is one thing wrong with a Spec.
type Problem struct {
	At      Position
	Path    string // "spec.rules[0].ports[1]"; empty: the file, or the document
	Why     string
	Hint    string // what to do; empty: nothing comes to mind
	Excerpt string // the line, without its newline; empty: none
}

// Error returns "file:line:column: path: why", and on further lines the excerpt with a
// caret, and the hint.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.At.File)
	if p.At.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.At.Line, p.At.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Why)
	if p.Excerpt != "" {
		fmt.Fprintf(&b, "\n    %s\n    %s^", p.Excerpt, blanks(p.Excerpt, p.At.Column-1))
	}
	if p.Hint != "" {
		b.WriteString("\n    " + p.Hint)
	}
	return b.String()
}

// blanks is as wide as the first n characters of line, tabs included.
func blanks(line string, n int) string {
	var b strings.Builder
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Problems are all the things wrong with a Spec, by file, line and column.
type Problems []Problem

// maxShown bounds how many problems are printed: nobody reads the ten thousandth, and a
// file that is no model at all may have more.
const maxShown = 1000

// Error returns them one below the other; the first 1,000 if there are more.
func (ps Problems) Error() string {
	if len(ps) == 0 {
		return "no model can be made of what could not be read"
	}
	var s []string
	for _, p := range ps[:min(len(ps), maxShown)] {
		s = append(s, p.Error())
	}
	if more := len(ps) - maxShown; more > 0 {
		s = append(s, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(s, "\n")
}

// err returns ps in order, or nil if there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, byPlace)
	return ps
}

func byPlace(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
}

// meant returns `did you mean "x"?` for the name nearest to got, if one is near.
func meant(got string, names iter.Seq[string]) string {
	if n := Nearest(got, names); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}

// Nearest returns the name from which the fewest letters of got differ, or "" if more
// than a third do.
func Nearest(got string, names iter.Seq[string]) string {
	best, least := "", min((len(got)+1)/3+1, len(got))
	for n := range names {
		if len(n)-len(got) > least || len(got)-len(n) > least {
			continue
		}
		d := distance(strings.ToLower(got), strings.ToLower(n))
		if d < least || d == least && best != "" && n < best {
			best, least = n, d
		}
	}
	return best
}

// distance is how many letters have to be put in, taken out, changed or swapped.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
