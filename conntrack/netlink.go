package conntrack

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sys/unix"
)

// A Netlink reads the connections of the kernel's datapath from the kernel itself, without
// ovs-vswitchd: nothing of that is held meanwhile. It is the same table that ovs-vswitchd
// dumps, and says more: counters, times, all bits of the status.
//
// It takes CAP_NET_ADMIN in the network namespace of the table. A Netlink has no state: several
// goroutines may use it at a time. Its zero value reads the namespace of the process.
type Netlink struct {
	Netns      string        // "/proc/1234/ns/net", "/run/netns/blue"; empty: that of the process
	ReadBuffer int           // bytes of events that may wait while Watch is busy; zero: 32 MiB
	Resync     time.Duration // how often Watch reads the whole table; zero: 30 s
	Lost       func()        // called by Watch when events were lost; nil: nobody is told
}

// ErrInterrupted ends a dump that may lack entries, or have some twice: the table has changed its
// size meanwhile (NLM_F_DUMP_INTR). What came is right; who needs all of it asks again.
var ErrInterrupted = errors.New("the kernel's table of connections was rebuilt while it was read: ask again")

// Entries implements Source. What f asks is filtered by the kernel as far as that can do it (by
// zone since Linux 6.8, by marks and families since 3.x, by tuples and status since 5.8), and the
// rest here. A connection that comes or goes meanwhile may be there or not.
func (n *Netlink) Entries(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s, err := newSocket(n.Netns)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer s.close()
		var d decoder
		var e Entry
		count := 0
		err = s.dump(ctx, subsysConntrack, func(r *request) { r.filter(f) }, dumpFamily(f), func(body []byte) bool {
			count++
			if err := d.entry(body, &e); err != nil {
				return yield(Entry{}, damaged(count, body, err))
			}
			return !f.Matches(&e) || yield(e, nil)
		})
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// Expectations returns what helpers have heard announced, and has not come yet.
func (n *Netlink) Expectations(ctx context.Context) iter.Seq2[Expectation, error] {
	return func(yield func(Expectation, error) bool) {
		s, err := newSocket(n.Netns)
		if err != nil {
			yield(Expectation{}, err)
			return
		}
		defer s.close()
		var d decoder
		count := 0
		err = s.dump(ctx, subsysExpectation, func(*request) {}, 0, func(body []byte) bool {
			count++
			var e Expectation
			if err := d.expectation(body, &e); err != nil {
				return yield(Expectation{}, damaged(count, body, err))
			}
			return yield(e, nil)
		})
		if err != nil {
			yield(Expectation{}, err)
		}
	}
}

// damaged says which message of a dump cannot be read.
func damaged(count int, body []byte, err error) *Damage {
	const shown = 64
	return &Damage{Line: count, Column: 1, Text: hex.EncodeToString(body[:min(len(body), shown)]), Why: err.Error()}
}

// dump asks for a table, and calls each for what is in it, until that returns false. A kernel
// that refuses the filter is asked for all.
func (s *socket) dump(ctx context.Context, subsys uint16, filter func(*request), family uint8, each func([]byte) bool) error {
	if err := ctx.Err(); err != nil { // a read that is cut off may have been quicker
		return err
	}
	defer s.until(ctx)()
	err := s.ask(subsys, filter, family, each)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		err = s.ask(subsys, func(*request) {}, 0, each)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// ask is dump, once.
func (s *socket) ask(subsys uint16, filter func(*request), family uint8, each func([]byte) bool) error {
	const op = "read the table"
	s.seq++
	var r request
	start := r.begin(subsys|msgGet, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, s.seq, family)
	filter(&r)
	r.done(start)
	if err := s.send(r.b); err != nil {
		return explained(op, err)
	}
	interrupted := false
	for {
		n, err := s.f.Read(s.buf)
		if err != nil {
			return explained(op, err)
		}
		for rest := s.buf[:n]; len(rest) > 0; {
			var m message
			if m, rest, err = cutMessage(rest); err != nil {
				return explained(op, err)
			}
			if m.seq != s.seq {
				continue // of what was asked before
			}
			interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
			switch m.typ {
			case unix.NLMSG_DONE:
				return doneWith(op, m, interrupted)
			case unix.NLMSG_ERROR:
				return failure(op, m)
			case subsys | msgNew:
				if !each(m.body) {
					return nil
				}
			}
		}
	}
}

// doneWith says how a dump has ended: its last message may have an error, too.
func doneWith(op string, m message, interrupted bool) error {
	if len(m.body) >= 4 && ne.Uint32(m.body) != 0 {
		return failure(op, m)
	}
	if interrupted {
		return ErrInterrupted
	}
	return nil
}

func dumpFamily(f Filter) uint8 {
	switch {
	case f.Orig.Src.IsValid():
		return familyOf(f.Orig.Src)
	case f.Orig.Dst.IsValid():
		return familyOf(f.Orig.Dst)
	case f.Family == 4:
		return familyV4
	case f.Family == 6:
		return familyV6
	}
	return 0
}

// Bits of a tuple that a filter compares (CTA_FILTER_F_*).
const (
	filterSrc = 1 << iota
	filterDst
	_ // the zone
	filterProto
	filterSrcPort
	filterDstPort
)

// filter puts what the kernel is to leave out. One that does not know of a part says more than was
// asked.
func (r *request) filter(f Filter) {
	if f.Zone != 0 {
		r.uint16(ctaZone, f.Zone)
	}
	if f.MarkMask != 0 {
		r.uint32(ctaMark, f.Mark)
		r.uint32(ctaMarkMask, f.MarkMask)
	}
	if f.StatusMask != 0 {
		r.uint32(ctaStatus, uint32(f.Status&f.StatusMask))
		r.uint32(ctaStatusMask, uint32(f.StatusMask))
	}
	if bits := filterBits(f.Protocol, f.Orig); bits != 0 {
		r.tuple(ctaTupleOrig, f.Protocol, wholeTuple(f.Orig), 0)
		r.nested(ctaFilter, func() {
			r.attr(filterOrigFlags, ne.AppendUint32(nil, bits)...)
			r.attr(filterReplyFlags, 0, 0, 0, 0)
		})
	}
}

// filterBits says what of a tuple the kernel can look at: it knows ports only of a protocol, and
// protocols only of a family.
func filterBits(p Protocol, t Tuple) (bits uint32) {
	if t.Src.IsValid() {
		bits |= filterSrc
	}
	if t.Dst.IsValid() {
		bits |= filterDst
	}
	if bits == 0 || p != TCP && p != UDP && p != SCTP {
		return bits
	}
	bits |= filterProto
	if t.SrcPort != 0 {
		bits |= filterSrcPort
	}
	if t.DstPort != 0 {
		bits |= filterDstPort
	}
	return bits
}

// wholeTuple gives a tuple of which one address is known another one, which is not looked at.
func wholeTuple(t Tuple) Tuple {
	if !t.Src.IsValid() {
		t.Src = t.Dst
	}
	if !t.Dst.IsValid() {
		t.Dst = t.Src
	}
	return t
}

// String says whose connections n reads.
func (n *Netlink) String() string {
	if n.Netns == "" {
		return "netlink"
	}
	return fmt.Sprintf("netlink of %s", n.Netns)
}
