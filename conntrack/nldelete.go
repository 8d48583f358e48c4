package conntrack

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// deleteBatch is how many connections are removed at a time.
const deleteBatch = 128

// Delete removes connections, each by how it was opened, its zone, and its id if that is known:
// what has come in its place meanwhile stays. It returns how many were there. What the kernel does
// not remove (EBUSY: a flow table forwards it) is an error; the others are removed none the less.
func (n *Netlink) Delete(ctx context.Context, some ...Entry) (gone int, err error) {
	s, err := newSocket(n.Netns)
	if err != nil {
		return 0, err
	}
	defer s.close()
	defer s.until(ctx)()
	for len(some) > 0 {
		part := some[:min(len(some), deleteBatch)]
		some = some[len(part):]
		g, e := s.delete(part)
		gone += g
		if ctx.Err() != nil {
			return gone, ctx.Err()
		}
		err = errors.Join(err, e)
	}
	return gone, err
}

// delete removes some connections, of which there are few enough for one message.
func (s *socket) delete(some []Entry) (gone int, err error) {
	const op = "remove a connection"
	first := s.seq + 1
	var r request
	for i := range some {
		s.seq++
		if err := r.deletion(&some[i], s.seq); err != nil {
			return 0, err
		}
	}
	if err := s.send(r.b); err != nil {
		return 0, explained(op, err)
	}
	for answers := 0; answers < len(some); {
		n, readErr := s.f.Read(s.buf)
		if readErr != nil {
			return gone, errors.Join(err, explained(op, readErr))
		}
		for rest := s.buf[:n]; len(rest) > 0; {
			var m message
			if m, rest, readErr = cutMessage(rest); readErr != nil {
				return gone, explained(op, readErr)
			}
			if m.typ != unix.NLMSG_ERROR || m.seq-first >= uint32(len(some)) {
				continue // of a part before
			}
			answers++
			switch e := failure(op, m); {
			case e == nil:
				gone++
			case !errors.Is(e, unix.ENOENT):
				err = errors.Join(err, e)
			}
		}
	}
	return gone, err
}

// deletion puts the request to remove a connection. One without a tuple would empty the table.
func (r *request) deletion(e *Entry, seq uint32) error {
	if !e.Orig.Src.IsValid() || !e.Orig.Dst.IsValid() || e.Orig.Src.Is4() != e.Orig.Dst.Is4() {
		return fmt.Errorf("remove a connection: %v to %v is no tuple", e.Orig.Src, e.Orig.Dst)
	}
	start := r.begin(subsysConntrack|msgDelete, unix.NLM_F_REQUEST|unix.NLM_F_ACK, seq, familyOf(e.Orig.Src))
	r.tuple(ctaTupleOrig, e.Protocol, e.Orig, e.ZoneOrig)
	if e.Zone != 0 {
		r.uint16(ctaZone, e.Zone)
	}
	if e.ID != 0 {
		r.uint32(ctaID, e.ID)
	}
	r.done(start)
	return nil
}

// FlushZone removes all connections of a zone, and returns how many there were. It does that one
// by one: before Linux 6.8 the kernel does not look at the zone of a request to empty one, and
// empties the whole table. Zone 0 is the host's own, and is refused.
func (n *Netlink) FlushZone(ctx context.Context, zone uint16) (gone int, err error) {
	if zone == 0 {
		return 0, errors.New("zone 0 has the connections of the host itself, and is not emptied: say which zone is meant")
	}
	var part []Entry
	remove := func() error {
		g, err := n.Delete(ctx, part...)
		gone, part = gone+g, part[:0]
		return err
	}
	for e, err := range n.Entries(ctx, Filter{Zone: zone}) {
		var damage *Damage
		if err != nil && !errors.As(err, &damage) && !errors.Is(err, ErrInterrupted) {
			return gone, err
		} else if err != nil {
			continue
		}
		if part = append(part, e); len(part) == 4*deleteBatch {
			if err := remove(); err != nil {
				return gone, err
			}
		}
	}
	return gone, remove()
}
