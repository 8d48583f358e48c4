package daemon

import (
	"testing"

	"weir/ofproto"
	"weir/quirk"
)

// TestNothingIsForgottenThatWouldTakeOthersWithIt: of a connection that has several entries, all have to be such that one goes alone.
func TestNothingIsForgottenThatWouldTakeOthersWithIt(t *testing.T) {
	entry := func(port uint16) ofproto.CTFlush {
		e := ofproto.CTFlush{Proto: 6}
		e.Original.SrcPort, e.Original.DstPort = port, 80
		return e
	}
	w := forgetting{quirks: quirk.InForce(quirk.Version{Major: 3, Minor: 1}, false)}
	if by, err := w.means([]ofproto.CTFlush{entry(1000), entry(1001)}); err != nil || by != quirk.ByOpenFlow {
		t.Errorf("%q, %v", by, err)
	}
	if by, err := w.means([]ofproto.CTFlush{entry(1000), entry(0)}); err == nil || by != "" {
		t.Errorf("one with a port of zero would be forgotten %q", by)
	}
	w.netlink = true
	if by, err := w.means([]ofproto.CTFlush{entry(0)}); err != nil || by != quirk.ByNetlink {
		t.Errorf("where the kernel is asked: %q, %v", by, err)
	}
}
