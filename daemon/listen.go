package daemon

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"weir/ofproto/ofconn"
)

// splitListen returns the parts of --listen: "ssl" or "tcp", and ADDR:PORT.
func splitListen(listen string) (kind, addr string, err error) {
	kind, addr, ok := strings.Cut(listen, ":")
	if ok && (kind == "tcp" || kind == "ssl") {
		_, _, err = net.SplitHostPort(addr)
	}
	if !ok || kind != "tcp" && kind != "ssl" || err != nil {
		return "", "", fmt.Errorf("--listen %s: must be ssl:ADDR:PORT or tcp:ADDR:PORT", listen)
	}
	return kind, addr, nil
}

// checkListen says what is wrong with --listen and --advertise.
func checkListen(c Config) error {
	if c.Listen == "" {
		if c.Advertise != "" {
			return fmt.Errorf("--advertise %s: bridges connect to sockets of their own: it is for --listen", c.Advertise)
		}
		return nil
	}
	_, addr, err := splitListen(c.Listen)
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(addr) // it could be split
	if ip := net.ParseIP(host); c.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("--listen %s is every address, and bridges have to be told one: add --advertise ADDR, as they see this host", c.Listen)
	}
	if h := hostIn(c.Advertise); c.Advertise != "" && net.ParseIP(h) == nil {
		return fmt.Errorf("--advertise %s: must be the IP address, or ADDR:PORT: Open vSwitch asks for no name here", c.Advertise)
	}
	return nil
}

// hostIn is the address in ADDR or ADDR:PORT.
func hostIn(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return strings.Trim(addr, "[]")
}

// advertised is the controller that bridges are told: the address at which we listen, or the one that was given.
func advertised(c Config, at net.Addr) string {
	kind, _, _ := splitListen(c.Listen) // it was checked
	_, port, err := net.SplitHostPort(at.String())
	if c.Advertise == "" || err != nil {
		return kind + ":" + at.String()
	}
	if _, p, err := net.SplitHostPort(c.Advertise); err == nil {
		port = p
	}
	return kind + ":" + net.JoinHostPort(hostIn(c.Advertise), port)
}

// openShared opens the door that all bridges share, if there is one, once a database has said which
// bridges there are: one that came before could not be told from a stranger.
func (k *keeper) openShared(ctx context.Context) error {
	if k.desk.config.Listen == "" || k.shared != nil || !slices.ContainsFunc(k.bases, func(b *base) bool { return b.snapshot.Connected }) {
		return nil
	}
	kind, addr, err := splitListen(k.desk.config.Listen)
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(addr) // it could be split
	c := k.listening()
	c.TLS = configOf(k.desk.keys)
	l, err := ofconn.Listen("p"+kind+":"+port+":"+bracketed(host), c)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", k.desk.config.Listen, err)
	}
	k.shared = openDoor(ctx, l, "", k.arrivals)
	return nil
}

// listening is how bridges are listened for.
func (k *keeper) listening() ofconn.Config {
	return ofconn.Config{Refused: k.desk.refuse, Erred: k.desk.metrics.Erred}
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
