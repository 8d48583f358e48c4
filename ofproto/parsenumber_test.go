package ofproto

import (
	"encoding/hex"
	"testing"
)

func TestNumbersAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	for name, c := range map[string]struct {
		in    string
		width int
		want  uint64
		bad   bool
	}{
		"decimal":                                {"17", 16, 17, false},
		"hexadecimal after 0x":                   {"0x1f", 16, 31, false},
		"octal after a zero":                     {"010", 16, 8, false},
		"an eight is no octal digit":             {"08", 16, 0, true},
		"0x alone is no number":                  {"0x", 64, 0, true},
		"no binary":                              {"0b1", 64, 0, true},
		"no underscores":                         {"1_000", 64, 0, true},
		"blanks and a plus sign stand before it": {" \t+5", 8, 5, false},
		"nothing":                                {"", 64, 0, true},
		"a sign alone":                           {"-", 64, 0, true},
		"16 bits hold 65535":                     {"65535", 16, 65535, false},
		"16 bits do not hold 65536":              {"65536", 16, 0, true},
		"16 bits do not hold -1":                 {"-1", 16, 0, true},
		"32 bits hold -1":                        {"-1", 32, 0xffffffff, false},
		"of 33 bits 32 are kept":                 {"0x1ffffffff", 32, 0xffffffff, false},
		"64 bits hold -1":                        {"-1", 64, 1<<64 - 1, false},
		"64 bits do not hold 2^64":               {"18446744073709551616", 64, 0, true},
	} {
		p := parser{whole: c.in}
		got := p.uint(text{c.in, 0}, c.width)
		if (p.err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("%s: %q in %d bits: %d %v", name, c.in, c.width, got, p.err)
		}
	}
}

func TestLongNumbersAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	for name, c := range map[string]struct{ in, want, rest string }{
		"blanks stand among the digits":      {"0x12 34 5", "00012345", ""},
		"it ends where no digit stands":      {"0xffg", "000000ff", "g"},
		"0x alone is zero":                   {"0x/0x1", "00000000", "/0x1"},
		"zeroes before it take no room":      {"0x00000000000011223344", "11223344", ""},
		"a number that is not hexadecimal":   {"256/1", "00000100", "/1"},
		"five bytes do not go into four":     {"0x1122334455", "", ""},
		"33 bits do not go into four either": {"4294967296", "", ""},
	} {
		v, rest, ok := long(c.in, 4)
		if ok != (c.want != "") || ok && (hex.EncodeToString(v) != c.want || rest != c.rest) {
			t.Errorf("%s: %q: %x, %q, %v", name, c.in, v, rest, ok)
		}
	}
}

func TestPortsAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want uint32
		bad  bool
	}{
		"a number":                             {"7", 7, false},
		"a name in any case":                   {"Local", PortLocal, false},
		"none is any":                          {"none", PortAny, false},
		"a reserved port of OpenFlow 1.0":      {"65534", PortLocal, false},
		"a reserved port without a name":       {"0xff00", 0, true},
		"a port between the reserved ones":     {"65280", 0xffffff00, false},
		"a reserved port of OpenFlow 1.3":      {"4294967294", PortLocal, false},
		"a port that only OpenFlow 1.3 has":    {"65536", 0, true},
		"a negative number":                    {"-2", 0, true},
		"the name of an interface: not by us":  {"eth0", 0, true},
		"more than 32 bits":                    {"4294967296", 0, true},
		"nothing":                              {"", 0, true},
		"octal is not known here, but decimal": {"010", 10, false},
	} {
		if got, ok := portNumber(c.in); ok == c.bad || ok && got != c.want {
			t.Errorf("%s: %q is %#x, %v", name, c.in, got, ok)
		}
	}
}

func TestSubfieldsAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	for in, want := range map[string]string{
		"reg0":                  "NXM_NX_REG0[]",
		"reg0[]":                "NXM_NX_REG0[]",
		"NXM_NX_REG0_W[3..3]":   "NXM_NX_REG0[3]",
		"NXM_NX_REG5[ 0.. 15]":  "NXM_NX_REG5[0..15]",
		"reg0[0..31]":           "NXM_NX_REG0[]",
		"reg0_W":                `column 1: there is no field "reg0_W"`,
		"reg0[32]":              "column 6: reg0 has bits 0 to 31 only",
		"reg0[3..2]":            "column 6: bit 3 stands before bit 2",
		"reg0[1":                "column 5: want [], [BIT] or [FIRST..LAST] after reg0",
		"reg0[1..]":             "column 6: want [], [BIT] or [FIRST..LAST] after reg0",
		"reg0[0x1]":             "column 6: want [], [BIT] or [FIRST..LAST] after reg0",
		"reg0[1],":              `column 8: want nothing after the field, not ","`,
		"registerofmygrandma[]": `column 1: there is no field "registerofmygrandma"`,
	} {
		p := parser{whole: in}
		s := p.subfield(text{in, 0})
		got := ""
		if p.err != nil {
			got = p.err.Error()
		} else {
			got = s.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
