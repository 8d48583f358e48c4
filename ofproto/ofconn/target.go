package ofconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

// port is IANA's for OpenFlow.
const port = "6653"

// Dial connects to a switch, or to a socket like a bridge's NAME.mgmt, and shakes hands.
// The target is "tcp:HOST[:PORT]", "ssl:HOST[:PORT]" or "unix:PATH", as Open vSwitch
// writes it; an IPv6 address stands in brackets.
func Dial(ctx context.Context, target string, c Config) (*Conn, error) {
	kind, address, _ := strings.Cut(target, ":")
	if address == "" || kind != "unix" && kind != "tcp" && kind != "ssl" {
		return nil, fmt.Errorf("%q is no OpenFlow peer: want tcp:HOST[:PORT], ssl:HOST[:PORT] or unix:PATH", target)
	}
	var secret *tls.Config
	if kind == "ssl" {
		var err error
		if secret, err = mutual(c.TLS, false); err != nil {
			return nil, fmt.Errorf("%s: %w", target, err)
		}
	}
	network := "tcp"
	if kind == "unix" {
		network = "unix"
	} else {
		address = withPort(address)
	}
	ctx, cancel := context.WithTimeout(ctx, c.withDefaults().Handshake)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if secret != nil {
		nc = tls.Client(nc, secret)
	}
	return New(ctx, nc, c)
}

// withPort adds OpenFlow's port to an address that has none.
func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), port)
}

// passive returns the network and address of "ptcp:[PORT][:HOST]", "pssl:[PORT][:HOST]" or
// "punix:PATH", and whether it is TLS.
func passive(target string) (network, address string, secret bool, err error) {
	kind, rest, ok := strings.Cut(target, ":")
	switch {
	case ok && kind == "punix" && rest != "":
		return "unix", rest, false, nil
	case ok && (kind == "ptcp" || kind == "pssl"):
		p, host, _ := strings.Cut(rest, ":")
		if p == "" {
			p = port
		}
		return "tcp", net.JoinHostPort(strings.Trim(host, "[]"), p), kind == "pssl", nil
	}
	return "", "", false, fmt.Errorf("%q is nothing to listen on: want ptcp:[PORT][:HOST], pssl:[PORT][:HOST] or punix:PATH", target)
}
