package ovstest

import (
	"slices"
	"sync"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/reference"
	"weir/internal/sandbox"
)

// most is how many packets are kept in mind of a test, of those between which its models make a difference.
const most = 20000

// A sighting is what hosts have sent, and what has come to them that may have begun something. Of packets between
// which no model makes a difference one stands for all.
type sighting struct {
	mu      sync.Mutex // the taps note, the test reads
	classes reference.Classes
	routers map[intent.MAC]bool // the router's addresses; nil: there is no model yet, and so nobody who judges
	early   []early             // what was seen before there was one
	since   time.Time           // all flows are there; zero: they are not
	frozen  bool                // the counters are being read
	sent    map[reference.Frame]*count
	come    map[reference.Frame]int // Port is to whom; when it came first, counted in frames
	seen    int                     // frames
	full    bool
	sctp    bool // the tracker knows its ports
	taps    []*sandbox.Tap
	lost    uint32 // that a tap had no room for
}

// An early is a frame that was seen when there was no model to tell it apart by. ovs-vswitchd has an entry for it by then, which
// drops it. What the entry has dropped since is counted, once there are flows, for that by which this frame is dropped.
type early struct {
	host  string
	frame []byte
}

// mostEarly is how many of them are kept.
const mostEarly = 1000

// A count is how often something was sent, and when first.
type count struct {
	first int // counted in frames
	sure  int // since all flows were there
}

// learn has what is seen from now on told apart as a model does. What was sent, and has come, before is seen first: else
// one tap would tell a packet apart as the models before it did, and another one as this does.
func (s *sighting) learn(m *intent.Model) {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.classes.Learn(m)
	first := s.routers == nil
	if first {
		s.routers = map[intent.MAC]bool{pipeline.RouterMAC: true}
		s.sent, s.come = map[reference.Frame]*count{}, map[reference.Frame]int{}
	}
	for _, b := range m.Bridges() {
		for _, x := range b.Externals {
			s.routers[pipeline.ExternalSite{External: x}.RouterMAC()] = true
		}
	}
	if first {
		for _, e := range s.early {
			s.note(e.host, e.frame, true)
		}
		s.early = nil
	}
}

// unsettle counts anew, as soon as all flows are there again.
func (s *sighting) unsettle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
	for _, c := range s.sent {
		c.sure = 0
	}
}

// settle counts from now on, when all flows are there and what came before has been waited for. It does nothing if that was
// so before.
func (s *sighting) settle(wait func()) {
	if !s.since.IsZero() { // only the test writes it
		return
	}
	wait()
	s.catchUp() // what was sent before is not counted with what is sent from now on
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Now()
}

// catchUp returns when all that hosts have sent and got so far is seen.
func (s *sighting) catchUp() {
	for _, t := range s.taps {
		t.CatchUp()
	}
}

// freeze counts no further: what is sent from now on may be in the counters of the switch, or not.
func (s *sighting) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// watch notes what a host sends and gets from now on.
func (s *sighting) watch(h *sandbox.Host) error {
	t, err := h.Tap(func(frame []byte, sent bool) { s.see(h.Name, frame, sent) })
	if err == nil {
		s.taps = append(s.taps, t)
	}
	return err
}

func (s *sighting) see(host string, frame []byte, sent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.routers != nil:
		s.note(host, frame, sent)
	case sent && len(s.early) < mostEarly:
		s.early = append(s.early, early{host, slices.Clone(frame)})
	}
}

// note notes a frame, with s.mu held.
func (s *sighting) note(host string, frame []byte, sent bool) {
	f, ok := frameOf(frame)
	if !ok || s.full {
		return
	}
	if f.Protocol == reference.SCTP && !s.sctp { // another association between the same two may have opened its ports
		f.Opens = false
	}
	f.Port, f.Router, f.Packet, f.Says = host, s.routers[f.For], s.classes.Of(f.Packet), s.classes.Addr(f.Says)
	f.By, f.For, f.SaysMAC = s.classes.MAC(f.By), s.classes.MAC(f.For), s.classes.MAC(f.SaysMAC)
	s.seen++
	switch {
	case !sent && s.come[f] == 0:
		s.come[f] = s.seen
	case sent && s.sent[f] == nil:
		s.sent[f] = &count{first: s.seen}
	}
	if sent && !s.since.IsZero() && !s.frozen {
		s.sent[f].sure++
	}
	s.full = len(s.sent) >= most || len(s.come) >= most
}

// close ends the taps, when all that was sent is seen.
func (s *sighting) close() {
	for _, t := range s.taps {
		s.lost += t.Close()
	}
	s.taps = nil
}
