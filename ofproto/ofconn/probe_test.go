package ofconn

import (
	"net"
	"reflect"
	"testing"

	"weir/ofproto"
)

// supports returns what is known, by name.
func supports(a Abilities) map[string]Support {
	all := map[string]Support{}
	v := reflect.ValueOf(a)
	for i := range v.NumField() {
		if s, ok := v.Field(i).Interface().(Support); ok {
			all[v.Type().Field(i).Name] = s
		}
	}
	return all
}

func TestAProbeFindsWhatTheDatapathCanDoAndLeavesNothing(t *testing.T) {
	box, c := bridge(t)
	before := ofproto.Tables{Groups: []ofproto.Group{{ID: probeGroup, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}}, Flows: []ofproto.Flow{{Cookie: 1}}}
	for name, groups := range map[string]int{"on a bridge in use": 1, "on an empty one": 0} {
		t.Run(name, func(t *testing.T) {
			if groups == 0 {
				before = ofproto.Tables{}
			}
			must(t, c.Apply(t.Context(), ofproto.Diff(before, tablesOf(t, c))))
			sent := c.FlowMods()
			a, err := c.Probe(t.Context())
			must(t, err)
			for what, s := range supports(a) {
				if s != Yes {
					t.Errorf("%s: %v", what, s)
				}
			}
			if a.Groups.Types != 0xf || a.Meters.Max == 0 {
				t.Errorf("groups %+v, meters %+v", a.Groups, a.Meters)
			}
			if after := ofproto.Diff(before, tablesOf(t, c)); !after.Empty() || c.FlowMods() != sent {
				t.Errorf("the bridge has changed: %+v", after)
			}
		})
	}
	for feature, lacks := range map[string][]string{
		"ct_state_nat":  {"NAT", "NAT6"},
		"ct_label":      {"CTLabel"},
		"ct_mark":       {"CTMark"},
		"ct_orig_tuple": {"CTOriginal", "CTForce"},
		"nd_ext":        {"NDExtension"},
	} {
		t.Run("without "+feature, func(t *testing.T) {
			must2(t)(box.Appctl("dpif/set-dp-features", "br", feature, "false"))
			defer box.Appctl("dpif/set-dp-features", "br", feature, "true")
			a, err := c.Probe(t.Context())
			must(t, err)
			all := supports(a)
			for _, what := range lacks {
				if all[what] != No {
					t.Errorf("%s: %v", what, all[what])
				}
				delete(all, what)
			}
			for what, s := range all {
				if s != Yes {
					t.Errorf("%s, which does not need it: %v", what, s)
				}
			}
		})
	}
}

func TestOfASwitchWithoutBundlesNothingElseIsKnown(t *testing.T) {
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(xid uint32, m ofproto.Message) []ofproto.Message {
			switch m.(type) {
			case ofproto.BarrierRequest:
				return []ofproto.Message{ofproto.BarrierReply{}}
			case ofproto.BundleControl, ofproto.BundleAdd, ofproto.MultipartRequest, ofproto.FlowMonitorRequest:
				return []ofproto.Message{&ofproto.Error{XID: xid, Type: 1, Code: 1}}
			}
			return nil
		})
	}, func(t *testing.T, c *Conn) {
		a, err := c.Probe(t.Context())
		if want := (Abilities{Bundles: No, Monitors: No}); err != nil || a != want {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
