package ofproto

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// A vector is bytes, and the text that Open vSwitch 3.1 gives for them; or the error
// with which it refuses one or the other.
type vector struct {
	ID           string `json:"id"`
	Kind         string `json:"kind"`
	Hex          string `json:"hex"`
	Text         string `json:"text"`
	Error        string `json:"error"`
	CanonicalHex string `json:"canonical_hex"`   // what is written after reading
	Lossy        bool   `json:"canonical_lossy"` // what is written says less: it prints otherwise
	TextIn       string `json:"text_in"`         // what ovs-ofctl was given, to send hex
	TableID      Table  `json:"table_id"`        // of a flow with these instructions
}

func vectors(t testing.TB, name string) (all []vector) {
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func (v vector) bytes(t testing.TB) []byte {
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(v.ID, err)
	}
	return b
}

// A codecCheck goes one way with a vector, and says what came out otherwise. It reports
// false if the vector does not say what comes out that way.
type codecCheck func(v vector, b []byte) (wrong error, goes bool)

// vectorFiles are the recorded vectors, with the ways to go.
var vectorFiles = []struct {
	name    string
	checks  map[string]codecCheck
	atLeast int
}{
	{"actions_of13.jsonl", map[string]codecCheck{"bytes to text": partToText, "bytes to bytes": partToBytes, "text to bytes": partOfText}, 570},
	{"oxm.jsonl", map[string]codecCheck{"bytes to text": partToText, "bytes to bytes": partToBytes, "text to bytes": partOfText}, 508},
	{"messages_of13.jsonl", map[string]codecCheck{"bytes to text": messageToText, "text to bytes": messageOfText}, 444},
	{"flowmods_of13.jsonl", map[string]codecCheck{"bytes to text": messageToText, "bytes to bytes": messageToBytes, "text to bytes": messageOfText}, 512},
	{"mutations_of13.jsonl", map[string]codecCheck{"bytes to text": partToText, "bytes to bytes": partToBytes}, 1551},
	{"texts_rejected_of13.jsonl", map[string]codecCheck{"text to bytes": rejectedText}, 38},
}

// TestVectors goes every way with every vector. Those of testdata/exceptions.txt come out
// otherwise, each for its reason; a vector that need not stand there fails as well.
func TestVectors(t *testing.T) {
	except := exceptions(t)
	all, excepted := 0, 0
	for _, file := range vectorFiles {
		vs := vectors(t, file.name)
		if all += len(vs); len(vs) < file.atLeast {
			t.Errorf("%s has %d vectors of %d", file.name, len(vs), file.atLeast)
		}
		for way, check := range file.checks {
			same, otherwise := 0, 0
			for _, v := range vs {
				wrong, goes := check(v, v.bytes(t))
				key := v.ID + " " + way
				switch reason := except[key]; {
				case wrong == nil && reason != "":
					t.Errorf("%s %s is as Open vSwitch has it: testdata/exceptions.txt need not list it", v.ID, way)
				case wrong != nil && reason == "":
					t.Errorf("%s %s: %s %s%s: %v", v.ID, way, v.Hex, v.TextIn, v.Text, wrong)
				case wrong != nil:
					otherwise++
				case goes:
					same++
				}
				delete(except, key)
			}
			t.Logf("%-25s %-14s %4d as Open vSwitch has them, %d otherwise, of %d", file.name, way, same, otherwise, len(vs))
			excepted += otherwise
		}
	}
	for key := range except {
		t.Errorf("testdata/exceptions.txt lists %s, which there is not", key)
	}
	if 100*excepted > all {
		t.Errorf("%d exceptions of %d vectors are more than one in a hundred", excepted, all)
	}
}

// exceptions reads testdata/exceptions.txt: on each line a vector, the way in which it
// comes out otherwise, a colon, and why.
func exceptions(t *testing.T) map[string]string {
	b, err := os.ReadFile("testdata/exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, reason, ok := strings.Cut(line, ": ")
		if !ok || reason == "" {
			t.Fatalf("testdata/exceptions.txt: %q gives no reason", line)
		}
		all[key] = reason
	}
	return all
}

// sameRefusal compares the error of something that is refused.
func sameRefusal(err error, want string) error {
	var code ErrorCode
	got := "PARSE_ERROR"
	switch {
	case err == nil:
		return fmt.Errorf("taken, want %s", want)
	case errors.As(err, &code):
		got = code.Error()
	}
	if got != want {
		return fmt.Errorf("%w, want %s", err, want)
	}
	return nil
}

func equal(got, want string) error {
	if got != want {
		return fmt.Errorf("\n got %s\nwant %s", got, want)
	}
	return nil
}

