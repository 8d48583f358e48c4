package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// A Client changes the database. It opens a connection for each change: they are few.
type Client struct{ at Database }

// Open returns a client for a database.
func Open(_ context.Context, at Database) (*Client, error) { return &Client{at}, nil }

// Snapshot reads the database once.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, error) {
	db, err := connect(ctx, c.at, nil)
	if err != nil {
		return Snapshot{}, err
	}
	defer db.Close()
	return snapshot(ctx, db)
}

// beforeKey is the external_id in which a bridge remembers what it was before Attach.
const beforeKey = "weir-before"

// before is what Attach changes.
type before struct {
	Controllers []controllerBefore `json:"controllers"`
	Protocols   []string           `json:"protocols"`
	FailMode    string             `json:"failMode"`
}

// controllerBefore is a controllerRow as it is remembered.
type controllerBefore struct {
	UUID                string            `json:"-"`
	Target              string            `json:"target"`
	IsConnected         bool              `json:"-"`
	Role                *string           `json:"-"`
	ConnectionMode      *string           `json:"connectionMode,omitempty"`
	MaxBackoff          *int              `json:"maxBackoff,omitempty"`
	InactivityProbe     *int              `json:"inactivityProbe,omitempty"`
	ControllerRateLimit *int              `json:"controllerRateLimit,omitempty"`
	ControllerBurst     *int              `json:"controllerBurstLimit,omitempty"`
	ExternalIDs         map[string]string `json:"externalIDs,omitempty"`
	OtherConfig         map[string]string `json:"otherConfig,omitempty"`
}

// allProtocols is what an empty protocols column means. It is written out so that those
// who speak another version to the bridge still can.
var allProtocols = []string{"OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"}

// How a bridge treats its controller.
const (
	maxBackoff      = 1000 // milliseconds between two attempts to reach it
	inactivityProbe = 5000 // milliseconds of silence, and it is asked for a sign of life
	rateLimit       = 1000 // packets a second are sent to it: the meters of the flows let fewer pass
)

// Attach makes target the only controller of a bridge, has the bridge speak OpenFlow 1.3,
// and sets fail_mode to secure, with which it keeps its flows while there is no
// controller. What was there before is kept with the bridge, once. It returns what the bridge
// was; nil: it was as it should be, and nothing was changed.
func (c *Client) Attach(ctx context.Context, bridge, target string) (was *Bridge, err error) {
	err = c.change(ctx, bridge, func(db client.Client, r rows, b *bridgeRow) ([]ovsdb.Operation, error) {
		if r.attached(b, target) {
			return nil, nil
		}
		now := r.bridge(*b)
		was = &now
		ids := map[string]string{}
		for k, v := range b.ExternalIDs {
			ids[k] = v
		}
		if ids[beforeKey] == "" {
			first := before{Protocols: b.Protocols, FailMode: deref(b.FailMode)}
			for _, uuid := range b.Controller {
				first.Controllers = append(first.Controllers, controllerBefore(r.controllers[uuid]))
			}
			text, err := json.Marshal(first)
			if err != nil {
				return nil, err
			}
			ids[beforeKey] = string(text)
		}
		protocols := allProtocols
		if len(b.Protocols) > 0 {
			protocols = b.Protocols
			if !slices.Contains(protocols, "OpenFlow13") {
				protocols = append(slices.Clone(protocols), "OpenFlow13")
			}
		}
		backoff, probe, rate := maxBackoff, inactivityProbe, rateLimit
		k := &controllerRow{UUID: "weir", Target: target, MaxBackoff: &backoff, InactivityProbe: &probe, ControllerRateLimit: &rate, ControllerBurst: &rate}
		return replace(db, b, []*controllerRow{k}, protocols, "secure", ids)
	})
	return was, err
}

// attached reports whether a bridge is as Attach makes it.
func (r rows) attached(b *bridgeRow, target string) bool {
	return len(b.Controller) == 1 && r.controllers[b.Controller[0]].Target == target && deref(b.FailMode) == "secure" &&
		slices.Contains(b.Protocols, "OpenFlow13") && b.ExternalIDs[beforeKey] != ""
}

