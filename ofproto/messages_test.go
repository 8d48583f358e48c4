package ofproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestMessagesOfAllKindsAreWrittenAsTheyWereRead(t *testing.T) {
	for _, b := range sampleMessages(t) {
		if Check(b) != nil || b[1] == typeFlowMod && be.Uint16(b[48:]) == matchStandard {
			continue // one that is to be refused, or that says the same in another way
		}
		for name, decode := range map[string]func([]byte) (uint32, Message, error){"Decode": Decode, "DecodeStrict": DecodeStrict} {
			xid, m, err := decode(b)
			if err != nil {
				t.Errorf("%s %x: %v", name, b, err)
				continue
			}
			if again, err := Append(nil, xid, m); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%s: %T is written\n as %x (%v)\nnot %x", name, m, again, err, b)
			}
		}
	}
}

// messageKillers are messages that have hung or crashed one codec or another.
var messageKillers = []struct{ name, hex, want string }{
	{"a hello with an element of length 0", "04000010000000000001000000000000", ""},
	{"a header of length 0", "0400000000000000", "OFPBRC_BAD_LEN"},
	{"a header of length 4", "0402000400000000", "OFPBRC_BAD_LEN"},
	{"a header of length 7", "040e000700000000", "OFPBRC_BAD_LEN"},
	{"a header that promises more", "0402000900000000", "OFPBRC_BAD_LEN"},
	{"half a header", "04020008", "OFPBRC_BAD_LEN"},
	{"nothing", "", "OFPBRC_BAD_LEN"},
	{"a flow-stats entry of length 0", "041300480000000000010000000000000000" + strings.Repeat("00", 54), "OFPBRC_BAD_LEN"},
	{"a group-desc entry of length 0", "04130018000000000007000000000000" + strings.Repeat("00", 8), "OFPBRC_BAD_LEN"},
	{"a bucket of length 0", "041300280000000000070000000000000018000000000001" + strings.Repeat("00", 16), "OFPGMFC_BAD_BUCKET"},
	{"a meter of length 0", "0413001800000000000a000000000000" + strings.Repeat("00", 8), "OFPBRC_BAD_LEN"},
	{"a band of length 0", "041d00200000000000000001000000010001000000000001" + strings.Repeat("00", 8), "OFPBRC_BAD_LEN"},
	{"a table-features entry of length 0", "0413005000000000000c000000000000" + strings.Repeat("00", 64), "OFPBPC_BAD_LEN"},
	{"a queue of length 0", "041700200000000000000001000000000000000100000001" + strings.Repeat("00", 8), "OFPBRC_BAD_LEN"},
	{"a property of length 0", "04040018000000000000232000000 01e0000000000000000", "OFPBPC_BAD_LEN"},
	{"a flow update of length 0", "0413002000000000ffff0000000000004f4e46000000074e0000000000000000", "OFPBRC_BAD_LEN"},
	{"a packet-out with more actions than bytes", "040d001800000000fffffffffffffffdffff000000000000", "OFPBRC_BAD_LEN"},
	{"a bundle in a bundle", "04040020000000004f4e4600000008fd00000001000000000404000800000000", "OFPBFC_MSG_UNSUP"},
	{"an error about an error about an error", "0401002000000000000100010401001400000000000100010401000c00000000", ""},
}

func TestKillersOfOtherCodecsAreRefused(t *testing.T) {
	for _, c := range messageKillers {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			err = Check(b)
			var code ErrorCode
			if errors.As(err, &code) != (c.want != "") || code != 0 && code.Error() != c.want {
				t.Errorf("Check: %v, want %q", err, c.want)
			}
			Decode(b)
			DecodeStrict(b)
			Print(b)
		})
	}
}

func TestErrorsWithinErrorsTakeTimeForEachOnce(t *testing.T) {
	inner := []byte{4, 1, 0, 12, 0, 0, 0, 0, 0, 1, 0, 1}
	for len(inner) < 60000 { // each is the failed message of the next
		n := len(inner) + 12
		inner = append([]byte{4, 1, byte(n >> 8), byte(n), 0, 0, 0, 0, 0, 1, 0, 1}, inner...)
	}
	s, err := Print(inner)
	if err != nil || len(s) > 16*len(inner) { // a name on each line
		t.Errorf("%d bytes are printed as %d: %v", len(inner), len(s), err)
	}
}

