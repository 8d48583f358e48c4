package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Timeouts are how many seconds a connection lives after a packet, by its state as the
// table CT_Timeout_Policy names it ("udp_first"). What is missing is the datapath's own.
type Timeouts map[string]uint32

// Equal reports whether t and u are the same.
func (t Timeouts) Equal(u Timeouts) bool { return maps.Equal(t, u) }

// String returns "udp_first=30,udp_single=60".
func (t Timeouts) String() string {
	s := ""
	for _, state := range slices.Sorted(maps.Keys(t)) {
		s += fmt.Sprintf(",%s=%d", state, t[state])
	}
	return s[min(1, len(s)):]
}

// A CTZone is what the database says of a conntrack zone of a datapath.
type CTZone struct {
	Tenant   string // that Weir has set it for; empty: somebody else has
	Timeouts Timeouts
}

// Equal reports whether z and y are the same.
func (z CTZone) Equal(y CTZone) bool { return z.Tenant == y.Tenant && z.Timeouts.Equal(y.Timeouts) }

// tenantKey is the external_id by which a row of CT_Zone is known as Weir's, and whose it
// is; on a row of Datapath it says that Weir has made that.
const tenantKey = "weir-tenant"

type (
	datapathRow struct {
		UUID        string            `ovsdb:"_uuid"`
		Version     string            `ovsdb:"datapath_version"`
		Zones       map[int]string    `ovsdb:"ct_zones"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
	zoneRow struct {
		UUID        string            `ovsdb:"_uuid"`
		Policy      *string           `ovsdb:"timeout_policy"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
	policyRow struct {
		UUID     string         `ovsdb:"_uuid"`
		Timeouts map[string]int `ovsdb:"timeouts"`
	}
)

// zones returns what the database says of zones, by type of datapath.
func (r rows) zones() map[string]map[uint16]CTZone {
	all := map[string]map[uint16]CTZone{}
	for kind, uuid := range r.root.Datapaths {
		all[kind] = map[uint16]CTZone{}
		for zone, uuid := range r.datapaths[uuid].Zones {
			row := r.ctZones[uuid]
			z := CTZone{Tenant: row.ExternalIDs[tenantKey], Timeouts: Timeouts{}}
			if row.Policy != nil {
				for state, seconds := range r.policies[*row.Policy].Timeouts {
					z.Timeouts[state] = uint32(seconds)
				}
			}
			all[kind][uint16(zone)] = z
		}
	}
	return all
}

// SetZones gives zones of a type of datapath their timeouts, or none, whoever had set them before,
// and takes away what Weir has set for those in drop. Other zones stay. It reports whether
// there was anything to do.
func (c *Client) SetZones(ctx context.Context, kind string, put map[uint16]CTZone, drop []uint16) (changed bool, err error) {
	db, err := connect(ctx, c.at, nil)
	if err != nil {
		return false, err
	}
	defer db.Close()
	r, err := read(ctx, db)
	if err != nil {
		return false, err
	}
	is := r.zones()[kind]
	put = maps.Clone(put)
	maps.DeleteFunc(put, func(zone uint16, z CTZone) bool { return is[zone].Equal(z) && z.Tenant != "" })
	e := &zoneEdit{db: db, rows: r, kind: kind}
	e.open(len(put) > 0)
	for _, zone := range slices.Sorted(maps.Keys(put)) {
		e.put(zone, put[zone])
	}
	for _, zone := range drop {
		e.drop(zone)
	}
	e.close()
	if e.err != nil || len(e.ops) == 0 {
		return false, e.err
	}
	return true, e.commit(ctx)
}

// A zoneEdit collects the operations of one transaction, and keeps the first error.
type zoneEdit struct {
	db   client.Client
	rows rows
	kind string
	row  *datapathRow // nil: there is none, and none is needed
	made bool         // in this transaction
	left int          // zones
	wait []ovsdb.Operation
	ops  []ovsdb.Operation
	err  error
}

func (e *zoneEdit) add(ops []ovsdb.Operation, err error) {
	e.ops = append(e.ops, ops...)
	e.err = errors.Join(e.err, err)
}

// open finds the row of the datapath, or makes one.
func (e *zoneEdit) open(needed bool) {
	if uuid, there := e.rows.root.Datapaths[e.kind]; there {
		row := e.rows.datapaths[uuid]
		e.row, e.left = &row, len(row.Zones)
		now := 0
		wait, err := e.db.Where(e.row).Wait(ovsdb.WaitConditionEqual, &now, e.row, &e.row.Zones)
		e.wait, e.err = wait, errors.Join(e.err, err)
		return
	}
	if !needed {
		return
	}
	e.row, e.made = &datapathRow{UUID: "datapath", ExternalIDs: map[string]string{tenantKey: ""}, Zones: map[int]string{}}, true
	root := e.rows.root
	e.add(e.db.Where(&root).Mutate(&root, model.Mutation{Field: &root.Datapaths, Mutator: ovsdb.MutateOperationInsert, Value: map[string]string{e.kind: e.row.UUID}}))
}

// put gives a zone its timeouts.
func (e *zoneEdit) put(zone uint16, z CTZone) {
	policy := e.policy(zone, z.Timeouts)
	if uuid, there := e.row.Zones[int(zone)]; there && !e.made {
		row := e.rows.ctZones[uuid]
		ids := maps.Clone(row.ExternalIDs)
		if ids == nil {
			ids = map[string]string{}
		}
		ids[tenantKey] = z.Tenant
		next := zoneRow{UUID: row.UUID, Policy: policy, ExternalIDs: ids}
		e.add(e.db.Where(&row).Update(&next, &next.Policy, &next.ExternalIDs))
		return
	}
	row := &zoneRow{UUID: fmt.Sprintf("zone%d", zone), Policy: policy, ExternalIDs: map[string]string{tenantKey: z.Tenant}}
	e.add(e.db.Create(row))
	e.left++
	if e.made {
		e.row.Zones[int(zone)] = row.UUID
		return
	}
	e.add(e.db.Where(e.row).Mutate(e.row, model.Mutation{Field: &e.row.Zones, Mutator: ovsdb.MutateOperationInsert, Value: map[int]string{int(zone): row.UUID}}))
}

// policy makes the row of timeouts, and returns its name; nil: there are none, of which there is no row.
func (e *zoneEdit) policy(zone uint16, t Timeouts) *string {
	if len(t) == 0 {
		return nil
	}
	row := &policyRow{UUID: fmt.Sprintf("policy%d", zone), Timeouts: map[string]int{}}
	for state, seconds := range t {
		row.Timeouts[state] = int(seconds)
	}
	e.add(e.db.Create(row))
	return &row.UUID
}

// drop takes away what Weir has set for a zone.
func (e *zoneEdit) drop(zone uint16) {
	if e.row == nil || e.made {
		return
	}
	uuid, there := e.row.Zones[int(zone)]
	if !there || e.rows.ctZones[uuid].ExternalIDs[tenantKey] == "" {
		return
	}
	e.left--
	e.add(e.db.Where(e.row).Mutate(e.row, model.Mutation{Field: &e.row.Zones, Mutator: ovsdb.MutateOperationDelete, Value: []int{int(zone)}}))
}

// close writes the row of a datapath that is new, and removes one of ours that is empty.
func (e *zoneEdit) close() {
	if e.row == nil {
		return
	}
	if e.made {
		e.add(e.db.Create(e.row))
		return
	}
	if _, ours := e.row.ExternalIDs[tenantKey]; ours && e.left == 0 {
		root := e.rows.root
		e.add(e.db.Where(&root).Mutate(&root, model.Mutation{Field: &root.Datapaths, Mutator: ovsdb.MutateOperationDelete, Value: []string{e.kind}}))
	}
}

// commit carries the operations out, unless somebody has changed the zones meanwhile.
func (e *zoneEdit) commit(ctx context.Context) error {
	all := append(e.wait, e.ops...)
	results, err := e.db.Transact(ctx, all...)
	if err != nil {
		return err
	}
	if _, err := ovsdb.CheckOperationResults(results, all); err != nil {
		return errors.Join(fmt.Errorf("conntrack zones of %s were not changed", e.kind), err)
	}
	return nil
}
