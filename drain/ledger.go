package drain

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
)

// How long after the last look there is another one. The datapath may go by the flows that it had for a second
// after they have been replaced, and open a connection to a backend that is to have none.
const (
	patience = time.Second // with one that nobody has answered

	settle = 3 * time.Second  // a backend is looked at that has changed, though it has no connections
	soon   = time.Second      // while something is to end
	later  = 10 * time.Second // while connections end by themselves
)

// A Ledger remembers since when backends drain or have failed. The zero Ledger knows of none.
type Ledger struct {
	Stays func(pipeline.Connection) bool // one that has to end cannot be forgotten, or not without others: it goes on; nil: none

	lines    map[Key]*line
	recalled Since
}

// Since is since when backends are to have no new connections, although nothing is wrong with them. It is what
// a Ledger has to be told again of what another one knew. It never changes.
type Since map[Key]time.Time

// Recall tells an empty Ledger what was known before. It is good for the first look: what serves by
// then, has failed, or has been removed and has no connections, begins anew.
func (l *Ledger) Recall(s Since) { l.recalled = s }

// Since returns what is to be recalled.
func (l *Ledger) Since() Since {
	s := Since{}
	for k, n := range l.lines {
		if n.state != Failed {
			s[k] = n.since
		}
	}
	return s
}

type line struct {
	state State
	since time.Time
	told  bool // that it has connections
	ended int  // that were forgotten

	unanswered, asked map[pipeline.CTTuple]time.Time // connections, since when; in the last look, and in this one

	reset map[pipeline.CTTuple]time.Time // connections whose clients were to be told, when
}

// A Backend is one that is to have no more connections, and those that it has.
type Backend struct {
	Key
	State       State
	Connections int       // that live
	Ended       int       // that were forgotten
	Since       time.Time // when it was first seen to be so
	Deadline    time.Time // when those that are left are forgotten; zero: never
}

// A Finding is what a look at the connections of a tenant has found.
type Finding struct {
	Backends []Backend             // those that have some, and are to have none; in order
	End      []pipeline.Connection // that have to be forgotten now
	Reset    []pipeline.Connection // those of End whose client is to be told
	Began    []Backend             // those that are found to have some for the first time
	Over     []Backend             // those that had some, and have none left but those of End
	Next     time.Duration         // until another look is needed; zero: none is
}

// Look looks at all connections of a tenant.
func (l *Ledger) Look(all []pipeline.Connection, s Services, now time.Time) (f Finding) {
	found := l.open(s, now)
	for _, c := range all {
		k, state, ok := s.Backend(c)
		if !ok || state == Serving || c.Blocked() || c.Over {
			continue
		}
		if found[k] == nil {
			found[k] = l.begin(k, state, now).as(k, s)
		}
		n := l.lines[k]
		waits := c.Opening && n.waits(c.Orig, now)
		f.take(c, found[k], n, s.byID[k.Service].LoadBalancer, ends(c, found[k], s.byID[k.Service].Stale, waits, now) && (l.Stays == nil || !l.Stays(c)), now)
	}
	l.close(found, &f, now)
	l.recalled = nil
	return f
}

// open notes the backends that are listed and not serving, and returns them with those that have
// been removed. What serves again, or was a load balancer's that is gone, is forgotten.
func (l *Ledger) open(s Services, now time.Time) map[Key]*Backend {
	found := map[Key]*Backend{}
	for k, state := range s.idle() {
		found[k] = l.begin(k, state, now).as(k, s)
	}
	for k := range l.lines {
		_, state, there := s.of(k)
		switch {
		case found[k] != nil:
		case !there || state == Serving:
			delete(l.lines, k)
		default:
			found[k] = l.begin(k, state, now).as(k, s)
		}
	}
	return found
}

// begin returns the line of a backend, which begins anew if it was well, or has failed since.
func (l *Ledger) begin(k Key, state State, now time.Time) *line {
	if l.lines == nil {
		l.lines = map[Key]*line{}
	}
	n := l.lines[k]
	if n == nil || (n.state == Failed) != (state == Failed) {
		n = &line{since: now}
		if before, known := l.recalled[k]; known && state != Failed && before.Before(now) {
			n.since = before
		}
		l.lines[k] = n
	}
	n.state = state
	return n
}

