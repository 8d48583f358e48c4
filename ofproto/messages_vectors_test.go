package ofproto

import (
	"errors"
	"strings"
	"testing"
)

// printed compares what Print gives for a vector with what Open vSwitch gave.
func printed(t *testing.T, v vector) bool {
	got, err := Print(v.bytes(t))
	var code ErrorCode
	switch {
	case v.Error != "" && errors.As(err, &code) && code.Error() == v.Error:
		return true
	case v.Error != "":
		t.Errorf("%s %s: %v, want %s", v.ID, v.Hex, err, v.Error)
	case err != nil:
		t.Errorf("%s %s: %v\nwant %s", v.ID, v.Hex, err, v.Text)
	case got != strings.TrimRight(v.Text, "\n"):
		t.Errorf("%s %s:\n got %s\nwant %s", v.ID, v.Hex, got, v.Text)
	default:
		return true
	}
	return false
}

func TestVectorsOfMessagesArePrintedAndRefused(t *testing.T) {
	for _, file := range []string{"messages_of13.jsonl", "flowmods_of13.jsonl"} {
		same, refused, all := 0, 0, 0
		for _, v := range vectors(t, file) {
			all++
			if !printed(t, v) {
				continue
			}
			if same++; v.Error != "" {
				refused++
			}
		}
		t.Logf("%s: %d of %d are printed as Open vSwitch prints them, %d of these are refused as it refuses them", file, same, all, refused)
	}
}
