package ofproto

import (
	"bytes"
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

// TestVectorsOfMessagesAreWrittenAsTheyWereRead counts those that are: others were not
// written by Open vSwitch, which leaves out what it does not know, says fields by newer
// names, and puts properties in one order.
func TestVectorsOfMessagesAreWrittenAsTheyWereRead(t *testing.T) {
	same, all := 0, 0
	for _, file := range []string{"messages_of13.jsonl", "flowmods_of13.jsonl"} {
		for _, v := range vectors(t, file) {
			b := v.bytes(t)
			if Check(b) != nil {
				continue
			}
			xid, m, err := DecodeStrict(b)
			if err != nil {
				t.Errorf("%s %s: %v", v.ID, v.Hex, err)
				continue
			}
			again, err := Append(nil, xid, m)
			if err != nil {
				t.Errorf("%s %s: %v", v.ID, v.Hex, err)
				continue
			}
			all++
			if bytes.Equal(again, b) {
				same++
			} else if strings.HasPrefix(v.ID, "live:") && b[0] == Version && !strings.Contains(v.ID, "ct-flush-mark") {
				t.Errorf("%s, from a session with a switch, is written\n as %x\nnot %x", v.ID, again, b)
			}
		}
	}
	t.Logf("%d of %d are written as they were read", same, all)
	if same < 875 {
		t.Errorf("only %d of %d are written as they were read", same, all)
	}
}
