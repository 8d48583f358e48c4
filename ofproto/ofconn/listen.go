package ofconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// maxPending is how many peers of a Listener may be shaking hands, or have shaken them and
// wait for Accept. When one more comes, one is given up: of those from where most have come, the one that
// has waited longest. Peers that stall cannot keep out one that does not, and whoever opens any number of
// connections takes places from himself.
const maxPending = 256

// maxOpen is how many connections there may be besides those that were accepted: those that are pending, and those that
// were given up and are being closed. With as many nobody is let in until one is gone.
const maxOpen = 2 * maxPending

// A Listener waits for switches that connect to us.
type Listener struct {
	config  Config
	secret  *tls.Config // nil: no TLS
	l       net.Listener
	arrived chan *Conn
	ctx     context.Context // of all handshakes
	stop    context.CancelFunc
	tasks   sync.WaitGroup
	open    chan struct{} // has as many in it as connections are open that were not accepted

	mu      sync.Mutex
	pending []*pending // the one that came first stands first
}

// A pending is a peer that is shaking hands.
type pending struct {
	giveUp context.CancelCauseFunc
	from   netip.Prefix // whom it counts for: an address of IPv4, a network of IPv6; zero: whoever can open our unix socket
}

// ownNetwork is how much of an address of IPv6 does not say who somebody is: all addresses of a /64 may be one
// host's (RFC 8981).
const ownNetwork = 64

func from(peer net.Addr) netip.Prefix {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	p, _ := ip.Prefix(min(ip.BitLen(), ownNetwork)) // as many bits as it has, at most
	return p
}

var errGivenUp = errors.New("too many peers shake hands, and of those from its address this one has waited longest")

// Listen listens on "ptcp:[PORT][:HOST]", "pssl:[PORT][:HOST]" or "punix:PATH", as Open
// vSwitch writes it. Without a PORT it is 6653, with 0 any that is free; without a HOST it
// is all addresses. A socket file that a dead process has left is replaced.
func Listen(target string, c Config) (*Listener, error) {
	network, address, secret, err := passive(target)
	if err != nil {
		return nil, err
	}
	var keys *tls.Config
	if secret {
		if keys, err = mutual(c.TLS, true); err != nil {
			return nil, fmt.Errorf("%s: %w", target, err)
		}
	}
	l, err := listen(network, address)
	if err != nil {
		return nil, err
	}
	return accepting(l, keys, c), nil
}

// ListenOn waits for switches that connect to l, without TLS, and closes l in the end.
func ListenOn(l net.Listener, c Config) *Listener { return accepting(l, nil, c) }

func accepting(l net.Listener, secret *tls.Config, c Config) *Listener {
	ln := &Listener{config: c.withDefaults(), secret: secret, l: l, arrived: make(chan *Conn), open: make(chan struct{}, maxOpen)}
	ln.ctx, ln.stop = context.WithCancel(context.Background())
	ln.tasks.Go(ln.accept)
	return ln
}

func listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if network != "unix" || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if nc, dialled := net.Dial(network, address); dialled == nil {
		_ = nc.Close() // somebody is there; it was only asked whether
		return nil, err
	}
	if err := os.Remove(address); err != nil {
		return nil, err
	}
	return net.Listen(network, address)
}

// Addr returns where it listens.
func (ln *Listener) Addr() net.Addr { return ln.l.Addr() }

// Accept returns the next session with a switch that has connected and shaken hands.
func (ln *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-ln.arrived:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-ln.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close stops listening, and ends what has not been accepted. It waits for all that.
func (ln *Listener) Close() error {
	ln.stop()
	err := ln.l.Close()
	ln.tasks.Wait()
	return err
}

func (ln *Listener) accept() {
	for ln.room() {
		nc, err := ln.l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors, perhaps: that passes
			ln.refused(ln.l.Addr(), err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ln.ctx.Done():
			}
			<-ln.open
		default:
			ln.begin(nc)
		}
	}
}

// room waits until there may be one more connection, which it counts; false: nobody is to come any more.
func (ln *Listener) room() bool {
	select {
	case ln.open <- struct{}{}:
		return true
	case <-ln.ctx.Done():
		return false
	}
}

// begin shakes hands with a peer, beside all others.
func (ln *Listener) begin(nc net.Conn) {
	ctx, giveUp := context.WithCancelCause(ln.ctx)
	p := &pending{giveUp, from(nc.RemoteAddr())}
	ln.admit(p)
	ln.tasks.Go(func() {
		defer func() { <-ln.open }()
		defer ln.dismiss(p)
		ln.receive(ctx, nc)
	})
}

// receive shakes hands with a peer, and hands the session over.
func (ln *Listener) receive(ctx context.Context, nc net.Conn) {
	peer := nc.RemoteAddr()
	var heard *ear
	if ln.secret != nil {
		heard = &ear{Conn: nc}
		nc = tls.Server(heard, ln.secret)
	}
	c, err := New(ctx, nc, ln.config)
	if err != nil {
		ln.refused(peer, heard.explain(err))
		return
	}
	select {
	case ln.arrived <- c:
		return
	case <-c.done:
		ln.refused(peer, c.Err())
	case <-ctx.Done():
		ln.refused(peer, context.Cause(ctx))
	}
	_ = c.Close() // it always succeeds
}

func (ln *Listener) refused(peer net.Addr, why error) {
	if ln.config.Refused != nil && ln.ctx.Err() == nil {
		ln.config.Refused(peer, why)
	}
}

func (ln *Listener) admit(p *pending) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if len(ln.pending) == maxPending {
		i := slowest(ln.pending)
		ln.pending[i].giveUp(errGivenUp)
		ln.pending = slices.Delete(ln.pending, i, i+1)
	}
	ln.pending = append(ln.pending, p)
}

// slowest returns which of those that are pending is given up for one more.
func slowest(all []*pending) int {
	n, most := make(map[netip.Prefix]int), 0
	for _, p := range all {
		n[p.from]++
		most = max(most, n[p.from])
	}
	return slices.IndexFunc(all, func(p *pending) bool { return n[p.from] == most })
}

func (ln *Listener) dismiss(p *pending) {
	p.giveUp(nil)
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.pending = slices.DeleteFunc(ln.pending, func(q *pending) bool { return q == p })
}
