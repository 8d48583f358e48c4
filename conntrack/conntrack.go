// Package conntrack reads connections: what the connection tracker of a datapath knows
// of each, as ovs-vswitchd tells it over its control socket.
package conntrack

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"

	"weir/internal/unixctl"
)

// A Tuple is one direction of a connection. Ports are of TCP, UDP, SCTP, DCCP; the ICMP
// fields of ICMP and ICMPv6. What the protocol does not have is zero.
type Tuple struct {
	Src, Dst           netip.Addr
	SrcPort, DstPort   uint16
	ICMPID             uint16
	ICMPType, ICMPCode uint8
}

// A Label is a ct_label, its highest byte first.
type Label [16]byte

// String returns l as Open vSwitch prints it: hexadecimal without leading zeroes.
func (l Label) String() string {
	s := hex.EncodeToString(l[:])
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return "0x" + s
}

// An Entry is one connection.
type Entry struct {
	Protocol   string // as Open vSwitch names it: "tcp", "icmpv6"; a number for others
	Orig       Tuple  // of the side that opened it
	Reply      Tuple  // of the answers, as they come
	Zone       uint16
	Mark       uint32
	Label      Label
	ID         uint32 // zero: not said
	Status     uint32 // IPS_* bits of the kernel; zero: not said
	Timeout    uint32 // seconds until it expires; zero: not said
	State      string // of TCP and SCTP: "ESTABLISHED"; of the two directions the further one
	StateOrig  string // of TCP, by direction, where they are said
	StateReply string
	Helper     string            // "ftp"; empty: none
	Other      map[string]string // what this version does not know
}

// Over reports whether e is of a TCP connection that both ends have closed, or one has reset.
// The kernel's datapath says one state of the connection, and the userspace datapath one of
// each direction.
func (e Entry) Over() bool {
	closed := func(state string) bool {
		return state == "CLOSING" || state == "FIN_WAIT_2" || state == "TIME_WAIT"
	}
	switch e.State {
	case "LAST_ACK", "TIME_WAIT", "CLOSED":
		return true
	}
	return closed(e.StateOrig) && closed(e.StateReply)
}

// A Filter says which entries are wanted.
type Filter struct {
	Zone uint16 // zero: all zones
}

// A Source reads entries. An error that comes with a zero Entry and is a *Damage costs
// one entry; any other ends the sequence.
type Source interface {
	Entries(ctx context.Context, f Filter) iter.Seq2[Entry, error]
}

// A Damage is a line of a dump that makes no sense.
type Damage struct {
	Line, Column int // from 1
	Text         string
	Why          string
}

// Error says where the damage is.
func (d *Damage) Error() string {
	return fmt.Sprintf("line %d, column %d: %s in %q", d.Line, d.Column, d.Why, d.Text)
}

// A Unixctl reads entries from ovs-vswitchd's control socket.
type Unixctl struct{ rundir string }

// NewUnixctl returns a source for the ovs-vswitchd that keeps its files in a directory.
func NewUnixctl(rundir string) *Unixctl { return &Unixctl{rundir} }

// Entries implements Source. A dump holds the main loop of ovs-vswitchd for about 11 us
// an entry: ask for a zone wherever one will do.
func (u *Unixctl) Entries(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r, close, err := u.dump(ctx, f)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer close()
		Parse(r)(yield)
	}
}

func (u *Unixctl) dump(ctx context.Context, f Filter) (io.Reader, func() error, error) {
	c, err := unixctl.DialDaemon(ctx, u.rundir, "ovs-vswitchd")
	if err != nil {
		return nil, nil, err
	}
	args := []string{"-m", "-s"}
	if f.Zone != 0 {
		args = append(args, fmt.Sprintf("zone=%d", f.Zone))
	}
	r, err := c.Stream(ctx, "dpctl/dump-conntrack", args...)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return r, c.Close, nil
}

// Parse reads the lines of a dump.
func Parse(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 1<<16), 1<<20)
		for n := 1; lines.Scan(); n++ {
			if len(lines.Bytes()) == 0 {
				continue
			}
			e, err := ParseEntry(lines.Text())
			var d *Damage
			if errors.As(err, &d) {
				d.Line = n
			}
			if !yield(e, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Entry{}, err)
		}
	}
}
