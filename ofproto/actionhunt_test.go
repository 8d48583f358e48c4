package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// hunted says how many damaged lists a test has ovs-ofctl read: few, or as many as
// HUNT says.
func hunted(t testing.TB, few int) int {
	if _, err := exec.LookPath("ovs-ofctl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no ovs-ofctl: scripts/deps.sh installs it")
		}
		t.Skip("skipped: no ovs-ofctl (scripts/deps.sh installs it)")
	}
	if n, err := strconv.Atoi(os.Getenv("HUNT")); err == nil {
		return n
	}
	return few
}

// huntSeed is another one in each run of a longer hunt.
func huntSeed() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("HUNT_SEED"), 10, 64)
	return n
}

// ofctlParse has ovs-ofctl read lists, one a line, and returns its answers. It goes on behind
// one that ovs-ofctl dies of, to which the answer is empty.
func ofctlParse(t testing.TB, command string, lists [][]byte) []string {
	var answers []string
	for len(answers) < len(lists) {
		var in strings.Builder
		for _, b := range lists[len(answers):] {
			in.WriteString(hex.EncodeToString(b) + "\n")
		}
		cmd := exec.CommandContext(t.Context(), "ovs-ofctl", "-voff", command, "OpenFlow13")
		cmd.Stdin = strings.NewReader(in.String())
		out, err := cmd.Output()
		got := strings.Split(strings.TrimSuffix(string(out), "\n\n"), "\n\n")
		if len(out) == 0 {
			got = nil
		}
		if answers = append(answers, got...); err != nil {
			answers = append(answers, "")
		}
	}
	return answers[:len(lists)]
}

// ours is what ovs-ofctl would say of a list, of which it prints only how the bytes that are
// written again differ from those that were read.
func ours(kind string, b []byte) string {
	text, again, err := answer(kind, b, 0)
	var code ErrorCode
	if errors.As(err, &code) {
		return "bad OpenFlow13 " + strings.Replace(kind, "action_list", "actions", 1) + ": " + code.Error()
	}
	if err != nil {
		return err.Error()
	}
	var s strings.Builder
	s.WriteString("actions=" + text)
	out, _ := hex.DecodeString(again)
	for i := range max(len(b), len(out)) {
		from, to := "(none)", "(none)"
		if i < len(b) {
			from = fmt.Sprintf("%02x", b[i])
		}
		if i < len(out) {
			to = fmt.Sprintf("%02x", out[i])
		}
		if from != to {
			fmt.Fprintf(&s, "\n%2d: %s -> %s", i, from, to)
		}
	}
	return s.String()
}

// A mutator damages lists of actions as a bad peer would.
type mutator struct {
	*rand.Rand
	seeds [][]byte
	words []uint32 // headers of fields
}

func newMutator(seed uint64, seeds [][]byte) *mutator {
	m := &mutator{Rand: rand.New(rand.NewPCG(seed, 1)), seeds: seeds}
	for h, f := range byHeader {
		m.words = append(m.words, uint32(h.class)<<16|uint32(h.num)<<9|uint32(info[f].bytes&0xff))
	}
	return m
}

func (m *mutator) seed() []byte {
	if m.IntN(8) == 0 {
		return m.learn()
	}
	return append([]byte(nil), m.seeds[m.IntN(len(m.seeds))]...)
}

// learn returns a learn of any fields and values.
func (m *mutator) learn() []byte {
	b, err := hex.DecodeString(learnHead)
	if err != nil {
		panic(err)
	}
	for range 1 + m.IntN(3) {
		b = m.learnSpec(b)
	}
	return setLength(pad8(b, 0), (len(b)+7)/8*8)
}

// learnSpec appends a part of a learn, most often of a whole field.
func (m *mutator) learnSpec(b []byte) []byte {
	src, dst := m.field(), m.field()
	if m.IntN(3) > 0 {
		dst = src
	}
	n := info[dst].bits
	if m.IntN(4) == 0 {
		n = uint16(m.IntN(int(n) + 2))
	}
	head := n&0x3ff | uint16(m.IntN(3))<<11
	if m.IntN(3) > 0 {
		head |= 1 << 13
	}
	b = be.AppendUint16(b, head)
	if head>>13&1 == 0 {
		b = append(be.AppendUint32(b, nxm32[src]), 0, byte(m.IntN(3)))
	} else {
		value := make([]byte, (int(n)+15)/16*2)
		for i := range value {
			value[i] = byte(m.Uint32()) & byte(m.Uint32()) & byte(m.Uint32())
		}
		b = append(b, value...)
	}
	if head>>11&3 != 2 {
		b = append(be.AppendUint32(b, nxm32[dst]), 0, byte(m.IntN(2)*m.IntN(9)))
	}
	return b
}

func (m *mutator) field() Field { return 1 + Field(m.IntN(int(numFields)-1)) }

// list returns one list, with one to three damages.
func (m *mutator) list() []byte {
	b := m.seed()
	for range 1 + m.IntN(3) {
		if b = m.damage(b); len(b) == 0 || len(b) > 4000 {
			b = m.seed()
		}
	}
	return b
}

