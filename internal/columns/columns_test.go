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
	want := `NAME   WHO          N
short  a name tha…  1
älter  x            22

a note that is left as it is, however long it may be, for it is no table
A  B
1  2
`
	if d := cmp.Diff(want, Fit(text, 22)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestWhatIsFixedIsNotCut(t *testing.T) {
	rows := [][]string{{strings.Repeat("a", 30), strings.Repeat("b", 30), "c"}}
	if got := Widths(rows, 40, func(i int) bool { return i == 0 }); !cmp.Equal(got, []int{30, 5, 1}) {
		t.Error(got)
	}
	if got := Widths(rows, 0, func(int) bool { return false }); !cmp.Equal(got, []int{30, 30, 1}) {
		t.Error(got)
	}
	if got := Widths(rows, 3, func(int) bool { return false }); !cmp.Equal(got, []int{4, 4, 1}) { // and Fit cuts the line
		t.Error(got)
	}
}
