package top

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"weir/internal/columns"
)

// A Writer writes what there is to see now, for a terminal of a width.
type Writer func(ctx context.Context, width int) (string, error)

// A Sheet is a text that is written anew every second. Bubble Tea's loop owns it.
type Sheet struct {
	ctx   context.Context
	title string
	write Writer

	lines         []string
	at            time.Time
	trouble       string
	since         time.Time
	paused        bool
	from          int
	width, height int
}

// NewSheet returns a Sheet. It is written until ctx is done.
func NewSheet(ctx context.Context, title string, write Writer) Sheet {
	return Sheet{ctx: ctx, title: title, write: write, width: 80, height: 24}
}

// written is what has come of writing.
type written struct {
	text  string
	err   error
	asked time.Time
}

// Init implements tea.Model. The first text is written when it is known how wide the terminal is.
func (s Sheet) Init() tea.Cmd { return nil }

func (s Sheet) again() tea.Msg {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	text, err := s.write(ctx, s.width)
	return written{text, err, asked}
}

// Update implements tea.Model.
func (s Sheet) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		first := s.at.IsZero() && s.trouble == "" && s.since.IsZero()
		s.width, s.height = msg.Width, msg.Height
		if first {
			s.since = time.Now() // it is under way
			return s, s.again
		}
	case written:
		s = s.took(msg)
		return s, tea.Tick(max(0, Every-time.Since(msg.asked)), func(time.Time) tea.Msg { return askAgain{} })
	case askAgain:
		return s, s.again
	case tea.KeyMsg:
		for _, key := range keysOf(msg) {
			if key == "q" || key == "ctrl+c" {
				return s, tea.Quit
			}
			s = s.key(key)
		}
	}
	return s, nil
}

func (s Sheet) took(w written) Sheet {
	switch {
	case w.err != nil:
		if s.trouble == "" {
			s.since = w.asked
		}
		s.trouble = w.err.Error()
	case s.paused:
		s.trouble = ""
	default:
		s.trouble, s.at, s.lines = "", w.asked, strings.Split(ansi.Wrap(strings.TrimRight(w.text, "\n"), max(1, s.width), " "), "\n")
	}
	return s
}

func (s Sheet) key(key string) Sheet {
	page := max(1, s.height-3)
	switch key {
	case "p", " ":
		s.paused = !s.paused
	case "up", "k":
		s.from--
	case "down", "j":
		s.from++
	case "pgup":
		s.from -= page
	case "pgdown":
		s.from += page
	case "home":
		s.from = 0
	}
	s.from = min(max(0, s.from), max(0, len(s.lines)-page))
	return s
}

// View implements tea.Model: height lines, none longer than width.
func (s Sheet) View() string {
	head := strong.Render("weir " + s.title)
	if !s.at.IsZero() {
		head += "  " + s.at.Format("15:04:05")
	}
	if s.paused {
		head += "  " + alarm.Render("PAUSED")
	}
	lines := []string{head, ""}
	if s.trouble != "" {
		lines[1] = alarm.Render(columns.Cut("AWAY since "+s.since.Format("15:04:05")+", asking again: "+s.trouble, s.width))
	}
	lines = append(lines, s.lines[min(s.from, len(s.lines)):]...)
	body := max(0, s.height-1)
	for len(lines) < body {
		lines = append(lines, "")
	}
	lines = append(lines[:body:body], faint.Render("arrows scroll  p pause  q quit"))
	for i := range lines {
		lines[i] = columns.Cut(lines[i], s.width)
	}
	return strings.Join(lines, "\n")
}
