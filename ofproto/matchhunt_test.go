package ofproto

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tlvMaker makes matches as a good and as a bad peer would send them.
type tlvMaker struct {
	*rand.Rand
	seeds [][]byte
}

func newTLVMaker(t testing.TB, seed uint64) tlvMaker {
	m := tlvMaker{Rand: rand.New(rand.NewPCG(seed, 2))}
	for _, v := range vectors(t, "oxm.jsonl") {
		m.seeds = append(m.seeds, unhex(t, v.Hex))
	}
	return m
}

// bits returns a value of n bits, in n/8 bytes, that is often a simple one.
func (r tlvMaker) bits(bits uint16, size int) []byte {
	b := make([]byte, size)
	if size == 0 {
		return b
	}
	switch r.IntN(4) {
	case 0:
		b[size-1] = byte(r.IntN(256))
	case 1:
	default:
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	for i := range size*8 - int(bits) {
		b[i/8] &^= 0x80 >> (i % 8)
	}
	return b
}

// tlv returns one TLV of f.
func (r tlvMaker) tlv(f Field, value []byte) []byte {
	i := &info[f]
	h := i.codes[r.IntN(len(i.codes))].header
	size := i.bytes
	if f.isTunMetadata() {
		size = []int{0, 1, 2, 4, 15, 16, 17, 40, 124, 127}[r.IntN(10)]
	}
	if value == nil {
		value = r.bits(min(i.bits, uint16(size*8)), size)
		switch f {
		case InPort, ActsetOutput:
			value = be.AppendUint32(nil, []uint32{1, 0xfeff, 0xff00, 0xffff, 0xfffffeff, 0xffffff00, PortLocal, PortAny, PortUnset}[r.IntN(9)])
		case VLANVID:
			value[0] |= 0x10 & byte(r.Uint32())
		}
	}
	masked := i.access&maskable != 0 && r.IntN(3) == 0 || r.IntN(60) == 0
	b := appendHeader(nil, h, len(value), masked)
	if !masked {
		return append(b, value...)
	}
	mask := r.bits(uint16(size*8), size)
	if r.IntN(6) == 0 {
		for i := range mask {
			mask[i] = 0xff
		}
	}
	for i := range mask {
		if r.IntN(40) != 0 {
			value[i] &= mask[i]
		}
	}
	return append(append(b, value...), mask...)
}

// headers returns TLVs of headers that other fields need.
func (r tlvMaker) headers() (b []byte) {
	if r.IntN(12) == 0 {
		types := []uint32{0, 1<<16 | 0x800, 1<<16 | 0x86dd, 1<<16 | 0x806, 1<<16 | etherNSH, 1<<16 | etherMPLS, 2<<16 | 5}
		b = append(b, r.tlv(PacketType, be.AppendUint32(nil, types[r.IntN(len(types))]))...)
	}
	if r.IntN(10) > 0 {
		types := []uint16{0x800, 0x800, 0x86dd, 0x86dd, 0x806, 0x8035, 0x8847, 0x8848, etherNSH, 0x5ff, 0x88cc}
		b = append(b, r.tlv(EthType, be.AppendUint16(nil, types[r.IntN(len(types))]))...)
	}
	if r.IntN(4) > 0 {
		protocols := []byte{1, 6, 6, 17, 58, 58, 132, 2}
		b = append(b, r.tlv(IPProto, []byte{protocols[r.IntN(len(protocols))]})...)
	}
	switch r.IntN(6) {
	case 0:
		b = append(b, r.tlv(ICMPv6Type, []byte{byte(134 + r.IntN(4))})...)
	case 1:
		b = append(b, r.tlv(ICMPv6Type, []byte{byte(135 + r.IntN(2))})...)
		b = append(b, r.tlv(ICMPv6Code, []byte{byte(r.IntN(2))})...)
	case 2:
		b = append(b, r.tlv(CTState, be.AppendUint32(nil, uint32(r.IntN(256))))...)
	}
	return b
}

// match returns TLVs that could be a match, or nearly.
func (r tlvMaker) match() (b []byte) {
	if r.IntN(3) > 0 {
		b = r.headers()
	}
	for range r.IntN(6) {
		f := Field(1 + r.IntN(int(numFields)-1))
		if f.isTunMetadata() && r.IntN(3) > 0 {
			f = Field(int(EthSrc) + r.IntN(int(ARPTHA-EthSrc)))
		}
		if len(info[f].codes) > 0 {
			b = append(b, r.tlv(f, nil)...)
		}
	}
	return b
}

// damaged returns the TLVs of a match, often with damage.
func (r tlvMaker) damaged() []byte {
	b := r.match()
	if r.IntN(3) == 0 {
		b = slices.Clone(r.seeds[r.IntN(len(r.seeds))])
	}
	for range r.IntN(3) {
		b = r.damage(b)
	}
	return b[:min(len(b), 2000)]
}

func (r tlvMaker) damage(b []byte) []byte {
	if len(b) < 8 {
		return append(b, r.match()...)
	}
	at := r.IntN(len(b))
	switch r.IntN(8) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = []byte{0, 1, 0xff, byte(r.Uint32())}[r.IntN(4)]
	case 2:
		return b[:at]
	case 3:
		return append(b, r.seeds[r.IntN(len(r.seeds))]...)
	case 4:
		return append(r.headers(), b...)
	case 5: // the length of the first TLV
		b[3] = byte(int(b[3]) + r.IntN(9) - 4)
	case 6: // a mask where there was none
		b[2] ^= 1
	case 7:
		return slices.Insert(b, at, make([]byte, r.IntN(9))...)
	}
	return b
}

