package conntrack

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const tcpLine = "tcp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=1,dport=2),reply=(src=2.2.2.2,dst=1.1.1.1,sport=2,dport=1),id=0,zone=5,status=0,timeout=29,mark=5,labels=0x700000000,protoinfo=(state_orig=SYN_SENT,state_reply=CLOSED,flags_orig=0,flags_reply=0)"

var a, b = netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("2.2.2.2")

func TestParseEntry(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want Entry
	}{
		"tcp of the userspace datapath, verbose": {tcpLine, Entry{
			Protocol: TCP, Orig: Tuple{Src: a, Dst: b, SrcPort: 1, DstPort: 2}, Reply: Tuple{Src: b, Dst: a, SrcPort: 2, DstPort: 1},
			Zone: 5, Timeout: 29, Mark: 5, Label: Label{11: 7}, State: SynSent, StateOrig: SynSent, StateReply: Closed,
		}},
		"icmp has an id, a type and a code": {"icmp,orig=(src=1.1.1.1,dst=2.2.2.2,id=9,type=8,code=0),reply=(src=2.2.2.2,dst=1.1.1.1,id=9,type=0,code=0),zone=5", Entry{
			Protocol: ICMP, Orig: Tuple{Src: a, Dst: b, ICMPID: 9, ICMPType: 8}, Reply: Tuple{Src: b, Dst: a, ICMPID: 9}, Zone: 5,
		}},
		"tcp of the kernel's datapath, verbose, with counters": {"tcp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=1,dport=2,packets=3,bytes=180),reply=(src=2.2.2.2,dst=1.1.1.1,sport=2,dport=1,packets=2,bytes=112),id=77,zone=5,status=SEEN_REPLY|ASSURED|CONFIRMED,timeout=9,protoinfo=(state_orig=ESTABLISHED,state_reply=ESTABLISHED,wscale_orig=7,wscale_reply=8,flags_orig=WINDOW_SCALE|SACK_PERM,flags_reply=WINDOW_SCALE|MAXACK_SET),helper=ftp,parent=(src=1.1.1.1,dst=2.2.2.2,sport=9,dport=21)", Entry{
			Protocol: TCP, Orig: Tuple{Src: a, Dst: b, SrcPort: 1, DstPort: 2}, Reply: Tuple{Src: b, Dst: a, SrcPort: 2, DstPort: 1}, Zone: 5, Timeout: 9, ID: 77,
			Status: StatusSeenReply | StatusAssured | StatusConfirmed, State: Established, StateOrig: Established, StateReply: Established,
			ScaleOrig: 7, ScaleReply: 8, FlagsOrig: 3, FlagsReply: 0x21, CountOrig: Counters{3, 180}, CountReply: Counters{2, 112},
			Helper: "ftp", Parent: Tuple{Src: a, Dst: b, SrcPort: 9, DstPort: 21},
		}},
		"sctp of the kernel's datapath": {"sctp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=1,dport=2),reply=(src=2.2.2.2,dst=1.1.1.1,sport=2,dport=1),protoinfo=(state=COOKIE_ECHOED,vtag_orig=16777216,vtag_reply=4294967294)", Entry{
			Protocol: SCTP, Orig: Tuple{Src: a, Dst: b, SrcPort: 1, DstPort: 2}, Reply: Tuple{Src: b, Dst: a, SrcPort: 2, DstPort: 1},
			State: CookieEchoed, TagOrig: 1, TagReply: 0xfeffffff,
		}},
		"a protocol without a name": {"47,orig=(src=1.1.1.1,dst=2.2.2.2,sport=0,dport=0),reply=(src=2.2.2.2,dst=1.1.1.1,sport=0,dport=0)", Entry{
			Protocol: gre, Orig: Tuple{Src: a, Dst: b}, Reply: Tuple{Src: b, Dst: a},
		}},
		"a key of a later version is kept": {"udp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=1,dport=2),reply=(src=2.2.2.2,dst=1.1.1.1,sport=2,dport=1),color=blue,more=(x=(1))", Entry{
			Protocol: UDP, Orig: Tuple{Src: a, Dst: b, SrcPort: 1, DstPort: 2}, Reply: Tuple{Src: b, Dst: a, SrcPort: 2, DstPort: 1},
			Other: "color=blue\nmore=x=(1)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseEntry(c.line)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestOlderVersionsAreRead has what Open vSwitch 2.17 and 3.0 write otherwise than later ones:
// bits that are not set are nothing at all, and not 0.
func TestOlderVersionsAreRead(t *testing.T) {
	for name, change := range map[string][]string{
		"2.17, no bits": {"status=0", "status=", "flags_orig=0", "flags_orig=", "flags_reply=0", "flags_reply="},
		"2.17, bits":    {"status=0", "status=SEEN_REPLY|CONFIRMED", "flags_orig=0", "flags_orig=SACK_PERM", "flags_reply=0", "flags_reply="},
		"any, terse":    {"id=0,", "", "status=0,", "", "timeout=29,", "", "state_orig=SYN_SENT,state_reply=CLOSED,flags_orig=0,flags_reply=0", "state=SYN_SENT"},
	} {
		t.Run(name, func(t *testing.T) {
			line := strings.NewReplacer(change...).Replace(tcpLine)
			e, err := ParseEntry(line)
			if err != nil || line == tcpLine || e.Other != "" || e.State != SynSent || e.Zone != 5 || e.Mark != 5 {
				t.Errorf("%s\n%+v, %v", line, e, err)
			}
			if bits := strings.Contains(line, "SEEN"); bits != (e.Status == StatusSeenReply|StatusConfirmed) || bits != (e.FlagsOrig == 2) {
				t.Errorf("%v, %v", e.Status, e.FlagsOrig)
			}
		})
	}
}

func TestDamageHasItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string // the first is replaced
		at, why  string // at is what the column points to
	}{
		"a state that there is not":  {"SYN_SENT", "SYN_LOST", "SYN_LOST,", "there is no such state"},
		"a state without a name":     {"SYN_SENT", "[12]", "[12],", "there is no such state"},
		"a key twice":                {"mark=5", "zone=6", "zone=6,", "zone comes twice"},
		"a key of a tuple twice":     {"sport=1", "src=1.1.1.1", "src=1.1.1.1,d", "src comes twice"},
		"an unknown key twice":       {"mark=5", "new=1,new=2", "new=2", "new comes twice"},
		"a zone that is none":        {"zone=5", "zone=65536", "65536", "not a number in its range"},
		"a port that is none":        {"sport=1", "sport=-1", "-1,", "not a number in its range"},
		"an address that is none":    {"src=1.1.1.1", "src=1.1.1", "1.1.1,", "not an address"},
		"an address of an interface": {"src=1.1.1.1", "src=fe80::1%eth0", "fe80::1%", "not an address"},
		"addresses of two families":  {"src=1.1.1.1", "src=fc00::1", "src=fc00", "tuple of IPv4 and IPv6"},
		"a label that is none":       {"0x700000000", "0x7g", "0x7g", "not a label"},
		"a label that is too long":   {"0x700000000", "0x100000000000000000000000000000000", "0x1", "not a label"},
		"a protocol that is none":    {"tcp,", "orig=(,", "orig", "no protocol"},
		"a protocol beyond 255":      {"tcp,", "256,", "256", "no protocol"},
		"a tuple that is not closed": {"dport=2),", "dport=2,", "reply", ""},
		"a tuple without a sender":   {"src=1.1.1.1,", "", "dst=2.2.2.2", "tuple without addresses: the line is cut"},
		"a key that is missing":      {",mark=5", ",=5", "=5", "a key is missing"},
		"no answers":                 {"reply=(src=2.2.2.2,dst=1.1.1.1,sport=2,dport=1),", "", "", "orig or reply is missing: the line is cut"},
		"a parenthesis too many":     {"dport=2),", "dport=2)),", "),reply", "something too much"},
		"a number where a list is":   {"timeout=29", "timeout=0x1d", "0x1d", "not a number in its range"},
		"a time that is none":        {"id=0", "start=yesterday", "yesterday", "not a time"},
	} {
		t.Run(name, func(t *testing.T) {
			line := strings.Replace(tcpLine, c.old, c.new, 1)
			_, err := ParseEntry(line)
			var d *Damage
			if !errors.As(err, &d) {
				t.Fatalf("%s: %v", line, err)
			}
			if d.Line != 1 || d.Text != line || c.why != "" && (d.Why != c.why || !strings.HasPrefix(line[d.Column-1:], c.at)) {
				t.Errorf("%v; points to %q", d, line[d.Column-1:])
			}
		})
	}
}

// TestACutLineIsDamage cuts a line at each of its bytes. What is cut behind the answers may be a
// shorter line that is right, but for the numbers in it: a dump that ends so says that it does.
func TestACutLineIsDamage(t *testing.T) {
	answers := strings.Index(tcpLine, "),id=") + 1
	for i := 1; i < len(tcpLine); i++ {
		if _, err := ParseEntry(tcpLine[:i]); err == nil && i < answers {
			t.Errorf("%q is taken", tcpLine[:i])
		}
		var last error
		n := 0
		for _, err := range Parse(strings.NewReader(tcpLine + "\n" + tcpLine[:i])) {
			last = err
			n++
		}
		var d *Damage
		if n != 2 || !errors.As(last, &d) || d.Line != 2 || d.Column != i+1 {
			t.Fatalf("cut behind %q: %d, %v", tcpLine[:i], n, last)
		}
	}
}

func TestADamagedLineCostsOnlyItsEntry(t *testing.T) {
	dump := tcpLine + "\n" + tcpLine[:60] + "\n" + tcpLine + ",zone=6\n" + strings.Replace(tcpLine, "zone=5", "zone=70000", 1) + "\n\n" + tcpLine + "\n"
	for size := range 70 { // of the pieces in which it comes
		var good int
		var lines []int
		for _, err := range Parse(&dribble{dump, size + 1}) {
			var d *Damage
			switch {
			case err == nil:
				good++
			case errors.As(err, &d):
				lines = append(lines, d.Line)
			default:
				t.Fatal(err)
			}
		}
		if good != 2 || !cmp.Equal(lines, []int{2, 3, 4}) {
			t.Errorf("%d good, damage in %v", good, lines)
		}
	}
}

// A dribble gives a text in pieces of some bytes.
type dribble struct {
	text string
	size int
}

func (d *dribble) Read(p []byte) (int, error) {
	if d.text == "" {
		return 0, io.EOF
	}
	n := copy(p, d.text[:min(d.size, len(d.text))])
	d.text = d.text[n:]
	return n, nil
}

func TestALineWithoutEndEndsTheDump(t *testing.T) {
	var last error
	n := 0
	for _, last = range Parse(strings.NewReader(tcpLine + "\n" + strings.Repeat("x", 3*longestLine))) {
		n++
	}
	if n != 2 || last == nil || last.Error() != "line 2 has more than 1048576 bytes" {
		t.Errorf("%d, %v", n, last)
	}
	long := strings.Replace(tcpLine, "mark=5", "new="+strings.Repeat("x", pieceSize*3), 1) // longer than a piece
	for e, err := range Parse(strings.NewReader(tcpLine + "\n" + long + "\n" + tcpLine + "\n")) {
		if err != nil || e.Protocol != TCP {
			t.Errorf("%v", err)
		}
	}
}

func TestTimesAreThoseOfTheDaemonsZone(t *testing.T) {
	e, err := ParseEntry(strings.Replace(tcpLine, "id=0", "start=2026-11-21T10:11:12.345,stop=2026-11-21T10:11:13.000", 1))
	want := time.Date(2026, 11, 21, 10, 11, 12, 345e6, time.Local)
	if err != nil || e.Start != want.UnixNano() || e.Stop != want.Add(655*time.Millisecond).UnixNano() {
		t.Errorf("%d, %d, %v", e.Start, e.Stop, err)
	}
}

// TestReadingCostsNoAllocation reads 10,000 lines, of TCP and UDP, IPv4 and IPv6.
func TestReadingCostsNoAllocation(t *testing.T) {
	v6 := strings.NewReplacer("1.1.1.1", "fc00::1:2", "2.2.2.2", "fe80::a:b", "tcp,", "udp,").Replace(tcpLine)
	dump := strings.Repeat(tcpLine+"\n"+v6+"\n", 5000)
	n := 0
	allocs := testing.AllocsPerRun(5, func() {
		n = 0
		for _, err := range Parse(strings.NewReader(dump)) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	})
	if n != 10000 || allocs > 100 {
		t.Errorf("%v allocations for %d entries", allocs, n)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(tcpLine)
	f.Add("icmpv6,orig=(src=fc00::1,dst=fc00::2,id=1,type=128,code=0),reply=(src=fc00::2,dst=fc00::1,id=1,type=129,code=0),zone=1,mark=3")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ParseEntry(line)
		var d *Damage
		switch {
		case err == nil && (!e.Orig.Src.IsValid() || !e.Reply.Dst.IsValid()):
			t.Fatalf("%q gave %+v", line, e)
		case err != nil && (!errors.As(err, &d) || d.Column < 1 || d.Column > len(line)+1 || e != Entry{}):
			t.Fatalf("%q: %v, %+v", line, err, e)
		}
	})
}

