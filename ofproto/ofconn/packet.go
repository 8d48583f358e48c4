package ofconn

import (
	"context"

	"weir/ofproto"
)

// PacketIns returns the packets that flows send to the controller. Who does not read
// them in time loses the newest: see Dropped.
func (c *Conn) PacketIns() <-chan ofproto.PacketIn { return c.packetIns }

// Events returns what the switch says of its own accord, in its order: ofproto.PortStatus,
// ofproto.FlowRemoved and the like, and the *ofproto.Error about a message for whose answer
// nobody waits. Who does not read them in time loses the newest: see Dropped.
func (c *Conn) Events() <-chan ofproto.Message { return c.events }

// Dropped counts the packet-ins and events that nobody was in time to read.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// Send sends a message, and does not wait for what becomes of it: should the switch refuse
// it, that is an event. Messages leave in the order in which they are sent.
func (c *Conn) Send(ctx context.Context, m ofproto.Message) error {
	c.count(m)
	return c.send(ctx, c.xid.Add(1), m)
}

// PacketOut sends a packet. It does not wait for what becomes of it.
func (c *Conn) PacketOut(ctx context.Context, p ofproto.PacketOut) error {
	return c.send(ctx, c.xid.Add(1), p)
}

// Role asks for a role and returns the one the switch gives (OpenFlow 1.3, A.3.9).
func (c *Conn) Role(ctx context.Context, role ofproto.Role, generation uint64) (ofproto.RoleReply, error) {
	m, err := c.ask(ctx, ofproto.RoleRequest{Role: role, Generation: generation})
	r, _ := m.(ofproto.RoleReply)
	return r, err
}
