package ofproto

import (
	"encoding/hex"
	"errors"
	"testing"
)

// What a reading that is not strict makes of what a switch of a later version may say: it goes
// back as it came.
var keptLists = []struct {
	name string
	hex  string
	text string
}{
	{"an action that is not known", "0064000800000000", "raw:0064000800000000"},
	{"an action of a vendor that is not known, between two others", "00000010000000010000000000000000" + "ffff00100000000100010000000000ff" + "00000010000000020000000000000000",
		"output:1,raw:ffff00100000000100010000000000ff,output:2"},
	{"an action with an argument that cannot be", "ffff0010000023200022000100000007", "raw:ffff0010000023200022000100000007"},
	{"an action of another length", "ffff0018000023200011000000000000" + "0000000000000000", "raw:ffff00180000232000110000000000000000000000000000"},
	{"an action in which more is said than there is to say", "ffff0010000023200011000000000001", "raw:ffff0010000023200011000000000001"},
	{"a ct with a flag that is not known", "ffff00180000232000230101000000000000ff0000000000", "ct(commit)"},
	{"a ct in which more is said than there is to say", "ffff00180000232000230001000000000000ff0000010000", "raw:ffff00180000232000230001000000000000ff0000010000"},
	{"a ct with a nat that says more", "ffff00280000232000230001000000000000ff0000000000" + "ffff0010000023200024000000010100", "raw:ffff00280000232000230001000000000000ff0000000000ffff0010000023200024000000010100"},
	{"a ct with an action that is not known", "ffff00200000232000230001000000000000ff0000000000" + "0064000800000000", "raw:ffff00200000232000230001000000000000ff00000000000064000800000000"},
	{"a clone with an action that is not known, before another action", "ffff002800002320002a000000000000" + "00000010000000010000000000000000" + "0064000800000000" + "00000010000000020000000000000000",
		"raw:ffff002800002320002a000000000000000000100000000100000000000000000064000800000000,output:2"},
	{"a clone in a clone with an action of length 0", "ffff002800002320002a000000000000" + "ffff001800002320002a000000000000" + "0000000000000000", "raw:ffff002800002320002a000000000000ffff001800002320002a0000000000000000000000000000"},
	{"debugging, which a switch in a test says", "ffff00100000232000fe000000000000" + "ffff002000002320002a000000000000" + "ffff00100000232000ff000000000000", "debug_slow,clone(debug_recirc)"},
	{"a conjunction beside an output", "ffff0010000023200022000200000007" + "00000010000000010000000000000000", "conjunction(7,1/2),output:1"},
}

var keptInstructions = []struct {
	name string
	hex  string
	text string
}{
	{"an instruction that is not known", "0007000800000000" + "0001000805000000", "instruction:0007000800000000,goto_table:5"},
	{"an instruction of an experimenter", "ffff001000000001deadbeefdeadbeef", "instruction:ffff001000000001deadbeefdeadbeef"},
	{"a second goto_table", "0001000806000000" + "0001000805000000", "instruction:0001000806000000,instruction:0001000805000000"},
	{"a goto_table of another length", "00010010050000000000000000000000", "instruction:00010010050000000000000000000000"},
	{"a write_actions of an action that is not known", "0003001000000000" + "0064000800000000", "write_actions(raw:0064000800000000)"},
	{"a write_actions of an action that no switch takes there", "0003001800000000" + "ffff0010000023200011000000000000", "write_actions(exit)"},
	{"an apply_actions that no switch takes", "0004001800000000" + "ffff0010000023200024000000000000", "nat"},
}

func TestWhatIsNotKnownIsKept(t *testing.T) {
	for _, c := range keptLists {
		t.Run(c.name, func(t *testing.T) {
			d := decoder{b: vector{Hex: c.hex}.bytes(t), what: "actions"}
			actions := d.actions(len(d.b))
			b, err := AppendActions(nil, actions)
			if got := hex.EncodeToString(b); d.err != nil || err != nil || got != c.hex || Text(actions) != c.text {
				t.Errorf("%s %s %v %v\nwant %s %s", Text(actions), got, d.err, err, c.text, c.hex)
			}
		})
	}
	for _, c := range keptInstructions {
		t.Run(c.name, func(t *testing.T) {
			d := decoder{b: vector{Hex: c.hex}.bytes(t), what: "instructions"}
			actions := d.instructions(len(d.b))
			b, err := AppendInstructions(nil, actions)
			if d.err != nil || err != nil || len(b) != len(c.hex)/2 || Text(actions) != c.text {
				t.Errorf("%s %x %v %v\nwant %s %s", Text(actions), b, d.err, err, c.text, c.hex)
			}
		})
	}
}

func TestALengthThatCannotBeIsNeverKept(t *testing.T) {
	for _, s := range []string{"0000000000000001", "0000000400000001", "0000000c0000000100000000", "0000001800000001", "00640000", "00"} {
		b := vector{Hex: s}.bytes(t)
		d := decoder{b: b, what: "actions"}
		if actions := d.actions(len(b)); !errors.Is(d.err, OFPBAC_BAD_LEN) || actions != nil {
			t.Errorf("actions %s: %v %v", s, actions, d.err)
		}
		d = decoder{b: b, what: "instructions"}
		if actions := d.instructions(len(b)); !errors.Is(d.err, OFPBIC_BAD_LEN) || actions != nil {
			t.Errorf("instructions %s: %v %v", s, actions, d.err)
		}
	}
}
