package columns

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

func TestTablesFit(t *testing.T) {
	const text = "NAME\tWHO\tN\nshort\ta name that is long, and of no use\t1\nälter\tx\t22\n\na note that is left as it is, however long it may be, for it is no table\nA\tB\n1\t2\n"
	for width := 1; width < 100; width++ {
		for line := range strings.Lines(Fit(text, width)) {
			if n := ansi.StringWidth(strings.TrimSuffix(line, "\n")); n > width && !strings.HasPrefix(line, "a note") {
				t.Errorf("%d: a line is %d wide: %s", width, n, line)
			}
		}
	}
	want := `NAME  WHO           N
short a name…no use 1
älter x             22

a note that is left as it is, however long it may be, for it is no table
A  B
1  2
`
	if d := cmp.Diff(want, Fit(text, 22)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestHowWideColumnsAre(t *testing.T) {
	rows := [][]string{{strings.Repeat("a", 30), strings.Repeat("b", 30), "c"}, {"longer than its head" + strings.Repeat("a", 30), "", ""}}
	first := func(i int) bool { return i == 0 }
	for _, c := range []struct {
		width int
		fixed func(int) bool
		want  []int
		gap   string
	}{
		{0, nil, []int{50, 30, 1}, "  "},
		{85, nil, []int{50, 30, 1}, "  "},
		{84, nil, []int{50, 30, 1}, " "}, // nearer to each other first
		{70, nil, []int{37, 30, 1}, " "}, // then down to their heads
		{41, nil, []int{19, 19, 1}, " "},
		{60, first, []int{50, 7, 1}, " "},
		{3, nil, []int{4, 4, 1}, " "}, // and Fit cuts the line
	} {
		if l := New(rows, c.width, c.fixed, nil); !cmp.Equal(l.widths, c.want) || l.gap != c.gap {
			t.Errorf("in %d: %d, %q; want %d, %q", c.width, l.widths, l.gap, c.want, c.gap)
		}
	}
}

func TestWhereTextsAreCut(t *testing.T) {
	for s, want := range map[string]string{"blue/policy/web/http": "blue/…/http", "/etc/weir/blue.yaml:12": "…ue.yaml:12", "0123456789": "0123456789", "日本語日本語日": "日本…本語日"} {
		if got := cell(s, 11); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}