func (m *mutator) damage(b []byte) []byte {
	if len(b) < 8 {
		return append(b, m.seed()...)
	}
	at := m.IntN(len(b))
	word := m.IntN(len(b)/4) * 4
	switch m.IntN(13) {
	case 0:
		b[at] ^= 1 << m.IntN(8)
	case 1:
		b[at] = []byte{0, 1, 2, 0x10, 0x7f, 0x80, 0xff, byte(m.Uint32())}[m.IntN(8)]
	case 2: // a field where there was one, or not
		binary.BigEndian.PutUint32(b[word:], m.words[m.IntN(len(m.words))])
	case 3: // another length
		return setLength(b, int(binary.BigEndian.Uint16(b[2:]))+8*(m.IntN(5)-2))
	case 4:
		return b[:len(b)/8*m.IntN(9)]
	case 5:
		return append(b, m.seed()...)
	case 6:
		return append(m.seed(), b...)
	case 7: // another action of Nicira
		if binary.BigEndian.Uint16(b) == 0xffff && len(b) > 9 {
			b[9] = byte(m.IntN(52))
		}
	case 8:
		return wrap("ffff000000002320002a000000000000", b)
	case 9:
		return wrap("ffff0000000023200023000100000000000"+strconv.Itoa(m.IntN(8))+"ff00000000"+[]string{"00", "15", "45"}[m.IntN(3)], b)
	case 10: // bytes moved in or out
		n := 8 * m.IntN(3)
		b = append(b[:at/8*8:at/8*8], append(make([]byte, n), b[at/8*8:]...)...)
		return setLength(b, len(b))
	case 11:
		b[word], b[word+1] = byte(m.Uint32()), byte(m.Uint32())
	case 12: // two words changed for one another
		other := m.IntN(len(b)/4) * 4
		for i := range 4 {
			b[word+i], b[other+i] = b[other+i], b[word+i]
		}
	}
	return b
}

func setLength(b []byte, n int) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	return b
}

func wrap(head string, b []byte) []byte {
	h, err := hex.DecodeString(head)
	if err != nil {
		panic(err)
	}
	return setLength(append(h, b...), len(h)+len(b))
}

func seedsOf(t testing.TB, kind string) (seeds [][]byte) {
	for _, name := range []string{"actions_of13.jsonl", "mutations_of13.jsonl"} {
		for _, v := range vectors(t, name) {
			if b, err := hex.DecodeString(v.Hex); err == nil && v.Kind == kind && v.Error == "" {
				seeds = append(seeds, b)
			}
		}
	}
	for _, c := range actionTexts {
		m, err := ParseFlowMod(FlowAdd, c.text)
		if err != nil || kind != "action_list" {
			continue
		}
		if b, err := AppendActions(nil, m.Flow.Actions); err == nil && len(b) > 0 {
			seeds = append(seeds, b)
		}
	}
	return seeds
}

// shown says how many differences a test prints.
func shown() int {
	if n, err := strconv.Atoi(os.Getenv("HUNT_SHOW")); err == nil {
		return n
	}
	return 20
}

// hunt compares what we say of damaged lists with what Open vSwitch says.
func hunt(t *testing.T, kind, command string, lists [][]byte) {
	answers := ofctlParse(t, command, lists)
	differ := 0
	for i, b := range lists {
		want, got := answers[i], ours(kind, b)
		if want == "" || want == got || elsewhere(hex.EncodeToString(b), got, want) { // ovs-ofctl died, or agrees
			continue
		}
		if differ++; differ <= shown() {
			t.Errorf("%x:\n got %s\nwant %s", b, got, want)
		}
	}
	t.Logf("%d of %d lists differ", differ, len(lists))
}

func TestActionsOfABadPeerAreAnsweredAsOpenVSwitchAnswersThem(t *testing.T) {
	m := newMutator(huntSeed(), seedsOf(t, "action_list"))
	lists := make([][]byte, hunted(t, 3000))
	for i := range lists {
		lists[i] = m.list()
	}
	hunt(t, "action_list", "parse-actions", lists)
}

func TestActionsOfABadPeerInInstructionsAreAnsweredAsOpenVSwitchAnswersThem(t *testing.T) {
	actions := newMutator(huntSeed(), seedsOf(t, "action_list"))
	m := newMutator(huntSeed(), seedsOf(t, "instructions"))
	lists := make([][]byte, hunted(t, 3000))
	for i := range lists {
		for range 1 + m.IntN(3) {
			lists[i] = append(lists[i], m.instruction(actions)...)
		}
		if m.IntN(2) == 0 {
			lists[i] = m.damage(lists[i])
		}
		if len(lists[i]) == 0 { // ovs-ofctl would not answer
			lists[i] = m.seed()
		}
	}
	hunt(t, "instructions", "parse-instructions", lists)
}

// instruction returns one instruction, most of them with actions.
func (m *mutator) instruction(actions *mutator) []byte {
	list := actions.seed()
	if m.IntN(3) == 0 {
		list = actions.list()
	}
	switch m.IntN(10) {
	case 0:
		return []byte{0, 1, 0, 8, byte(m.IntN(256)), 0, 0, byte(m.IntN(2))}
	case 1:
		return []byte{0, 6, 0, 8, 0, 0, 0, byte(m.IntN(3))}
	case 2:
		return []byte{0, 5, 0, 8, 0, 0, 0, 0}
	case 3:
		return wrap("0002001800000000", append(make([]byte, 12), 1, 2, 3, 4))
	case 4, 5, 6:
		return wrap("0003000000000000", list)
	case 7:
		return m.seed()
	}
	return wrap("0004000000000000", list)
}
