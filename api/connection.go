package api

import (
	"net"
	"net/netip"
	"strconv"
)

// SourceTo returns what the source of c is translated to, as the one to whom it is opened sees
// it: "203.0.113.10:40000", or "" if it is not.
func (c Connection) SourceTo() string {
	if c.Reply.Dst == c.Orig.Src && c.Reply.Dport == c.Orig.Sport {
		return ""
	}
	return c.Reply.To()
}

// TargetTo returns what the destination of c is translated to: the endpoint that answers, or ""
// if it is not.
func (c Connection) TargetTo() string {
	if c.Reply.Src == c.Orig.Dst && c.Reply.Sport == c.Orig.Dport {
		return ""
	}
	return c.Reply.From()
}

// knownAs reports whether c is known outside by an address, and by a port if that is not zero:
// as what it leaves as, or as what it was opened to.
func (c Connection) knownAs(a netip.AddrPort) bool {
	is := func(address string, port uint16) bool {
		return address == a.Addr().String() && (a.Port() == 0 || port == a.Port())
	}
	return c.SourceTo() != "" && is(c.Reply.Dst, c.Reply.Dport) || c.TargetTo() != "" && is(c.Orig.Dst, c.Orig.Dport)
}

// From returns the source, with its port if it has one.
func (t Tuple) From() string { return endText(t.Src, t.Sport) }

// To returns the destination, with its port if it has one.
func (t Tuple) To() string { return endText(t.Dst, t.Dport) }

// endText is an address with its port, if it has one.
func endText(address string, port uint16) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}
