package daemon

import (
	"context"
	"fmt"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
)

// guard looks at a bridge before it is given its first controller, which makes Open vSwitch
// empty its flow tables. Flows that the operator wants kept, or wants to be told of, must not
// be lost by that: the bridge is left alone, and the error says what to do.
func (k *keeper) guard(ctx context.Context, bridge string, s *site, have ovsdb.Bridge) error {
	if len(have.Controllers) > 0 || k.foreignFlows(bridge) == intent.ForeignRemove {
		return nil
	}
	conn, err := ofconn.Dial(ctx, seat{host: s.at.Host, name: s.name}.management(), ofconn.Config{})
	if err != nil {
		return fmt.Errorf("look at the flows of %s before it is attached: %w", bridge, err)
	}
	defer conn.Close()
	tables, err := conn.Tables(ctx)
	if err != nil {
		return fmt.Errorf("look at the flows of %s before it is attached: %w", bridge, err)
	}
	var foreign []ofproto.Flow
	for _, f := range tables.Flows {
		if _, owned := pipeline.TagOf(f.Cookie); !owned && !isDefault(f) {
			foreign = append(foreign, f)
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	return fmt.Errorf("%s has %d flows of somebody else, among them %v, and giving it its first controller would make Open vSwitch delete them: "+
		"remove them yourself, or say foreignFlows: remove", bridge, len(foreign), foreign[0])
}

// isDefault reports whether f is the flow that Open vSwitch itself puts into a new bridge.
func isDefault(f ofproto.Flow) bool {
	return f.Table == 0 && f.Priority == 0 && f.Cookie == 0 && len(f.Match) == 0
}

func (k *keeper) foreignFlows(bridge string) intent.ForeignFlows {
	for _, b := range k.model.Bridges() {
		if b.Name == bridge {
			return b.ForeignFlows
		}
	}
	return intent.ForeignRefuse
}
