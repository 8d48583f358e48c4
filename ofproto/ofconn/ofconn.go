// Package ofconn is one OpenFlow 1.3 session with a switch: the handshake, requests
// and their answers, whole tables, and plans carried out as one atomic bundle.
//
// One goroutine reads, and delivers in the order of the wire; callers write, one at a
// time. An answer finds who asked by its transaction id (xid). A barrier therefore
// proves what it says.
package ofconn

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/ofproto"
)

// Config is how a session behaves. The zero Config works.
type Config struct {
	Handshake time.Duration // until the switch has said who it is; zero: 5 s
	Echo      time.Duration // between signs of life; three without one end the session; zero: 5 s
	Write     time.Duration // for a peer that does not read; zero: 15 s
	Answer    time.Duration // for a request without a deadline of its own; zero: 30 s
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.Handshake, 5*time.Second)
	set(&c.Echo, 5*time.Second)
	set(&c.Write, 15*time.Second)
	set(&c.Answer, 30*time.Second)
	return c
}

// ErrClosed ends the requests of a session that has ended.
var ErrClosed = errors.New("session has ended")

// A Conn is a session. Its methods may be called by several goroutines.
type Conn struct {
	config   Config
	nc       net.Conn
	features ofproto.FeaturesReply

	xid       atomic.Uint32
	modified  atomic.Uint64
	dropped   atomic.Uint64
	heard     atomic.Int64 // Unix nanoseconds of the last message
	packetIns chan ofproto.PacketIn

	writing sync.Mutex // one message, or batch, at a time on the wire

	mu      sync.Mutex // guards what follows; never held while reading or writing
	waiting map[uint32]chan reply
	ended   error

	done  chan struct{} // closed when the session has ended
	tasks sync.WaitGroup
}

// reply is what comes back for an xid.
type reply struct {
	xid uint32
	m   ofproto.Message
}

// Dial connects to "unix:PATH" or "tcp:HOST:PORT" and shakes hands.
func Dial(ctx context.Context, target string, c Config) (*Conn, error) {
	network, address, ok := strings.Cut(target, ":")
	if !ok || network != "unix" && network != "tcp" {
		return nil, fmt.Errorf("%q is no OpenFlow peer: want unix:PATH or tcp:HOST:PORT", target)
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return New(ctx, nc, c)
}

// New shakes hands over a connection, whoever has opened it, and owns it from then on.
func New(ctx context.Context, nc net.Conn, config Config) (*Conn, error) {
	c := &Conn{
		config: config.withDefaults(), nc: nc, waiting: map[uint32]chan reply{},
		packetIns: make(chan ofproto.PacketIn, 256), done: make(chan struct{}),
	}
	r := bufio.NewReaderSize(nc, 1<<16)
	if err := c.greet(ctx, r); err != nil {
		nc.Close()
		return nil, err
	}
	c.heard.Store(time.Now().UnixNano())
	c.tasks.Go(func() { c.end(c.read(r)) })
	c.tasks.Go(c.keepAlive)
	if err := c.introduce(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// greet exchanges HELLO. Only OpenFlow 1.3 is spoken.
func (c *Conn) greet(ctx context.Context, r io.Reader) error {
	deadline := time.Now().Add(c.config.Handshake)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	c.nc.SetDeadline(deadline)
	defer c.nc.SetDeadline(time.Time{})
	if err := c.send(c.xid.Add(1), ofproto.Hello{}); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	frame, err := readFrame(r, nil)
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	xid, m, err := ofproto.Decode(frame)
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	h, ok := m.(ofproto.Hello)
	if !ok {
		return fmt.Errorf("peer began with %T, not with HELLO", m)
	}
	speaks := h.Versions&(1<<ofproto.Version) != 0 || h.Versions == 0 && h.Version >= ofproto.Version
	if !speaks {
		refusal := "only OpenFlow 1.3 is spoken here"
		c.send(xid, &ofproto.Error{Type: 0, Code: 0, Data: []byte(refusal)}) // OFPET_HELLO_FAILED; the session ends either way
		return fmt.Errorf("peer speaks no OpenFlow 1.3 (its version on the wire is %d)", h.Version)
	}
	return nil
}

// introduce asks the switch who it is, and sets how it treats fragments.
func (c *Conn) introduce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Handshake)
	defer cancel()
	m, err := c.ask(ctx, ofproto.FeaturesRequest{})
	if err != nil {
		return fmt.Errorf("features: %w", err)
	}
	f, ok := m.(ofproto.FeaturesReply)
	if !ok {
		return fmt.Errorf("features: peer answered %T", m)
	}
	c.features = f
	return c.send(c.xid.Add(1), ofproto.SetConfig{Flags: ofproto.FragNXMatch, MissSendLen: 0xffff})
}

// Features returns what the switch said of itself.
func (c *Conn) Features() ofproto.FeaturesReply { return c.features }

// PacketIns returns the packets that flows send to the controller. Who does not read
// them in time loses the newest: see Dropped.
func (c *Conn) PacketIns() <-chan ofproto.PacketIn { return c.packetIns }

// Dropped counts the packet-ins that nobody was in time to read.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// FlowMods counts the flow-mods, group-mods and meter-mods sent.
func (c *Conn) FlowMods() uint64 { return c.modified.Load() }

// Done is closed when the session has ended; Err says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the session has ended, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Close ends the session and waits until nothing of it runs. It takes no lock that a
// blocked read or write may hold.
func (c *Conn) Close() error {
	c.end(ErrClosed)
	c.tasks.Wait()
	return nil
}

// end ends the session once; later reasons are forgotten.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	c.ended = err
	c.nc.Close()
	close(c.done)
}

