package conntrack

import (
	"slices"
	"strings"
	"testing"

	"weir/internal/sandbox/sandboxtest"
)

func TestLimitsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Limit
		bad  string
	}{
		"none":                              {"default limit=0\n", nil, ""},
		"two zones":                         {"default limit=0\nzone=5,limit=3,count=1\nzone=6,limit=4294967295,count=0\n", []Limit{{5, 3, 1}, {6, 4294967295, 0}}, ""},
		"with what a later version may say": {"default limit=0\nzone=5,limit=3,count=1,new=x\n", []Limit{{5, 3, 1}}, ""},
		"a zone that is none":               {"default limit=0\nzone=70000,limit=3,count=1\n", nil, `line 2: zone is no number in "zone=70000,limit=3,count=1"`},
		"a zone that comes twice":           {"zone=5,limit=3,count=1\nzone=5,limit=4,count=1\n", nil, "line 2: zone 5 comes twice"},
		"a limit that comes twice":          {"zone=5,limit=3,limit=4\n", nil, "line 1: limit comes twice"},
		"a zone without a limit":            {"zone=5,count=4\n", nil, "line 1: zone or limit is missing"},
		"a limit without a zone":            {"default limit=0\nlimit=3\n", nil, "line 2: zone or limit is missing"},
		"a limit that is none":              {"zone=5,limit=,count=1\n", nil, "line 1: limit is no number"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseLimits(c.text)
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) || !slices.Equal(got, c.want) {
				t.Errorf("%v, %v; want %v, %q", got, err, c.want, c.bad)
			}
		})
	}
}

func FuzzParseLimits(f *testing.F) {
	f.Add("default limit=0\nzone=5,limit=3,count=1\n")
	f.Add("zone=,limit,count=-1\n\n,=,")
	f.Fuzz(func(t *testing.T, text string) {
		limits, err := ParseLimits(text)
		if err != nil {
			return
		}
		for _, l := range limits {
			if back, err := ParseLimits(l.String()); err != nil || back[0].Zone != l.Zone || back[0].Max != l.Max {
				t.Errorf("%v is read as %v, %v", l, back, err)
			}
		}
	})
}

func TestLimitsOfARealDatapath(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	d := NewDatapath(box.RunDir(), "dummy")
	limits := func(want ...Limit) {
		t.Helper()
		if got, err := d.Limits(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("the limits are %v, %v; want %v", got, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	limits()
	must(d.SetLimits(t.Context(), Limit{Zone: 5, Max: 3}, Limit{Zone: 6, Max: 4294967295}))
	limits(Limit{5, 3, 0}, Limit{6, 4294967295, 0})
	must(d.SetLimits(t.Context(), Limit{Zone: 5, Max: 4}))
	must(d.DeleteLimits(t.Context(), 6, 7))
	limits(Limit{5, 4, 0})
	must(d.DeleteLimits(t.Context()))
	must(d.SetLimits(t.Context()))
	limits(Limit{5, 4, 0})
	if n, most, err := d.Fill(t.Context()); n != 0 || most != 3000000 || err != nil {
		t.Errorf("%d of %d connections, %v", n, most, err)
	}
	if _, err := NewDatapath(box.RunDir(), "netdev").Limits(t.Context()); err == nil {
		t.Error("a datapath that is not there has limits")
	}
}
