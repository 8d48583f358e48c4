package intent

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew; then read what has changed")

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d cases: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Read(Source{filepath.Base(name), data})
			if err == nil {
				t.Fatal("there is nothing wrong with it")
			}
			got, golden := err.Error()+"\n", strings.TrimSuffix(name, ".yaml")+".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatIsNoTextIsRefusedBeforeItIsParsed(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"ten megabytes":   {bytes.Repeat([]byte("# weir\n"), 10<<20/7), "f: has 10485755 bytes; a file of a model has at most 4 MiB: split it, or is it the right file?"},
		"a binary file":   {[]byte("kind: \x00\x7fELF"), "f: is a binary file (byte 6 is zero), not YAML"},
		"no UTF-8":        {[]byte("kind: caf\xe9"), "f: is not UTF-8 text (byte 9)"},
		"a thousand deep": {[]byte("a: " + strings.Repeat("[", 1000)), "f:1:36: lists and mappings nest deeper than 32"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(Source{"f", c.data}); err == nil || err.Error() != c.want {
				t.Errorf("%v; want %s", err, c.want)
			}
		})
	}
}

// large returns a model of 100 tenants with 10 endpoints and 100 rules each.
func large() []byte {
	var b bytes.Buffer
	b.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n")
	for i := range 100 {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t%d}\n", i)
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: lan, tenant: t%d}\nspec: {subnets: [{cidr: 10.1.0.0/24}]}\n", i)
		for j := range 10 {
			fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: e%d, tenant: t%d}\nspec: {network: lan, bind: {port: p%d-%d}, mac: \"02:00:00:00:%02x:%02x\", ips: [10.1.0.%d]}\n", j, i, i, j, i, j, j+10)
		}
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: t%d}\nspec:\n  rules:\n", i)
		for j := range 100 {
			fmt.Fprintf(&b, "  - {name: r%d, direction: ingress, action: allow, from: {cidrs: [10.%d.0.0/16]}, protocol: tcp, ports: [%d]}\n", j, j, 1000+j)
		}
	}
	return b.Bytes()
}

func TestALargeModel(t *testing.T) {
	m, err := Read(Source{"large", large()})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Tenants()) != 100 || len(m.Tenants()[99].Policies[0].Rules) != 100 {
		t.Error("not all of it is there")
	}
	if at := m.Position("t0/policy/p/r0"); at.Line == 0 || at.File != "large" {
		t.Errorf("a rule is at %+v", at)
	}
}

func BenchmarkRead10000Rules(b *testing.B) {
	data := large()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(Source{"large", data}); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, parsed := Parse(Source{"f", data})
		m, err := New(spec)
		if (m == nil) == (err == nil) {
			t.Fatalf("model %v, error %v", m, err)
		}
		if parsed != nil && m != nil {
			t.Fatalf("a model in spite of %v", parsed)
		}
		if m, err := check(spec, nil); err == nil {
			_ = Review(m, Source{"f", data}).Error()
		}
		for _, err := range []error{parsed, err} {
			if err != nil && err.Error() == "" {
				t.Fatal("a mistake without a word")
			}
		}
	})
}

// largeFiles is large, with a file for each tenant.
func largeFiles() (all []Source) {
	docs := strings.SplitAfter(string(large()), "---\n")
	of := map[string]string{}
	var names []string
	for _, d := range docs {
		name := "bridge"
		for _, line := range strings.Split(d, "\n") {
			if rest, ok := strings.CutPrefix(line, "metadata: "); ok && strings.Contains(rest, "tenant: ") {
				name = strings.Trim(strings.SplitAfter(rest, "tenant: ")[1], "}")
			} else if ok && strings.Contains(d, "kind: Tenant") {
				name = strings.Trim(strings.SplitAfter(rest, "name: ")[1], "}")
			}
		}
		if of[name] == "" {
			names = append(names, name)
		}
		of[name] += d
	}
	for _, name := range names {
		all = append(all, Source{name, []byte(of[name])})
	}
	return all
}

func TestAReaderSeesWhatHasChanged(t *testing.T) {
	tenant := func(name string) Source {
		return Source{name + ".yaml", []byte("apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: " + name + "}\n")}
	}
	wrong := Source{"c.yaml", []byte("apiVersion: weir/v1\nkind: Tenant\nmetadata: {nam: c}\n")}
	var r Reader
	for _, c := range []struct {
		name    string
		sources []Source
		tenants int // -1: the model is refused
	}{
		{"two files", []Source{tenant("a"), tenant("b")}, 2},
		{"the same again", []Source{tenant("a"), tenant("b")}, 2},
		{"one is gone", []Source{tenant("b")}, 1},
		{"another one has come", []Source{tenant("b"), tenant("c")}, 2},
		{"a mistake", []Source{tenant("b"), wrong}, -1},
		{"the same mistake", []Source{tenant("b"), wrong}, -1},
		{"it is put right", []Source{tenant("b"), tenant("c")}, 2},
		{"a file says what another one has said", []Source{{"b.yaml", tenant("a").Data}, tenant("c")}, 2},
	} {
		m, err := r.Read(c.sources...)
		want, wanted := Read(c.sources...)
		if (err == nil) != (c.tenants >= 0) || fmt.Sprint(err) != fmt.Sprint(wanted) {
			t.Errorf("%s: %v, want %v", c.name, err, wanted)
		} else if err == nil && (len(m.Tenants()) != c.tenants || !slices.Equal(m.IDs(), want.IDs())) {
			t.Errorf("%s: %v, want %v", c.name, m.IDs(), want.IDs())
		}
	}
}

func BenchmarkReadOneChangedFileOf101(b *testing.B) {
	sources := largeFiles()
	var r Reader
	if _, err := r.Read(sources...); err != nil {
		b.Fatal(err)
	}
	one := sources[50].Data
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sources[50].Data = append(one[:len(one):len(one)], fmt.Sprintf("# %d\n", i)...)
		if _, err := r.Read(sources...); err != nil {
			b.Fatal(err)
		}
	}
}

func TestADocumentAfterAnEmptyOneIsRead(t *testing.T) {
	m, err := Read(Source{"m.yaml", []byte("---\n# nothing\n---\n\n---\napiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: 'blue'}\nspec: {}\n---\n")})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Bridges()) != 1 || len(m.Tenants()) != 1 || m.Position("bridge/br0").Line != 8 || m.Position("blue").Line != 13 {
		t.Errorf("%v, %v, %v", m.IDs(), m.Position("bridge/br0"), m.Position("blue"))
	}
}
