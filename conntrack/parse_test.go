package conntrack

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

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
		"sctp of the kernel's datapath": {"sctp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=1,dport=2),reply=(src=2.2.2.2,dst=1.1.1.1,sport=2,dport=1),protoinfo=(state=COOKIE_ECHOED,vtag_orig=1,vtag_reply=4294967295)", Entry{
			Protocol: SCTP, Orig: Tuple{Src: a, Dst: b, SrcPort: 1, DstPort: 2}, Reply: Tuple{Src: b, Dst: a, SrcPort: 2, DstPort: 1},
			State: CookieEchoed, TagOrig: 1, TagReply: 4294967295,
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

func TestADamagedLineCostsOnlyItsEntry(t *testing.T) {
	dump := tcpLine + "\n" + tcpLine[:60] + "\n" + tcpLine + ",zone=6\n" + strings.Replace(tcpLine, "zone=5", "zone=70000", 1) + "\n" + tcpLine + "\n"
	var good int
	var lines []int
	for _, err := range Parse(strings.NewReader(dump)) {
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

func FuzzParseEntry(f *testing.F) {
	f.Add(tcpLine)
	f.Add("icmpv6,orig=(src=fc00::1,dst=fc00::2,id=1,type=128,code=0),reply=(src=fc00::2,dst=fc00::1,id=1,type=129,code=0),zone=1,mark=3")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ParseEntry(line)
		if err == nil && (!e.Orig.Src.IsValid() || e.Protocol == 0) {
			t.Fatalf("%q gave %+v", line, e)
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
