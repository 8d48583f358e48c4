package ovsdb

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"
)

// explain returns why a database at "ssl:" has hung up. With TLS 1.3 a server judges the certificate
// of a client when that has begun to talk already, and the client library does not tell what was said then:
// so the handshake is done once more, and listened to.
func (d Database) explain(ctx context.Context, err error) error {
	address, secret := strings.CutPrefix(d.Target, "ssl:")
	var op *net.OpError
	if !secret || ctx.Err() != nil || errors.As(err, &op) && op.Op == "dial" {
		return err
	}
	dialer := tls.Dialer{Config: d.TLS}
	c, again := dialer.DialContext(ctx, "tcp", address)
	if again != nil {
		return again
	}
	defer c.Close()
	if again = c.SetReadDeadline(time.Now().Add(time.Second)); again != nil {
		return err
	}
	_, again = c.Read(make([]byte, 1))
	if errors.As(again, &op) && op.Op == "remote error" {
		return again
	}
	return err
}