// standard returns what stands behind the header of a match of OpenFlow 1.1.
func (r tlvMaker) standard() (b []byte) {
	b = be.AppendUint32(b, []uint32{1, 0xfeff, 0xff00, PortLocal, r.Uint32()}[r.IntN(5)])
	b = be.AppendUint32(b, r.Uint32()&r.Uint32()&0x3ff)
	for range 4 {
		b = append(b, r.bits(48, 6)...)
	}
	b = be.AppendUint16(b, []uint16{0xffff, 0xfffe, 5, 4095, 4096}[r.IntN(5)])
	b = append(b, byte(r.IntN(9)), 0)
	b = be.AppendUint16(b, []uint16{0x800, 0x800, 0x800, 0x806, 0x8035, 0x8847, 0x8848, 0x86dd, 0x5ff}[r.IntN(9)])
	b = append(b, byte(r.IntN(8)/7+4*r.IntN(64)), []byte{1, 6, 17, 132, 2}[r.IntN(5)])
	for range 4 {
		b = append(b, r.bits(32, 4)...)
	}
	b = append(b, r.bits(uint16(8+8*r.IntN(2)), 2)...)
	b = append(b, r.bits(uint16(8+8*r.IntN(2)), 2)...)
	b = append(append(b, r.bits(32, 4)...), byte(r.Uint32()), 0, 0, 0)
	return append(append(b, r.bits(64, 8)...), r.bits(64, 8)...)
}

func TestMatchesOfOpenFlow11AreReadAsOpenVSwitchReadsThem(t *testing.T) {
	n := hunted(t, 2000)
	r := newTLVMaker(t, huntSeed())
	var matches, messages [][]byte
	for range n {
		b := r.standard()
		message := flowModWith(b)
		be.PutUint16(message[48:], matchStandard)
		matches = append(matches, b)
		messages = append(messages, message)
	}
	differ := 0
	for i, want := range ofctlFlowMods(t, messages) {
		d := decoder{b: messages[i][48:], what: "match", strict: true}
		m := d.match()
		got := m.String()
		var code ErrorCode
		if errors.As(d.err, &code) {
			got = code.Error()
		}
		if got != want {
			if differ++; differ <= 10 {
				t.Errorf("%x:\n got %s\nwant %s", matches[i], got, want)
			}
		}
	}
	t.Logf("%d of %d matches differ", differ, n)
}

