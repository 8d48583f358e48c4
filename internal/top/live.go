package top

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"weir/internal/columns"
)

// A Change is something that has become of one of many things.
type Change struct {
	Key   string // what it is about
	Kind  string // "begin" (of all; it has nothing else), "present" (it was there already), "new", "in", "changed", "out" or "ended"
	Cells []string
	Note  string // in place of all this: what is said above the table
}

// A Follower tells changes until ctx is done, or those who tell have gone; first that it begins, and then
// what there is already.
type Follower func(ctx context.Context, told func(Change)) error

// A Table is what a Live shows.
type Table struct {
	Title   string // "connections"
	Columns []string
	Fixed   []string // the columns that are not cut before all others are
}

const (
	kept  = 1000            // how many things are in the table at most: those that have changed last
	after = 5 * time.Second // so long what has ended is shown
)

// A Live is a table of what changes, what has changed last at the top. Bubble Tea's loop owns it.
type Live struct {
	ctx    context.Context
	table  Table
	follow Follower
	told   chan tea.Msg

	order  *list.List // of *liveRow
	by     map[string]*list.Element
	there  int // things that are there
	begun  int // since it was looked last
	ended  int
	speed  [2]int // of begun and ended in the last second
	note   string
	away   string
	since  time.Time
	now    time.Time
	paused string // what is shown meanwhile; empty: it goes on

	from, width, height int
}

// A liveRow is a row of a Live.
type liveRow struct {
	Change
	ended time.Time // zero: it has not
}

// gone is told when nobody tells any more.
type gone struct{ err error }

// second is told each second.
type second time.Time

// NewLive returns a Live. It follows until ctx is done.
func NewLive(ctx context.Context, t Table, follow Follower) *Live {
	return &Live{ctx: ctx, table: t, follow: follow, told: make(chan tea.Msg), order: list.New(), by: map[string]*list.Element{}, width: 80, height: 24, now: time.Now()}
}

// Init implements tea.Model.
func (l *Live) Init() tea.Cmd { return tea.Batch(l.listen, l.next, eachSecond()) }

func eachSecond() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return second(t) })
}

// listen follows, and again when nobody tells any more, until ctx is done.
func (l *Live) listen() tea.Msg {
	for l.ctx.Err() == nil {
		err := l.follow(l.ctx, func(c Change) { l.tell(c) })
		l.tell(gone{err})
		select {
		case <-l.ctx.Done():
		case <-time.After(Every):
		}
	}
	return nil
}

func (l *Live) tell(msg tea.Msg) {
	select {
	case l.told <- msg:
	case <-l.ctx.Done():
	}
}

// next waits for what is told, and takes what else is told at the same time with it: a screen for each
// would be slow.
func (l *Live) next() tea.Msg {
	var all []tea.Msg
	select {
	case m := <-l.told:
		all = append(all, m)
	case <-l.ctx.Done():
		return nil
	}
	for end := time.After(20 * time.Millisecond); len(all) < kept; {
		select {
		case m := <-l.told:
			all = append(all, m)
		case <-end:
			return all
		}
	}
	return all
}

// Update implements tea.Model.
func (l *Live) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		l.width, l.height = msg.Width, msg.Height
	case []tea.Msg:
		for _, m := range msg {
			l.hear(m)
		}
		return l, l.next
	case second:
		l.now = time.Time(msg)
		l.speed, l.begun, l.ended = [2]int{l.begun, l.ended}, 0, 0
		l.forget()
		return l, eachSecond()
	case tea.KeyMsg:
		for _, key := range keysOf(msg) {
			if key == "q" || key == "ctrl+c" {
				return l, tea.Quit
			}
			l.key(key)
		}
	}
	return l, nil
}

func (l *Live) hear(msg tea.Msg) {
	switch msg := msg.(type) {
	case gone:
		if l.away == "" {
			l.since = time.Now()
		}
		l.away = "nobody tells what happens"
		if msg.err != nil {
			l.away = msg.err.Error()
		}
	case Change:
		l.hearChange(msg)
	}
}

