package test

import (
	"fmt"
	"strings"
	"testing"

	"weir/test/ovstest"
)

// TestListsAreShownInATerminal has lists in a terminal: with -w they are brought up, tables are cut to its width and
// nowhere else, and NO_COLOR is heeded.
func TestListsAreShownInATerminal(t *testing.T) {
	rule := "{name: a-rule-with-a-name-of-some-length, direction: ingress, action: allow}"
	l := newLab(t, 2, labModel("", policy("t", "p", rule)))
	x := l.Terminal()
	x.Type("clear; " + x.Command("get", "rules"))
	x.Shows("LAST HIT", "polic", "…", "yaml:")
	x.Idle()
	fits(t, x.Screen(), 80)
	x.Type("clear; " + x.Command("get", "rules") + " | tr -d '\\n' | grep -c 'policy/p/a-rule-with-a-name-of-some-length *ingress *allow.*model.yaml'")
	x.Shows("1\n#")

	for _, verb := range [][]string{{"status"}, {"balancers"}, {"conntrack"}, {"get", "rules"}} {
		x.Type("clear")
		x.Weir(append(verb, "-w")...)
		title := "weir " + verb[len(verb)-1] + "  "
		fits(t, x.Shows(title, "p pause  q quit"), 80)
		x.Press("q")
		x.Idle()
	}
	x.Weir("status", "-w")
	s := x.Shows("revision 1", "br0", "programmed")
	t.Logf("\n%s", strings.TrimRight(s, "\n"))
	l.Weir.Apply(labModel("", policy("t", "p", rule, "{name: more, direction: ingress, action: deny, protocol: tcp}")))
	x.Shows("revision 2")
	l.Weir.Stop()
	x.Shows("AWAY since", "revision 2")
	l.Weir.Start()
	ovstest.Eventually(t, "the daemon is seen again", func() error {
		if s := x.Screen(); strings.Contains(s, "AWAY") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	x.Press("q")
	x.Idle()

	const escape = "\x1b["
	x.Weir("top")
	x.Shows("[1 tenants]", "\nt ")
	if s := x.Styled(); !strings.Contains(s, escape) {
		t.Errorf("nothing is bold in a terminal:\n%q", s)
	}
	x.Press("q")
	x.Idle()
	x.Type("clear; NO_COLOR=1 " + x.Command("top"))
	x.Shows("[1 tenants]", "\nt ")
	if s := x.Styled(); strings.Contains(s, escape) {
		t.Errorf("styles in spite of NO_COLOR:\n%q", s)
	}
	x.Press("q")
	x.Idle()
	for _, verb := range []string{"status", "connections", "top", "observe"} {
		if out, err := l.Weir.Tool(verb); err != nil || strings.Contains(out, "\x1b") || strings.Contains(out, "…") {
			t.Errorf("%s without a terminal: %q, %v", verb, out, err)
		}
	}
}
