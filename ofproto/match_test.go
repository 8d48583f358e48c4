package ofproto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
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

// addMatches adds the recorded matches to the seeds of f, and killers that others found.
func addMatches(f *testing.F) {
	for _, v := range vectors(f, "oxm.jsonl") {
		f.Add(unhex(f, v.Hex))
	}
	f.Add([]byte{0, 1, 0x50, 0, 0, 1, 0x53, 0})
	f.Add([]byte{0xff, 0xff, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0, 3, 0, 0, 0x23, 0x20})
}

func FuzzDecodeMatch(f *testing.F) {
	addMatches(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, strict := range []bool{true, false} {
			d := decoder{b: b, what: "match", strict: true}
			m := d.oxms(strict)
			if d.err != nil {
				continue
			}
			if !slices.IsSortedFunc(m, func(a, b Cond) int { return int(a.Field) - int(b.Field) }) {
				t.Fatalf("%x: %v is not in order", b, m)
			}
			if len(m)*34 > 16*len(b) {
				t.Fatalf("%x: %d conditions", b, len(m))
			}
			wire := AppendMatch(nil, m)
			again, err := DecodeMatch(wire)
			if err != nil {
				if strict && !loses(m) { // Open vSwitch, too, writes some that it refuses
					t.Fatalf("%x: %v is written as %x, which cannot be read: %v", b, m, wire, err)
				}
				continue // prerequisites that it did not have are missing still
			}
			if twice := AppendMatch(nil, again); !bytes.Equal(twice, wire) {
				t.Fatalf("%x: writing does not settle: %x, then %x", b, wire, twice)
			}
			if strict && !slices.Equal(again, m) && !loses(m) {
				t.Fatalf("%x: %v is written as %x, which is %v", b, m, wire, again)
			}
			if !strict || loses(m) || !printsWhole(m) {
				continue
			}
			if parsed, err := ParseMatch(m.String()); err != nil || !slices.Equal(parsed, m) {
				t.Fatalf("%x: %v is read as %v, %v", b, m, parsed, err)
			}
		}
	})
}

// loses reports whether m has conditions that Open vSwitch does not write, or not as a whole.
func loses(m Match) bool {
	h := m.headers()
	for i := range m {
		c := &m[i]
		tci, mask := c.Value.low(), c.Mask.low()
		switch {
		case c.Field == VLANTCI && (mask&vlanPCP != 0 && mask&vlanPCP != vlanPCP || mask&vlanPCP != 0 && tci&vlanCFI == 0 || mask&0x1fff == 0):
			return true
		case c.Field == CTNwProto && tci == 0, info[c.Field].needs >= isND && !h.isND(), foldingOf[c.Field] == badMask:
			return true
		case (c.Field == CTTpSrc || c.Field == CTTpDst) && h.ctProto == 0:
			return true
		}
	}
	return false
}

// printsWhole reports whether the text of m says all that m says, in a way that can be read.
func printsWhole(m Match) bool {
	t := matchText{m: m, headers: m.headers().shown(), megaflow: m.has(RecircID)}
	for i := range m {
		c := &m[i]
		exact := c.Mask == ones(info[c.Field].bytes)
		style := matchStyles[c.Field]
		switch f := c.Field; {
		case f.isTunMetadata():
			if _, mask, masked, _ := m.tunMetadata(i); masked && significant(mask) > 0 && !slices.ContainsFunc(mask, func(c byte) bool { return c != 0xff }) {
				return false // its mask is not printed
			}
		case f == EthType || f == IPProto:
		case info[f].format == ipv6 && prefixLen(c.Mask, 16) < 0 && digitFirst.MatchString(c.String()):
			return false // Open vSwitch reads such a mask as a length
		case !t.prints(c), foldingOf[f] == badMask && (f == TunGTPUFlags || f == TunGTPUMsgType || c.Mask != c.Value):
			return false
		case foldingOf[f] != badMask && !exact && (style == asValue || style == asHexValue || style == asTOS):
			return false
		case f == IPFrag && (!exact || c.Value == Uint(2)), f == TCPFlags && c.Mask.low()&0xfff == 0xfff && !exact, f == TCPFlags && c.Mask.low()>>12 != 0 && !exact:
			return false
		}
	}
	return true
}

var digitFirst = regexp.MustCompile(`/[0-9]`)

func FuzzParseMatch(f *testing.F) {
	for _, v := range vectors(f, "oxm.jsonl") {
		if v.Text != "" {
			f.Add(v.Text)
		}
	}
	for _, s := range valueTexts {
		f.Add("ip,nw_src=" + s + ",reg0[0..3]=" + s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMatch(s)
		if err != nil {
			var at *SyntaxError
			if !errors.As(err, &at) || at.Offset < 0 || at.Offset > len(s) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		text := m.String()
		again, err := ParseMatch(text)
		if err != nil || again.String() != text {
			if !unreadable.MatchString(text) {
				t.Fatalf("%q is %q, which is read as %v, %v", s, text, again, err)
			}
			return
		}
	})
}

// unreadable is what Open vSwitch prints and cannot read.
var unreadable = regexp.MustCompile(`gtpu_|<error>|nw_frag|\[Unknown\]|0/0`)
