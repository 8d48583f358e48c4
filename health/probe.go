package health

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"weir/intent"
)

// What is read of an answer by HTTP: who sends more is not read to the end.
const (
	maxAnswer = 20 << 10
	maxBody   = 4 << 10
)

// unreachableSoon is how long after the answer to a ping an ICMP error about the datagram that
// was sent before it is still waited for.
const unreachableSoon = 50 * time.Millisecond

// askTCP opens a connection, and resets it.
func (p *Prober) askTCP(ctx context.Context, c Check) error {
	conn, err := p.dial(ctx, c.Source, c.Backend)
	if err != nil {
		return err
	}
	return conn.Close()
}

// askHTTP asks for a page, and looks at the status.
func (p *Prober) askHTTP(ctx context.Context, c Check) error {
	status, _, err := p.get(ctx, c.Source, c.Backend, c.Health.Host, c.Health.Path)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(c.Health.Expect, func(r intent.StatusRange) bool { return r.Contains(uint16(status)) }) {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// get returns the status of a page, and the begin of its body. It follows no redirection.
func (p *Prober) get(ctx context.Context, from netip.Addr, to netip.AddrPort, host, path string) (status int, body []byte, err error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+to.String()+"/"+strings.TrimPrefix(path, "/"), nil)
	if err != nil {
		return 0, nil, err
	}
	r.Close = true
	r.Header.Set("User-Agent", "weir")
	if host != "" {
		r.Host = host
	}
	conn, err := p.dial(ctx, from, to)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	if err := r.Write(conn); err != nil {
		return 0, nil, err
	}
	return read(conn, r)
}

// read reads the answer to a request, but for what comes before it (RFC 9110, 15.2).
func read(conn net.Conn, r *http.Request) (status int, body []byte, err error) {
	from := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	for {
		answer, err := http.ReadResponse(from, r)
		if err != nil {
			return 0, nil, fmt.Errorf("no answer of HTTP: %w", err)
		}
		if answer.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
		if errors.Is(err, io.ErrUnexpectedEOF) { // it is longer than what is read
			err = nil
		}
		return answer.StatusCode, body, err
	}
}

// dial opens a connection whose Close resets it: there is nothing to wait for then.
func (p *Prober) dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var events waiter.Queue
	e, fault := p.stack.NewEndpoint(tcp.ProtocolNumber, familyOf(from), &events)
	if fault != nil {
		return nil, errors.New(fault.String())
	}
	e.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	if err := connect(ctx, e, &events, full(from, 0), full(to.Addr(), to.Port())); err != nil {
		e.Close()
		return nil, err
	}
	return gonet.NewTCPConn(&events, e), nil
}

// connect binds and connects a TCP endpoint, and waits for the answer.
func connect(ctx context.Context, e tcpip.Endpoint, events *waiter.Queue, from, to tcpip.FullAddress) error {
	entry, writable := waiter.NewChannelEntry(waiter.WritableEvents)
	events.EventRegister(&entry)
	defer events.EventUnregister(&entry)
	if err := e.Bind(from); err != nil {
		return errors.New(err.String())
	}
	err := e.Connect(to)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-writable:
		}
		err = e.LastError()
	}
	if err != nil {
		return errors.New(err.String())
	}
	return nil
}

func full(a netip.Addr, port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(a.AsSlice()), Port: port}
}

// askUDP sends an empty datagram, and then a ping. It is well if it answers the one, or
// answers the other and does not say that the port is unreachable: many services say nothing
// to what they do not understand, and nobody is there where not even a ping is answered.
func (p *Prober) askUDP(ctx context.Context, c Check) error {
	asked, err := p.open(udp.ProtocolNumber, c, nil)
	if err != nil {
		return err
	}
	defer asked.Close()
	var both sync.WaitGroup
	defer both.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered, pinged := make(chan error, 1), make(chan error, 1)
	both.Go(func() { answered <- asked.hear(ctx) })
	both.Go(func() { pinged <- p.askICMP(ctx, c) })
	select {
	case err := <-answered:
		return err
	case err := <-pinged:
		if err != nil {
			return err
		}
	}
	select {
	case err := <-answered:
		return err
	case <-time.After(unreachableSoon):
	case <-ctx.Done():
	}
	return nil
}

// askICMP sends a ping.
func (p *Prober) askICMP(ctx context.Context, c Check) error {
	protocol, ping := icmp.ProtocolNumber4, []byte{byte(header.ICMPv4Echo), 7: 0}
	if !c.Source.Is4() {
		protocol, ping = icmp.ProtocolNumber6, []byte{byte(header.ICMPv6EchoRequest), 7: 0}
	}
	asked, err := p.open(protocol, c, ping)
	if err != nil {
		return err
	}
	defer asked.Close()
	return asked.hear(ctx)
}

// A question is a datagram that has been sent, and what waits for its answer.
type question struct {
	tcpip.Endpoint
	events *waiter.Queue
}

// open sends a datagram to the backend of a check.
func (p *Prober) open(protocol tcpip.TransportProtocolNumber, c Check, data []byte) (*question, error) {
	q := &question{events: new(waiter.Queue)}
	var err tcpip.Error
	if q.Endpoint, err = p.stack.NewEndpoint(protocol, familyOf(c.Source), q.events); err != nil {
		return nil, errors.New(err.String())
	}
	if err = q.Bind(full(c.Source, 0)); err == nil {
		err = q.Connect(full(c.Backend.Addr(), c.Backend.Port()))
	}
	if err == nil {
		_, err = q.Write(bytes.NewReader(data), tcpip.WriteOptions{})
	}
	if err != nil {
		q.Close()
		return nil, errors.New(err.String())
	}
	return q, nil
}

// hear waits for the answer to a question, or for the ICMP error that comes in its place.
func (q *question) hear(ctx context.Context) error {
	entry, changed := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr)
	q.events.EventRegister(&entry)
	defer q.events.EventUnregister(&entry)
	for {
		_, err := q.Read(io.Discard, tcpip.ReadOptions{})
		if err == nil {
			return nil
		}
		if _, later := err.(*tcpip.ErrWouldBlock); !later {
			return fmt.Errorf("an ICMP error came: %v", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