// read delivers what comes until the connection ends.
func (c *Conn) read(r io.Reader) error {
	var buf []byte
	for {
		frame, err := readFrame(r, buf)
		if err != nil {
			return err
		}
		buf = frame
		c.heard.Store(time.Now().UnixNano())
		xid, m, err := ofproto.Decode(frame)
		if err != nil {
			return fmt.Errorf("peer sent garbage: %w", err)
		}
		if err := c.deliver(xid, m); err != nil {
			return err
		}
	}
}

// readFrame reads one message into buf, or into a larger one.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var h [ofproto.HeaderLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(h[2:]))
	if n < ofproto.HeaderLen {
		return nil, fmt.Errorf("peer sent a header of length %d", n)
	}
	if cap(buf) < n {
		buf = make([]byte, max(n, 4096))
	}
	buf = buf[:n]
	copy(buf, h[:])
	_, err := io.ReadFull(r, buf[ofproto.HeaderLen:])
	return buf, err
}

func (c *Conn) deliver(xid uint32, m ofproto.Message) error {
	switch m := m.(type) {
	case ofproto.EchoRequest:
		return c.send(xid, ofproto.EchoReply(m))
	case ofproto.PacketIn:
		select {
		case c.packetIns <- m:
		default:
			c.dropped.Add(1)
		}
		return nil
	}
	c.mu.Lock()
	ch := c.waiting[xid]
	c.mu.Unlock()
	if ch == nil { // nobody waits any more, or nobody ever did
		return nil
	}
	select {
	case ch <- reply{xid, m}:
	case <-c.done:
	}
	return nil
}

// keepAlive asks for a sign of life when there has been none.
func (c *Conn) keepAlive() {
	tick := time.NewTicker(c.config.Echo)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		silence := time.Since(time.Unix(0, c.heard.Load()))
		if silence > 3*c.config.Echo {
			c.end(fmt.Errorf("peer has been silent for %v", silence.Round(time.Millisecond)))
			return
		}
		if silence >= c.config.Echo {
			if err := c.send(c.xid.Add(1), ofproto.EchoRequest{}); err != nil {
				c.end(err)
				return
			}
		}
	}
}

// send writes one message.
func (c *Conn) send(xid uint32, m ofproto.Message) error {
	b, err := ofproto.Append(nil, xid, m)
	if err != nil {
		return err
	}
	return c.write(b)
}

// write writes whole messages. A peer that does not read ends the session.
func (c *Conn) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.nc.SetWriteDeadline(time.Now().Add(c.config.Write))
	if _, err := c.nc.Write(b); err != nil {
		c.end(fmt.Errorf("write: %w", err))
		return err
	}
	return nil
}
