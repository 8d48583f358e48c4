package ofproto

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A textHunt looks for texts of which ovs-ofctl makes something else than we do.
type textHunt struct {
	kind    string   // flow, group or meter
	command []string // of ovs-ofctl
	encode  func(text string) ([]byte, error)
}

var textHunts = []textHunt{
	{"flow", []string{"add-flow"}, func(s string) ([]byte, error) { return encodeText("flow", s) }},
	{"group", []string{"add-group"}, func(s string) ([]byte, error) { return encodeText("group", s) }},
	{"meter", []string{"add-meter"}, func(s string) ([]byte, error) { return encodeText("meter", s) }},
	{"flow", []string{"mod-flows"}, encodeFlowText(FlowModify)},
	{"flow", []string{"--strict", "mod-flows"}, encodeFlowText(FlowModifyStrict)},
	{"flow", []string{"del-flows"}, encodeFlowText(FlowDelete)},
	{"flow", []string{"--strict", "del-flows"}, encodeFlowText(FlowDeleteStrict)},
}

func encodeFlowText(cmd FlowCommand) func(string) ([]byte, error) {
	return func(s string) ([]byte, error) {
		m, err := ParseFlowMod(cmd, s)
		if err != nil {
			return nil, err
		}
		return Append(nil, 0, m)
	}
}

// compare says how ovs-ofctl and we differ about a text; it is empty if we do not.
func (h textHunt) compare(t testing.TB, o *ofctl, s string) string {
	want, refusal, wantCode := o.send(t, s, h.command...)
	got, err := h.encode(s)
	var code ErrorCode
	gotCode := ""
	if errors.As(err, &code) {
		gotCode = code.Error()
	}
	switch {
	case refusal != "" && err == nil:
		return "is refused: " + refusal
	case refusal == "" && err != nil:
		return "is taken: " + err.Error()
	case refusal != "" && wantCode != gotCode:
		return "is refused with another error: " + refusal + "; ours: " + err.Error()
	case !bytes.Equal(got, want):
		return "gives other bytes:\n got " + fmt.Sprintf("%x", got) + "\nwant " + fmt.Sprintf("%x", want)
	}
	return ""
}

// hunt compares n texts that next makes, and prints what differs, at most some of it.
func (h textHunt) hunt(t *testing.T, n int, next func(i int) string) {
	const workers = 3
	var wg sync.WaitGroup
	var mu sync.Mutex
	differ := 0
	for w := range workers {
		o := newOfctl(t)
		wg.Go(func() {
			for i := w; i < n; i += workers {
				s := next(i)
				if s == "" || s == "-" || strings.ContainsRune(s, 0) {
					continue
				}
				if d := h.compare(t, o, s); d != "" && !elsewhere("", "", d) {
					mu.Lock()
					if differ++; differ <= 40 {
						t.Errorf("%s\n%s", s, d)
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%s: %d of %d texts differ", strings.Join(h.command, " "), differ, n)
}

// textCount is how many texts a hunt compares: HUNT, or few.
func textCount(few int) int {
	if n, err := strconv.Atoi(os.Getenv("HUNT")); err == nil {
		return n
	}
	return few
}

func textSeed() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("HUNT_SEED"), 10, 64)
	return n << 32
}

func TestWellFormedTextsGiveTheBytesThatOpenVSwitchSends(t *testing.T) {
	integration(t)
	for _, h := range textHunts[:3] {
		h.hunt(t, textCount(1000), func(i int) string { return seeded(textSeed() + uint64(i)).textOf(h.kind) })
	}
}

func TestDamagedTextsAreAnsweredAsOpenVSwitchAnswersThem(t *testing.T) {
	integration(t)
	valid := map[string][]string{}
	for _, v := range vectors(t, "flowmods_of13.jsonl") {
		kind := strings.TrimPrefix(v.Kind, "message_")
		valid[kind] = append(valid[kind], v.TextIn)
	}
	for _, c := range actionTexts {
		valid["flow"] = append(valid["flow"], c.text)
	}
	for _, h := range textHunts {
		h.hunt(t, textCount(500), func(i int) string {
			d := seeded(1<<40 + textSeed() + uint64(i))
			s := d.textOf(h.kind)
			if all := valid[h.kind]; d(3) == 0 {
				s = all[d(len(all))]
			}
			if strings.HasPrefix(h.command[len(h.command)-1], "del") && d(4) > 0 {
				s, _, _ = strings.Cut(s, ",actions=")
			}
			return d.damaged(s, func() string { return d.textOf(h.kind) })
		})
	}
}

func (d dice) textOf(kind string) string {
	switch kind {
	case "group":
		return d.groupText()
	case "meter":
		return d.meterText()
	}
	return d.flowText()
}

// damaged drops, doubles, swaps and replaces pieces of s, up to three times.
func (d dice) damaged(s string, other func() string) string {
	for range 1 + d(3) {
		words := cutWords(s)
		i := d(len(words))
		switch d(9) {
		case 0:
			words[i] = ""
		case 1:
			words[i] += words[i]
		case 2:
			j := d(len(words))
			words[i], words[j] = words[j], words[i]
		case 3, 4:
			more := cutWords(other())
			words[i] = more[d(len(more))]
		case 5:
			words[i] = d.of("", "0", "-1", "0x", "010", "08", "65535", "65536", "256", "255", "0xffffffff", "4294967296", "0x10000000000000000", "18446744073709551615", "all", "any", "LOCAL", "NXM_NX_REG0[]", "reg1[0..3]", "*", "1/1", "drop")
		case 6:
			words[i] = d.of(",", " ", "=", ":", "(", ")", "/", "->", "[", "]", ".", "..", "+", "-", "\t", "%", "[]")
		case 7:
			if w := words[i]; w != "" {
				at := d(len(w))
				words[i] = w[:at] + w[at+1:]
			}
		case 8:
			if w := words[i]; w != "" {
				at := d(len(w))
				words[i] = w[:at] + d.of("0", "1", "x", "f", "-", "_", "A", ".", "/") + w[at:]
			}
		}
		s = strings.Join(words, "")
	}
	return s
}

// cutWords cuts s into words and what stands between them.
func cutWords(s string) (words []string) {
	isWord := func(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }
	start := 0
	for i := 1; i <= len(s); i++ {
		if i == len(s) || !isWord(s[i]) || !isWord(s[i-1]) {
			words = append(words, s[start:i])
			start = i
		}
	}
	if words == nil {
		return []string{s}
	}
	return words
}

// TestDamagedTextsOfActionsAreAnsweredAsOpenVSwitchAnswersThem has the tables of texts for seeds,
// in which each argument of each action stands.
func TestDamagedTextsOfActionsAreAnsweredAsOpenVSwitchAnswersThem(t *testing.T) {
	integration(t)
	texts := slices.Concat(actionTexts, flowActionTexts)
	textHunts[0].hunt(t, textCount(1000), func(i int) string {
		d := seeded(2<<40 + textSeed() + uint64(i))
		another := func() string { return texts[d(len(texts))].text }
		s := another()
		switch _, actions, _ := strings.Cut(another(), "actions="); d(8) {
		case 0, 1:
			s += "," + actions
		case 2:
			s += ",clone(" + actions + ")"
		case 3:
			s += ",write_actions(" + actions + ")"
		}
		return d.damaged(s, another)
	})
}
