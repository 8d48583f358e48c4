package ofproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// nestedDeep is an action in which the same one stands, and so on, n deep.
func nestedDeep(head string, n int) (b []byte) {
	for i := range n {
		h := wrap(head, nil)
		b = append(b, setLength(h, (n-i)*len(h))...)
	}
	return b
}

const (
	cloneHead     = "ffff000000002320002a000000000000"
	learnHead     = "ffff002000002320001000000000800000000000000000000000010000000000"
	connTrackHead = "ffff0000000023200023000100000000000fff0000000000"
)

// killers are lists that a careless reader does not survive.
func killers() map[string][]byte {
	unhex := func(s string) []byte { return append([]byte(nil), wrap(s, nil)...) }
	zero := unhex("ffff0020000023200023000000000000000fff0000000000" + "ffff000000002320")
	return map[string][]byte{
		"a ct with an action of length 0":         setLength(zero, len(zero)),
		"an action of length 0":                   {0, 0, 0, 0, 0, 0, 0, 1},
		"an action of length 4":                   {0, 0, 0, 4, 0, 0, 0, 1},
		"an action longer than the list":          {0, 0, 0xff, 0xf8, 0, 0, 0, 1},
		"half a header":                           {0, 0, 0},
		"4095 clones in one another":              nestedDeep(cloneHead, 4095),
		"2730 cts in one another":                 nestedDeep(connTrackHead, 2730),
		"a learn of 1023 bits that are not there": unhex(learnHead + "3bff000000000000"),
		"a nat without the address that it has":   unhex("ffff0010000023200024000000010001"),
		"a note that fills the message":           setLength(append(unhex("ffff0010000023200008"), make([]byte, 65518)...), 65528),
		"4095 notes":                              bytes.Repeat(unhex("ffff0010000023200008000000000000"), 4095),
		"4095 exits":                              bytes.Repeat(unhex("ffff0010000023200011000000000000"), 4095),
		"4095 actions of nobody":                  bytes.Repeat(unhex("ffff0010000023207fff000000000000"), 4095),
		"a learn of 8187 outputs":                 setLength(append(unhex(learnHead), bytes.Repeat([]byte{0x10, 0x10, 0, 0, 0, 2, 0, 0}, 8187)...), 65528),
		"a learn of 8187 conditions of no bits":   setLength(append(unhex(learnHead), bytes.Repeat([]byte{0x20, 0, 0, 0, 0, 2, 0, 0}, 8187)...), 65528),
		"8190 outputs of length 8":                bytes.Repeat([]byte{0, 0, 0, 8, 0, 0, 0, 1}, 8190),
	}
}

// memoryOf returns how many bytes f allocates, and what it adds to the stacks.
func memoryOf(f func()) (heap, stack uint64) {
	var before, after runtime.MemStats
	done := make(chan bool)
	go func() { // with a stack of its own
		defer close(done)
		runtime.GC()
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
	}()
	<-done
	if after.StackInuse > before.StackInuse {
		stack = after.StackInuse - before.StackInuse
	}
	return after.TotalAlloc - before.TotalAlloc, stack
}

func TestNoListOfActionsTakesMoreThan16TimesItsSize(t *testing.T) {
	for name, b := range killers() {
		t.Run(name, func(t *testing.T) {
			instructions := append([]byte{0, itApply, 0, 0, 0, 0, 0, 0}, b...)
			be.PutUint16(instructions[2:], uint16(len(instructions)))
			for _, strict := range []bool{true, false} {
				heap, stack := memoryOf(func() {
					d := decoder{b: b, what: "actions", strict: strict}
					d.actions(len(b))
					e := decoder{b: instructions, what: "instructions", strict: strict}
					e.instructions(len(instructions))
				})
				most := uint64(16*(len(b)+len(instructions)) + 1<<16) // a small list has its readers, and the test its stack
				if heap+stack > most {
					t.Errorf("strict %v: %d bytes of heap and %d of stack, for 2 lists of %d bytes", strict, heap, stack, len(b))
				}
			}
		})
	}
}

