// Package ofconn is one OpenFlow 1.3 session with a switch: over TCP, TLS or a unix
// socket, whoever opens it. It shakes hands, asks and gets answers, reads whole tables,
// and carries out plans.
//
// A session has three goroutines. One reads, and hands out what comes in the order of the
// wire; it waits for nobody but who is reading a long answer. One writes what the callers
// have queued, as many messages at a time as there are. One asks for signs of life.
// Messages leave in the order in which they were queued, so a barrier proves what it says.
//
// An answer finds who asked by its transaction id (xid); so does an error, which also has
// the beginning of the message that it is about. What nobody has asked for is a packet
// (PacketIns, PacketIn2s), a change of a flow table
// (Monitor), or an event (Events).
//
// All queues are bounded. A peer that does not read, falls silent or talks nonsense loses
// its session, and nobody else notices.
package ofconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"weir/ofproto"
)

// Config is how a session behaves. The zero Config works, but for TLS.
type Config struct {
	Handshake time.Duration // until the switch has said who it is; zero: 5 s
	Echo      time.Duration // of silence until a sign of life is asked for; three times that ends the session; zero: 5 s
	Write     time.Duration // for a peer to take what is written; zero: 10 s
	Answer    time.Duration // for a request without a deadline of its own; zero: 30 s

	PacketIns int // how many packets wait to be read; zero: 256
	Events    int // how many events wait to be read; zero: 1024

	// TLS is needed for "ssl:" and "pssl:", and has to identify both sides. Keys makes one
	// from files.
	TLS *tls.Config

	// Erred is told of each error that the switch says, whoever it is for. The reader of the session
	// calls it: it must not wait. If nil, nobody is told.
	Erred func(*ofproto.Error)

	// Refused is told, by any goroutine, of a peer of a Listener that did not become a
	// session; ReasonOf puts why into a word. If nil, nobody is.
	Refused func(peer net.Addr, why error)
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.Handshake, 5*time.Second)
	set(&c.Echo, 5*time.Second)
	set(&c.Write, 10*time.Second)
	set(&c.Answer, 30*time.Second)
	if c.PacketIns == 0 {
		c.PacketIns = 256
	}
	if c.Events == 0 {
		c.Events = 1024
	}
	return c
}

// ErrClosed ends the requests of a session that has ended.
var ErrClosed = errors.New("session has ended")

// A Conn is a session. Its methods may be called by several goroutines.
type Conn struct {
	config   Config
	nc       net.Conn
	features ofproto.FeaturesReply
	out      outbox
	limit    int // bytes of one multipart answer
	large    int // changes that are better not in one bundle: see Apply

	xid      atomic.Uint32 // the last that was given: see xids
	modified atomic.Uint64
	bundles  atomic.Uint64 // of modified: in a bundle
	dropped  atomic.Uint64
	started  time.Time    // the clock of heard, which nobody sets
	heard    atomic.Int64 // when the last sign of life came, in nanoseconds

	packetIns  chan ofproto.PacketIn
	packetIn2s chan ofproto.PacketIn2
	events     chan ofproto.Message

	mu      sync.Mutex // guards what follows; never held while reading, writing or waiting
	waiting map[uint32]receiver
	spans   []*span
	monitor *Monitor // nil: none
	ended   error

	ahead *ahead // of who prepares and applies; nil: nothing was prepared

	done  chan struct{} // closed when the session has ended
	tasks sync.WaitGroup
}

// New shakes hands over a connection, whoever has opened it, and owns it from then on.
func New(ctx context.Context, nc net.Conn, config Config) (*Conn, error) {
	c := newConn(nc, config)
	c.tasks.Go(c.write)
	if err := c.shake(ctx); err != nil {
		c.end(err)
		c.tasks.Wait()
		return nil, c.Err() // which is the first that went wrong
	}
	c.tasks.Go(c.keepAlive)
	return c, nil
}

func newConn(nc net.Conn, config Config) *Conn {
	config = config.withDefaults()
	c := &Conn{
		config: config, nc: nc, started: time.Now(), limit: maxMultipart, large: large,
		waiting: map[uint32]receiver{}, done: make(chan struct{}),
	}
	c.out.init()
	return c
}

// makeQueues makes the queues that the reader fills. A peer that has not said HELLO is not worth them: they are most of what
// a session takes.
func (c *Conn) makeQueues() {
	c.packetIns = make(chan ofproto.PacketIn, c.config.PacketIns)
	c.packetIn2s = make(chan ofproto.PacketIn2, c.config.PacketIns)
	c.events = make(chan ofproto.Message, c.config.Events)
}

// Features returns what the switch said of itself.
func (c *Conn) Features() ofproto.FeaturesReply { return c.features }

// PeerCertificate returns the certificate with which the peer has proven who it is; nil: without
// TLS.
func (c *Conn) PeerCertificate() *x509.Certificate {
	t, ok := c.nc.(*tls.Conn)
	if !ok || len(t.ConnectionState().PeerCertificates) == 0 {
		return nil
	}
	return t.ConnectionState().PeerCertificates[0]
}

// PeerName returns the common name that the peer has proven to bear. It is empty without TLS.
func (c *Conn) PeerName() string {
	if p := c.PeerCertificate(); p != nil {
		return p.Subject.CommonName
	}
	return ""
}

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

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

// Close sends what is queued, for a second at most, ends the session, and waits until
// nothing of it runs.
func (c *Conn) Close() error {
	c.flush(min(time.Second, c.config.Write))
	c.end(ErrClosed)
	c.tasks.Wait()
	return nil
}

// end ends the session once; later reasons are forgotten.
func (c *Conn) end(err error) {
	c.mu.Lock()
	first := c.ended == nil
	if first {
		c.ended = err
		close(c.done)
	}
	c.mu.Unlock()
	if first {
		// Closing TLS says good-bye, which can take a while: not under the lock.
		_ = c.nc.Close() // it may be closed already, and nothing can be done
	}
}

// cut returns the error of a request that the end of the session has cut short.
func (c *Conn) cut() error {
	if err := c.Err(); err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return ErrClosed
}

// hear notes a sign of life.
func (c *Conn) hear() { c.heard.Store(int64(time.Since(c.started))) }

// keepAlive asks for a sign of life when there has been none.
func (c *Conn) keepAlive() {
	wait := time.NewTimer(c.config.Echo)
	defer wait.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-wait.C:
		}
		silence := time.Since(c.started) - time.Duration(c.heard.Load())
		if silence >= 3*c.config.Echo {
			c.end(fmt.Errorf("peer has been silent for %v", silence.Round(time.Millisecond)))
			return
		}
		next := c.config.Echo - silence
		if next <= 0 {
			c.reply(c.xids(1), ofproto.EchoRequest{})
			next = c.config.Echo - silence%c.config.Echo
		}
		wait.Reset(next)
	}
}
