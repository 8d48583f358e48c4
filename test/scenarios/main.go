// Scenarios prints what became of each acceptance scenario, on each kind of datapath:
//
//	scenarios userspace=FILE kernel=FILE containers=FILE
//
// The files are what the targets of make have printed: go test -v, go test -json, or lines as
// "scenario O-F01 containers pass". A kind may have several files. One that is not named was not
// run, and its column says so. It fails if a scenario of the list has failed, or is missing where
// its kind was run; one that is skipped says why.
package main

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

//go:embed scenarios.txt
var list string

// kinds are the columns, and what each is called.
var kinds = []string{"userspace", "kernel", "containers"}

// A scenario is a line of the list: the test of O-F01 is called TestOF01 and how one likes.
type scenario struct{ id, title string }

func scenarios() (all []scenario) {
	for line := range strings.Lines(list) {
		id, title, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, scenario{id, title})
	}
	return all
}

func main() {
	table := table{}
	for _, arg := range os.Args[1:] {
		if err := table.read(arg); err != nil {
			fmt.Fprintln(os.Stderr, "scenarios:", err)
			os.Exit(2)
		}
	}
	if wrong := table.print(os.Stdout); len(wrong) > 0 {
		fmt.Fprintf(os.Stderr, "scenarios: %s\n", strings.Join(wrong, "; "))
		os.Exit(1)
	}
}

// A table is what became of scenarios, by kind and id. A kind that was not run is not in it.
type table map[string]map[string]outcome

// read adds what a file KIND=PATH says.
func (t table) read(arg string) error {
	kind, path, ok := strings.Cut(arg, "=")
	if !ok || !slices.Contains(kinds, kind) {
		return fmt.Errorf("%q: want KIND=FILE, and a KIND of %s", arg, strings.Join(kinds, ", "))
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if t[kind] == nil {
		t[kind] = map[string]outcome{}
	}
	if err := collect(f, t[kind]); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// print prints the table, why scenarios were skipped, and what else has an id, and returns what is wrong.
func (t table) print(w io.Writer) (wrong []string) {
	all := scenarios()
	fmt.Fprintf(w, "%-6s %-50s", "", "")
	for _, kind := range kinds {
		fmt.Fprintf(w, " %-10s", kind)
	}
	fmt.Fprintln(w)
	var notes []string
	bad := map[string][]string{} // by state and kind
	for _, s := range all {
		fmt.Fprintf(w, "%-6s %-50s", s.id, s.title)
		for _, kind := range kinds {
			o, is := t.of(kind, s.id)
			fmt.Fprintf(w, " %-10s", o.state)
			if is {
				what := o.state + " on " + kind
				bad[what] = append(bad[what], s.id)
			}
			if o.why != "" {
				notes = append(notes, fmt.Sprintf("%s on %s: %s", s.id, kind, o.why))
			}
		}
		fmt.Fprintln(w)
	}
	for _, n := range notes {
		fmt.Fprintln(w, n)
	}
	for _, what := range slices.Sorted(maps.Keys(bad)) {
		wrong = append(wrong, what+": "+strings.Join(bad[what], " "))
	}
	return append(wrong, t.unlisted(all)...)
}

// of returns what became of a scenario, and whether that is bad.
func (t table) of(kind, id string) (o outcome, bad bool) {
	ran, ok := t[kind]
	if !ok {
		return outcome{state: notRun}, false
	}
	if o, ok = ran[id]; !ok {
		return outcome{state: missing}, true
	}
	return o, o.state == failed
}

// unlisted are scenarios that are run and not in the list.
func (t table) unlisted(all []scenario) (wrong []string) {
	for _, kind := range kinds {
		for id := range t[kind] {
			if !slices.ContainsFunc(all, func(s scenario) bool { return s.id == id }) {
				wrong = append(wrong, fmt.Sprintf("%s is run on %s, and test/scenarios/scenarios.txt does not have it", id, kind))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}
