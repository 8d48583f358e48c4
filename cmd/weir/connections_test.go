package main

import (
	"testing"

	"weir/api"
)

func TestAConnectionSaysWhatBecameOfIt(t *testing.T) {
	for want, c := range map[string]api.Connection{
		"ESTABLISHED":         {State: "ESTABLISHED"},
		"ESTABLISHED AUDITED": {State: "ESTABLISHED", Audited: true},
		"AUDITED":             {Audited: true}, // of UDP, which has no state
		"BLOCKED":             {Blocked: true, Audited: true},
	} {
		if got := stateText(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
