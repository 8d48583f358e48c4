package ofconn

import (
	"crypto/tls"
	"errors"
	"net"
)

// An ear is a connection below TLS that remembers the last bytes that came. OpenSSL, and so Open
// vSwitch, does not encrypt the alert of TLS 1.3 with which it refuses a server's certificate; to
// crypto/tls that is a record that was tampered with, and it does not say what the peer said.
type ear struct {
	net.Conn
	last []byte // maxAlert at most; owned by who reads
}

// maxAlert is the length of an alert with its record's header (RFC 8446, 5.1 and 6).
const maxAlert = 7

func (e *ear) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	e.last = append(e.last, b[max(0, n-maxAlert):n]...)
	e.last = e.last[max(0, len(e.last)-maxAlert):]
	return n, err
}

// explain returns why a handshake has failed: what the peer said last, if that was a fatal alert
// that crypto/tls could not read. Nothing may read any more. A nil ear has heard nothing.
func (e *ear) explain(err error) error {
	var op *net.OpError
	const alert, fatal = 21, 2
	if e == nil || !errors.As(err, &op) || op.Op != "local error" || len(e.last) != maxAlert ||
		e.last[0] != alert || e.last[1] != 3 || e.last[3] != 0 || e.last[4] != 2 || e.last[5] != fatal {
		return err
	}
	return &net.OpError{Op: "remote error", Err: tls.AlertError(e.last[6])}
}
