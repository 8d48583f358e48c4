// Package unixctl speaks the protocol behind ovs-appctl: JSON-RPC 1.0 over a unix
// socket, one request at a time. A call costs a tenth of a millisecond, where starting
// ovs-appctl costs ten.
package unixctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
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

// An Error is what the daemon answers to a request that it does not carry out.
type Error struct{ Method, Text string }

// Error returns the daemon's words.
func (e *Error) Error() string { return e.Method + ": " + e.Text }

// Find returns the control socket of a daemon ("ovs-vswitchd") in a run directory:
// RUNDIR/DAEMON.PID.ctl, with the process id that is in RUNDIR/DAEMON.pid.
func Find(rundir, daemon string) (string, error) {
	file := filepath.Join(rundir, daemon+".pid")
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s does not run, or keeps its files elsewhere: %w", daemon, err)
	}
	return filepath.Join(rundir, daemon+"."+strings.TrimSpace(string(b))+".ctl"), nil
}

// A Conn is a connection to a daemon. It belongs to one goroutine at a time.
type Conn struct {
	path string
	nc   net.Conn
	next int
}

// Dial connects to a control socket. The error says which socket was tried.
func Dial(ctx context.Context, path string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, errors.Unwrap(err))
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
		return nil, fmt.Errorf("%s: %s: %w", c.path, method, err)
	}
	return &answer{method: method, r: bufio.NewReaderSize(c.nc, 1<<16), stop: stop}, nil
}

// An answer reads {"id":1,"result":"...","error":null} and gives the text of the result,
// with its escapes undone, without ever holding all of it.
type answer struct {
	method string
	r      *bufio.Reader
	stop   func() bool
	state  answerState
	failed strings.Builder // the text of the error
	err    error
}

type answerState int

const (
	before answerState = iota
	inResult
	after
)

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	for a.err == nil && a.state != inResult {
		a.err = a.advance()
	}
	if a.err != nil {
		a.stop()
		return 0, a.err
	}
	n := 0
	for n+4 <= len(p) { // a character has at most four bytes
		if n > 0 && a.r.Buffered() < 12 { // room for a pair of surrogates: give what there is
			break
		}
		r, end, err := a.char()
		if err != nil {
			a.err = a.broken(err)
			break
		}
		if end {
			a.state = after
			break
		}
		n += copy(p[n:], r)
	}
	return n, nil
}

func (a *answer) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: answer is cut: %w", a.method, err)
}

// advance reads up to the next text: the result, or the error, or the end.
func (a *answer) advance() error {
	key, err := a.key()
	if err != nil {
		return err
	}
	switch key {
	case "result":
		text, err := a.isText()
		if text {
			a.state = inResult
		}
		return err
	case "error":
		text, err := a.isText()
		for text && err == nil {
			var r string
			var end bool
			if r, end, err = a.char(); end {
				break
			}
			if a.failed.Len() < 1<<16 {
				a.failed.WriteString(r)
			}
		}
		return err
	case "":
		if a.failed.Len() > 0 {
			return &Error{a.method, strings.TrimSpace(a.failed.String())}
		}
		return io.EOF
	}
	return a.skipValue()
}

// key reads up to and with the colon after the next key; "" is the end of the object.
func (a *answer) key() (string, error) {
	for {
		b, err := a.r.ReadByte()
		if err != nil {
			return "", a.broken(err)
		}
		switch b {
		case '}':
			return "", nil
		case '"':
			s, err := a.r.ReadString('"')
			if err != nil {
				return "", a.broken(err)
			}
			_, err = a.r.ReadString(':')
			return strings.TrimSuffix(s, `"`), err
		}
	}
}

// isText reports whether the value is a string, having read its quote, or null, having
// read that.
func (a *answer) isText() (bool, error) {
	for {
		b, err := a.r.ReadByte()
		if err != nil {
			return false, a.broken(err)
		}
		switch b {
		case ' ', '\n', '\t', '\r':
		case '"':
			return true, nil
		default:
			return false, a.skipValue()
		}
	}
}

// skipValue reads a number, or the rest of a null, up to what ends it.
func (a *answer) skipValue() error {
	for {
		b, err := a.r.ReadByte()
		if err != nil {
			return a.broken(err)
		}
		if b == ',' {
			return nil
		}
		if b == '}' {
			return a.r.UnreadByte()
		}
	}
}

// char reads one character of a string with its escapes undone; end is its closing quote.
func (a *answer) char() (s string, end bool, err error) {
	b, err := a.r.ReadByte()
	switch {
	case err != nil:
		return "", false, err
	case b == '"':
		return "", true, nil
	case b != '\\':
		return oneByte[b], false, nil
	}
	if b, err = a.r.ReadByte(); err != nil {
		return "", false, err
	}
	if b != 'u' {
		if i := strings.IndexByte(`"\/bfnrt`, b); i >= 0 {
			return "\"\\/\b\f\n\r\t"[i : i+1], false, nil
		}
		return "", false, fmt.Errorf("escape \\%c", b)
	}
	var hex [6]byte
	hex[0], hex[1] = '\\', 'u'
	if _, err = io.ReadFull(a.r, hex[2:]); err != nil {
		return "", false, err
	}
	err = json.Unmarshal([]byte(`"`+string(hex[:])+`"`), &s)
	return s, false, err
}

// oneByte are the strings of one byte, so that none has to be made.
var oneByte = func() (all [256]string) {
	for i := range all {
		all[i] = string([]byte{byte(i)})
	}
	return all
}()
