package conntrack

import (
	"strings"
	"testing"

	"weir/internal/sandbox/sandboxtest"
)

func TestWhetherTimeoutsAreTakenIsRead(t *testing.T) {
	const traced = "Final flow: unchanged\nDatapath actions: ct(commit,zone=5)\n"
	for text, want := range map[string]bool{
		traced: false,
		strings.Replace(traced, "zone=5", "zone=5,timeout=1", 1):             true,
		strings.Replace(traced, "zone=5", "zone=5,timeout=ovs_tp_0_udp4", 1): true, // the kernel's datapath
		strings.Replace(traced, "Final", "timeout=3 ct(commit\nFinal", 1):    false,
		strings.Replace(traced, "actions: ", "actions: ct_clear,", 1):        false,
	} {
		if got, err := parseTaken(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Datapath actions: drop\n", "ct(commit,timeout=1)"} {
		if _, err := parseTaken(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// TestTimeoutsThatAreTaken gives a zone timeouts that every version heeds: as a change of those that it has.
func TestTimeoutsThatAreTaken(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	d := NewDatapath(box.RunDir(), "dummy")
	vsctl := func(args ...string) {
		t.Helper()
		if out, err := box.Vsctl(args...); err != nil {
			t.Fatal(out, err)
		}
	}
	asked := func(what string, want bool) {
		t.Helper()
		if got, err := d.TakenTimeouts(t.Context(), "br", 5); got != want || err != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	asked("without any", false)
	vsctl("--", "--id=@d", "create", "Datapath", "datapath_version=0", "--", "set", "Open_vSwitch", ".", "datapaths:dummy=@d")
	vsctl("add-zone-tp", "dummy", "zone=5", "udp_first=1")
	policy, err := box.Vsctl("--bare", "--columns=_uuid", "list", "CT_Timeout_Policy")
	if err != nil {
		t.Fatal(err)
	}
	vsctl("set", "CT_Timeout_Policy", strings.TrimSpace(policy), "timeouts:udp_first=9")
	asked("changed", true)
	vsctl("del-zone-tp", "dummy", "zone=5")
	asked("taken away", false)
	if _, err := d.TakenTimeouts(t.Context(), "no-such-bridge", 5); err == nil {
		t.Error("a bridge that is not there has timeouts")
	}
}
