// Package columns fits tables into a width: columns are as wide as what is in them, with two spaces
// between, and where that is too much the widest are cut, and say so with "…".
package columns

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// gap is what is between columns.
const gap = "  "

// least is how narrow a column is made, so that something of it can be read.
const least = 4

// Cut cuts a text to a width, in characters as they are seen: what a terminal is told of colours has none.
func Cut(s string, width int) string { return ansi.Truncate(s, max(0, width), "…") }

// Widths returns how wide the columns of a table are in a width; zero is any. Those that are fixed are
// not cut. A table with too many columns is wider still.
func Widths(rows [][]string, width int, fixed func(column int) bool) []int {
	var widths []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], ansi.StringWidth(c))
		}
	}
	over := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		over += w
	}
	for over -= width; width > 0 && over > 0; over-- {
		widest := -1
		for i, w := range widths {
			if w > least && !fixed(i) && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// Line is a row of a table. Cells of columns that are right stand at the right.
func Line(cells []string, widths []int, right func(column int) bool) string {
	parts := make([]string, len(cells))
	for i, c := range cells {
		s := Cut(c, widths[i])
		pad := strings.Repeat(" ", widths[i]-ansi.StringWidth(s))
		if parts[i] = s + pad; right(i) {
			parts[i] = pad + s
		}
	}
	return strings.TrimRight(strings.Join(parts, gap), " ")
}

// Fit lays out a text in which tables have tabs between their columns, as package text/tabwriter has
// them: lines with tabs that follow each other are a table. What has no tabs stays as it is.
func Fit(text string, width int) string {
	var b strings.Builder
	var table [][]string
	none := func(int) bool { return false }
	flush := func() {
		widths := Widths(table, width, none)
		for _, cells := range table {
			b.WriteString(Cut(Line(cells, widths, none), width) + "\n")
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
