// Package unixctl speaks the protocol behind ovs-appctl: JSON-RPC 1.0 over a unix
// socket, one request at a time. A call costs a tenth of a millisecond, where starting
// ovs-appctl costs ten.
package unixctl

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxAnswer bounds an answer that is read whole: 256 MiB are a million connections.
const maxAnswer = 256 << 20

// Find returns the control socket of a daemon ("ovs-vswitchd") in a run directory:
// RUNDIR/DAEMON.PID.ctl, with the process id that is in RUNDIR/DAEMON.pid. The error is an
// *Unreachable.
func Find(rundir, daemon string) (string, error) {
	file := filepath.Join(rundir, daemon+".pid")
	b, err := os.ReadFile(file)
	if err != nil {
		return "", unreachable(file, err)
	}
	return filepath.Join(rundir, daemon+"."+strings.TrimSpace(string(b))+".ctl"), nil
}

// A Conn is a connection to a daemon. It belongs to one goroutine at a time.
type Conn struct {
	path string
	nc   net.Conn
	next int
}

// Dial connects to a control socket. The error is an *Unreachable, which says what was tried.
func Dial(ctx context.Context, path string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, unreachable(path, err)
	}
	return &Conn{path: path, nc: nc}, nil
}

// DialDaemon finds a daemon's control socket and connects to it.
func DialDaemon(ctx context.Context, rundir, daemon string) (*Conn, error) {
	path, err := Find(rundir, daemon)
	if err != nil {
		return nil, err
	}
	return Dial(ctx, path)
}

// Close ends the connection.
func (c *Conn) Close() error { return c.nc.Close() }

type request struct {
	ID     int      `json:"id"`
	Method string   `json:"method"`
	Params []string `json:"params"`
}

// Call carries out a command and returns its whole output.
func (c *Conn) Call(ctx context.Context, method string, args ...string) (string, error) {
	r, err := c.Stream(ctx, method, args...)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = fmt.Errorf("%s: answer is longer than %d bytes", method, maxAnswer)
	}
	return string(b), err
}

// Stream carries out a command and returns its output as it comes. It has to be read to
// its end before the next call. The output of a command that fails is its error, which
// comes from the first Read.
func (c *Conn) Stream(ctx context.Context, method string, args ...string) (io.Reader, error) {
	stop := context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
	if args == nil {
		args = []string{}
	}
	c.next++
	b, err := json.Marshal(request{c.next, method, args})
	if err != nil {
		return nil, err
	}
	if _, err := c.nc.Write(b); err != nil {
		stop()
		return nil, fmt.Errorf("%s: %s: %w", c.path, method, inTime(ctx, err))
	}
	return &answer{ctx: ctx, method: method, path: c.path, r: bufio.NewReaderSize(c.nc, 1<<16), stop: stop}, nil
}

// inTime is err, or why there was no time for more, if that is what it comes from.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
