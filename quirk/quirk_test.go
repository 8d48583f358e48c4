package quirk

import (
	"slices"
	"testing"
)

func TestAVersionIsRead(t *testing.T) {
	for text, want := range map[string]Version{
		"3.1.0": {3, 1, 0}, "2.17.10": {2, 17, 10}, "3.3": {3, 3, 0}, "3.3.90-git": {3, 3, 90}, "3.1.0-2+deb12u1": {3, 1, 0},
	} {
		if v, err := Parse(text); err != nil || v != want {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
	for _, text := range []string{"", "3", "3.x", "3.1.0.1", "None", "3.-1"} {
		if v, err := Parse(text); err == nil {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

func TestAQuirkIsInForceUntilItsBranchHasTheFix(t *testing.T) {
	for text, want := range map[string]bool{
		"2.13.0": true, "2.17.7": true, "2.17.8": false, "2.17.9": false,
		"3.0.4": true, "3.0.5": false, "3.1.0": true, "3.1.3": false, "3.2.2": true, "3.3.0": false, "3.7.1": false, "4.0.0": false,
	} {
		v, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Has(IdentityNAT, true); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestWhatIsNotKnownHasEveryQuirk(t *testing.T) {
	if got := InForce(Version{}, true); len(got) != len(All) {
		t.Errorf("%d of %d", len(got), len(All))
	}
}

func TestTheKernelHasNotWhatTheUserspaceDatapathHas(t *testing.T) {
	v := Version{3, 1, 0}
	if v.Has(IdentityNAT, false) || !v.Has(FirstBackoff, false) || !v.Has(IdentityNAT, true) {
		t.Error("the datapath makes no difference")
	}
}

func TestTheTableIsInOrder(t *testing.T) {
	seen := map[ID]bool{}
	for _, q := range All {
		if seen[q.ID] || q.What == "" || !slices.IsSortedFunc(q.Fixed, Version.Compare) {
			t.Errorf("%+v", q)
		}
		seen[q.ID] = true
	}
}

// TestWhatKillsASwitchIsTrustedFromItsFixOn writes down once more from which versions on a
// flush of ICMPv6 may be sent: a version too early ends ovs-vswitchd.
func TestWhatKillsASwitchIsTrustedFromItsFixOn(t *testing.T) {
	for text, want := range map[string]bool{
		"2.16.9": true, "2.17.9": true, "2.17.10": false, "3.0.6": true, "3.0.7": false, "3.1.0": true, "3.1.4": true, "3.1.5": false,
		"3.2.2": true, "3.2.3": false, "3.3.0": true, "3.3.1": false, "3.4.0": false,
	} {
		v, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Has(FlushICMPv6, true); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
