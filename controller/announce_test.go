package controller

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// said is when each address was announced, in virtual time. A session writes it, and a test reads it.
type said struct {
	mu sync.Mutex // guards at
	at map[netip.Addr][]time.Time
}

func (s *said) note(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[a] = append(s.at[a], time.Now())
}

func (s *said) times() map[netip.Addr][]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.at)
}

func (s *said) count() (n int) {
	for _, times := range s.times() {
		n += len(times)
	}
	return n
}

// answers is what tenants have outside in these tests.
var answers = map[string]netip.Prefix{"a": netip.MustParsePrefix("203.0.112.0/22"), "b": netip.MustParsePrefix("198.51.100.1/32")}

// announcer has a bridge answer for what its tenants have outside, and returns what is said. Its
// own unit may be the same each time, or another one.
func announcer(r *rig, same bool) *said {
	all, own := &said{at: map[netip.Addr][]time.Time{}}, (*pipeline.Unit)(nil)
	r.Controller.config.Compile = func(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
		p, err := compile(c, in)
		if own == nil || !same {
			own = &pipeline.Unit{Flows: p.Units[0].Flows[:1:1]}
		}
		p.Units = []*pipeline.Unit{own, {Flows: slices.Clone(p.Units[0].Flows[1:])}}
		for _, t := range in.Model.Tenants() {
			p.Units[1].Flows = append(p.Units[1].Flows, ofproto.Flow{
				Table: pipeline.ArpNd, Cookie: pipeline.Cookie(tags[t.ID()]), Match: ofproto.MatchOn(ofproto.InPrefix(ofproto.ARPTPA, answers[t.Name])),
			})
		}
		return p, err
	}
	r.Controller.config.Announcer = Announcer{
		Answered: func(flows []ofproto.Flow) (all []pipeline.Presence) {
			for _, f := range flows {
				for _, prefix := range answers {
					if f.Table == pipeline.ArpNd && f.Match.Key() == ofproto.MatchOn(ofproto.InPrefix(ofproto.ARPTPA, prefix)).Key() {
						all = append(all, pipeline.Presence{Port: 1, Prefix: prefix})
					}
				}
			}
			return all
		},
		Announce: func(_ pipeline.Presence, a netip.Addr) ofproto.PacketOut {
			all.note(a)
			return ofproto.PacketOut{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: 1}}, Data: make([]byte, 60)}
		},
	}
	return all
}

func TestAThousandAddressesAreAnnouncedALittleAtATime(t *testing.T) {
	for _, same := range []bool{true, false} {
		virtual(t, func(r *rig) {
			heard := announcer(r, same)
			r.connect("br0", r.newSwitch())
			r.settled(model(t, br0, "refuse", "a"))
			if n := heard.count(); n < 200 || n > 255 {
				t.Errorf("%d announcements in the first second, want 250", n)
			}
			before := time.Now()
			r.settled(model(t, br0, "refuse", "a", "b"))
			b := heard.times()[netip.MustParseAddr("198.51.100.1")]
			if len(b) == 0 || b[0].Sub(before) > 50*time.Millisecond {
				t.Errorf("a new address is announced %v, want at once", b)
			}
			r.after(30 * time.Second)
			if n := heard.count(); n != 3*1025 {
				t.Errorf("%d announcements, want three for each address", n)
			}
			for a, times := range heard.times() {
				if len(times) != 3 || times[1].Sub(times[0]) < announceAgain || times[2].Sub(times[1]) < announceAgain {
					t.Fatalf("%v is announced %v", a, times)
				}
			}
		})
	}
}

func TestWhatTheBridgeHasAnsweredForIsNotAnnouncedAgain(t *testing.T) {
	for _, same := range []bool{true, false} {
		virtual(t, func(r *rig) {
			heard := announcer(r, same)
			s := r.newSwitch()
			cut := r.connect("br0", s)
			r.settled(model(t, br0, "refuse", "b"))
			r.after(time.Minute)
			if n := heard.count(); n != 3 {
				t.Fatalf("%d announcements, want 3", n)
			}
			r.settled(model(t, br0, "refuse", "b deny"))
			cut()
			r.connect("br0", s)
			if r.after(time.Minute); heard.count() != 3 {
				t.Errorf("%d announcements after a change of policy, and a new session", heard.count()-3)
			}
			r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: pipeline.ArpNd}}))
			if r.after(time.Minute); heard.count() != 3 {
				t.Errorf("%d announcements after a repair", heard.count()-3)
			}
		})
	}
}

func TestWhatIsTakenAwayIsNotAnnouncedAnyMore(t *testing.T) {
	for _, same := range []bool{true, false} {
		virtual(t, func(r *rig) {
			heard := announcer(r, same)
			r.connect("br0", r.newSwitch())
			r.settled(model(t, br0, "refuse", "a", "b"))
			r.settled(model(t, br0, "refuse"))
			before := heard.count()
			if r.after(time.Minute); heard.count() != before {
				t.Errorf("%d announcements of what is gone", heard.count()-before)
			}
			r.settled(model(t, br0, "refuse", "b"))
			if r.after(time.Minute); heard.count() != before+3 {
				t.Errorf("%d announcements of what is there again, want 3", heard.count()-before)
			}
		})
	}
}
