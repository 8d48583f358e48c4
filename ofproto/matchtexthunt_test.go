package ofproto

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// values are texts of values, of which some fit some fields.
var valueTexts = []string{
	"0", "1", "5", "0x5", "010", "0x1f/0xff", "3/1", "65535", "0xffff", "0x1000/0x1000", "256", "-1", "*", "", "0/0", "0xffffffff", "4294967296",
	"0x123456789abcdef0", "0xffffffffffffffffffffffffffffffff", "0x1 2", "1/", "/1", "1/2/3", "0x", "0x/0x", "1e3", "+5",
	"10.0.0.1", "10.1.2.3/8", "10.0.0.0/255.255.0.0", "1.2.3.4/255.0.255.0", "1.2.3", "1.2.3.4.5", "300.1.1.1", "1.2.3.4/33", "1.2.3.4/0", "1.2.3.4/",
	"fe80::1", "::", "::/0", "2001:db8::/32", "::1.2.3.4", "::ffff:1.2.3.4", "1::2/ffff::", "fe80::1/129", "fe80:::1", "::1:2", "1:2:3:4:5:6:7:8/64", "::0.1.0.0", "1.2.3.4::",
	"00:11:22:33:44:55", "0:1:2:3:4:5", "ff:ff:ff:ff:ff:ff/01:00:00:00:00:00", "00:11:22:33:44", "00:11:22:33:44:55:66", "0x1:2:3:4:5:6", "100:1:1:1:1:1", "00:11:22:33:44:55/ff:ff:ff:ff:ff:ff",
	"+new-est", "+trk", "new|est", "+new+new", "new", "+new|est", "0x3/0x7", "0x21", "-new-trk+dnat", "+foo", "trk|0x1", "new|", "|new", "0x100", "+oam", "oam", "-oam", "+df", "1/1",
	"+syn-ack", "syn", "+[200]", "[800]|fin", "0xfff", "0x1000", "+syn+fin-ack-rst", "+ns",
	"LOCAL", "local", "in_port", "IN_PORT", "CONTROLLER", "any", "NONE", "65534", "0xfffe", "4294967294", "65279", "65280", "UNSET",
	"no", "yes", "first", "later", "not_later", "NO", "(1,0x800)", "(0,0)", "(1,2048)", "(2,5)", "(1,0x800", "1,2", "(1,0x8847)x", "(65536,1)",
	"135", "136", "58", "6", "17", "132", "0x0800", "0x86dd", "0x806", "0x8847", "0x894f", "2048", "0x5ff", "7", "8", "4095", "4096", "0xffff/0xfff", "0xfffff", "0x100000",
}

var protocolTexts = []string{"ip", "ipv6", "tcp", "udp", "sctp", "icmp", "icmp6", "tcp6", "udp6", "sctp6", "arp", "rarp", "mpls", "mplsm", "ip6", "ipv4", "ip4", "eth"}

// text returns a match that a person could have written, or nearly.
func (r tlvMaker) text(texts []string) string {
	if r.IntN(4) == 0 {
		return r.misspelt(texts[r.IntN(len(texts))])
	}
	var s []string
	if r.IntN(4) > 0 {
		s = append(s, protocolTexts[r.IntN(len(protocolTexts))])
	}
	for range 1 + r.IntN(4) {
		f := Field(1 + r.IntN(int(numFields)-1))
		if f.isTunMetadata() && r.IntN(3) > 0 {
			f = Field(int(EthSrc) + r.IntN(int(ARPTHA-EthSrc)))
		}
		name := info[f].name
		if info[f].alias != "" && r.IntN(2) == 0 {
			name = info[f].alias
		}
		if len(info[f].codes) > 0 && r.IntN(15) == 0 {
			name = info[f].codes[0].name + "[]"
		}
		if r.IntN(15) == 0 {
			name += fmt.Sprintf("[%d..%d]", r.IntN(8), 4+r.IntN(12))
		}
		s = append(s, name+"="+r.valueText(f))
	}
	if r.IntN(4) == 0 {
		s = append(s, protocolTexts[r.IntN(len(protocolTexts))])
	}
	return strings.Join(s, ",")
}