// decodePart reads a part of a message, as text and as the bytes that are written again.
func decodePart(v vector, b []byte) (text, again string, err error) {
	var out []byte
	switch v.Kind {
	case "oxm_match":
		m, err := DecodeMatch(b)
		return m.String(), hex.EncodeToString(AppendMatch(nil, m)), err
	case "action_list":
		actions, err := DecodeActions(b)
		if err != nil {
			return "", "", err
		}
		out, err = AppendActions(nil, actions)
		return Text(actions), hex.EncodeToString(out), err
	case "instructions":
		actions, err := DecodeInstructions(b)
		if err == nil {
			err = checkConsistent(nil, v.TableID, actions)
		}
		if err != nil {
			return "", "", err
		}
		out, err = AppendInstructions(nil, actions)
		return Text(actions), hex.EncodeToString(out), err
	}
	return "", "", fmt.Errorf("vector of kind %s", v.Kind)
}

func partToText(v vector, b []byte) (error, bool) {
	text, _, err := decodePart(v, b)
	switch {
	case v.Error != "":
		return sameRefusal(err, v.Error), true
	case err != nil:
		return err, true
	}
	return equal(text, v.Text), true
}

func partToBytes(v vector, b []byte) (error, bool) {
	if v.Error != "" || v.CanonicalHex == "" {
		return nil, false
	}
	_, again, err := decodePart(v, b)
	if err != nil {
		return err, true
	}
	return equal(again, v.CanonicalHex), true
}

// partOfText parses the text of a part; it need not be what was read first, as far as what
// is written prints the same.
func partOfText(v vector, b []byte) (error, bool) {
	if v.Error != "" || v.Lossy {
		return nil, false
	}
	var out []byte
	var err error
	switch v.Kind {
	case "oxm_match":
		var m Match
		m, err = ParseMatch(v.Text)
		out = AppendMatch(nil, m)
	case "action_list":
		var actions []Action
		if actions, err = ParseActions(v.Text); err == nil {
			out, err = AppendActions(nil, actions)
		}
	case "instructions":
		var actions []Action
		if actions, err = ParseInstructions(v.Text); err == nil {
			out, err = AppendInstructions(nil, actions)
		}
	}
	if err != nil {
		return err, true
	}
	if hex.EncodeToString(out) == v.CanonicalHex {
		return nil, true
	}
	text, _, err := decodePart(v, out)
	if err != nil {
		return err, true
	}
	return equal(text, v.Text), true
}

func messageToText(v vector, b []byte) (error, bool) {
	text, err := Print(b)
	switch {
	case v.Error != "":
		return sameRefusal(err, v.Error), true
	case err != nil:
		return err, true
	}
	return equal(text, strings.TrimRight(v.Text, "\n")), true
}

func messageToBytes(v vector, b []byte) (error, bool) {
	if v.Error != "" {
		return nil, false
	}
	xid, m, err := DecodeStrict(b)
	if err != nil {
		return err, true
	}
	again, err := Append(nil, xid, m)
	if err != nil {
		return err, true
	}
	return equal(hex.EncodeToString(again), v.Hex), true
}

// textCommands are the commands of ovs-ofctl that send the messages.
var textCommands = map[string]func(s string) (Message, error){
	"flow":      func(s string) (Message, error) { return ParseFlowMod(FlowAdd, s) },
	"mod_flow":  func(s string) (Message, error) { return ParseFlowMod(FlowModify, s) },
	"del_flow":  func(s string) (Message, error) { return ParseFlowMod(FlowDelete, s) },
	"group":     func(s string) (Message, error) { return ParseGroupMod(GroupAdd, s) },
	"mod_group": func(s string) (Message, error) { return ParseGroupMod(GroupModify, s) },
	"del_group": func(s string) (Message, error) { return ParseGroupMod(GroupDelete, s) },
	"meter":     func(s string) (Message, error) { return ParseMeterMod(MeterAdd, s) },
	"del_meter": func(s string) (Message, error) { return ParseMeterMod(MeterDelete, s) },
}

func messageOfText(v vector, b []byte) (error, bool) {
	parse, ok := textCommands[strings.TrimPrefix(v.Kind, "message_")]
	if !ok || v.TextIn == "" {
		return nil, false
	}
	m, err := parse(v.TextIn)
	if err != nil {
		return err, true
	}
	got, err := Append(nil, 0, m)
	if err != nil {
		return err, true
	}
	return equal(hex.EncodeToString(got), v.Hex), true
}

func rejectedText(v vector, _ []byte) (error, bool) {
	parse, ok := textCommands[strings.TrimPrefix(v.Kind, "text_rejected_")]
	if !ok { // there are no buckets to insert in OpenFlow 1.3
		return nil, true
	}
	m, err := parse(v.Text)
	if err == nil {
		_, err = Append(nil, 0, m)
	}
	return sameRefusal(err, v.Error), true
}
