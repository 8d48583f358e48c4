package conntrack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecordedDumpsAreReadToTheLastCharacter reads what Open vSwitch has said on both datapaths:
// written again it is the same.
func TestRecordedDumpsAreReadToTheLastCharacter(t *testing.T) {
	files, err := filepath.Glob("testdata/*.dump")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var again strings.Builder
			kinds := map[Protocol]int{}
			for e, err := range Parse(strings.NewReader(string(text))) {
				if err != nil || e.Other != "" {
					t.Errorf("%v, %q", err, e.Other)
				}
				kinds[e.Protocol]++
				again.WriteString(e.Text() + "\n")
			}
			if again.String() != string(text) {
				t.Errorf("it is written again as\n%s", again.String())
			}
			for _, p := range []Protocol{TCP, UDP, ICMP, ICMPv6, SCTP, DCCP, gre} {
				if kinds[p] == 0 {
					t.Errorf("there is none of %v", p)
				}
			}
		})
	}
}

func TestATextSaysAllOfAnEntry(t *testing.T) {
	const line = "tcp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=1,dport=2,packets=3,bytes=180),reply=(src=2.2.2.2,dst=1.1.1.1,sport=2,dport=1),start=2026-11-21T10:11:12.345," +
		"id=7,zone=5,status=SEEN_REPLY|ASSURED|CONFIRMED,timeout=9,mark=3,labels=0x7,protoinfo=(state_orig=ESTABLISHED,state_reply=ESTABLISHED,wscale_orig=7,wscale_reply=8," +
		"flags_orig=WINDOW_SCALE|SACK_PERM,flags_reply=0),helper=ftp,parent=(src=1.1.1.1,dst=2.2.2.2,sport=9,dport=21),new=1,newer=x"
	terse := line[:strings.Index(line, "state_orig")] + "state=ESTABLISHED)"
	for _, line := range []string{line, terse} {
		if e, err := ParseEntry(line); err != nil || e.Text() != line {
			t.Errorf("%v\n%s\n%s", err, line, e.Text())
		}
	}
}
