// Package conntrack reads connections: what the connection tracker of a datapath knows
// of each, as ovs-vswitchd tells it over its control socket.
package conntrack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"weir/internal/unixctl"
)

// A Filter says which entries are wanted. What is zero is any. A source may apply it where the
// entries are, or as they come; what it gives is what Matches says.
type Filter struct {
	Zone               uint16 // zero: all zones
	Mark, MarkMask     uint32
	Status, StatusMask Status // of a source that says the status
	Family             uint8  // 4 or 6
	Protocol           Protocol
	Orig, Reply        Tuple
}

// Matches reports whether an entry is wanted.
func (f *Filter) Matches(e *Entry) bool {
	return (f.Zone == 0 || f.Zone == e.Zone) && (f.Protocol == 0 || f.Protocol == e.Protocol) &&
		(f.Mark^e.Mark)&f.MarkMask == 0 && (f.Status^e.Status)&f.StatusMask == 0 &&
		(f.Family == 0 || (f.Family == 6) == e.Orig.Src.Is6()) && f.Orig.means(e.Orig) && f.Reply.means(e.Reply)
}

// means reports whether all that t has is the same in o.
func (t Tuple) means(o Tuple) bool {
	return (!t.Src.IsValid() || t.Src == o.Src) && (!t.Dst.IsValid() || t.Dst == o.Dst) &&
		(t.SrcPort == 0 || t.SrcPort == o.SrcPort) && (t.DstPort == 0 || t.DstPort == o.DstPort) &&
		(t.ICMPID == 0 || t.ICMPID == o.ICMPID) && (t.ICMPType == 0 || t.ICMPType == o.ICMPType) && (t.ICMPCode == 0 || t.ICMPCode == o.ICMPCode)
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
		for e, err := range Parse(r) {
			if err == nil && !f.Matches(&e) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
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