func TestPartsOfAMultipartAreJoined(t *testing.T) {
	part := func(typ MultipartType, more bool, body string) MultipartReply {
		return MultipartReply{Type: typ, More: more, Body: []byte(body)}
	}
	for name, c := range map[string]struct {
		limit int
		parts []MultipartReply
		want  string
		err   error
	}{
		"one part is whole":                  {0, []MultipartReply{part(1, false, "abc")}, "abc", nil},
		"more parts are joined":              {0, []MultipartReply{part(1, true, "ab"), part(1, true, ""), part(1, false, "c")}, "abc", nil},
		"an empty one is whole":              {0, []MultipartReply{part(1, false, "")}, "", nil},
		"another type does not belong":       {0, []MultipartReply{part(1, true, "ab"), part(2, false, "c")}, "", OFPBRC_BAD_STAT},
		"one that is too long is cut off":    {40, []MultipartReply{part(1, true, "abcd"), part(1, false, "efghi")}, "", OFPBRC_MULTIPART_BUFFER_OVERFLOW},
		"one that never ends is cut off":     {64, []MultipartReply{part(1, true, ""), part(1, true, ""), part(1, true, ""), part(1, true, ""), part(1, true, "")}, "", OFPBRC_MULTIPART_BUFFER_OVERFLOW},
		"one that is just short enough ends": {41, []MultipartReply{part(1, true, "abcd"), part(1, false, "efghi")}, "abcdefghi", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := Reassembly{Limit: c.limit}
			for i, p := range c.parts {
				body, done, err := r.Add(p)
				last := i == len(c.parts)-1
				switch {
				case !last && (done || err != nil):
					t.Fatalf("part %d: %v, %v", i+1, done, err)
				case last && c.err != nil && !errors.Is(err, c.err), last && c.err == nil && (!done || err != nil || string(body) != c.want):
					t.Errorf("%q, %v, %v; want %q, %v", body, done, err, c.want, c.err)
				}
			}
		})
	}
}

func TestAReassemblyIsReadyForTheNext(t *testing.T) {
	r := Reassembly{Limit: 40}
	for range 3 {
		if body, done, err := r.Add(MultipartReply{Type: MultipartFlow, Body: []byte("abc")}); !done || err != nil || string(body) != "abc" {
			t.Fatalf("%q, %v, %v", body, done, err)
		}
		if _, done, err := r.Add(MultipartReply{Type: MultipartTable, More: true, Body: []byte("abc")}); done || err != nil {
			t.Fatal(done, err)
		}
		if _, done, err := r.Add(MultipartReply{Type: MultipartTable}); !done || err != nil {
			t.Fatal(done, err)
		}
	}
}