// FuzzParse reads dumps in pieces: however they are divided, the same is read.
func FuzzParse(f *testing.F) {
	f.Add(tcpLine+"\n"+tcpLine+"\n", 7)
	f.Add(tcpLine+"\n\n\x00\n=,\nudp,orig=(", 1)
	f.Fuzz(func(t *testing.T, dump string, size int) {
		read := func(r io.Reader) (all []Entry, errs []string) {
			for e, err := range Parse(r) {
				if all = append(all, e); err != nil {
					errs = append(errs, err.Error())
				}
			}
			return all, errs
		}
		all, errs := read(strings.NewReader(dump))
		again, errsAgain := read(&dribble{dump, 1 + int(uint(size)%5000)})
		if !slices.Equal(all, again) || !slices.Equal(errs, errsAgain) {
			t.Fatalf("%v %v\n%v %v", all, errs, again, errsAgain)
		}
		if len(all) > 1+strings.Count(dump, "\n") {
			t.Fatalf("%d entries on %d lines", len(all), strings.Count(dump, "\n"))
		}
	})
}

func BenchmarkParseEntry(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEntry(tcpLine); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAConnectionIsOverWhenBothEndsHaveClosedItOrOneHasResetIt(t *testing.T) {
	for name, c := range map[string]struct {
		orig, reply string
		want        bool
	}{
		"open":                                {"ESTABLISHED", "ESTABLISHED", false},
		"nobody has answered":                 {"SYN_SENT", "CLOSED", false},
		"userspace: one end has closed it":    {"FIN_WAIT_2", "ESTABLISHED", false},
		"userspace: both have":                {"FIN_WAIT_2", "CLOSING", true},
		"userspace: both, long ago":           {"FIN_WAIT_2", "FIN_WAIT_2", true},
		"userspace: reset":                    {"TIME_WAIT", "TIME_WAIT", true},
		"kernel: one end has closed it":       {"FIN_WAIT_1", "FIN_WAIT_1", false},
		"kernel: that has been heard":         {"CLOSE_WAIT", "CLOSE_WAIT", false},
		"kernel: the other one has, too":      {"LAST_ACK", "LAST_ACK", true},
		"kernel: both, and that was heard":    {"TIME_WAIT", "TIME_WAIT", true},
		"kernel: reset, as Open vSwitch says": {"CLOSING", "CLOSING", true},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ParseEntry(strings.NewReplacer("SYN_SENT", c.orig, "=CLOSED", "="+c.reply).Replace(tcpLine))
			if err != nil || e.Over() != c.want {
				t.Errorf("over: %v (%v), want %v", e.Over(), err, c.want)
			}
		})
	}
}
