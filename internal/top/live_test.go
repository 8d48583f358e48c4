package top

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

func live(all ...Change) *Live {
	l := NewLive(context.Background(), Table{Title: "connections", Columns: []string{"STATE", "TENANT", "PROTO", "FROM", "TO", "LET IN BY"}, Fixed: []string{"CHANGE", "STATE", "PROTO", "FROM", "TO"}}, nil)
	l.now = noon
	heard(l, all...)
	return l
}

func heard(l *Live, all ...Change) {
	var msgs []tea.Msg
	for _, c := range all {
		msgs = append(msgs, c)
	}
	l.Update(msgs)
}

func of(kind, key, state string) Change {
	return Change{Key: key, Kind: kind, Cells: []string{state, "blue-tenant", "tcp", "10.1.100.111:50" + key, "10.200.100.112:5432", "policy/db-ingress/app-to-postgres"}}
}

// TestWhatHasChangedLastIsAtTheTop tells of connections that come, change and end.
func TestWhatHasChangedLastIsAtTheTop(t *testing.T) {
	l := live(Change{Kind: "begin"}, of("present", "000", "ESTABLISHED"), of("new", "001", "SYN_SENT"), of("new", "002", "SYN_SENT"), of("changed", "000", "TIME_WAIT"), of("ended", "001", "SYN_SENT"))
	want := `weir connections  12:00:00  2 now  new 0/s  ended 0/s

CHANGE  STATE     TENANT  PROTO FROM               TO                  LET IN BY
ended   SYN_SENT  blu…ant tcp   10.1.100.111:50001 10.200.100.112:5432 poli…gres
changed TIME_WAIT blu…ant tcp   10.1.100.111:50000 10.200.100.112:5432 poli…gres
new     SYN_SENT  blu…ant tcp   10.1.100.111:50002 10.200.100.112:5432 poli…gres
`
	if d := cmp.Diff(want, strings.Split(trimmed(l.View()), "\n\n\n")[0]+"\n"); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	l.Update(second(time.Now().Add(after + time.Second)))
	if v := l.View(); strings.Contains(v, "ended  ") || !strings.Contains(v, "new 2/s  ended 1/s") {
		t.Error(v)
	}
}

func TestWhatIsMeantNoMoreIsThereNoMore(t *testing.T) {
	l := live(Change{Kind: "begin"}, of("present", "000", "SYN_SENT"), of("in", "001", "SYN_SENT"), of("out", "000", "ESTABLISHED"))
	if l.there != 1 || !strings.Contains(l.View(), "out ") {
		t.Errorf("%d there\n%s", l.there, l.View())
	}
	l.Update(second(time.Now().Add(after + time.Second)))
	if v := l.View(); strings.Contains(v, "out ") || !strings.Contains(v, "new 0/s") {
		t.Error(v)
	}
}

// TestALiveIsBounded tells of more than is kept, of which many end.
func TestALiveIsBounded(t *testing.T) {
	l := live(Change{Kind: "begin"})
	for i := range 3 * kept {
		heard(l, of("new", fmt.Sprint(i), "SYN_SENT"))
	}
	for i := range kept {
		heard(l, of("ended", fmt.Sprint(i), "SYN_SENT"))
	}
	if l.there != 2*kept || l.order.Len() != kept || len(l.by) != kept {
		t.Errorf("%d there, %d and %d kept", l.there, l.order.Len(), len(l.by))
	}
	heard(l, Change{Kind: "begin"})
	if l.there != 0 || l.order.Len() != 0 || len(l.by) != 0 {
		t.Error("what was there before is not forgotten when it begins anew")
	}
}

func TestLiveFitsInEverySize(t *testing.T) {
	for width := 1; width < 140; width += 3 {
		for height := 1; height < 30; height++ {
			l := live(Change{Kind: "begin"}, of("present", "000", "ESTABLISHED"), of("new", "001", "SYN_SENT"), Change{Note: strings.Repeat("trouble ", 20)})
			l.Update(tea.WindowSizeMsg{Width: width, Height: height})
			for range 2 {
				lines := strings.Split(l.View(), "\n")
				if len(lines) != height {
					t.Fatalf("%d x %d: %d lines", width, height, len(lines))
				}
				for _, line := range lines {
					if n := ansi.StringWidth(line); n > width {
						t.Fatalf("%d x %d: %d: %q", width, height, n, line)
					}
				}
				l.key("p")
			}
		}
	}
}

func TestALiveComesBack(t *testing.T) {
	l := live(Change{Kind: "begin"}, of("present", "000", "ESTABLISHED"))
	l.Update([]tea.Msg{gone{fmt.Errorf("the daemon has gone")}})
	if v := l.View(); !strings.Contains(v, "AWAY since") || !strings.Contains(v, "the daemon has gone") || !strings.Contains(v, "50000") {
		t.Error(v)
	}
	heard(l, Change{Kind: "begin"})
	if v := l.View(); strings.Contains(v, "AWAY") || !strings.Contains(v, "none") {
		t.Error(v)
	}
}

// TestALiveFollows has its loop ask again when nobody tells any more, and end with its context.
func TestALiveFollows(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	times := 0
	l := NewLive(ctx, Table{}, func(_ context.Context, told func(Change)) error {
		times++
		told(Change{Kind: "begin"})
		return nil
	})
	done := make(chan struct{})
	go func() { l.listen(); close(done) }()
	for begun := 0; begun < 2; {
		for _, m := range l.next().([]tea.Msg) {
			if c, is := m.(Change); is && c.Kind == "begin" {
				begun++
			}
		}
	}
	cancel()
	<-done
	if times < 2 {
		t.Error(times)
	}
}
