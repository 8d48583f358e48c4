// Package conntrack reads connections: what the connection tracker of a datapath knows
// of each, as ovs-vswitchd tells it over its control socket.
package conntrack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

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
type Unixctl struct {
	rundir   string
	datapath string // "system@ovs-system"; empty: the only one that there is
}

// NewUnixctl returns a source for the ovs-vswitchd that keeps its files in a directory.
// It reads the only datapath that there is; where there are several it is refused.
func NewUnixctl(rundir string) *Unixctl { return &Unixctl{rundir: rundir} }

// Source returns a source for the datapath of those that ovs-vswitchd may have.
func (d Datapath) Source() *Unixctl { return &Unixctl{d.rundir, d.name()} }

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
	if u.datapath != "" {
		args = append(args, u.datapath)
	}
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

// A dump is read in pieces of this size, in bytes, and no line is longer than that.
const (
	pieceSize   = 1 << 16
	longestLine = 1 << 20
)

// Parse reads the lines of a dump as they come. It holds no more of it than a piece, and makes
// one string of each: an entry costs no allocation, unless it has a helper or keys that are not
// known. A line that makes no sense is a *Damage with a zero Entry, as is the last one if it has
// no end; what r cannot give, and a line of more than a MiB, end the sequence.
func Parse(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		l := lines{yield: yield}
		buf, have := make([]byte, pieceSize), 0
		for {
			n, err := r.Read(buf[have:])
			have += n
			if end := bytes.LastIndexByte(buf[:have], '\n') + 1; end > 0 {
				if !l.read(string(buf[:end])) {
					return
				}
				have = copy(buf, buf[end:have])
			}
			switch {
			case err == io.EOF:
				l.rest(string(buf[:have]))
				return
			case err == nil && have == longestLine:
				err = fmt.Errorf("line %d has more than %d bytes", l.n+1, longestLine)
			case have == len(buf):
				buf = append(buf, make([]byte, len(buf))...)
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
		}
	}
}

// lines are those of a dump.
type lines struct {
	n     int   // that were read
	e     Entry // of the last one: one piece of memory for all
	yield func(Entry, error) bool
}

// read reads whole lines; false: nobody wants more.
func (l *lines) read(piece string) bool {
	for line := range strings.Lines(piece) {
		l.n++
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		l.e = Entry{}
		if d := parseEntry(line, &l.e); d != nil {
			d.Line = l.n
			if !l.yield(Entry{}, d) {
				return false
			}
		} else if !l.yield(l.e, nil) {
			return false
		}
	}
	return true
}

// rest tells of a line that has no end, whatever is on it: a number may lack its last digit.
func (l *lines) rest(line string) {
	if line != "" {
		l.yield(Entry{}, &Damage{Line: l.n + 1, Column: len(line) + 1, Text: line, Why: "the dump ends in the middle of a line"})
	}
}
