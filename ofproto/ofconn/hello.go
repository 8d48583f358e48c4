package ofconn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"

	"weir/ofproto"
)

// shake shakes hands: HELLO both ways, and the switch says who it is. It leaves the reader
// running, unless it fails.
func (c *Conn) shake(ctx context.Context) error {
	late := lateError(fmt.Sprintf("peer has not shaken hands within %v", c.config.Handshake))
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Handshake, late)
	defer cancel()
	// Closing is what interrupts a read, a write and a handshake of TLS.
	stop := context.AfterFunc(ctx, func() { c.end(context.Cause(ctx)) })
	defer stop()
	f := &framer{r: c.nc}
	err := c.greet(ctx, f)
	if err == nil {
		c.hear()
		c.makeQueues()
		c.tasks.Go(func() { c.end(c.read(f)) })
		err = c.introduce(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// greet exchanges HELLO. Only OpenFlow 1.3 is spoken.
func (c *Conn) greet(ctx context.Context, f *framer) error {
	if err := c.send(ctx, c.xids(1), ofproto.Hello{}); err != nil {
		return err
	}
	xid, m, err := first(f)
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	switch m := m.(type) {
	case *ofproto.Error:
		return refusedBy(m)
	case ofproto.Hello:
		if !speaks(m) {
			return c.turnAway(xid, m)
		}
	}
	return nil
}

var (
	errNoHello   = errors.New("not with HELLO")
	errSpeaksTLS = errors.New("peer began with a handshake of TLS, which is not spoken here")
)

// How a record of TLS begins that has a handshake in it (RFC 8446, 5.1): its type, and the first half of a version
// that no peer has left behind.
const tlsHandshake, tlsMajor = 22, 3

// first reads the message with which a peer begins. One that is something else altogether
// is seen by its first bytes, whatever length they say.
func first(f *framer) (xid uint32, m ofproto.Message, err error) {
	if err := f.fill(ofproto.HeaderLen); err != nil {
		return 0, nil, err
	}
	if f.b[f.from] == tlsHandshake && f.b[f.from+1] == tlsMajor {
		return 0, nil, errSpeaksTLS
	}
	if typ := f.b[f.from+1]; typ != typeHello && typ != typeError {
		return 0, nil, fmt.Errorf("peer began with a message of type %d, %w", typ, errNoHello)
	}
	frame, err := f.next()
	if err != nil {
		return 0, nil, err
	}
	return ofproto.Decode(frame)
}

// speaks reports whether OpenFlow 1.3 can be spoken with whoever said h (6.3.1).
func speaks(h ofproto.Hello) bool {
	if h.Versions != 0 {
		return h.Versions>>ofproto.Version&1 == 1
	}
	return h.Version >= ofproto.Version
}

// refusedBy is the error of a session that the peer does not want.
func refusedBy(e *ofproto.Error) error {
	if errors.Is(e, ofproto.OFPHFC_INCOMPATIBLE) || errors.Is(e, ofproto.OFPHFC_EPERM) {
		return fmt.Errorf("peer refuses the session: %w: %q", e, e.Data)
	}
	return fmt.Errorf("peer refuses the session: %w", e)
}

// turnAway tells a peer of another version why there is no session, in the highest version
// that it can read. It waits until the peer has hung up, but not for long: whoever closes
// a connection on which something has come that was not read may destroy what it has sent.
func (c *Conn) turnAway(xid uint32, h ofproto.Hello) error {
	why := fmt.Sprintf("only OpenFlow 1.3 (version %d on the wire) is spoken here, you speak %s", ofproto.Version, versions(h))
	version := min(h.Version, ofproto.Version)
	if h.Versions != 0 {
		version = uint8(bits.Len32(h.Versions) - 1)
	}
	b, err := ofproto.Append(nil, xid, ofproto.ErrorOf(ofproto.OFPHFC_INCOMPATIBLE, xid, nil))
	if err != nil {
		return err
	}
	b = append(b, why...)
	b[0] = version
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	_, err = c.out.put(roomInOutbox, false, func(queued []byte) ([]byte, error) { return append(queued, b...), nil })
	c.flush(time.Second)
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && err == nil && half.CloseWrite() == nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, c.nc) // until the peer has read it
	}
	return fmt.Errorf("peer speaks no OpenFlow 1.3 (on the wire it speaks %s): %w", versions(h), ofproto.OFPHFC_INCOMPATIBLE)
}

// versions names the versions that a peer speaks.
func versions(h ofproto.Hello) string {
	if h.Versions == 0 {
		return fmt.Sprintf("version %d", h.Version)
	}
	var all []string
	for v := range 32 {
		if h.Versions>>v&1 == 1 {
			all = append(all, fmt.Sprint(v))
		}
	}
	return "version " + strings.Join(all, ", ")
}

// introduce asks the switch who it is, and sets how it treats fragments: with nx-match the
// first fragment of a packet keeps its ports, which the default hides.
func (c *Conn) introduce(ctx context.Context) error {
	m, err := c.Ask(ctx, ofproto.FeaturesRequest{})
	if err != nil {
		return fmt.Errorf("features: %w", err)
	}
	f, ok := m.(ofproto.FeaturesReply)
	if !ok {
		return fmt.Errorf("features: peer answered %T", m)
	}
	c.features = f
	return c.send(ctx, c.xids(1), ofproto.SetConfig{Flags: ofproto.FragNXMatch, MissSendLen: 0xffff})
}