// Detach gives a bridge back what it had before Attach. A bridge that was not attached
// is left as it is.
func (c *Client) Detach(ctx context.Context, bridge string) error {
	return c.change(ctx, bridge, func(db client.Client, _ rows, b *bridgeRow) ([]ovsdb.Operation, error) {
		text, attached := b.ExternalIDs[beforeKey]
		if !attached {
			return nil, nil
		}
		var was before
		if err := json.Unmarshal([]byte(text), &was); err != nil {
			return nil, fmt.Errorf("bridge %s: external_ids:%s is damaged: %w", bridge, beforeKey, err)
		}
		ids := map[string]string{}
		for k, v := range b.ExternalIDs {
			if len(k) < 5 || k[:5] != "weir-" {
				ids[k] = v
			}
		}
		var controllers []*controllerRow
		for i, k := range was.Controllers {
			row := controllerRow(k)
			row.UUID = fmt.Sprintf("weir%d", i)
			controllers = append(controllers, &row)
		}
		return replace(db, b, controllers, was.Protocols, was.FailMode, ids)
	})
}

// replace returns the operations that write all that Attach and Detach change.
func replace(db client.Client, b *bridgeRow, controllers []*controllerRow, protocols []string, failMode string, ids map[string]string) ([]ovsdb.Operation, error) {
	var ops []ovsdb.Operation
	next := bridgeRow{UUID: b.UUID, Protocols: protocols, ExternalIDs: ids}
	for _, k := range controllers {
		created, err := db.Create(k)
		if err != nil {
			return nil, err
		}
		ops = append(ops, created...)
		next.Controller = append(next.Controller, k.UUID)
	}
	if failMode != "" {
		next.FailMode = &failMode
	}
	update, err := db.Where(b).Update(&next, &next.Controller, &next.Protocols, &next.FailMode, &next.ExternalIDs)
	return append(ops, update...), err
}

// Manners writes once more how a bridge that is connected treats its controller: it tries
// once a second to reach it, once it has lost it, and sends it so many packets at most. Open
// vSwitch before 3.3 does not heed the max_backoff that a controller begins with, and would
// try every 8 seconds; it does heed a change, also one of a millisecond.
func (c *Client) Manners(ctx context.Context, bridge string) error {
	return c.change(ctx, bridge, func(db client.Client, r rows, b *bridgeRow) ([]ovsdb.Operation, error) {
		if len(b.Controller) != 1 {
			return nil, nil
		}
		k := r.controllers[b.Controller[0]]
		backoff, rate := maxBackoff, rateLimit
		if k.MaxBackoff != nil && *k.MaxBackoff == backoff {
			backoff++
		}
		k.MaxBackoff, k.ControllerRateLimit, k.ControllerBurst = &backoff, &rate, &rate
		return db.Where(&k).Update(&k, &k.MaxBackoff, &k.ControllerRateLimit, &k.ControllerBurst)
	})
}

// SetExternalIDs sets and removes external_ids of a bridge; others stay.
func (c *Client) SetExternalIDs(ctx context.Context, bridge string, set map[string]string, remove []string) error {
	return c.change(ctx, bridge, func(db client.Client, _ rows, b *bridgeRow) ([]ovsdb.Operation, error) {
		gone := slices.Clone(remove)
		for k := range set {
			gone = append(gone, k) // an insert leaves a key that is there as it is
		}
		if len(gone) == 0 {
			return nil, nil
		}
		mutations := []model.Mutation{{Field: &b.ExternalIDs, Mutator: ovsdb.MutateOperationDelete, Value: gone}}
		if len(set) > 0 {
			mutations = append(mutations, model.Mutation{Field: &b.ExternalIDs, Mutator: ovsdb.MutateOperationInsert, Value: set})
		}
		return db.Where(b).Mutate(b, mutations...)
	})
}

// change carries out what ops returns for a bridge, in one transaction, unless the
// bridge has been changed since it was read.
func (c *Client) change(ctx context.Context, bridge string, ops func(client.Client, rows, *bridgeRow) ([]ovsdb.Operation, error)) error {
	db, err := connect(ctx, c.at, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := read(ctx, db)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.bridges, func(b bridgeRow) bool { return b.Name == bridge })
	if i < 0 {
		return fmt.Errorf("Open vSwitch has no bridge %s", bridge)
	}
	b := &r.bridges[i]
	now := 0
	unchanged, err := db.Where(b).Wait(ovsdb.WaitConditionEqual, &now, b, &b.Controller, &b.Protocols, &b.FailMode, &b.ExternalIDs)
	if err != nil {
		return err
	}
	todo, err := ops(db, r, b)
	if err != nil || len(todo) == 0 {
		return err
	}
	results, err := db.Transact(ctx, append(unchanged, todo...)...)
	if err != nil {
		return err
	}
	if _, err := ovsdb.CheckOperationResults(results, append(unchanged, todo...)); err != nil {
		return errors.Join(fmt.Errorf("bridge %s was not changed", bridge), err)
	}
	return nil
}