// flowModWith returns a flow-mod with a match of TLVs.
func flowModWith(tlvs []byte) []byte {
	b := append([]byte{Version, 14, 0, 0, 0, 0, 0, 0}, make([]byte, 22)...)
	b = be.AppendUint16(b, 100)
	b = append(append(b, slices.Repeat([]byte{0xff}, 12)...), 0, 0, 0, 0)
	start := len(b)
	b = append(be.AppendUint16(append(b, 0, 1), uint16(4+len(tlvs))), tlvs...)
	b = pad8(b, start)
	be.PutUint16(b[2:], uint16(len(b)))
	return b
}

var ofctlRefusal = regexp.MustCompile(`decode error: (\w+)`)

// ofctlMatches has ovs-ofctl print flow-mods with these matches, or the errors with which it
// refuses them.
func ofctlMatches(t testing.TB, matches [][]byte) []string {
	var messages [][]byte
	for _, b := range matches {
		messages = append(messages, flowModWith(b))
	}
	return ofctlFlowMods(t, messages)
}

func ofctlFlowMods(t testing.TB, messages [][]byte) (answers []string) {
	in := slices.Concat(messages...)
	file := filepath.Join(t.TempDir(), "messages")
	if err := os.WriteFile(file, in, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ovs-ofctl", "-voff", "ofp-parse", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		_, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "OFPT_FLOW_MOD (OF1.3) (xid=0x0): ")
		if code := ofctlRefusal.FindStringSubmatch(text); code != nil {
			text = code[1]
		} else if ok {
			text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(text, "ADD priority=100"), ","), " actions=drop")
		} else {
			continue
		}
		answers = append(answers, text)
	}
	if len(answers) != len(messages) {
		t.Fatalf("%d answers for %d matches", len(answers), len(messages))
	}
	return answers
}

// ourMatch is what ovs-ofctl would say of a match.
func ourMatch(b []byte) string {
	m, err := DecodeMatch(b)
	var code ErrorCode
	if errors.As(err, &code) {
		return code.Error()
	} else if err != nil {
		return err.Error()
	}
	if !m.tupleFits() {
		return OFPBAC_MATCH_INCONSISTENT.Error()
	}
	return m.String()
}

func TestDamagedMatchesAreReadAndRefusedAsOpenVSwitchDoes(t *testing.T) {
	n := hunted(t, 3000)
	r := newTLVMaker(t, huntSeed())
	matches := make([][]byte, n)
	for i := range matches {
		matches[i] = r.damaged()
	}
	differ, good := 0, 0
	for i, want := range ofctlMatches(t, matches) {
		if !strings.HasPrefix(want, "OFP") {
			good++
		}
		if got := ourMatch(matches[i]); got != want {
			if differ++; differ <= 10 {
				t.Errorf("%x:\n got %s\nwant %s", matches[i], got, want)
			}
		}
	}
	t.Logf("%d of %d matches differ, of which Open vSwitch takes %d", differ, n, good)
}

// oxmText writes TLVs as ovs-ofctl parse-oxm takes them. It is not ok if there is one that is
// not known, or that ovs-ofctl does not tell us about: it prints zeroes for a tunnel option,
// and forgets masks that we keep, as another sender wrote them.
func oxmText(b []byte) (s string, ok bool) {
	ok = true
	for len(b) > 0 {
		d := decoder{b: b, strict: true}
		f, masked, n := d.tlvHeader()
		payload := d.bytes(n)
		if d.err != nil || f == 0 {
			return "", false
		}
		if f.isTunMetadata() || masked && (info[f].access&maskable == 0 || foldingOf[f] == badMask) {
			ok = false
		}
		h := b[:len(b)-len(d.b)-n]
		name := ""
		for _, c := range info[f].codes {
			if again := appendHeader(nil, c.header, 0, masked); be.Uint16(again) == be.Uint16(h) && again[2] == h[2] && (len(h) == 4 || string(again[4:]) == string(h[4:])) {
				name = c.name
			}
		}
		if masked {
			s += fmt.Sprintf("%s_W(%x/%x), ", name, payload[:n/2], payload[n/2:])
		} else {
			s += fmt.Sprintf("%s(%x), ", name, payload)
		}
		b = d.b
	}
	return strings.TrimSuffix(s, ", "), ok
}

