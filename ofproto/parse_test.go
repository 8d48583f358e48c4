package ofproto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// sent returns the body of m in hexadecimal, or the error.
func sent(m Message, err error) string {
	if err != nil {
		return err.Error()
	}
	b, err := Append(nil, 0, m)
	if err != nil {
		return err.Error()
	}
	return hex.EncodeToString(b[HeaderLen:])
}

// zeroes is n bytes of zero in hexadecimal.
func zeroes(n int) string { return strings.Repeat("00", n) }

// A sentText is a text, and what ovs-ofctl sends for it or why it does not.
type sentText struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Hex   string `json:"hex"`
	In    string `json:"text_in"`
	Text  string `json:"text"` // that is refused
	Error string `json:"error"`
}

func sentTexts(t testing.TB, name string) (all []sentText) {
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var v sentText
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// encodeText is what weir ofp encode does.
func encodeText(kind, s string) ([]byte, error) {
	var m Message
	var err error
	switch kind {
	case "flow":
		m, err = ParseFlowMod(FlowAdd, s)
	case "group":
		m, err = ParseGroupMod(GroupAdd, s)
	case "meter":
		m, err = ParseMeterMod(MeterAdd, s)
	default:
		return nil, fmt.Errorf("there is no %s in OpenFlow 1.3", kind)
	}
	if err != nil {
		return nil, err
	}
	return Append(nil, 0, m)
}
