package ofproto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// A matchVector is the TLVs of a match, and what Open vSwitch 3.1 makes of them.
type matchVector struct {
	ID        string  `json:"id"`
	Kind      string  `json:"kind"`
	Hex       string  `json:"hex"`
	Text      *string `json:"text"`
	Canonical string  `json:"canonical_hex"` // what it writes after it has read them
	Error     string  `json:"error"`
}

func matchVectors(t testing.TB) (all []matchVector) {
	b, err := os.ReadFile("testdata/oxm.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var v matchVector
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMatchesAreReadWrittenAndPrintedAsOpenVSwitchDoes(t *testing.T) {
	var same, refused, parsed int
	for _, v := range matchVectors(t) {
		m, err := DecodeMatch(unhex(t, v.Hex))
		if v.Error != "" {
			var code ErrorCode
			if !errors.As(err, &code) || code.Error() != v.Error {
				t.Errorf("%s: %s: got %v, want %s", v.ID, v.Hex, err, v.Error)
			}
			refused++
			continue
		}
		if err != nil {
			t.Errorf("%s: %s: %v", v.ID, v.Hex, err)
			continue
		}
		if got := m.String(); v.Text != nil && got != *v.Text {
			t.Errorf("%s: %s:\n got %s\nwant %s", v.ID, v.Hex, got, *v.Text)
		}
		if got := hex.EncodeToString(AppendMatch(nil, m)); got != v.Canonical {
			t.Errorf("%s: %v:\n got %s\nwant %s", v.ID, m, got, v.Canonical)
		}
		same++
		if again, err := ParseMatch(m.String()); err == nil && slices.Equal(again, m) {
			parsed++
		}
	}
	t.Logf("%d matches are the same, %d are refused with the same error, %d are read back from their text", same, refused, parsed)
	if same+refused != 508 || parsed < 354 { // the others are not printed as a whole
		t.Errorf("%d and %d of 508", same, refused)
	}
}

func TestFieldsAreThoseOfOpenVSwitch(t *testing.T) {
	b, err := os.ReadFile("testdata/oxm_fields_ovs31.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		Num, Size, Bits, Cls         int
		Exp                          uint32
		Name, Maskable, Prereqs, Fmt string
		Access                       string
		Aka                          *string
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	needs := map[string]prereq{
		"none": always, "Ethernet": isEthernet, "ARP": isARP, "VLAN VID": isVLAN, "IPv4": isIPv4, "IPv6": isIPv6, "IPv4/IPv6": isIP,
		"MPLS": isMPLS, "NSH": isNSH, "CT": isCT, "TCP": isTCP, "UDP": isUDP, "SCTP": isSCTP, "ICMPv4": isICMPv4, "ICMPv6": isICMPv6,
		"ND": isND, "ND solicit": isNDSolicit, "ND advert": isNDAdvert,
	}
	formats := map[string]format{
		"decimal": decimal, "hexadecimal": hexadecimal, "IPv4": ipv4, "IPv6": ipv6, "Ethernet": mac, "ct state": ctState,
		"OpenFlow 1.1+ port": port, "OpenFlow 1.0 port": port16, "frag": frag, "TCP flags": tcpFlags, "tunnel flags": tunFlags, "packet type": packetType,
	}
	for name, want := range all {
		if name >= "NXM_NX_XXREG4" && name <= "NXM_NX_XXREG7" {
			delete(all, name) // reserved for more registers than 3.1 has
			continue
		}
		h := header{uint16(want.Cls), uint8(want.Num), want.Exp}
		f := h.field()
		if f == 0 || byName[name] != f {
			t.Errorf("%s is %v by its header, %v by its name", name, f, byName[name])
			continue
		}
		i := info[f]
		aka := ""
		if want.Aka != nil {
			aka = strings.Replace(*want.Aka, "<N>", want.Name[len(want.Name)-1:], 1)
		}
		var can access
		if want.Maskable != "no" {
			can |= maskable
		}
		if want.Access == "read/write" {
			can |= writable
		}
		if i.name != want.Name || i.alias != aka || i.bytes != want.Size || int(i.bits) != want.Bits ||
			i.needs != needs[want.Prereqs] || i.format != formats[want.Fmt] || i.access != can {
			t.Errorf("%s: got %+v, want %+v", name, i, want)
		}
	}
	fields, headers := 0, 0
	for _, i := range info {
		if len(i.codes) > 0 {
			fields++
		}
		headers += len(i.codes)
	}
	if headers != len(all) || fields != 178 {
		t.Errorf("%d fields have %d headers, want 178 with %d", fields, headers, len(all))
	}
}

func BenchmarkDecodeMatch(b *testing.B) {
	wire := AppendMatch(nil, typicalFlow(443).Match)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeMatch(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMatch(b *testing.B) {
	m := typicalFlow(443).Match
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMatch(buf[:0], m)
	}
}

func BenchmarkMatchText(b *testing.B) {
	m := typicalFlow(443).Match
	b.ReportAllocs()
	for b.Loop() {
		if m.String() == "" {
			b.Fatal()
		}
	}
}

func BenchmarkParseMatch(b *testing.B) {
	s := typicalFlow(443).Match.String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMatch(s); err != nil {
			b.Fatal(err)
		}
	}
}
