package ofproto

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

// slowFlowStats is DecodeFlowStats without its shortcut.
func slowFlowStats(body []byte) ([]FlowStats, error) {
	return decodeAll([]FlowStats(nil), body, "flow stats", false, (*decoder).flowStats)
}

// sameAsSlow fails if the shortcut reads body otherwise.
func sameAsSlow(t testing.TB, body []byte) {
	t.Helper()
	quick, quickErr := DecodeFlowStats(nil, body)
	slow, slowErr := slowFlowStats(body)
	if !reflect.DeepEqual(quick, slow) && len(quick)+len(slow) > 0 {
		t.Fatalf("%x is read\n as %v\n not %v", body, quick, slow)
	}
	var a, b ErrorCode
	if errors.As(quickErr, &a) != errors.As(slowErr, &b) || a != b || (quickErr == nil) != (slowErr == nil) {
		t.Fatalf("%x: %v, not %v", body, quickErr, slowErr)
	}
}

func vectorFlowStats(t testing.TB) (entries [][]byte) {
	for _, v := range vectors(t, "flowmods_of13.jsonl") {
		if v.Kind != "message_flow" {
			continue
		}
		if _, m, err := Decode(v.bytes(t)); err == nil {
			if e, err := AppendFlowStats(nil, FlowStats{Flow: m.(FlowMod).Flow, Packets: 1, Bytes: 60, DurationSec: 7}); err == nil {
				entries = append(entries, e)
			}
		}
	}
	for i := range 20 {
		for _, f := range []Flow{typicalFlow(i), policyFlow(i)} {
			e, _ := AppendFlowStats(nil, FlowStats{Flow: f})
			entries = append(entries, e)
		}
	}
	return entries
}

func TestTheShortcutThroughFlowRepliesReadsWhatTheDecoderReads(t *testing.T) {
	entries := vectorFlowStats(t)
	var body []byte
	for _, e := range entries {
		sameAsSlow(t, e)
		body = append(body, e...)
	}
	sameAsSlow(t, body)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 { // damaged in one place, behind one that is not
		e := entries[r.IntN(len(entries))]
		at := len(e)
		body := append(append([]byte{}, e...), entries[r.IntN(len(entries))]...)
		body[at+r.IntN(len(body)-at)] ^= 1 << r.IntN(8)
		sameAsSlow(t, body)
	}
}

func FuzzDecodeFlowStats(f *testing.F) {
	for _, e := range vectorFlowStats(f) {
		f.Add(e)
	}
	f.Add(make([]byte, 56)) // an entry of length 0
	f.Fuzz(func(t *testing.T, body []byte) { sameAsSlow(t, body) })
}
