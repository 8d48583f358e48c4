package conntrack

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"weir/internal/sandbox/sandboxtest"
)

func TestExpectationsAreRead(t *testing.T) {
	const line = "tcp,orig=(src=2.2.2.2,dst=1.1.1.1,sport=0,dport=35000),zone=5,mark=9,labels=0x7,parent=(src=1.1.1.1,dst=2.2.2.2,sport=4,dport=21)\n"
	want := Expectation{Protocol: TCP, Tuple: Tuple{Src: b, Dst: a, DstPort: 35000}, Parent: Tuple{Src: a, Dst: b, SrcPort: 4, DstPort: 21}, Zone: 5, Mark: 9, Label: Label{15: 7}}
	if got, err := ParseExpectations(line + line); err != nil || !slices.Equal(got, []Expectation{want, want}) {
		t.Errorf("%+v, %v", got, err)
	}
	for bad, at := range map[string][2]int{
		line[:len(line)-5]: {1, len(line) - 4}, line + strings.Replace(line, "zone=5", "zone=-5", 1): {2, strings.Index(line, "zone=") + 6},
		line + "\n" + line[:strings.Index(line, ",parent")] + "\n": {3, strings.Index(line, ",parent") + 1},
	} {
		var d *Damage
		if got, err := ParseExpectations(bad); !errors.As(err, &d) || [2]int{d.Line, d.Column} != at || got != nil {
			t.Errorf("%q: %v, %v, want %v", bad, got, err, at)
		}
	}
}

func FuzzParseExpectations(f *testing.F) {
	f.Add("tcp,orig=(src=2.2.2.2,dst=1.1.1.1,sport=0,dport=35000),zone=5,parent=(src=1.1.1.1,dst=2.2.2.2,sport=4,dport=21)\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseExpectations(text)
		for _, e := range all {
			if err != nil || !e.Tuple.Src.IsValid() || !e.Parent.Dst.IsValid() {
				t.Fatalf("%q: %+v, %v", text, e, err)
			}
		}
	})
}

// TestExpectationsOfARealDatapath wants none, or to be told that this version cannot say.
func TestExpectationsOfARealDatapath(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	d := NewDatapath(box.RunDir(), "dummy")
	v, err := d.version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := d.Expectations(t.Context(), 5)
	can := v.Major > 3 || v.Major == 3 && v.Minor >= 3
	if len(all) > 0 || can && err != nil || !can && !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v: %v, %v", v, all, err)
	}
}
