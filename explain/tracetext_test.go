package explain

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The traces of testdata are those of Open vSwitch 3.1.0.
func TestTracesAreReadUpToTheFirstRecirculation(t *testing.T) {
	for name, want := range map[string]string{
		"first.trace": `0 100 0x776569720000000b in_port=1
4 100 0x776569720000000b ip,reg1=0xb,dl_src=02:00:00:00:01:11,nw_src=10.1.0.11
16 0 0x7765697200000001 
17 0 0x7765697200000001 
20 100 0x7765697200000004 reg5=0x1000/0xffff
21 100 0x7765697200000001 ip
hashed false`,
		"hashed.trace": `24 300 0x7765697200000001 ct_state=+new+trk
28 101 0x7765697200000015 tcp,reg5=0x1000/0xffff,nw_dst=10.1.0.100,tp_dst=443
hashed true`,
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			p, err := parseTrace(string(text), "br-demo")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range p.lookups {
				got = append(got, fmt.Sprintf("%d %d 0x%x %s", l.table, l.priority, l.cookie, l.match))
			}
			if d := cmp.Diff(want, strings.Join(append(got, fmt.Sprint("hashed ", p.hashed)), "\n")); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestATraceSaysWhereItEnds(t *testing.T) {
	const behind = "bridge(\"br\")\n 0. priority 1\n    output:2\n\nbridge(\"other\")\n---\n 0. priority 7\n    drop\nFinal flow: x\nDatapath actions: 3\n"
	p, err := parseTrace(behind, "br")
	if err != nil || p.elsewise != "other" || len(p.lookups) != 1 {
		t.Errorf("behind a patch port: %+v, %v", p, err)
	}
	p, err = parseTrace("bridge(\"br\")\n80. No match.\n    drop\nDatapath actions: drop\n", "br")
	if err != nil || len(p.lookups) != 1 || !p.lookups[0].missed || p.lookups[0].table != 80 {
		t.Errorf("without a flow: %+v, %v", p, err)
	}
	if _, err := parseTrace("Unknown bridge\n", "br"); err == nil || !strings.Contains(err.Error(), "Unknown bridge") {
		t.Errorf("what is no trace: %v", err)
	}
}

func FuzzParseTrace(f *testing.F) {
	for _, name := range []string{"first.trace", "hashed.trace"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(" 0. No match.\n300. priority 99999999\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, _ := parseTrace(text, "br-demo")
		if said := strings.Count(text, "priority ") + strings.Count(text, "No match."); len(p.lookups) > said {
			t.Errorf("%d flows are hit, and %d named", len(p.lookups), said)
		}
		for _, l := range p.lookups {
			if l.missed && l.match != "" {
				t.Errorf("a flow that is not there matches: %+v", l)
			}
		}
	})
}
