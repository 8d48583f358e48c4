package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sections are the parts of the manual page, by the line of each command, as troff reads them.
func sections(page string) map[string]string {
	all := map[string]string{}
	for _, part := range strings.Split(page, "\n.SS \"")[1:] {
		head, body, _ := strings.Cut(part, "\"\n")
		all[strings.ReplaceAll(head, `\-`, "-")] = body
	}
	return all
}

func TestTheManualPageHasEachCommandAndFlag(t *testing.T) {
	w := &world{t: t}
	page, err := w.weir("manual")
	if err != nil {
		t.Fatal(err)
	}
	n, all := 0, sections(page)
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			each(child)
		}
		if c.Hidden || !c.HasParent() {
			return
		}
		body, there := all[strings.TrimSuffix(c.UseLine(), " [flags]")]
		if !there {
			t.Errorf("%s is missing", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			n++
			if f.Name != "help" && !strings.Contains(body, `\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)+`"`) {
				t.Errorf("%s: --%s is missing", c.CommandPath(), f.Name)
			}
		})
	}
	each(rootCommand())
	if n < 100 {
		t.Errorf("%d flags were looked for", n)
	}
}

func TestTheManualPageIsSetWithoutWarnings(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	page, err := (&world{t: t}).weir("manual")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "weir.1")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, setter := range [][]string{{"groff", "-man", "-ww", "-z", "-Tutf8", file}, {"mandoc", "-Tlint", "-Wwarning", file}} {
		if _, err := exec.LookPath(setter[0]); err != nil {
			t.Logf("SKIPPED: there is no %s", setter[0])
			continue
		}
		if out, err := exec.CommandContext(t.Context(), setter[0], setter[1:]...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", setter[0], err, out)
		}
	}
}
