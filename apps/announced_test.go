package apps

import (
	"fmt"
	"slices"
	"testing"

	"weir/apps/nat"
	"weir/apps/pipeline"
)

// TestWhatIsAnsweredForIsReadOffTheFlows asks flows what they answer for outside, where the
// datapath answers neighbour discovery itself and where it cannot.
func TestWhatIsAnsweredForIsReadOffTheFlows(t *testing.T) {
	for name, want := range map[string][]string{
		"testdata/nat.yaml":  {"203.0.113.10/32", "203.0.113.16/30", "203.0.113.2/32", "203.0.113.20/32"},
		"testdata/nat6.yaml": {"2001:db8::10/126", "2001:db8::20/128", "2001:db8::a/128", "fe80::ff:fe00:ff02/128"},
		"testdata/web.yaml":  nil,
	} {
		for _, extension := range []bool{true, false} {
			_, in := compileFile(t, name)
			in.Facts.Features.NDExtension = extension
			p, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range nat.Answered(p.Tables().Flows) {
				if !slices.ContainsFunc(in.Outsides(), func(x pipeline.ExternalSite) bool { return x.Port == a.Port && x.RouterMAC() == a.MAC }) {
					t.Errorf("%s: %v at port %d with %x", name, a.Prefix, a.Port, a.MAC)
				}
				got = append(got, a.Prefix.String())
			}
			if slices.Sort(got); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	}
}
