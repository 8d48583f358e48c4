package ofconn

import (
	"context"
	"fmt"

	"weir/ofproto"
)

// Role asks for a role, and returns the one that the switch gives (OpenFlow 1.3, A.3.9).
//
// Of the sessions that have a role, one may be primary. Who becomes it with a newer
// generation fences the one that was: what that sends from then on is refused
// (ofproto.OFPBRC_IS_SECONDARY), also the commit of a bundle that it had opened before. An
// older generation is refused with ofproto.OFPRRFC_STALE. Open vSwitch 3.1 lets it flush
// connections nevertheless, forgets the generation when it is restarted, and fences neither
// a session with RoleEqual nor one over a bridge's management socket.
func (c *Conn) Role(ctx context.Context, role ofproto.Role, generation uint64) (ofproto.RoleReply, error) {
	m, err := c.Ask(ctx, ofproto.RoleRequest{Role: role, Generation: generation})
	if err != nil {
		return ofproto.RoleReply{}, fmt.Errorf("role: %w", err)
	}
	r, ok := m.(ofproto.RoleReply)
	if !ok {
		return r, fmt.Errorf("role: peer answered %T", m)
	}
	return r, nil
}

// SetAsync sets which messages the switch sends of its own accord. A session over a
// management socket begins with none.
func (c *Conn) SetAsync(ctx context.Context, a ofproto.AsyncConfig) error {
	return c.Do(ctx, ofproto.SetAsync{AsyncConfig: a})
}

// Async returns which messages the switch sends of its own accord.
func (c *Conn) Async(ctx context.Context) (ofproto.AsyncConfig, error) {
	m, err := c.Ask(ctx, ofproto.GetAsyncRequest{})
	r, _ := m.(ofproto.GetAsyncReply)
	return r.AsyncConfig, err
}

// SetControllerID gives the session the id by which controller actions choose it. It begins
// with 0, which is where packets go if the action says nothing.
func (c *Conn) SetControllerID(ctx context.Context, id uint16) error {
	return c.Do(ctx, ofproto.SetControllerID{ID: id})
}