func FuzzDecodeActions(f *testing.F) {
	for _, name := range []string{"actions_of13.jsonl", "mutations_of13.jsonl"} {
		for _, v := range vectors(f, name) {
			if b, err := hex.DecodeString(v.Hex); err == nil && v.Kind == "action_list" {
				f.Add(b)
			}
		}
	}
	for _, c := range oddActions {
		f.Add(vector{Hex: c.hex}.bytes(f))
	}
	for _, b := range killers() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		lenient := decoder{b: b, what: "actions"}
		lenient.actions(len(b))
		actions, err := DecodeActions(b)
		if err == nil {
			settles(t, actions, AppendActions, DecodeActions)
		} else if lenient.err == nil && codeIn(err) == 0 {
			t.Fatalf("%v has no code", err)
		}
	})
}

func FuzzDecodeInstructions(f *testing.F) {
	for _, v := range vectors(f, "actions_of13.jsonl") {
		b, err := hex.DecodeString(v.Hex)
		if err != nil {
			f.Fatal(err)
		}
		if v.Kind == "action_list" {
			b = wrap("0004000000000000", b)
		}
		f.Add(b)
	}
	for _, b := range killers() {
		f.Add(wrap("0003000000000000", b))
		f.Add(wrap("0004000000000000", b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		lenient := decoder{b: b, what: "instructions"}
		kept := lenient.instructions(len(b))
		if lenient.err == nil {
			if _, err := AppendInstructions(nil, kept); err != nil && !errors.Is(err, ErrTooLong) {
				t.Fatalf("what was kept cannot be written: %v\n%x", err, b)
			}
		}
		actions, err := DecodeInstructions(b)
		if err == nil {
			checkConsistent(nil, 0, actions)
			settles(t, actions, AppendInstructions, DecodeInstructions)
		}
	})
}

func codeIn(err error) (c ErrorCode) {
	errors.As(err, &c)
	return c
}

// settles fails unless what was read can be written, is then the same when it is read, and
// printed.
func settles(t *testing.T, actions []Action, encode func([]byte, []Action) ([]byte, error), decode func([]byte) ([]Action, error)) {
	b, err := encode(nil, actions)
	if errors.Is(err, ErrTooLong) {
		return // canonically it is longer than it was
	}
	if err != nil {
		t.Fatalf("%s cannot be written: %v", Text(actions), err)
	}
	again, err := decode(b)
	if err != nil && (strings.Contains(Text(actions), "set_mpls_") || strings.Contains(Text(actions), "learn(")) {
		return // Open vSwitch writes a set_field of a label that is too high, and a learn of bits that are not there, and refuses them
	}
	if err != nil {
		t.Fatalf("%s cannot be read again: %v\n%x", Text(actions), err, b)
	}
	third, err := encode(nil, again)
	if err != nil || !bytes.Equal(b, third) {
		t.Fatalf("%s does not settle: %v\n%x\n%x", Text(actions), err, b, third)
	}
}

func FuzzParseActions(f *testing.F) {
	for _, name := range []string{"actions_of13.jsonl", "mutations_of13.jsonl"} {
		for _, v := range vectors(f, name) {
			if v.Text != "" {
				f.Add(v.Text)
			}
		}
	}
	for _, c := range append(flowActionTexts, actionTexts...) {
		_, actions, _ := strings.Cut(c.text, "actions=")
		f.Add(actions)
	}
	for _, s := range []string{"ct(nat(src=", "learn(load:0x->", "learn(load:0->reg0[3..2])", "learn(reg0[3..2]=1)", "conjunction(,/)", "note:0", "resubmit(,,,)", strings.Repeat("clone(", 200), "check_pkt_larger()->", "ct(exec(ct(", "sample()", "->", "((((", "set_field:->"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) ([]Action, error){ParseActions, ParseInstructions} {
			actions, err := parse(s)
			var at *SyntaxError
			switch {
			case err == nil:
				AppendInstructions(nil, actions)
				_ = Text(actions)
				checkConsistent(nil, 0, actions)
			case !errors.As(err, &at):
				t.Fatalf("%T: %v", err, err)
			case at.Offset < 0 || at.Offset > len(s) || at.Text != s:
				t.Fatalf("the place of %v is outside of %q", err, s)
			}
		}
	})
}