func (l *Live) hearChange(c Change) {
	if c.Note != "" {
		l.note = c.Note
		return
	}
	row := &liveRow{Change: c}
	switch c.Kind {
	case "begin":
		l.order.Init()
		clear(l.by)
		l.there, l.away, l.note = 0, "", ""
		return
	case "present", "in":
		l.there++
	case "out":
		l.there--
		row.ended = time.Now()
	case "new":
		l.there++
		l.begun++
	case "ended":
		l.there--
		l.ended++
		row.ended = time.Now()
	}
	if e := l.by[c.Key]; e != nil {
		e.Value = row
		l.order.MoveToFront(e)
		return
	}
	l.by[c.Key] = l.order.PushFront(row)
	if l.order.Len() > kept {
		l.drop(l.order.Back())
	}
}

// forget drops what has ended some time ago.
func (l *Live) forget() {
	for e := l.order.Front(); e != nil; {
		next := e.Next()
		if at := e.Value.(*liveRow).ended; !at.IsZero() && l.now.Sub(at) > after {
			l.drop(e)
		}
		e = next
	}
}

func (l *Live) drop(e *list.Element) {
	delete(l.by, e.Value.(*liveRow).Key)
	l.order.Remove(e)
}

func (l *Live) key(key string) {
	switch key {
	case "p", " ":
		if l.paused != "" {
			l.paused = ""
		} else {
			l.paused = l.View()
		}
	case "up", "k":
		l.from--
	case "down", "j":
		l.from++
	case "pgup":
		l.from -= l.room()
	case "pgdown":
		l.from += l.room()
	case "home":
		l.from = 0
	}
	l.from = min(max(0, l.from), max(0, l.order.Len()-l.room()))
}

// room is how many rows there is room for.
func (l *Live) room() int { return max(1, l.height-5) }

// View implements tea.Model: height lines, none longer than width.
func (l *Live) View() string {
	const keys = "arrows scroll  p pause, go on  q quit"
	lines := []string{fmt.Sprintf("%s  %s  %d now  new %d/s  ended %d/s", strong.Render("weir "+l.table.Title), l.now.Format("15:04:05"), l.there, l.speed[0], l.speed[1]), ""}
	if l.away != "" {
		lines[1] = alarm.Render(columns.Cut(fmt.Sprintf("AWAY since %s, asking again: %s", l.since.Format("15:04:05"), l.away), l.width))
	} else if l.note != "" {
		lines[1] = l.note
	}
	lines = append(lines, l.rows()...)
	if l.paused != "" {
		lines = strings.Split(l.paused, "\n")
		lines[0] = columns.Cut(lines[0], max(0, l.width-8)) + "  " + alarm.Render("PAUSED")
	}
	body := max(0, l.height-1)
	for len(lines) < body {
		lines = append(lines, "")
	}
	lines = append(lines[:body:body], faint.Render(columns.Cut(keys, l.width)))
	for i := range lines {
		lines[i] = columns.Cut(lines[i], l.width)
	}
	return strings.Join(lines, "\n")
}

func (l *Live) rows() []string {
	all := [][]string{append([]string{"CHANGE"}, l.table.Columns...)}
	e, i := l.order.Front(), 0
	for ; e != nil && len(all) <= l.room(); e, i = e.Next(), i+1 {
		if row := e.Value.(*liveRow); i >= l.from {
			all = append(all, append([]string{strings.Replace(row.Kind, "present", "", 1)}, row.Cells...))
		}
	}
	fixed := func(column int) bool { return slices.Contains(l.table.Fixed, all[0][column]) }
	layout := columns.New(all, l.width, fixed, nil)
	lines := make([]string, len(all))
	for i, r := range all {
		lines[i] = layout.Line(r)
	}
	lines[0] = strong.Render(lines[0])
	if len(all) == 1 {
		lines = append(lines, cmp.Or(map[bool]string{true: "  none"}[l.away == ""], "  nothing is known"))
	}
	return lines
}
