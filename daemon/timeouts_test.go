package daemon

import (
	"reflect"
	"slices"
	"testing"

	"weir/intent"
	"weir/ovsdb"
)

func TestTimeoutsThatAreSomebodyElses(t *testing.T) {
	zone := func(tenant string, seconds uint32) ovsdb.CTZone {
		return ovsdb.CTZone{Tenant: tenant, Timeouts: ovsdb.Timeouts{"udp_first": seconds}}
	}
	type zones = map[uint16]ovsdb.CTZone
	for name, c := range map[string]struct {
		want, have, left zones
		put              zones
		drop, taken      []uint16
	}{
		"what is right is left":                          {zones{1: zone("a", 5)}, zones{1: zone("a", 5)}, nil, zones{}, nil, nil},
		"what is missing is written":                     {zones{1: zone("a", 5)}, nil, nil, zones{1: zone("a", 5)}, nil, nil},
		"a zone that has others is not ours to take":     {zones{1: zone("a", 5)}, zones{1: zone("", 6)}, nil, zones{}, nil, []uint16{1}},
		"a zone that had ours is written again":          {zones{1: zone("a", 5)}, zones{1: zone("", 6)}, zones{1: zone("a", 5)}, zones{1: zone("a", 5)}, nil, nil},
		"a zone that was given to another tenant":        {zones{1: zone("a", 5)}, zones{1: zone("b", 5)}, nil, zones{1: zone("a", 5)}, nil, nil},
		"what is not wanted any more goes":               {nil, zones{1: zone("a", 5)}, nil, zones{}, []uint16{1}, nil},
		"what others have said of a zone of ours stays":  {nil, zones{1: zone("", 5)}, nil, zones{}, nil, nil},
		"what is said of a zone that is not ours stays":  {nil, zones{9: zone("x", 5)}, nil, zones{}, nil, nil},
		"a zone without timeouts may be taken, with all": {zones{1: zone("a", 5)}, zones{1: {}}, nil, zones{1: zone("a", 5)}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			put, drop, taken := timeChanges(map[uint16]ward{1: {bridge: "br0"}}, c.want, c.have, c.left)
			if !reflect.DeepEqual(put, c.put) || !reflect.DeepEqual(drop, c.drop) || !reflect.DeepEqual(taken, c.taken) {
				t.Errorf("put %v, drop %v, taken %v", put, drop, taken)
			}
		})
	}
}

// TestAZoneIsGoneOnlyWhenNoTenantHasIt is about a start, at which no zones are known.
func TestAZoneIsGoneOnlyWhenNoTenantHasIt(t *testing.T) {
	m := blue(t)
	b := ovsdb.Bridge{Name: "br0", ExternalIDs: map[string]string{zonePrefix + "blue": "4096"}}
	id := m.Tenants()[0].ID()
	for _, c := range []struct {
		name   string
		bridge string
		given  map[intent.ID]uint16
		want   []uint16
	}{
		{"the tenant's zone is not known yet", "br0", nil, nil},
		{"the tenant has it", "br0", map[intent.ID]uint16{id: 4096}, nil},
		{"the tenant has another", "br0", map[intent.ID]uint16{id: 4100}, []uint16{4096}},
		{"the tenant is not on the bridge", "br1", nil, []uint16{4096}},
	} {
		b.Name = c.bridge
		if got := goneFrom(m, b, c.given); !slices.Equal(got, c.want) {
			t.Errorf("%s: gone is %v, want %v", c.name, got, c.want)
		}
	}
}
