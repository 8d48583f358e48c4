package ofproto

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// A vector is bytes, and the text that Open vSwitch 3.1 gives for them.
type vector struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Hex   string `json:"hex"`
	Text  string `json:"text"`
	Error string `json:"error"`
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

// knows reports whether the codec has a type for all of the actions.
func knows(actions []Action) bool {
	for _, a := range actions {
		switch a := a.(type) {
		case Raw, RawInstruction:
			return false
		case ConnTrack:
			if !knows(a.Exec) {
				return false
			}
		}
	}
	return true
}

// flowText is how ofp-print writes a flow-mod that adds.
func flowText(f Flow) string {
	s := "OFPT_FLOW_MOD (OF1.3) (xid=0x0): ADD"
	if f.Table != 0 {
		s += " table:" + GotoTable(f.Table).String()[len("goto_table:"):]
	}
	m := f.Match.String()
	if f.Priority != 0x8000 {
		m = (&Flow{Priority: f.Priority, Match: f.Match}).matchText()
	}
	if m != "" {
		s += " " + m
	}
	return s + " actions=" + Text(f.Actions)
}

func TestFlowModsOfOpenVSwitchAreReadWrittenAndPrintedAsItDoes(t *testing.T) {
	var same, unknown, kept, other int
	for _, v := range vectors(t, "flowmods_of13.jsonl") {
		if v.Kind != "message_flow" {
			continue
		}
		b := v.bytes(t)
		_, m, err := Decode(b)
		if err != nil {
			unknown++ // a field or an instruction that is not spoken yet
			continue
		}
		fm, ok := m.(FlowMod)
		if !ok || fm.Flow.RawMatch != "" || !knows(fm.Flow.Actions) {
			if again, err := Append(nil, 0, fm); ok && err == nil && bytes.Equal(again, b) {
				kept++
			}
			unknown++
			continue
		}
		if !strings.HasPrefix(v.Text, "OFPT_FLOW_MOD (OF1.3) (xid=0x0): ADD") || fm.Flow.Cookie != 0 || fm.Flow.IdleTimeout != 0 || fm.Flow.HardTimeout != 0 || fm.Flow.Flags != 0 {
			other++ // the text has more in it than a Flow prints
			continue
		}
		again, err := Append(nil, 0, fm)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: %s\n got %x %v\nwant %x", v.ID, v.Text, again, err, b)
		}
		if got := flowText(fm.Flow); got != v.Text {
			t.Errorf("%s:\n got %s\nwant %s", v.ID, got, v.Text)
		}
		same++
	}
	t.Logf("%d flow-mods are the same, %d have parts that are not known, %d of these go back as they came; %d print more than a flow", same, unknown, kept, other)
	if same < 100 {
		t.Errorf("only %d were compared", same)
	}
}

func TestActionsOfOpenVSwitchAreReadWrittenAndPrintedAsItDoes(t *testing.T) {
	var same, raw int
	for _, v := range vectors(t, "actions_of13.jsonl") {
		if v.Kind != "action_list" || v.Error != "" {
			continue
		}
		b := v.bytes(t)
		d := decoder{b: b, what: "actions"}
		actions := d.actions(len(b))
		if d.err != nil {
			t.Errorf("%s: %s: %v", v.ID, v.Text, d.err)
			continue
		}
		if !knows(actions) {
			again, err := appendActions(nil, actions)
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%s: what is not known does not go back as it came: %x, want %x", v.ID, again, b)
			}
			raw++
			continue
		}
		if got := Text(actions); got != v.Text {
			t.Errorf("%s %s:\n got %s\nwant %s", v.ID, v.Hex, got, v.Text)
		}
		same++
	}
	t.Logf("%d action lists are the same, %d are kept raw", same, raw)
	if same < 20 {
		t.Errorf("only %d were compared", same)
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f, "flowmods_of13.jsonl") {
		f.Add(v.bytes(f))
	}
	f.Add([]byte{4, 0, 0, 16, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}) // a HELLO with an element of length 0
	f.Add([]byte{4, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{4, 14, 0, 7, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		xid, m, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Append(nil, xid, m)
		if err != nil {
			return // longer than a message may be, once padding is put in
		}
		_, m2, err := Decode(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%x\n%x", err, b, again)
		}
		third, err := Append(nil, xid, m2)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("reading and writing does not settle: %v\n%x\n%x", err, again, third)
		}
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		DecodeFlowStats(nil, b)
		DecodeGroupDesc(nil, b)
		DecodeMeterConfig(nil, b)
	})
}

func ExampleFlow() {
	f := Flow{
		Table: 24, Priority: 300, Cookie: 5,
		Match:   MatchOn(CT(New|Trk, 0), Masked(Reg5, 4096, 0xffff), IsIPv4, Is(IPProto, 6), Is(TCPDst, 80)),
		Actions: []Action{Set(Reg0.Range(24, 31), 3), GotoTable(36)},
	}
	fmt.Println(f)
	// Output: cookie=0x5, table=24, priority=300,ct_state=+new+trk,tcp,reg5=0x1000/0xffff,tp_dst=80 actions=load:0x3->NXM_NX_REG0[24..31],goto_table:36
}