// waits reports whether nobody has answered a connection for a while, as far as is known. One that
// was opened just now may be open by the time that it would be forgotten.
func (n *line) waits(c pipeline.CTTuple, now time.Time) bool {
	since, known := n.unanswered[c]
	if !known {
		since = now
	}
	if n.asked == nil {
		n.asked = map[pipeline.CTTuple]time.Time{}
	}
	n.asked[c] = since
	return now.Sub(since) >= patience
}

// as returns what is known of a backend so far.
func (n *line) as(k Key, s Services) *Backend {
	b := &Backend{Key: k, State: n.state, Since: n.since, Ended: n.ended}
	service := s.byID[k.Service]
	switch {
	case n.state == Failed, k.Protocol == pipeline.ProtoTCP && service.Stale == intent.StaleKeep:
	case service.Drain > 0 && !(n.state == Removed && k.Protocol == pipeline.ProtoUDP):
		b.Deadline = n.since.Add(time.Duration(service.Drain))
	case n.state == Removed:
		b.Deadline = n.since
	}
	return b
}

// take takes a connection of a backend, which ends or goes on. The client of one that is being opened would take what it is
// told for an answer; but one that was told a moment ago is there again because what it has said to that went by flows
// that the datapath had from before, and its backend took it: it is told once more.
func (f *Finding) take(c pipeline.Connection, b *Backend, n *line, l *intent.LoadBalancer, ends bool, now time.Time) {
	if !ends {
		b.Connections++
		return
	}
	b.Ended++
	f.End = append(f.End, c)
	at, again := n.reset[c.Orig]
	if l.Stale == intent.StaleReset && c.Protocol == pipeline.ProtoTCP && (!c.Opening || again && now.Sub(at) < settle) {
		f.Reset = append(f.Reset, c)
		if n.reset == nil {
			n.reset = map[pipeline.CTTuple]time.Time{}
		}
		n.reset[c.Orig] = now
	}
}

// ends reports whether a connection of a backend has to end now. One for which nobody answers
// is asked for again by its client, and would be given to the same backend.
func ends(c pipeline.Connection, b *Backend, stale intent.Stale, waits bool, now time.Time) bool {
	switch {
	case b.State == Failed:
		return c.Protocol != pipeline.ProtoTCP || stale != intent.StaleKeep || waits
	case b.State == Removed && waits:
		return true
	}
	return !b.Deadline.IsZero() && !now.Before(b.Deadline)
}

// close writes down what was found, forgets those of which nothing is left, and says when to
// look again.
func (l *Ledger) close(found map[Key]*Backend, f *Finding, now time.Time) {
	for k, b := range found {
		n := l.lines[k]
		f.again(n.next(b, now))
		n.unanswered, n.asked = n.asked, nil
		maps.DeleteFunc(n.reset, func(_ pipeline.CTTuple, at time.Time) bool { return now.Sub(at) >= settle })
		f.tell(n, b)
		if b.Connections > 0 {
			f.Backends = append(f.Backends, *b)
		} else if b.State == Removed && now.Sub(n.since) >= settle {
			delete(l.lines, k)
		}
	}
	for _, some := range [][]Backend{f.Backends, f.Began, f.Over} {
		slices.SortFunc(some, func(a, b Backend) int { return a.Key.compare(b.Key) })
	}
}

// tell notes a backend that is found to have connections, or to have none any more.
func (f *Finding) tell(n *line, b *Backend) {
	if !n.told && (b.Connections > 0 || b.Ended > n.ended) {
		n.told = true
		f.Began = append(f.Began, *b)
	}
	if n.ended = b.Ended; n.told && b.Connections == 0 {
		f.Over = append(f.Over, *b)
		n.told, n.ended = false, 0
	}
}

// again has another look not later than after a time; zero: it need not be.
func (f *Finding) again(after time.Duration) {
	if after > 0 && (f.Next == 0 || after < f.Next) {
		f.Next = after
	}
}

// next returns when a backend has to be looked at again; zero: it need not be.
func (n *line) next(b *Backend, now time.Time) time.Duration {
	left := b.Deadline.Sub(now)
	switch {
	case b.Ended > n.ended || now.Sub(n.since) < settle || len(n.asked) > 0:
		return soon
	case b.Connections == 0 || b.State == Failed: // none is added, nor do they end
		return 0
	case left > 0:
		return min(left, soon)
	}
	return later
}

// compare orders keys.
func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Service, o.Service), cmp.Compare(k.Port, o.Port), cmp.Compare(k.Protocol, o.Protocol), k.Backend.Compare(o.Backend))
}
