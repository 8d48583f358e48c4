package conntrack

import "testing"

func TestNamesAreReadBack(t *testing.T) {
	for p := range 256 {
		if back, ok := ParseProtocol(Protocol(p).String()); !ok || back != Protocol(p) {
			t.Errorf("protocol %d is %q, and that is %d, %v", p, Protocol(p), back, ok)
		}
	}
	for s := Closed; s < states; s++ {
		if back, ok := ParseState(s.String()); !ok || back != s {
			t.Errorf("state %d is %q, and that is %d, %v", s, s, back, ok)
		}
	}
	for i := range 32 {
		s := Status(1)<<i | StatusConfirmed
		if back, ok := ParseStatus(s.String()); !ok || back != s {
			t.Errorf("status %#x is %q, and that is %#x, %v", uint32(s), s, uint32(back), ok)
		}
	}
	for f := range 256 {
		if back, ok := ParseTCPFlags(TCPFlags(f).String()); !ok || back != TCPFlags(f) {
			t.Errorf("flags %#x are %q, and that is %#x, %v", f, TCPFlags(f), back, ok)
		}
	}
}

func TestWhatIsNoNameIsRefused(t *testing.T) {
	for _, s := range []string{"", "256", "-1", "TCP", "tcp "} {
		if p, ok := ParseProtocol(s); ok {
			t.Errorf("protocol %q is %d", s, p)
		}
	}
	for _, s := range []string{"", "ESTABLISHE", "established", "[12]"} {
		if v, ok := ParseState(s); ok {
			t.Errorf("state %q is %d", s, v)
		}
	}
	for _, s := range []string{"", "|", "ASSURED|", "SURE", "0x100000000"} {
		if v, ok := ParseStatus(s); ok {
			t.Errorf("status %q is %d", s, v)
		}
	}
}

// TestStatusHasTheKernelsBits pins the numbers of linux/netfilter/nf_conntrack_common.h.
func TestStatusHasTheKernelsBits(t *testing.T) {
	for bit, s := range map[int]Status{0: StatusExpected, 3: StatusConfirmed, 5: StatusDstNAT, 9: StatusDying, 13: StatusHelper, 14: StatusOffload, 15: StatusHWOffload} {
		if s != 1<<bit {
			t.Errorf("%v is %#x, want bit %d", s, uint32(s), bit)
		}
	}
}

func TestOtherKeepsWhatItWasGiven(t *testing.T) {
	o := Other("").With("color", "blue=1").With("more", "").With("line", "a\nb")
	var got []string
	for k, v := range o.All() {
		got = append(got, k+":"+v)
	}
	if len(got) != 3 || got[0] != "color:blue=1" || got[1] != "more:" || got[2] != "line:a b" {
		t.Errorf("%q", got)
	}
	if Other("").Map() != nil || o.Map()["color"] != "blue=1" {
		t.Errorf("%v", o.Map())
	}
}

// TestAFilterMeansWhatItSays has one entry, and what else it could be for each thing that a filter asks.
func TestAFilterMeansWhatItSays(t *testing.T) {
	e, err := ParseEntry(tcpLine)
	if err != nil {
		t.Fatal(err)
	}
	e.Status = StatusAssured | StatusConfirmed
	for name, f := range map[string]struct{ yes, no Filter }{
		"zone":     {Filter{Zone: 5}, Filter{Zone: 6}},
		"mark":     {Filter{Mark: 0x105, MarkMask: 0xff}, Filter{Mark: 0x105, MarkMask: 0xfff}},
		"status":   {Filter{Status: StatusAssured, StatusMask: StatusAssured | StatusDying}, Filter{StatusMask: StatusAssured}},
		"family":   {Filter{Family: 4}, Filter{Family: 6}},
		"protocol": {Filter{Protocol: TCP}, Filter{Protocol: UDP}},
		"original": {Filter{Orig: Tuple{Src: a, DstPort: 2}}, Filter{Orig: Tuple{Src: a, DstPort: 1}}},
		"reply":    {Filter{Reply: Tuple{Src: b, DstPort: 1}}, Filter{Reply: Tuple{Src: a}}},
		"nothing":  {Filter{}, Filter{Zone: 1, Protocol: TCP}},
	} {
		if !f.yes.Matches(&e) || f.no.Matches(&e) {
			t.Errorf("%s: %v and %v, want true and false", name, f.yes.Matches(&e), f.no.Matches(&e))
		}
	}
}
