package ofconn

import (
	"context"

	"weir/ofproto"
)

// PacketIns returns the packets that flows send to the controller. Who does not read
// them in time loses the newest: see Dropped.
func (c *Conn) PacketIns() <-chan ofproto.PacketIn { return c.packetIns }

// PacketIn2s returns the packets that flows send to the controller after UsePacketIn2, as
// PacketIns does before.
func (c *Conn) PacketIn2s() <-chan ofproto.PacketIn2 { return c.packetIn2s }

// UsePacketIn2 has packets come as ofproto.PacketIn2, with what their controller action
// has given along, and what it takes to Resume them.
func (c *Conn) UsePacketIn2(ctx context.Context) error {
	return c.Do(ctx, ofproto.SetPacketInFormat{Format: ofproto.FormatPacketIn2})
}

// Resume lets a packet that a controller action has paused go on, with what has become of
// its Data and Match. Should the switch refuse that, it is an event.
func (c *Conn) Resume(ctx context.Context, p ofproto.PacketIn2) error {
	return c.Send(ctx, ofproto.Resume{PacketIn2: p})
}

// PacketOut sends a packet. It does not wait for what becomes of it.
func (c *Conn) PacketOut(ctx context.Context, p ofproto.PacketOut) error {
	return c.send(ctx, c.xids(1), p)
}

// Events returns what the switch says of its own accord, in its order: ofproto.PortStatus,
// ofproto.FlowRemoved, ofproto.RoleStatus and the like, and the *ofproto.Error about a
// message for whose answer nobody waits. Who does not read them in time loses the newest:
// see Dropped.
func (c *Conn) Events() <-chan ofproto.Message { return c.events }

// Dropped counts the packet-ins and events that nobody was in time to read.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// offer puts v where somebody may read it in time. If there is no room it is v that is
// dropped: those that wait were first.
func offer[T any](c *Conn, queue chan<- T, v T) {
	select {
	case queue <- v:
	default:
		c.dropped.Add(1)
	}
}
