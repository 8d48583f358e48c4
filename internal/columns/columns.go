// Package columns fits tables into a width: columns are as wide as what is in them, with two spaces
// between, and where that is too much the widest are cut, and say so with "…". What names have at their
// ends tells them apart as often as what they begin with, so they are cut in the middle.
package columns

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// least is how narrow a column is made, so that something of it can be read.
const least = 4

// Cut cuts a text to a width, in characters as they are seen: what a terminal is told of colours has none.
func Cut(s string, width int) string { return ansi.Truncate(s, max(0, width), "…") }

// cell cuts a text to a width in its middle; a path in the file system at its beginning.
func cell(s string, width int) string {
	whole := ansi.StringWidth(s)
	if whole <= width || width < least {
		return Cut(s, width)
	}
	head := width / 2
	if strings.HasPrefix(s, "/") {
		head = 0
	}
	return Cut(ansi.Cut(s, 0, head)+"…"+ansi.Cut(s, whole-(width-1-head), whole), width)
}

// A Layout is how wide the columns of a table are, and how far apart.
type Layout struct {
	widths []int
	gap    string
	right  func(column int) bool
}

// New lays a table out for a width; zero is any. The first row is its head, which is cut last. Columns that are
// fixed are cut only as a part of their line, and cells of those that are right stand at the right; nil is none.
// Where it is too wide, columns come nearer to each other before any is cut.
func New(rows [][]string, width int, fixed, right func(column int) bool) Layout {
	none := func(int) bool { return false }
	if fixed == nil {
		fixed = none
	}
	l := Layout{gap: "  ", right: right}
	if right == nil {
		l.right = none
	}
	for _, r := range rows {
		for i, c := range r {
			if i == len(l.widths) {
				l.widths = append(l.widths, 0)
			}
			l.widths[i] = max(l.widths[i], ansi.StringWidth(c))
		}
	}
	if width > 0 && l.width() > width {
		l.gap = " "
		l.shrink(l.width()-width, fixed, rows[0])
	}
	return l
}

// width is how wide a line is at most.
func (l Layout) width() int {
	sum := len(l.gap) * (len(l.widths) - 1)
	for _, w := range l.widths {
		sum += w
	}
	return sum
}

// shrink makes the widest columns narrower, by as much as is over: first none less wide than its head.
func (l Layout) shrink(over int, fixed func(int) bool, head []string) {
	over = shrink(l.widths, over, fixed, func(i int) int {
		if i >= len(head) {
			return least
		}
		return max(least, ansi.StringWidth(head[i]))
	})
	shrink(l.widths, over, fixed, func(int) int { return least })
}

// shrink makes the widest columns narrower, by as much as is over, but none narrower than it may be. It
// returns what is over still.
func shrink(widths []int, over int, fixed func(column int) bool, floor func(column int) int) int {
	for ; over > 0; over-- {
		widest := -1
		for i, w := range widths {
			if w > floor(i) && !fixed(i) && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return over
}

// Line is a row of the table.
func (l Layout) Line(cells []string) string {
	parts := make([]string, len(cells))
	for i, c := range cells {
		s := cell(c, l.widths[i])
		pad := strings.Repeat(" ", max(0, l.widths[i]-ansi.StringWidth(s)))
		if parts[i] = s + pad; l.right(i) {
			parts[i] = pad + s
		}
	}
	return strings.TrimRight(strings.Join(parts, l.gap), " ")
}

// Fit lays out a text in which tables have tabs between their columns, as package text/tabwriter has
// them: lines with tabs that follow each other are a table. What has no tabs stays as it is.
func Fit(text string, width int) string {
	var b strings.Builder
	var table [][]string
	flush := func() {
		l := New(table, width, nil, nil)
		for _, cells := range table {
			b.WriteString(Cut(l.Line(cells), width) + "\n")
		}
		table = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "\t") {
			table = append(table, strings.Split(line, "\t"))
			continue
		}
		flush()
		b.WriteString(line + "\n")
	}
	flush()
	return b.String()
}
