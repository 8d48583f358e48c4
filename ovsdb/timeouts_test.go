package ovsdb

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestTimeoutsOfZones(t *testing.T) {
	box, until, c := database(t)
	zones := func(what string, want map[uint16]CTZone) {
		t.Helper()
		until(what, func(s Snapshot) bool {
			have := s.Zones["dummy"]
			return len(have)+len(want) == 0 || reflect.DeepEqual(have, want)
		})
	}
	set := func(put map[uint16]CTZone, drop ...uint16) {
		t.Helper()
		for _, want := range []bool{true, false} {
			if changed, err := c.SetZones(t.Context(), "dummy", put, drop); err != nil || changed != want && len(put) > 0 {
				t.Fatal(changed, err)
			}
		}
	}
	rows := func() string {
		return vsctl(t, box, "list", "CT_Zone") + vsctl(t, box, "list", "CT_Timeout_Policy") + vsctl(t, box, "list", "Datapath")
	}
	before := rows()
	set(nil, 5)
	if now := rows(); now != before {
		t.Errorf("from nothing, taking away makes\n%s", now)
	}

	one := CTZone{"blue", Timeouts{"udp_first": 1, "icmp_reply": 4294967295}}
	set(map[uint16]CTZone{5: one})
	zones("the first", map[uint16]CTZone{5: one})
	if text := vsctl(t, box, "list-zone-tp", "dummy"); !strings.Contains(text, "Zone:5") || !strings.Contains(text, "udp_first=1") {
		t.Errorf("Open vSwitch says %q", text)
	}
	two := CTZone{"red", Timeouts{"tcp_established": 60}}
	vsctl(t, box, "add-zone-tp", "dummy", "zone=7", "udp_single=9")
	theirs := CTZone{"", Timeouts{"udp_single": 9}}
	one.Timeouts = Timeouts{"udp_first": 2}
	set(map[uint16]CTZone{5: one, 6: two})
	zones("a change and another", map[uint16]CTZone{5: one, 6: two, 7: theirs})
	set(nil, 6, 7, 8)
	zones("what is not ours stays", map[uint16]CTZone{5: one, 7: theirs})
	set(map[uint16]CTZone{7: two}, 5)
	zones("what was somebody else's is taken over", map[uint16]CTZone{7: two})
	set(nil, 7)
	zones("nothing", nil)
	if now := rows(); now != before {
		t.Errorf("there is left\n%s", now)
	}
}

// TestADatapathOfSomebodyElseStays is about a row that Weir has not made.
func TestADatapathOfSomebodyElseStays(t *testing.T) {
	box, until, c := database(t)
	vsctl(t, box, "--", "--id=@d", "create", "Datapath", "datapath_version=0", "--", "set", "Open_vSwitch", ".", "datapaths:dummy=@d")
	if _, err := c.SetZones(t.Context(), "dummy", map[uint16]CTZone{5: {"blue", Timeouts{"udp_first": 1}}}, nil); err != nil {
		t.Fatal(err)
	}
	until("there", func(s Snapshot) bool { return len(s.Zones["dummy"]) == 1 })
	if _, err := c.SetZones(t.Context(), "dummy", nil, []uint16{5}); err != nil {
		t.Fatal(err)
	}
	until("gone", func(s Snapshot) bool { return len(s.Zones["dummy"]) == 0 })
	if text := vsctl(t, box, "get", "Open_vSwitch", ".", "datapaths"); !strings.Contains(text, "dummy=") {
		t.Errorf("the datapaths are %s", text)
	}
}

func TestTimeoutsAreSaidInOrder(t *testing.T) {
	if s := fmt.Sprint(Timeouts{"udp_first": 1, "icmp_first": 2}, Timeouts{}); s != "icmp_first=2,udp_first=1 " {
		t.Errorf("%q", s)
	}
}
