// Package drawn has rapid draw the same cases in each run of a test, so that nobody's change
// fails for what another has made.
package drawn

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// Cases sets how many cases rapid draws until t ends: a few, or many in the integration
// tests. Who gives -rapid.checks, as make dice does, has others drawn each time. What fails
// is in the message, and in no file.
func Cases(t testing.TB, few, many int) {
	set(t, "rapid.nofailfile", "true")
	if f := flag.Lookup("rapid.checks"); f.Value.String() != f.DefValue {
		return
	}
	n := few
	if os.Getenv("WEIR_INTEGRATION") != "" {
		n = many
	}
	set(t, "rapid.checks", fmt.Sprint(n))
	if f := flag.Lookup("rapid.seed"); f.Value.String() == f.DefValue {
		set(t, "rapid.seed", "1")
	}
}

// set sets a flag of the test's binary until the test has ended.
func set(t testing.TB, name, value string) {
	f := flag.Lookup(name)
	was := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatalf("-%s=%s: %v", name, value, err)
	}
	t.Cleanup(func() { _ = f.Value.Set(was) })
}
