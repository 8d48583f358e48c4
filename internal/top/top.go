// Package top is weir top: what goes on in bridges, in a terminal, brought up every second.
//
//	api.Top, by Asker ──> Model.Update ──> Model.View: a head, a pane, the keys
//
// It asks the daemon and nobody else. What it shows for a second is the difference of the last two
// answers.
package top

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"weir/api"
)

// An Asker asks the daemon what goes on.
type Asker func(context.Context) (api.Top, error)

// Every is how often it is asked.
const Every = time.Second

// patience is how long an answer may take: on a bridge with many connections it is seconds.
const patience = time.Minute

// A Model is what is on the screen. Bubble Tea's loop owns it.
type Model struct {
	ctx context.Context
	ask Asker

	known
	trouble       string // why the last question was not answered; empty: it was
	since         time.Time
	width, height int

	pane   int
	sorted [paneCount]order
	from   [paneCount]int // the first row that is shown
	paused bool
	help   bool
}

// known is what rows are made of.
type known struct {
	now, before api.Top // the last answer, and the one before; zero: none yet
	kind        int     // of talkers, in kinds
}

// An order is by which column the rows of a pane are sorted.
type order struct {
	column int
	turned bool // the least first
}

// New returns what weir top shows first. It asks until ctx is done.
func New(ctx context.Context, ask Asker) Model {
	m := Model{ctx: ctx, ask: ask, width: 80, height: 24}
	for i, p := range panes {
		m.sorted[i].column = p.first
	}
	return m
}

// An answer is what has come of asking.
type answer struct {
	top   api.Top
	err   error
	asked time.Time
}

// askAgain has the daemon be asked.
type askAgain struct{}

// Init implements tea.Model.
func (m Model) Init() tea.Cmd { return m.question }

func (m Model) question() tea.Msg {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, patience)
	defer cancel()
	top, err := m.ask(ctx)
	return answer{top, err, asked}
}

// Update implements tea.Model.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case answer:
		m = m.answered(msg)
		return m, tea.Tick(max(0, Every-time.Since(msg.asked)), func(time.Time) tea.Msg { return askAgain{} })
	case askAgain:
		if m.paused {
			return m, tea.Tick(Every, func(time.Time) tea.Msg { return askAgain{} })
		}
		return m, m.question
	case tea.KeyMsg:
		for _, key := range keysOf(msg) {
			var does tea.Cmd
			if m, does = m.key(key); does != nil {
				return m, does
			}
		}
	}
	return m, nil
}

// keysOf returns the keys of a message: those that are pressed fast come as one.
func keysOf(msg tea.KeyMsg) (keys []string) {
	if msg.Type != tea.KeyRunes || msg.Paste {
		return []string{msg.String()}
	}
	for _, r := range msg.Runes {
		keys = append(keys, string(r))
	}
	return keys
}

func (m Model) answered(a answer) Model {
	switch {
	case a.err != nil:
		if m.trouble == "" {
			m.since = a.asked
		}
		m.trouble = a.err.Error()
		return m
	case m.paused: // it was asked before
		return m
	}
	m.trouble = ""
	if !a.top.At.Equal(m.now.At) { // else nothing has been read since
		m.before, m.now = m.now, a.top
	}
	return m
}

// key does what a key is for.
func (m Model) key(key string) (Model, tea.Cmd) {
	columns := len(panes[m.pane].columns)
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "1", "2", "3", "4", "5":
		m.pane = int(key[0] - '1')
	case "tab", "right", "l":
		m.pane = (m.pane + 1) % len(panes)
	case "shift+tab", "left", "h":
		m.pane = (m.pane + len(panes) - 1) % len(panes)
	case "s":
		m.sorted[m.pane] = order{column: (m.sorted[m.pane].column + 1) % columns}
	case "S":
		m.sorted[m.pane] = order{column: (m.sorted[m.pane].column + columns - 1) % columns}
	case "r":
		m.sorted[m.pane].turned = !m.sorted[m.pane].turned
	case "p", " ":
		m.paused = !m.paused
	case "f":
		m.kind = (m.kind + 1) % len(kinds)
	case "?":
		m.help = !m.help
	default:
		m.scroll(key)
	}
	return m, nil
}

// scroll moves the rows of the pane. View has them end at the last one.
func (m *Model) scroll(key string) {
	by := map[string]int{"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -m.room(), "pgdown": m.room(), "home": -1 << 30, "end": 1 << 30}
	last := max(0, len(m.rows())-m.room())
	m.from[m.pane] = min(max(0, m.from[m.pane]+by[key]), last)
}
