package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const verbose = `=== RUN   TestOF01OneWayTCPService
    firewall_test.go:31: all is well
--- PASS: TestOF01OneWayTCPService (1.20s)
=== RUN   TestOC05TheKernelForgetsWhatOpenVSwitchDoesNot
    bothsources_test.go:95: only the kernel's datapath has such
--- SKIP: TestOC05TheKernelForgetsWhatOpenVSwitchDoesNot (0.00s)
=== RUN   TestOF02X
=== RUN   TestOF02X/IPv6
    --- FAIL: TestOF02X/IPv6 (0.10s)
--- FAIL: TestOF02X (0.20s)
=== RUN   TestOF03TwoTenants
panic: the end
`

func TestEveryFormIsRead(t *testing.T) {
	want := map[string]outcome{
		"O-F01": {passed, ""}, "O-C05": {skipped, "only the kernel's datapath has such"}, "O-F02": {failed, ""}, "O-F03": {failed, "it did not end"},
	}
	events := ""
	for line := range strings.Lines(verbose) {
		events += `{"Action":"output","Output":` + quoted(line) + "}\n"
	}
	for name, text := range map[string]string{"-v": verbose, "-json": events, "of a serial line": strings.ReplaceAll(verbose, "\n", "\r\n")} {
		all := map[string]outcome{}
		if err := collect(strings.NewReader(text), all); err != nil {
			t.Fatal(err)
		}
		if len(all) != len(want) {
			t.Errorf("%s: %v", name, all)
		}
		for id, o := range want {
			if all[id] != o {
				t.Errorf("%s: %s is %v; want %v", name, id, all[id], o)
			}
		}
	}
	all := map[string]outcome{}
	if err := collect(strings.NewReader("scenario O-F01 containers pass\nscenario O-F02 containers skip: no tun\n"), all); err != nil || all["O-F01"].state != passed || all["O-F02"] != (outcome{skipped, "no tun"}) {
		t.Errorf("%v, %v", all, err)
	}
}

func quoted(s string) string {
	return `"` + strings.NewReplacer("\n", `\n`, "\t", `\t`, `"`, `\"`).Replace(s) + `"`
}

func TestAScenarioThatIsMissingIsSaid(t *testing.T) {
	text := ""
	for _, s := range scenarios() {
		if s.id != "O-L04" {
			text += "scenario " + s.id + " containers pass\n"
		}
	}
	table := table{}
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := table.read("kernel=" + file); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if wrong := table.print(&out); len(wrong) != 1 || wrong[0] != "MISSING on kernel: O-L04" || strings.Count(out.String(), notRun) != 2*len(scenarios()) {
		t.Errorf("%q\n%s", wrong, &out)
	}
	if err := os.WriteFile(file, []byte(text+"scenario O-L04 containers fail\nscenario O-X99 containers pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table["kernel"] = nil
	if err := table.read("kernel=" + file); err != nil {
		t.Fatal(err)
	}
	if wrong := table.print(&out); len(wrong) != 2 || wrong[0] != "FAILED on kernel: O-L04" || !strings.HasPrefix(wrong[1], "O-X99 is run") {
		t.Errorf("%q", wrong)
	}
	if err := table.read("moon=" + file); err == nil {
		t.Error("the moon is a kind of datapath")
	}
}

// TestTheListHasEveryScenario reads the tests themselves: one that is new has to be listed, and one that
// is listed has to be there.
func TestTheListHasEveryScenario(t *testing.T) {
	name := regexp.MustCompile(`(?m)^func TestO([A-Z])([0-9]{2})`)
	files, err := filepath.Glob("../*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	have := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(b), -1) {
			have["O-"+m[1]+m[2]] = true
		}
	}
	for _, s := range scenarios() {
		if !have[s.id] {
			t.Errorf("%s is in the list, and no test", s.id)
		}
		delete(have, s.id)
	}
	for id := range have {
		t.Errorf("%s is a test, and not in the list", id)
	}
}

func FuzzCollect(f *testing.F) {
	f.Add(verbose)
	f.Add("scenario O-F01 containers pass\n")
	f.Fuzz(func(t *testing.T, text string) {
		all := map[string]outcome{}
		if err := collect(strings.NewReader(text), all); err != nil {
			t.Fatal(err)
		}
		for id, o := range all {
			if worse[o.state] == 0 {
				t.Errorf("%s is %q", id, o.state)
			}
		}
	})
}
