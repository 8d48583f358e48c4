package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"weir/internal/sandbox"
)

// Datagrams are counted one way: each is one packet of one connection, so that the passes of
// the datapath are theirs. Only who asks is answered.
const (
	probes    = 400
	question  = "?"
	probeGap  = 100 * time.Microsecond // the port's queue must hold them
	probeFrom = 30001
)

// A probe is what a client sends: some datagrams from each of some ports.
type probe struct {
	To          netip.AddrPort
	First, Last int
	Each        int
	Ask         bool // until there is an answer, and no more
}

func (p probe) run() error {
	for port := p.First; port <= p.Last; port++ {
		if err := p.from(port); err != nil {
			return err
		}
	}
	return nil
}

func (p probe) from(port int) error {
	c, err := net.DialUDP("udp4", &net.UDPAddr{Port: port}, net.UDPAddrFromAddrPort(p.To))
	if err != nil {
		return err
	}
	defer c.Close()
	if p.Ask {
		return ask(c)
	}
	for range p.Each {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		time.Sleep(probeGap)
	}
	return nil
}

// ask asks until there is an answer.
func ask(c net.Conn) (err error) {
	for range 20 {
		if _, err := c.Write([]byte(question)); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			return err
		}
		if _, err = c.Read(make([]byte, 10)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("nobody answers at %v: %w", c.RemoteAddr(), err)
}

// answer swallows datagrams, and answers questions.
func answer() error {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: probePort})
	if err != nil {
		return err
	}
	buf := make([]byte, 100)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err == nil && string(buf[:n]) == question {
			c.WriteToUDPAddrPort([]byte("!"), from) // who asks asks again
		}
	}
}

func sendProbe(ctx context.Context, from *sandbox.Host, p probe) error {
	args, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = self(ctx, from, asProbe, string(args))
	return err
}

// A depth is how often packets of a path come back to the tables, and how many entries of the
// tracker a connection has.
type depth struct{ fresh, established, entries float64 }

// depthOf sends connections of one datagram, and then datagrams of one connection. It starts
// with an empty tracker.
func depthOf(ctx context.Context, f forwarding, from *sandbox.Host, to netip.Addr) (d depth, err error) {
	target := netip.AddrPortFrom(to, probePort)
	if _, err := f.Appctl("dpctl/flush-conntrack"); err != nil {
		return d, err
	}
	if err := sendProbe(ctx, from, probe{To: target, First: probeFrom, Last: probeFrom, Ask: true}); err != nil {
		return d, err
	}
	const first = probeFrom + 1
	if d.fresh, err = passes(ctx, f, from, probe{To: target, First: first, Last: first + probes - 1, Each: 1}); err != nil {
		return d, err
	}
	text, err := f.Appctl("dpctl/dump-conntrack")
	if err != nil {
		return d, err
	}
	d.entries = whole(float64(strings.Count(text, fmt.Sprintf("dport=%d),reply", probePort))) / probes)
	d.established, err = passes(ctx, f, from, probe{To: target, First: probeFrom, Last: probeFrom, Each: probes})
	return d, err
}

// passes is how often the datagrams of a probe come back to the tables.
func passes(ctx context.Context, f forwarding, from *sandbox.Host, p probe) (float64, error) {
	if _, err := f.Appctl("dpif-netdev/pmd-stats-clear"); err != nil {
		return 0, err
	}
	if err := sendProbe(ctx, from, p); err != nil {
		return 0, err
	}
	text, err := f.Appctl("dpif-netdev/pmd-stats-show")
	if err != nil {
		return 0, err
	}
	packets := sum(received, text)
	if packets < probes/2 {
		return 0, fmt.Errorf("%s: %v packets of %d", f.name(), packets, probes)
	}
	return whole(sum(again, text) / packets), nil
}

// whole leaves out the few packets of others, which resolve addresses.
func whole(v float64) float64 {
	if n := math.Round(v); math.Abs(v-n) < .1 {
		return n
	}
	return v
}