// allocated returns how many bytes f takes from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestDecodersTakeNotMuchMoreMemoryThanTheirInput(t *testing.T) {
	repeat := func(head string, entry string) []byte {
		h, _ := hex.DecodeString(head)
		e, err := hex.DecodeString(entry)
		if err != nil {
			t.Fatal(entry, err)
		}
		b := append(h, bytes.Repeat(e, (65000-len(h))/len(e))...)
		be.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	const onf, nx = "4f4e4600", "00002320"
	all := map[string][]byte{
		"abbreviated flow updates": repeat("0413000000000000ffff000000000000"+onf+"0000074e", "0008000300000001"),
		"flow monitors":            repeat("0412000000000000ffff000000000000"+onf+"0000074e", "0000000100020004ffffffffff0000000001000400000000"),
		"buckets":                  repeat("040f0000000000000000000000000001", "00100000ffffffffffffffff00000000"),
		"bands":                    repeat("041d0000000000000000000100000001", "00010010000000010000000000000000"),
		"mappings":                 repeat("0404000000000000"+nx+"000000180000000000000000", "ffff000400010000"),
		"masks":                    repeat("0404000000000000"+nx+"0000001b", "0000000800000001"),
		"queues":                   repeat("04170000000000000000000100000000", "00000001000000010010000000000000"),
		"short actions":            repeat("040d000000000000fffffffffffffffdfde0000000000000", "0018000800000000"),
		"raw actions":              repeat("040d000000000000fffffffffffffffdfde0000000000000", "00ff000800000000"),
	}
	for name, b := range all {
		if name == "short actions" || name == "raw actions" {
			be.PutUint16(b[16:], uint16(len(b)-24))
		}
		got := allocated(func() {
			if _, _, err := Decode(b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		t.Logf("%s: %d bytes for %d, %.1f times", name, got, len(b), float64(got)/float64(len(b)))
		if got > 16*uint64(len(b)) && !raceDetector {
			t.Errorf("%s: %d bytes are taken for %d, which is more than 16 times as many", name, got, len(b))
		}
	}
	bodies := map[string]struct {
		entry  string
		decode func([]byte) error
	}{
		"empty groups":   {"0008000000000001", func(b []byte) error { _, err := DecodeGroupDesc(nil, b); return err }},
		"empty meters":   {"0008000000000001", func(b []byte) error { _, err := DecodeMeterConfig(nil, b); return err }},
		"small flows":    {"0038" + strings.Repeat("00", 46) + "0001000400000000", func(b []byte) error { _, err := DecodeFlowStats(nil, b); return err }},
		"group stats":    {"0028" + strings.Repeat("00", 38), func(b []byte) error { _, err := DecodeGroupStats(nil, b); return err }},
		"ports":          {"00000001" + strings.Repeat("00", 60), func(b []byte) error { _, err := DecodePortDescs(nil, b); return err }},
		"table counters": {strings.Repeat("00", 24), func(b []byte) error { _, err := DecodeTableStats(nil, b); return err }},
	}
	for name, c := range bodies {
		b := repeat("00000000", c.entry)[4:]
		got := allocated(func() {
			if err := c.decode(b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		t.Logf("%s: %.1f times", name, float64(got)/float64(len(b)))
		if got > 16*uint64(len(b)) {
			t.Errorf("%s: %d bytes are taken for %d, which is more than 16 times as many", name, got, len(b))
		}
	}
}

// TestMessagesOnceReadOtherwise has what hunting found: messages and the line that Open
// vSwitch prints of them, or the error.
func TestMessagesOnceReadOtherwise(t *testing.T) {
	for name, c := range map[string]struct{ hex, want string }{
		"an NSH of an unknown kind has no contexts, however long it is": {
			"040d004e00000007fffffffffffffffd001000000000000000000010000000020000000000000000020000000001020000000002894f0fc511030102030400000000000000000000fff800000000",
			"nsh_ttl=63,nsh_mdtype=17,nsh_np=3,nsh_spi=0x10203,nsh_si=4,nw_proto=0",
		},
		"a flow update of length 0 is of a bad kind first": {
			"0413002000000007ffff0000000000004f4e46000000074e0000000500000000", "NXBRC_FM_BAD_EVENT",
		},
		"a version that there is not has no hello":            {"0401001455555555000300050000000801111111", "OFPBRC_BAD_TYPE"},
		"a standard error may come as that of experimenter 0": {"0401001455555555b0c200000000000000000000", "OFPHFC_INCOMPATIBLE"},
		"an IPv4-compatible address ends in decimals": {
			"0404003800000000000023200000002006000000000000000001002000000000000000140000000000000000000000000002000800050000",
			"ct_ipv6_src=::0.2.0.8",
		},
		"ports of queues are looked at only if there are queues": {"04170010000000011000000100000000", "OFPT_QUEUE_GET_CONFIG_REPLY"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			be.PutUint16(b[2:], uint16(len(b)))
			if s, _ := Print(b); !strings.Contains(s, c.want) {
				t.Errorf("%s\nwant %s", s, c.want)
			}
		})
	}
}

func TestWhatNoOtherMessageShowsIsPrinted(t *testing.T) {
	for name, c := range map[string]struct {
		m    Message
		want string
	}{
		"the reason of a flow update has 16 bits": {
			FlowMonitorReply{Updates: []FlowUpdate{{Event: UpdateDeleted, Reason: 65523}}}, "reason=65523",
		},
		"a type of packets that is no EtherType has no neighbour discovery": {
			PacketIn2{PacketIn: PacketIn{Match: Match{Is(PacketType, 0x2186dd)}, Data: append(
				[]byte{0x60, 0, 0, 0, 0, 24, 58, 63, 0x20, 1}, append(make([]byte, 30), append([]byte{135}, make([]byte, 23)...)...)...)}},
			"nw_frag=no,icmp_type=135,icmp_code=0 icmp6_csum:0",
		},
		"a group of no kind": {GroupMod{Group: Group{ID: 1, Type: 4}}, "OFPGMFC_BAD_TYPE"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Append(nil, 0, c.m)
			if err != nil {
				t.Fatal(err)
			}
			if s, _ := Print(b); !strings.Contains(s, c.want) {
				t.Errorf("%s\nwant %s", s, c.want)
			}
		})
	}
}

func TestAnErrorOfOpenFlow10IsTheSameErrorIn13(t *testing.T) {
	for _, c := range []struct {
		hex  string
		want ErrorCode
	}{
		{"0101001800000000b0c20000000023200001020600010004", OFPMOFC_BAD_FLAGS}, // Open vSwitch's answer to a monitor, in a session of 1.3
		{"0101000c0000000900000000", OFPHFC_INCOMPATIBLE},
		{"0101000c0000000900030001", OFPFMFC_OVERLAP},
		{"0401000c0000000900050003", OFPFMFC_OVERLAP},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		_, m, err := Decode(b)
		if e, ok := m.(*Error); err != nil || !ok || !errors.Is(e, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.hex, m, err, c.want)
		}
	}
}
