package conntrack

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"time"
)

// A ChangeKind is what has become of a connection.
type ChangeKind uint8

// The kinds of Change. The first reading gives all that there is as Present.
const (
	Present ChangeKind = 1 + iota // it was there when the watch began
	New                           // it has come
	Changed                       // something is other than it was: not its counters and how long it may live
	Ended                         // it has gone
)

// String returns "present", "new", "changed" or "ended".
func (k ChangeKind) String() string {
	if names := [...]string{Present: "present", New: "new", Changed: "changed", Ended: "ended"}; int(k) < len(names) {
		return names[k]
	}
	return strconv.Itoa(int(k))
}

// A Change is something that has become of a connection.
type Change struct {
	Kind   ChangeKind
	Entry  Entry // as it is; of one that has ended, as it was seen last
	Before Entry // of one that has changed
}

// A Watcher tells what becomes of connections as it happens. An error that comes with a zero
// Change costs what it says and no more: the sequence goes on until ctx is done, or its user
// stops. What is told of a connection is in order; and two watchers of the same connections
// agree in the end, while what lies between two looks may be known to one of them alone.
type Watcher interface {
	Watch(ctx context.Context, f Filter) iter.Seq2[Change, error]
}

// A Key names a connection among those of one datapath, for its life.
type Key struct {
	Protocol Protocol
	Zone     uint16
	Orig     Tuple
}

// Key returns by what e is known: the addresses and ports as it was opened, and its zone.
func (e *Entry) Key() Key { return Key{e.Protocol, e.Zone + e.ZoneOrig, e.Orig} } // one of the zones is zero

// lasting is e without what changes with each packet, or by itself.
func (e *Entry) lasting() Entry {
	l := *e
	l.Timeout, l.Uses, l.CountOrig, l.CountReply = 0, 0, Counters{}, Counters{}
	return l
}

// Looks is a Watcher that looks again and again, for datapaths that tell of nothing by
// themselves. What comes and goes between two looks it does not see; one that ends and comes
// again with the same addresses has changed, unless the source gives connections an ID.
//
// A dump of the userspace datapath may pass over a connection while others come and go, so that
// one has ended when two looks in a row have not found it. It keeps each connection that is
// there: about 600 bytes. One that comes to be damaged in the dump is said to have ended, after the
// error that says so.
type Looks struct {
	Source Source
	Zones  func() []uint16 // which are read where a filter names none; nil: all in one go
	Every  time.Duration   // from the end of a look to the next one; zero: a second
	Share  float64         // of the time that reading may take, as of Spread
	Few    func() bool     // likewise
	// Turn, of one place, is taken for each look and the pause after it, so that all who share it
	// take no more of the time than one does. Nobody holds it who waits for his listener. nil: each
	// for himself.
	Turn chan struct{}
}

// Watch implements Watcher.
func (l *Looks) Watch(ctx context.Context, f Filter) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		s := sight{known: map[Key]*sighting{}, spread: Spread{Source: l.Source, Share: l.Share, Few: l.Few}}
		every := l.Every
		if every == 0 {
			every = time.Second
		}
		for {
			rest, there := l.look(ctx, f, &s)
			if !there || !s.tell(yield) || !wait(ctx, every-rest) {
				return
			}
		}
	}
}

// look looks once, when it is its turn, and returns how long it has rested after that; false: ctx is
// done.
func (l *Looks) look(ctx context.Context, f Filter, s *sight) (rest time.Duration, there bool) {
	if l.Turn != nil {
		select {
		case l.Turn <- struct{}{}:
			defer func() { <-l.Turn }()
		case <-ctx.Done():
			return 0, false
		}
	}
	s.look(ctx, f, l.zones(f))
	rest = s.spread.pause(s.spread.took)
	return rest, wait(ctx, rest)
}

func (l *Looks) zones(f Filter) []uint16 {
	if f.Zone != 0 || l.Zones == nil {
		return []uint16{f.Zone}
	}
	return l.Zones()
}

// A sight is what a watch knows.
type sight struct {
	known  map[Key]*sighting
	round  uint64 // counts the looks; zero: none has been whole yet
	begun  bool
	spread Spread
	news   []news // of the last look
}

type sighting struct {
	entry Entry
	seen  uint64 // in which look, last
}

// A news is a change that is to be told. It holds no entry of its own but the one before: a first look
// finds many.
type news struct {
	kind   ChangeKind
	of     *sighting
	before *Entry
	err    error
}

// tell tells the news; false: nobody wants more.
func (s *sight) tell(yield func(Change, error) bool) bool {
	defer func() { s.news = nil }()
	for _, n := range s.news {
		c := Change{Kind: n.kind}
		if n.of != nil {
			c.Entry = n.of.entry
		}
		if n.before != nil {
			c.Before = *n.before
		}
		if !yield(c, n.err) {
			return false
		}
	}
	return true
}

// look reads once and notes what is other than before.
func (s *sight) look(ctx context.Context, f Filter, zones []uint16) {
	s.round++
	for e, err := range s.spread.Entries(ctx, f, zones) {
		if err == nil {
			s.see(e)
			continue
		}
		s.news = append(s.news, news{err: err})
		var d *Damage
		if !errors.As(err, &d) {
			s.round-- // who was not seen may be there
			return
		}
	}
	s.begun = true
	for key, was := range s.known {
		if was.seen+missed <= s.round {
			delete(s.known, key)
			s.news = append(s.news, news{kind: Ended, of: was})
		}
	}
}

// missed is how many looks in a row have to miss one that has ended.
const missed = 2

// see takes an entry, and notes what is new about it.
func (s *sight) see(e Entry) {
	key := e.Key()
	was, known := s.known[key]
	if known && was.entry.ID != e.ID { // another one, with the same addresses
		delete(s.known, key)
		s.news = append(s.news, news{kind: Ended, of: was})
		known = false
	}
	if !known {
		is := &sighting{e, s.round}
		s.known[key] = is
		kind := New
		if !s.begun {
			kind = Present
		}
		s.news = append(s.news, news{kind: kind, of: is})
		return
	}
	if was.entry.lasting() != e.lasting() {
		before := was.entry // a copy of its own, of few
		s.news = append(s.news, news{kind: Changed, of: was, before: &before})
	}
	was.entry, was.seen = e, s.round
}
