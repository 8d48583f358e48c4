package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/test/ovstest"
)

// TestWhatIsKeptThroughNATLosesItsAddress takes back the rules that have let connections through
// a floating IP, of a policy that keeps them, and then the floating IP: its connections live on
// without the rule, and not without the address.
func TestWhatIsKeptThroughNATLosesItsAddress(t *testing.T) {
	kept := func(rules string) string {
		return object("Policy", "name: p, tenant: t", "onRevoke: keep, rules: ["+rules+"]")
	}
	const (
		in   = "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [80]}"
		out  = "{name: out, direction: egress, action: allow, protocol: tcp, ports: [80]}"
		none = "{name: no-more, direction: egress, action: deny, protocol: tcp}"
	)
	as := floatingIP("h1-ip", "203.0.113.20", "h1")
	n, h1, _, outside := behind(t, natModel(as, kept(in+", "+out)))
	echo(t, h1, "10.1.1.11:80")
	echo(t, outside, "203.0.113.1:80")
	came := opened(t, outside, "203.0.113.20:80")
	left := opened(t, h1, "203.0.113.1:80")
	live := func(when string, patience time.Duration, want bool) {
		t.Helper()
		for name, err := range map[string]error{"from outside": say(came, "hello", patience), "to the outside": say(left, "hello", patience)} {
			if (err == nil) != want {
				t.Errorf("%s, %s: %v; it should live: %v", when, name, err, want)
			}
		}
	}
	live("at first", ovstest.Patience, true)
	n.Weir.Apply(natModel(as, kept(none)))
	timesOut(t, outside, "203.0.113.20:80")
	live("without the rules", ovstest.Patience, true)
	wantTuples(t, n, "tcp 203.0.113.1>203.0.113.20 10.1.1.11>203.0.113.1", "tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.20")
	n.Weir.Apply(strings.Replace(natModel(kept(none)), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1))
	live("without the address", time.Second, false)
}

// TestWhatIsKeptGoesOnToBackendsOutside has a policy that keeps deny by now what has been opened to backends outside. It goes
// on as what it has left as, while its tenant has that.
func TestWhatIsKeptGoesOnToBackendsOutside(t *testing.T) {
	const pool = `addresses: [203.0.113.10, "2001:db8::10"]`
	model := func(action, all string) string {
		kept := object("Policy", "name: p, tenant: t", "onRevoke: keep, rules: [{name: out, direction: egress, action: "+action+", protocol: tcp}]")
		return strings.Replace(abroadModel("{address: 203.0.113.7}", kept, floatingIP("h2-ip", "203.0.113.22", "h2")), snat("all", pool), snat("all", all), 1)
	}
	n, h1, h2, _, out := abroad(t, model("allow", pool))
	echoAbroad(t, out)
	in, by, floats := opened(t, h1, "10.1.1.64:90"), opened(t, h1, "203.0.113.64:90"), opened(t, h2, "10.1.1.64:90")
	live := func(when string, patience time.Duration, first bool) {
		t.Helper()
		for name, err := range map[string]error{"outside": say(by, "hello", ovstest.Patience), "floating": say(floats, "hello", ovstest.Patience)} {
			if err != nil {
				t.Errorf("%s, %s: %v", when, name, err)
			}
		}
		if err := say(in, "hello", patience); (err == nil) != first {
			t.Errorf("%s, inside: %v; it should live: %v", when, err, first)
		}
	}
	live("at first", ovstest.Patience, true)
	n.Weir.Apply(model("deny", pool))
	timesOut(t, h1, "10.1.1.64:90")
	live("denied", ovstest.Patience, true)
	n.Weir.Apply(model("deny", pool+", priority: 50"))
	live("denied, and the SNAT is another", ovstest.Patience, true)
	n.Weir.Apply(model("deny", "addresses: [203.0.113.11]"))
	live("denied, and without the address", time.Second, false)
	const gone = "tcp 10.1.1.11>203.0.113.7 203.0.113.7>203.0.113.10"
	ovstest.Eventually(t, "nothing leaves as what is gone", func() error {
		if got := strings.Join(tuplesOf(n, "t"), "\n"); strings.Contains(got, gone) {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
}
