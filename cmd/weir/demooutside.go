package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"

	"weir/internal/sandbox"
)

// The addresses outside of the demo, as its model has them.
const (
	demoInternet = "203.0.113.1"
	demoFloating = "203.0.113.20"
	demoWebPort  = "80"
)

// entered shows a floating IP: a connection from outside, as both its ends see it.
func (d *demo) entered(ctx context.Context) error {
	err := d.through(ctx, way{from: "internet", to: "web-1", listen: "10.1.0.11:" + demoWebPort, dial: demoFloating + ":" + demoWebPort})
	if err != nil {
		return fmt.Errorf("internet should reach web-1 by its floating IP: %w", err)
	}
	return nil
}

// left shows an SNAT: a connection to the outside, as both its ends see it.
func (d *demo) left(ctx context.Context) error {
	err := d.through(ctx, way{from: "app-1", to: "internet", listen: demoInternet + ":" + demoWebPort, dial: demoInternet + ":" + demoWebPort})
	if err != nil {
		return fmt.Errorf("app-1 should reach the internet: %w", err)
	}
	return nil
}

// A way leads from a host to a service of another, by an address that may stand for it.
type way struct{ from, to, listen, dial string }

// through opens a connection while tcpdump listens at both ends.
func (d *demo) through(ctx context.Context, w way) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	service, err := d.hosts[w.to].Listen("tcp", w.listen)
	if err != nil {
		return err
	}
	defer service.Close()
	go echo(service)
	here, err := sniff(ctx, d.hosts[w.from], demoWebPort)
	if err != nil {
		return err
	}
	there, err := sniff(ctx, d.hosts[w.to], demoWebPort)
	if err != nil {
		return err
	}
	if err := d.ask(ctx, w); err != nil {
		return err
	}
	return d.bothSides(w, here, there)
}

// ask opens the connection, and has a line go there and back.
func (d *demo) ask(ctx context.Context, w way) error {
	c, err := d.hosts[w.from].Dial(ctx, "tcp", w.dial)
	if err != nil {
		return err
	}
	l := &link{conn: c, reader: bufio.NewReader(c)}
	defer l.close()
	return l.say("GET /", demoPatience)
}

// bothSides prints what tcpdump has seen of the first packet and its answer.
func (d *demo) bothSides(w way, here, there <-chan heard) error {
	a, b := <-here, <-there
	if err := errors.Join(a.err, b.err); err != nil {
		return err
	}
	if a.lines[0] == b.lines[0] {
		return fmt.Errorf("both ends see the same packet, so that nothing was translated: %s", a.lines[0])
	}
	host, _, err := net.SplitHostPort(w.dial)
	if err != nil {
		return err
	}
	if w.to == "internet" {
		d.ok("SNAT: %s -> %s leaves as another; the same packets as tcpdump sees them at each end", w.from, w.to)
	} else {
		d.ok("floating IP: %s -> %s is %s; the same packets as tcpdump sees them at each end", w.from, host, w.to)
	}
	for i := range a.lines {
		d.show(fmt.Sprintf("%-9s %s\n%-9s %s", w.from, a.lines[i], w.to, b.lines[i]))
	}
	return nil
}

// What tcpdump has heard: the first packet and its answer.
type heard struct {
	lines []string
	err   error
}

// sniff runs tcpdump in a host until it has seen two packets of a TCP port, and returns when
// it has begun.
func sniff(ctx context.Context, h *sandbox.Host, port string) (<-chan heard, error) {
	result, begun := make(chan heard, 1), make(chan error, 1)
	go func() {
		var said bytes.Buffer
		err := h.Do(func() error { // its thread is tcpdump's parent, and stays
			return tcpdump(ctx, &said, begun, "-c", "2", "tcp", "port", port)
		})
		if err == nil && strings.Count(said.String(), "\n") != 2 {
			err = fmt.Errorf("tcpdump saw %q, not two packets", said.String())
		}
		result <- heard{strings.Split(strings.TrimSpace(said.String()), "\n"), err}
	}()
	return result, <-begun
}

// tcpdump runs it, and says when it listens, or why it does not.
func tcpdump(ctx context.Context, out *bytes.Buffer, begun chan<- error, args ...string) error {
	cmd := exec.CommandContext(ctx, "tcpdump", append([]string{"-i", sandbox.HostDevice, "-n", "-q", "-t", "-l", "--immediate-mode"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Stdout = out
	errs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		begun <- err
		return err
	}
	lines := bufio.NewScanner(errs)
	for listens := false; lines.Scan(); {
		if !listens && strings.HasPrefix(lines.Text(), "listening on") {
			listens = true
			begun <- nil
		}
	}
	if err := cmd.Wait(); err != nil {
		err = fmt.Errorf("tcpdump: %w", err)
		select {
		case begun <- err: // it has never listened
		default:
		}
		return err
	}
	return nil
}
