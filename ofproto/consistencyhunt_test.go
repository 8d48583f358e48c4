package ofproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// matchesToCheck are matches by which the checks of actions differ.
var matchesToCheck = []Match{
	nil,
	MatchOn(IsIPv4),
	MatchOn(IsIPv6),
	MatchOn(IsARP),
	MatchOn(Is(EthType, 0x8035)),
	MatchOn(Is(EthType, 0x8847)),
	MatchOn(Is(EthType, 0x8848)),
	MatchOn(Is(EthType, 0x894f)),
	MatchOn(Is(EthType, 0x1234)),
	MatchOn(IsIPv4, Is(IPProto, 6)),
	MatchOn(IsIPv6, Is(IPProto, 6)),
	MatchOn(IsIPv4, Is(IPProto, 17)),
	MatchOn(IsIPv6, Is(IPProto, 17)),
	MatchOn(IsIPv4, Is(IPProto, 132)),
	MatchOn(IsIPv4, Is(IPProto, 1)),
	MatchOn(IsIPv6, Is(IPProto, 58)),
	MatchOn(IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, 135)),
	MatchOn(IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, 135), Is(ICMPv6Code, 0)),
	MatchOn(IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, 136), Is(ICMPv6Code, 1)),
	MatchOn(IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, 136), Is(ICMPv6Code, 0)),
	MatchOn(IsIPv4, Is(IPProto, 6), Masked(IPFrag, 2, 2)),
	MatchOn(IsIPv4, Is(IPProto, 6), Masked(IPFrag, 1, 3)),
	MatchOn(Masked(VLANTCI, 0x1000, 0x1000)),
	MatchOn(Is(VLANTCI, 0)),
	MatchOn(IsIPv4, Is(IPProto, 17), Is(VLANTCI, 0x1005)),
	MatchOn(IsIPv4, Is(IPProto, 6), CT(Trk|New, 0)),
	MatchOn(IsIPv4, Is(IPProto, 17), CT(Trk, Inv)),
	MatchOn(IsIPv6, Is(IPProto, 6), CT(Trk|Inv, 0)),
	MatchOn(IsIPv4, CT(Trk, 0)),
	MatchOn(IsIPv4, CT(Trk|DNAT, 0)),
	{Is(PacketType, 0x1_0800)},
	{Is(PacketType, 0x1_86dd)},
	{Is(PacketType, 0x1_894f)},
	{Is(PacketType, 0x1_8847)},
}

// flowModOf is a flow-mod that adds a flow, with that match and those instructions.
func flowModOf(xid int, table byte, match, instructions []byte) []byte {
	b := []byte{4, 14, 0, 0}
	b = be.AppendUint32(b, uint32(xid))
	b = append(b, make([]byte, 40)...)
	b[24] = table
	b = append(append(b, match...), instructions...)
	return setLength(b, len(b))
}

var decodeError = regexp.MustCompile(`\*\*\*decode error: (\w+)\*\*\*`)

// ofpParse has ovs-ofctl print messages whose xids count from 1, and returns for each the
// error with which it was refused, or nothing.
func ofpParse(t testing.TB, messages [][]byte) []string {
	cmd := exec.CommandContext(t.Context(), "ovs-ofctl", "-voff", "ofp-parse", "-")
	cmd.Stdin = bytes.NewReader(bytes.Join(messages, nil))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]string, len(messages))
	for _, part := range strings.Split(string(out), "OFPT_FLOW_MOD (OF1.3) (xid=")[1:] {
		xid, _, _ := strings.Cut(part, ")")
		n, err := strconv.ParseUint(xid, 0, 32)
		if err != nil || n == 0 || int(n) > len(messages) {
			t.Fatalf("%q is no xid", xid)
		}
		if m := decodeError.FindStringSubmatch(part); m != nil {
			answers[n-1] = m[1]
		}
	}
	return answers
}

// refusal is the error with which we refuse a flow for its actions, or nothing.
func refusal(m Match, table Table, instructions []byte) string {
	actions, err := DecodeInstructions(instructions)
	if err == nil {
		err = checkConsistent(m, table, actions)
	}
	var code ErrorCode
	if errors.As(err, &code) {
		return code.Error()
	}
	return ""
}

func TestFlowModsOfABadPeerAreAnsweredAsOpenVSwitchAnswersThem(t *testing.T) {
	n := hunted(t, 4000)
	m := newMutator(huntSeed(), append(seedsOf(t, "action_list"), headerSeeds(t)...))
	messages, refusals := make([][]byte, n), make([]string, n)
	for i := range messages {
		match := matchesToCheck[m.IntN(len(matchesToCheck))]
		instructions := m.instructions()
		instructions = instructions[:len(instructions)&^7] // or the message is refused before its type is printed
		table := byte([]int{0, 3, 254}[m.IntN(3)])
		messages[i] = flowModOf(i+1, table, appendMatch(nil, match), instructions)
		refusals[i] = refusal(match, Table(table), instructions)
	}
	differ, codes := 0, map[string]int{}
	for i, want := range ofpParse(t, messages) {
		codes[want]++
		if refusals[i] == want {
			continue
		}
		if differ++; differ <= shown() {
			_, msg, err := Decode(messages[i])
			t.Errorf("%x\n%v %v:\n got %q\nwant %q", messages[i], msg, err, refusals[i], want)
		}
	}
	t.Logf("%d of %d flow-mods differ; the errors were %v", differ, n, codes)
}

// instructions returns instructions of some actions that most likely can stand beside one
// another.
func (m *mutator) instructions() []byte {
	var list []byte
	for range 1 + m.IntN(5) {
		if b := m.seed(); len(b) <= 64 {
			list = append(list, b...)
		}
		if m.IntN(10) == 0 {
			list = wrap("ffff000000002320002a000000000000", list)
		}
	}
	if m.IntN(6) == 0 {
		list = m.damage(list)
		list = list[:len(list)/8*8] // or it would be the length of the message that is wrong
	}
	head := "0004000000000000"
	if m.IntN(8) == 0 {
		head = "0003000000000000"
	}
	b := wrap(head, list)
	if m.IntN(4) == 0 {
		b = append(b, 0, 1, 0, 8, byte(m.IntN(6)), 0, 0, 0)
	}
	return b
}

// headerSeeds are the actions that make another packet of it, more often than the vectors
// have them.
func headerSeeds(t testing.TB) (seeds [][]byte) {
	for range 20 {
		for _, s := range []string{
			"0011000881000000", "0011000888a80000", "0012000800000000", // push_vlan, pop_vlan
			"0013000888470000", "0013000888480000", "0014000808000000", "0014000888470000", "0014000886dd0000", // push_mpls, pop_mpls
			"ffff001000002320002e000000000000", "ffff001000002320002e00000001894f", "ffff001000002320002e000000018847", "ffff001000002320002f00000000fffe", // encap, decap
			"ffff0010000023200030000000000000",                                             // dec_nsh_ttl
			"0018000800000000", "0017000805000000", "0010000800000000", "000f000805000000", // TTLs
			"00190010000008020000000000000000", "00190010000008021005000000000000", "0019001080000c021005000000000000", "0019001080000e010300000000000000", // VLANs
		} {
			b, err := hex.DecodeString(s)
			if err != nil {
				t.Fatal(s, err)
			}
			seeds = append(seeds, b)
		}
	}
	return seeds
}
