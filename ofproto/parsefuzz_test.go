package ofproto

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// seedTexts adds the recorded texts of a kind, the refused ones too, and some random ones.
func seedTexts(f *testing.F, kind string) {
	for _, v := range vectors(f, "flowmods_of13.jsonl") {
		if v.Kind == "message_"+kind {
			f.Add(v.TextIn)
		}
	}
	for _, v := range vectors(f, "texts_rejected_of13.jsonl") {
		if v.Kind == "text_rejected_"+kind {
			f.Add(v.Text)
		}
	}
	for seed := range uint64(200) {
		f.Add(seeded(seed).textOf(kind))
	}
}

// sane fails if an error does not say where in s it is.
func sane(t *testing.T, s string, err error) {
	t.Helper()
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Text != s || syntax.Offset < 0 || syntax.Offset > len(s) || syntax.Reason == "" {
		t.Fatalf("%q: %#v", s, err)
	}
}

// sendable reports whether m can be written and is what a switch takes: what it does not
// take has no text of its own.
func sendable(t *testing.T, m Message) bool {
	t.Helper()
	b, err := Append(nil, 0, m)
	return err == nil && Check(b) == nil
}

func FuzzParseFlow(f *testing.F) {
	seedTexts(f, "flow")
	f.Fuzz(func(t *testing.T, s string) {
		flow, err := ParseFlow(s)
		if err != nil {
			sane(t, s, err)
			return
		}
		if !sendable(t, FlowMod{Flow: flow}) || slices.ContainsFunc(flow.Match, unsaid) || slices.ContainsFunc(flow.Actions, losesInText) {
			return
		}
		again, err := ParseFlow(flow.String())
		if err != nil || !again.Equal(flow) {
			t.Fatalf("%q is\n%v, which is\n%v %v", s, flow, again, err)
		}
	})
}

func FuzzParseGroup(f *testing.F) {
	seedTexts(f, "group")
	f.Fuzz(func(t *testing.T, s string) {
		group, err := ParseGroup(s)
		if err != nil {
			sane(t, s, err)
			return
		}
		lossy := func(b Bucket) bool { return slices.ContainsFunc(b.Actions, losesInText) }
		if !sendable(t, GroupMod{Group: group}) || slices.ContainsFunc(group.Buckets, lossy) {
			return
		}
		again, err := ParseGroup(group.String())
		if err != nil || !again.Equal(group) {
			t.Fatalf("%q is\n%v, which is\n%v %v", s, group, again, err)
		}
	})
}

func FuzzParseMeter(f *testing.F) {
	seedTexts(f, "meter")
	f.Fuzz(func(t *testing.T, s string) {
		meter, err := ParseMeter(s)
		if err != nil {
			sane(t, s, err)
			return
		}
		for _, text := range []string{meter.String(), strings.ReplaceAll(meter.String(), "\n", " ")} {
			again, err := ParseMeter(text)
			if err != nil || !again.Equal(meter) {
				t.Fatalf("%q is\n%v, which is\n%v %v", s, meter, again, err)
			}
		}
	})
}
