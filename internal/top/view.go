package top

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"weir/api"
	"weir/internal/columns"
)

// Styles are bold, faint and reverse, and no colours: they can be read on any ground. NO_COLOR, and a terminal
// that cannot, turn them off.
var (
	strong = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	alarm  = lipgloss.NewStyle().Reverse(true)
)

// shownBridges is how many bridges have a line above the panes.
const shownBridges = 3

const (
	keysLine = "tab 1-5 pane  s sort  r turn  f kind  p pause  arrows scroll  ? help  q quit"
	keysHelp = `
  1 to 5, tab, left, right   another pane
  s, S                       sort by the next column, the one before
  r                          turn the order round
  up, down, pgup, pgdown     scroll (also j, k, home, end)
  f                          talkers: all, or only those of one kind
  p, space                   pause, go on
  ?                          this, and back
  q, ctrl+c                  quit

  NEW/S: connections that were not there when they were read before.
  DENIED/S: packets that rules and defaults have stopped. What is dropped
  for other reasons is known of bridges, not of tenants.
  "-" is not known: before the second reading, or begun anew.`
)

// View implements tea.Model: height lines, none longer than width.
func (m Model) View() string {
	lines := m.head()
	lines = append(lines, "", m.tabs())
	switch {
	case m.help:
		lines = append(lines, strings.Split(keysHelp, "\n")...)
	case m.now.At.IsZero():
		lines = append(lines, "", "  nothing is known yet")
	default:
		lines = append(lines, m.table()...)
	}
	body := max(1, m.height-1)
	for len(lines) < body {
		lines = append(lines, "")
	}
	lines = append(lines[:body], faint.Render(columns.Cut(keysLine, m.width)))
	for i := range lines {
		lines[i] = columns.Cut(lines[i], m.width)
	}
	return strings.Join(lines[:min(len(lines), max(1, m.height))], "\n")
}

// head says whose state it is, and of when.
func (m Model) head() []string {
	title := strong.Render("weir top")
	if !m.now.At.IsZero() {
		title += fmt.Sprintf("  %s  %s", m.now.Version, m.now.At.Local().Format("15:04:05"))
		if m.now.Seconds > 0.5 {
			title += fmt.Sprintf("  (read in %.1f s)", m.now.Seconds)
		}
	}
	if m.paused {
		title += "  " + alarm.Render("PAUSED")
	}
	lines := []string{title}
	if m.trouble != "" {
		lines = append(lines, alarm.Render(columns.Cut(fmt.Sprintf("AWAY since %s, asking again: %s", m.since.Local().Format("15:04:05"), m.trouble), m.width)))
	}
	for i, b := range m.now.Bridges {
		if i == shownBridges && len(m.now.Bridges) > shownBridges+1 {
			return append(lines, fmt.Sprintf("and %d more bridges", len(m.now.Bridges)-i))
		}
		lines = append(lines, m.bridgeLine(b))
	}
	return lines
}

func (m Model) bridgeLine(b api.TopBridge) string {
	var now, before uint64
	there := false
	for _, d := range b.Drops {
		now += d.Packets
	}
	for _, was := range m.before.Bridges {
		if was.Name != b.Name {
			continue
		}
		there = true
		for _, d := range was.Drops {
			before += d.Packets
		}
	}
	line := fmt.Sprintf("%s  %s  flows %d  groups %d  drops %s/s  repairs %d", b.Name, b.State, b.Flows, b.Groups, m.perSecond(now, before, there).text, b.Drift)
	if b.Error != "" {
		line += "  " + b.Error
	}
	return line
}

// tabs names the panes; the one that is shown has brackets.
func (m Model) tabs() string {
	var names []string
	for i, p := range panes {
		name := fmt.Sprintf(" %d %s ", i+1, p.name)
		if p.name == "talkers" && kinds[m.kind] != "" {
			name = fmt.Sprintf(" %d %s: %s ", i+1, p.name, kinds[m.kind])
		}
		if i == m.pane {
			name = strong.Render("[" + strings.TrimSpace(name) + "]")
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// room is how many rows of a table there is room for.
func (m Model) room() int { return max(1, m.height-len(m.head())-4) }

// table is the pane: its columns, and as many rows as there is room for.
func (m Model) table() []string {
	p, rows := panes[m.pane], m.rows()
	from := min(m.from[m.pane], max(0, len(rows)-m.room()))
	shown := rows[from:min(len(rows), from+m.room())]
	head := make([]cell, len(p.columns))
	for i, name := range p.columns {
		head[i].text = name
		if o := m.sorted[m.pane]; i == o.column {
			head[i].text += map[bool]string{false: "▼", true: "▲"}[o.turned]
		}
	}
	number := func(i int) bool { return isNumber(p.columns[i]) }
	all := texts(append([][]cell{head}, shown...))
	layout := columns.New(all, m.width, number, number)
	lines := []string{strong.Render(layout.Line(all[0]))}
	for _, r := range all[1:] {
		lines = append(lines, layout.Line(r))
	}
	if len(rows) == 0 {
		lines = append(lines, "  none")
	}
	return lines
}

func texts(rows [][]cell) [][]string {
	all := make([][]string, len(rows))
	for i, r := range rows {
		for _, c := range r {
			all[i] = append(all[i], c.text)
		}
	}
	return all
}
