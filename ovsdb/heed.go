package ovsdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// heedWait is how long the database is asked at a time to say that ovs-vswitchd has come further, in milliseconds.
const heedWait = 500

// Heeded waits until ovs-vswitchd has acted on all that the database says when it is called: what is
// changed and changed back meanwhile it need not see. It waits for as long as ctx lets it, also
// where no ovs-vswitchd runs. (ovs-vswitchd.conf.db(5): next_cfg and cur_cfg.)
func (c *Client) Heeded(ctx context.Context) error {
	db, err := connect(ctx, c.at, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := read(ctx, db)
	if err != nil {
		return err
	}
	h := heeding{db: db, root: []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: r.root.UUID})}}
	next, heeded, err := h.begin(ctx)
	for err == nil && heeded < next {
		heeded, err = h.further(ctx, heeded)
	}
	if err != nil {
		return fmt.Errorf("ovs-vswitchd has not said that it has heeded the database: %w", err)
	}
	return nil
}

// A heeding asks the database how far ovs-vswitchd is.
type heeding struct {
	db   client.Client
	root []ovsdb.Condition // the row of Open_vSwitch
}

// begin asks ovs-vswitchd to say when it has come to a number, and returns that and the one where it is.
func (h heeding) begin(ctx context.Context) (next, heeded int, err error) {
	more := *ovsdb.NewMutation("next_cfg", ovsdb.MutateOperationAdd, 1)
	ops := []ovsdb.Operation{{Op: ovsdb.OperationMutate, Table: "Open_vSwitch", Where: h.root, Mutations: []ovsdb.Mutation{more}}, h.look()}
	results, err := h.db.Transact(ctx, ops...)
	if err == nil {
		_, err = ovsdb.CheckOperationResults(results, ops)
	}
	if err != nil {
		return 0, 0, err
	}
	return numbers(results[1])
}

// further waits until ovs-vswitchd is elsewhere than it was, or for heedWait, and returns where it is.
func (h heeding) further(ctx context.Context, was int) (int, error) {
	wait, at := heedWait, []ovsdb.Row{{"cur_cfg": was}}
	ask := ovsdb.Operation{
		Op: ovsdb.OperationWait, Table: "Open_vSwitch", Where: h.root, Columns: []string{"cur_cfg"}, Rows: at, Timeout: &wait,
		Until: string(ovsdb.WaitConditionNotEqual),
	}
	if _, err := h.db.Transact(ctx, ask); err != nil { // that it has waited long enough is said in the results, and is no error here
		return 0, err
	}
	results, err := h.db.Transact(ctx, h.look())
	if err == nil {
		_, err = ovsdb.CheckOperationResults(results, []ovsdb.Operation{h.look()})
	}
	if err != nil {
		return 0, err
	}
	_, heeded, err := numbers(results[0])
	return heeded, err
}

func (h heeding) look() ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationSelect, Table: "Open_vSwitch", Where: h.root, Columns: []string{"next_cfg", "cur_cfg"}}
}

// numbers reads what look has asked for.
func numbers(r ovsdb.OperationResult) (next, heeded int, err error) {
	if len(r.Rows) != 1 {
		return 0, 0, errors.New("the database has not one row of Open_vSwitch")
	}
	for column, to := range map[string]*int{"next_cfg": &next, "cur_cfg": &heeded} {
		n, ok := r.Rows[0][column].(float64)
		if !ok {
			return 0, 0, fmt.Errorf("%s is %v", column, r.Rows[0][column])
		}
		*to = int(n)
	}
	return next, heeded, nil
}