// valueText returns a value of f, or, now and then, of another field.
func (r tlvMaker) valueText(f Field) string {
	if r.IntN(4) == 0 || f.isTunMetadata() && r.IntN(3) == 0 {
		return valueTexts[r.IntN(len(valueTexts))]
	}
	i := &info[f]
	n := min(i.bytes, 16)
	mask := ones(n)
	if i.access&maskable != 0 && r.IntN(3) == 0 {
		mask = fromBytes(r.bits(uint16(8*n), n))
	}
	s := string(appendFormat(nil, i, fromBytes(r.bits(i.bits, n)), mask))
	return strings.TrimPrefix(s, "packet_type=")
}

func (r tlvMaker) misspelt(s string) string {
	b := []byte(s)
	for range r.IntN(3) {
		if len(b) == 0 {
			break
		}
		at := r.IntN(len(b))
		switch r.IntN(3) {
		case 0:
			b[at] = "0123456789abcdefx/.:,=+-|()[]* "[r.IntN(31)]
		case 1:
			b = append(b[:at], b[at+1:]...)
		case 2:
			b = append(b[:at:at], append([]byte{"0123456789abcdefx/.:,=+-|"[r.IntN(25)]}, b[at:]...)...)
		}
	}
	return string(b)
}

var ofctlLine = regexp.MustCompile(`:(\d+): `)

// ofctlTexts has ovs-ofctl read matches, and returns how it prints the flow-mods that it
// would send with them; "error" if it does not take one.
func ofctlTexts(t testing.TB, texts []string) (answers []string) {
	file := filepath.Join(t.TempDir(), "flows")
	for len(answers) < len(texts) {
		rest := texts[len(answers):min(len(texts), len(answers)+400)]
		if err := os.WriteFile(file, []byte(strings.Join(rest, ",actions=drop\n")+",actions=drop\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		cmd := exec.CommandContext(t.Context(), "ovs-ofctl", "-voff", "-O", "OpenFlow13", "parse-flows", file)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil { // at one line: have those before it read, and go on behind it
			at := ofctlLine.FindStringSubmatch(stderr.String())
			if at == nil {
				t.Fatalf("%s", stderr.String())
			}
			n, _ := strconv.Atoi(at[1])
			if n > 1 {
				answers = append(answers, ofctlTexts(t, rest[:n-1])...)
			}
			answers = append(answers, "error")
			continue
		}
		for line := range strings.Lines(string(out)) {
			if _, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ADD "); ok {
				answers = append(answers, strings.TrimSuffix(strings.TrimSuffix(text, "actions=drop"), " "))
			} else if code := ofctlRefusal.FindStringSubmatch(line); code != nil {
				answers = append(answers, code[1])
			}
		}
	}
	return answers
}

// ourText is what ovs-ofctl would print for the flow-mod with a match.
func ourText(s string) string {
	m, err := parseUnsent(s)
	if err != nil {
		return "error"
	}
	return ourMatch(AppendMatch(nil, m))
}

// parseUnsent is ParseMatch without its last step, which keeps what would be sent.
func parseUnsent(s string) (Match, error) {
	p := parser{whole: s}
	p.conditions(text{s, 0})
	if p.err != nil {
		return nil, p.err
	}
	return p.match.resolve(), nil
}

func TestTextsOfMatchesAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	n := hunted(t, 500)
	r := newTLVMaker(t, huntSeed())
	var seeds, texts []string
	for _, v := range vectors(t, "oxm.jsonl") {
		if v.Text != "" {
			seeds = append(seeds, v.Text)
		}
	}
	for len(texts) < n {
		if s := r.text(seeds); !strings.Contains(s, "action") && !strings.Contains(s, "#") && strings.Count(s, "(") == strings.Count(s, ")") {
			texts = append(texts, s)
		}
	}
	differ, good := 0, 0
	for i, want := range ofctlTexts(t, texts) {
		if want != "error" && !strings.HasPrefix(want, "OFP") {
			good++
		}
		if got := ourText(texts[i]); got != want {
			if differ++; differ <= 15 {
				_, err := ParseMatch(texts[i])
				t.Errorf("%s\n got %s %v\nwant %s", texts[i], got, err, want)
			}
		}
	}
	t.Logf("%d of %d texts differ, of which %d are good", differ, n, good)
}
