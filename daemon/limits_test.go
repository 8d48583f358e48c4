package daemon

import (
	"fmt"
	"slices"
	"testing"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/controller"
	"weir/intent"
	"weir/ovsdb"
)

func TestZonesOfSeveralBridges(t *testing.T) {
	bridge := func(kind string, zones ...string) ovsdb.Bridge {
		b := ovsdb.Bridge{DatapathType: kind, ExternalIDs: map[string]string{"other": "4099"}}
		for i, z := range zones {
			b.ExternalIDs[fmt.Sprint(zonePrefix, "t", z, i)] = z
		}
		return b
	}
	s := ovsdb.Snapshot{Bridges: map[string]ovsdb.Bridge{
		"br0": bridge("netdev", "4096", "4097", "4098"), "br1": bridge("netdev", "4097"), "br2": bridge("system", "4096"),
	}}
	if got := zonesLeftBy(s, "br0"); !slices.Equal(got, []uint16{4096, 4098}) {
		t.Errorf("br0 leaves %v behind", got)
	}
}

func TestAnAlarmIsGivenOnce(t *testing.T) {
	var g gauge
	for i, c := range []struct {
		count, most uint64
		alarm       alarm
		changed     bool
	}{
		{0, 0, calm, false}, {79, 100, calm, false}, {80, 100, near, true}, {76, 100, near, false}, {94, 100, near, false}, {95, 100, critical, true},
		{91, 100, critical, false}, {100, 100, full, true}, {98, 100, full, false}, {97, 100, critical, true}, {89, 100, near, true}, {74, 100, calm, true},
		{79, 100, calm, false}, {101, 100, full, true}, {10, 100, calm, true}, {100, 100, full, true}, {5, 0, calm, true}, {3_000_000_000, 3_000_000_001, critical, true},
	} {
		if changed := g.read(c.count, c.most); g.alarm != c.alarm || changed != c.changed {
			t.Errorf("%d: %d of %d: alarm %q, changed %v", i, c.count, c.most, g.alarm, changed)
		}
	}
}

// TestAnAuditDropsNothingByItsLimit is about the kernel, which would drop what is over it.
func TestAnAuditDropsNothingByItsLimit(t *testing.T) {
	for _, c := range []struct {
		mode intent.Mode
		kind string
		want uint32
	}{
		{intent.Enforce, conntrack.Kernel, 9}, {intent.Enforce, "netdev", 9}, {intent.Audit, conntrack.Kernel, 0},
		{intent.Audit, "netdev", 9}, {intent.Off, conntrack.Kernel, 0}, {intent.Off, "netdev", 0},
	} {
		tenant := &intent.Tenant{Mode: c.mode, Limits: intent.Limits{Connections: 9}}
		if got := limitOf(tenant, c.kind); got != c.want {
			t.Errorf("%v on %s: the limit is %d, want %d", c.mode, c.kind, got, c.want)
		}
	}
}

// TestAZoneBesideATenants is remembered by the bridges that use it, has the tenant's timeouts and
// no limit, and is left alone until its number is known.
func TestAZoneBesideATenants(t *testing.T) {
	m, err := intent.Read(intent.Source{Name: "m", Data: []byte(`apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec: {external: {network: public, port: out, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}]}}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: blue}
spec: {limits: {connections: 9}, timeouts: {tcpEstablished: 600s}}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: blue}
spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: a, tenant: blue}
spec: {network: lan, bind: {port: a}, mac: "02:00:00:00:00:0b", ips: [10.1.0.11]}
---
apiVersion: weir/v1
kind: FloatingIP
metadata: {name: f, tenant: blue}
spec: {address: 203.0.113.20, endpoint: a, snat: always}
`)})
	if err != nil {
		t.Fatal(err)
	}
	const key = zonePrefix + "blue/zone/source"
	now := &controller.Status{Tenants: []controller.Tenant{{ID: "blue", Zone: 4096}}}
	for _, z := range pipeline.AuxZones(m) {
		now.Zones = append(now.Zones, controller.Zone{AuxZone: z, Number: 4097})
	}
	if got := zonesOf(m, now)["br0"][key]; got != "4097" {
		t.Errorf("the bridge is to remember %q", got)
	}
	have := ovsdb.Bridge{Name: "br0", ExternalIDs: map[string]string{key: "4097", zonePrefix + "red/zone/source": "4099"}}
	wards := wardsOf(m, ovsdb.Snapshot{Bridges: map[string]ovsdb.Bridge{"br0": have}}, now)[conntrack.Kind("")]
	if wards[4097] != (ward{tenant: "blue", bridge: "br0"}) || wards[4096].max != 9 || wards[4099] != (ward{bridge: "br0"}) {
		t.Errorf("%+v", wards)
	}
	if times := wantedTimes(m, wards); len(times) != 2 || !times[4097].Equal(times[4096]) {
		t.Errorf("timeouts %+v", times)
	}
	starting := &controller.Status{}
	if got := goneFrom(m, have, givenZones(starting)); !slices.Equal(got, []uint16{4099}) {
		t.Errorf("zones %v are gone", got)
	}
	if set, remove := zoneChanges(have.ExternalIDs, zonesOf(m, starting)["br0"], m); len(set) > 0 || !slices.Equal(remove, []string{zonePrefix + "red/zone/source"}) {
		t.Errorf("at a start, %v is set and %v removed", set, remove)
	}
}
