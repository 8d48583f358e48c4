package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// messages returns the bodies in a file of testdata: each comes behind its length.
func messages(t testing.TB, path string) (all [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b))
		all, b = append(all, b[2:2+n]), b[2+n:]
	}
	return all
}

// recorded are the files of what kernels were heard to say.
func recorded(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob("testdata/linux-*.messages")
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	return all
}

// TestWhatKernelsHaveSaid reads what kernels were heard to say, and compares it with what was read then.
func TestWhatKernelsHaveSaid(t *testing.T) {
	for _, path := range recorded(t) {
		var d decoder
		var got strings.Builder
		for _, body := range messages(t, path) {
			var e Entry
			if err := d.entry(body, &e); err != nil {
				t.Fatal(path, err)
			}
			fmt.Fprintf(&got, "%+v\n", e)
		}
		if *update {
			if err := os.WriteFile(path+".txt", []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Error(path, diff)
		}
	}
}

// TestDamageIsSaid cuts a message at each byte, and gives it what cannot be.
func TestDamageIsSaid(t *testing.T) {
	body := messages(t, recorded(t)[0])[0]
	var d decoder
	var whole Entry
	if err := d.entry(body, &whole); err != nil {
		t.Fatal(err)
	}
	for n := range body {
		var e Entry
		err := d.entry(body[:n], &e)
		if err == nil && (e.Orig != whole.Orig || e.Reply != whole.Reply) {
			t.Errorf("cut at byte %d it is %+v", n, e)
		}
	}
	for name, c := range map[string]struct {
		body []byte
		why  string
	}{
		"nothing":            {nil, "0 bytes are too few"},
		"no attributes":      {[]byte{familyV4, 0, 0, 0}, "tuples are missing"},
		"another family":     {[]byte{7, 0, 0, 0}, "family 7"},
		"a short zone":       {append([]byte{familyV4, 0, 0, 0}, message1(ctaZone, 1)...), "attribute 18 has 1 bytes, want 2"},
		"a long mark":        {append([]byte{familyV4, 0, 0, 0}, message1(ctaMark, 1, 2, 3, 4, 5)...), "attribute 8 has 5 bytes, want 4"},
		"too long":           {[]byte{familyV4, 0, 0, 0, 99, 0, 1, 0}, "says that it has 99 bytes, and there are 4"},
		"no length":          {[]byte{familyV4, 0, 0, 0, 0, 0, 1, 0}, "says that it has 0 bytes"},
		"something too much": {[]byte{familyV4, 0, 0, 0, 4}, "1 bytes are left over"},
		"inside":             {append([]byte{familyV4, 0, 0, 0}, message1(ctaTupleOrig, 5, 0, 9)...), "in attribute 1: 3 bytes are left over"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := d.entry(c.body, new(Entry)); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, want %q", err, c.why)
			}
		})
	}
	if _, _, err := cutMessage([]byte{20, 0, 0, 0}); !errors.Is(err, errCut) {
		t.Error(err)
	}
}

// message1 is one attribute.
func message1(typ uint16, value ...byte) []byte {
	var r request
	r.attr(typ, value...)
	return r.b
}

func FuzzKernelMessage(f *testing.F) {
	for _, path := range recorded(f) {
		for _, body := range messages(f, path) {
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var d decoder
		var e Entry
		if err := d.entry(body, &e); err == nil && (!e.Orig.Src.IsValid() || !e.Reply.Src.IsValid()) {
			t.Errorf("%x is %+v", body, e)
		}
		var x Expectation
		if err := d.expectation(body, &x); err == nil && !x.Tuple.Dst.IsValid() {
			t.Errorf("%x is %+v", body, x)
		}
		for rest, n := body, 0; len(rest) > 0; n++ {
			m, more, err := cutMessage(rest)
			if err != nil {
				break
			}
			_ = failure("fuzz", m)
			if len(more) >= len(rest) {
				t.Fatalf("%x: no progress", rest)
			}
			rest = more
		}
	})
}
