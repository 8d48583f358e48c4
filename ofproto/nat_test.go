package ofproto

import (
	"encoding/hex"
	"testing"
)

// The forms of nat, in bytes as ovs-ofctl 3.1 takes and prints them.
var natForms = []struct{ text, hex string }{
	{"ct(commit,table=80,nat(src=203.0.113.10),alg=ftp)", "ffff00300000232000230001000000000000500000000015ffff0018000023200024000000010001cb00710a00000000"},
	{"ct(commit,table=80,nat(src=203.0.113.10:32768-65535,random))", "ffff00300000232000230001000000000000500000000000ffff0018000023200024000000110031cb00710a8000ffff"},
	{"ct(commit,nat(dst=10.1.0.11-10.1.0.14,hash))", "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000a00030a01000b0a01000e"},
	{"ct(commit,nat(dst=10.1.0.11-10.1.0.14:8000-8010,persistent))", "ffff00380000232000230001000000000000ff0000000000ffff00200000232000240000000600330a01000b0a01000e1f401f4a00000000"},
	{"ct(commit,nat(src=203.0.113.16-203.0.113.19:1024-65535,random))", "ffff00380000232000230001000000000000ff0000000000ffff0020000023200024000000110033cb007110cb0071130400ffff00000000"},
	{"ct(commit,nat(src=2001:db8::60))", "ffff00380000232000230001000000000000ff0000000000ffff002000002320002400000001000420010db8000000000000000000000060"},
	{"ct(commit,nat(src=[2001:db8::60]-[2001:db8::63]:1024-65535,random))", "ffff00500000232000230001000000000000ff0000000000ffff003800002320002400000011003c20010db800000000000000000000006020010db80000000000000000000000630400ffff00000000"},
	{"ct(commit,nat(dst=10.1.0.11:22))", "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000200110a01000b00160000"},
	{"ct(commit,nat(src=203.0.113.16-203.0.113.19,persistent))", "ffff00300000232000230001000000000000ff0000000000ffff0018000023200024000000050003cb007110cb007113"},
	{"ct(table=24,nat)", "ffff00280000232000230000000000000000180000000000ffff0010000023200024000000000000"},
}

func TestFormsOfNAT(t *testing.T) {
	for _, c := range natForms {
		t.Run(c.text, func(t *testing.T) {
			f, err := ParseFlow("tcp,actions=" + c.text)
			if err != nil {
				if f, err = ParseFlow("tcp6,actions=" + c.text); err != nil {
					t.Fatal(err)
				}
			}
			b, err := f.Actions[0].appendTo(nil)
			if err != nil || hex.EncodeToString(b) != c.hex {
				t.Errorf("%x, %v; want %s", b, err, c.hex)
			}
			if got := f.Actions[0].(ConnTrack).String(); got != c.text {
				t.Errorf("%s, want %s", got, c.text)
			}
		})
	}
}

func TestAnAddressOfZerosComesBackAsNone(t *testing.T) {
	for given, same := range map[string]bool{"nat(src=0.0.0.0)": true, "nat(src=10.1.0.1)": false, "nat(dst=0.0.0.0)": false, "nat": false} {
		f, err := ParseFlow("ip,actions=ct(commit," + given + ")")
		if err != nil {
			t.Fatal(err)
		}
		back := ConnTrack{Commit: true, Table: NoTable, NAT: &NAT{Src: true}}
		if got := f.Actions[0].(ConnTrack).same(back); got != same {
			t.Errorf("%s and what the switch has: the same: %v", given, got)
		}
	}
}
