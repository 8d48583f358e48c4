package conntrack

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"weir/internal/sandbox/sandboxtest"
)

func TestStatsAreRead(t *testing.T) {
	const text = "Connections Stats:\n    Total: 6\n  TCP: 3\n    Conn per TCP states:\n\t  [SYN_SENT]=1\n\t  [ESTABLISHED]=2\n  UDP: 1\n  UDPLITE: 2\n  Later thing: many\n"
	good := strings.Replace(text, "  Later thing: many\n", "  Later heading\n", 1)
	s, err := ParseStats(good)
	if err != nil || s.Total != 6 || !slices.Equal(s.Protocols, []Count{{"tcp", 3}, {"udp", 1}, {"udplite", 2}}) || !slices.Equal(s.TCPStates, []Count{{"SYN_SENT", 1}, {"ESTABLISHED", 2}}) {
		t.Errorf("%+v, %v", s, err)
	}
	for bad, why := range map[string]string{
		text:      `line 9: "many" is no number in "Later thing: many"`,
		"":        "there is no total",
		good[:20]: "there is no total",
		strings.Replace(good, "[SYN_SENT]=1", "[SYN_SENT]=", 1): `line 5: "" is no number`,
	} {
		if _, err := ParseStats(bad); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %s", bad, err, why)
		}
	}
}

func FuzzParseStats(f *testing.F) {
	f.Add("Connections Stats:\n    Total: 6\n  TCP: 3\n\t  [SYN_SENT]=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStats(text)
		if err != nil && (s.Total != 0 || s.Protocols != nil) || err == nil && !strings.Contains(text, "Total: ") {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	})
}

// TestStatsOfARealDatapath counts, and changes what can be changed.
func TestStatsOfARealDatapath(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	sandboxtest.Crowd(t, box, 3, 4)
	d := NewDatapath(box.RunDir(), "dummy")
	for zone, want := range map[uint16]uint64{0: 12, 2: 4, 9: 0} {
		s, err := d.Stats(t.Context(), zone)
		if err != nil || s.Total != want || want > 0 && !slices.Equal(s.Protocols, []Count{{"udp", want}}) {
			t.Errorf("zone %d: %+v, %v", zone, s, err)
		}
	}
	if on, err := d.SequenceCheck(t.Context()); !on || err != nil {
		t.Errorf("%v, %v", on, err)
	}
	if _, err := box.Appctl("dpctl/ct-disable-tcp-seq-chk"); err != nil {
		t.Fatal(err)
	}
	if on, err := d.SequenceCheck(t.Context()); on || err != nil {
		t.Errorf("%v, %v", on, err)
	}
	if err := d.SetMax(t.Context(), 12); err != nil {
		t.Error(err)
	}
	if n, most, err := d.Fill(t.Context()); n != 12 || most != 12 || err != nil {
		t.Errorf("%d of %d, %v", n, most, err)
	}
	if err := supported(errors.New("other")); errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	_, err := d.ask(t.Context(), "dpctl/no-such")
	if !errors.Is(supported(err), ErrUnsupported) {
		t.Error(err)
	}
}
