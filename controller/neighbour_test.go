package controller

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A saidText is a log that a session writes, and a test reads.
type saidText struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (s *saidText) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *saidText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestANextHopThatDoesNotAnswerIsTold has one be silent for a while, answer, and be silent again.
func TestANextHopThatDoesNotAnswerIsTold(t *testing.T) {
	virtual(t, func(r *rig) {
		var said saidText
		log := logrus.New()
		log.SetOutput(&said)
		hop := pipeline.Neighbour{External: "bridge/br0/external/public", Address: netip.MustParseAddr("203.0.113.1")}
		r.Controller.config.Log = logrus.NewEntry(log)
		r.Controller.config.Answer = func(pipeline.Input, ofproto.PacketIn) []ofproto.PacketOut { return nil }
		r.Controller.config.Resolver = Resolver{
			Wanted: func(pipeline.Input) []pipeline.Neighbour { return []pipeline.Neighbour{hop} },
			Ask:    func(pipeline.Input, pipeline.Neighbour) []ofproto.PacketOut { return nil },
			Heard: func(pipeline.Input, ofproto.PacketIn) (pipeline.Neighbour, bool) {
				heard := hop
				heard.MAC = intent.MAC{2, 0, 0, 0, 0, 9}
				return heard, true
			},
		}
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		tells := func(when string, silent, there int) {
			t.Helper()
			text := said.String()
			if a, b := strings.Count(text, "does not answer"), strings.Count(text, "the next hop answers"); a != silent || b != there {
				t.Errorf("%s: it is told %d times that it is silent, and %d times that it is there: want %d and %d", when, a, b, silent, there)
			}
		}
		tells("at first", 0, 0)
		r.after(time.Minute)
		tells("after a minute", 1, 0)
		s.PacketIn(0, ofproto.PacketIn2{PacketIn: ofproto.PacketIn{Data: make([]byte, 60)}})
		r.after(20 * time.Second)
		tells("it has answered", 1, 1)
		r.after(time.Minute)
		tells("silent again", 2, 1)
	})
}