func TestMatchesAreWrittenAgainAsOpenVSwitchWritesThem(t *testing.T) {
	huntWriting(t, AppendMatch, "parse-oxm", "OpenFlow13")
}

func TestMatchesOfNiciraAreWrittenAsOpenVSwitchWritesThem(t *testing.T) {
	huntWriting(t, appendNXMs, "parse-nx-match")
}

// huntWriting has a command of ovs-ofctl read and write matches, and compares what we write.
func huntWriting(t *testing.T, write func([]byte, Match) []byte, command ...string) {
	n := hunted(t, 3000)
	r := newTLVMaker(t, huntSeed())
	var in strings.Builder
	var matches []Match
	for len(matches) < n {
		b := r.match()
		m, err := DecodeMatch(b)
		s, ok := oxmText(b)
		if err != nil || !ok || len(b) == 0 {
			continue
		}
		matches = append(matches, m)
		in.WriteString(s + "\n")
	}
	cmd := exec.CommandContext(t.Context(), "ovs-ofctl", append([]string{"-voff"}, command...)...)
	cmd.Stdin = strings.NewReader(in.String())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(answers) != n {
		t.Fatalf("%d answers for %d matches: %v: %s", len(answers), n, err, stderr.String())
	}
	sent := strings.Split(in.String(), "\n")
	differ := 0
	for i, m := range matches {
		got, _ := oxmText(write(nil, m))
		if got == "" {
			got = "<any>"
		}
		if got != answers[i] {
			if differ++; differ <= 10 {
				t.Errorf("%s\n got %s\nwant %s", sent[i], got, answers[i])
			}
		}
	}
	t.Logf("%d of %d matches differ", differ, n)
}

// packetInWith returns a packet-in without a packet, with a match of TLVs.
func packetInWith(tlvs []byte) []byte {
	b := append([]byte{Version, 10, 0, 0, 0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, make([]byte, 8)...)
	start := len(b)
	b = append(be.AppendUint16(append(b, 0, 1), uint16(4+len(tlvs))), tlvs...)
	b = append(pad8(b, start), 0, 0)
	be.PutUint16(b[2:], uint16(len(b)))
	return b
}

var packetInText = regexp.MustCompile(` total_len=0 (.*?) ?\(via `)

func TestLooseMatchesAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	n := hunted(t, 3000)
	r := newTLVMaker(t, huntSeed())
	var matches, messages [][]byte
	for range n {
		b := r.damaged()
		matches = append(matches, b)
		messages = append(messages, packetInWith(b))
	}
	file := filepath.Join(t.TempDir(), "messages")
	if err := os.WriteFile(file, slices.Concat(messages...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ovs-ofctl", "-voff", "ofp-parse", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	differ, i := 0, 0
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "OFPT_PACKET_IN (OF1.3)") {
			continue
		}
		want := line
		if text := packetInText.FindStringSubmatch(line); text != nil {
			want = text[1]
		} else if code := ofctlRefusal.FindStringSubmatch(line); code != nil {
			want = code[1]
		}
		d := decoder{b: matches[i], what: "match", short: OFPBMC_BAD_LEN}
		got := d.oxms(false).String()
		var code ErrorCode
		if errors.As(d.err, &code) {
			got = code.Error()
		}
		if got != want {
			if differ++; differ <= 10 {
				t.Errorf("%x:\n got %s\nwant %s", matches[i], got, want)
			}
		}
		i++
	}
	if i != n {
		t.Fatalf("%d answers for %d matches", i, n)
	}
	t.Logf("%d of %d matches differ", differ, n)
}
