package ofproto

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// An actionVector is what Open vSwitch says of the bytes of a list of actions or instructions.
type actionVector struct {
	ID, Kind, Hex, Text, Error string
	CanonicalHex               string `json:"canonical_hex"`
	TableID                    uint8  `json:"table_id"`
}

func actionVectors(t testing.TB, name string) (all []actionVector) {
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var v actionVector
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if v.Kind == "action_list" || v.Kind == "instructions" {
			all = append(all, v)
		}
	}
	return all
}

// answer is what parse-actions or parse-instructions of ovs-ofctl say: the error, or the
// text and the bytes that are written again.
func answer(kind string, b []byte, table Table) (text, again string, err error) {
	decode, encode := DecodeActions, AppendActions
	if kind == "instructions" {
		decode, encode = DecodeInstructions, AppendInstructions
	}
	actions, err := decode(b)
	if err == nil && kind == "instructions" {
		err = checkConsistent(nil, table, actions)
	}
	if err != nil {
		return "", "", err
	}
	out, err := encode(nil, actions)
	return Text(actions), hex.EncodeToString(out), err
}
