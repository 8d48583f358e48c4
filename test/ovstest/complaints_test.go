package ovstest

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestWhatATestComplainsAboutIsFoundInItsOutput(t *testing.T) {
	sources := fstest.MapFS{"a_test.go": {Data: []byte("package a\n\tt.Logf(\"%d\", 1)\n\tt.Errorf(\"%d\", 2)\n\tif t.Log(x); x > 2 {\n\tt.Logf(\"%d entries were gone after %v\", 1, 2)\n")}}
	const output = `=== RUN   TestBefore
    a_test.go:3: of another test
--- PASS: TestBefore (0.00s)
=== RUN   TestA
    a_test.go:2: noted
        and more of it
=== RUN   TestA/b
    a_test.go:3: wrong
        in two lines
        or three
=== NAME  TestA
    a_test.go:4: noted
    a_test.go:3: 5 entries were gone after 7ms
    ovstest.go:3: of the harness
`
	want := []string{"a_test.go:3: wrong | in two lines | or three", "ovstest.go:3: of the harness"}
	if got := complaintsOf(output, "TestA", sources); !slices.Equal(got, want) {
		t.Errorf("complaints are %q, want %q", got, want)
	}
	if got := complaintsOf(output, "TestA", nil); len(got) != 5 {
		t.Errorf("without the sources they are %q, want all 5", got)
	}
	long := complaintsOf("    a_test.go:3: "+strings.Repeat("x", 10000)+"\n", "TestA", sources)
	if len(long) != 1 || len(long[0]) != repeatedSize {
		t.Errorf("a long one has become %d, want one of %d bytes", len(long), repeatedSize)
	}
}
