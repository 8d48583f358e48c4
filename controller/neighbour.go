package controller

import (
	"context"
	"slices"
	"strings"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// A Resolver says which neighbours' MAC addresses have to be found out, and how. It keeps
// nothing.
type Resolver struct {
	Wanted func(pipeline.Input) []pipeline.Neighbour
	Ask    func(pipeline.Input, pipeline.Neighbour) []ofproto.PacketOut
	// Heard reads a packet that a flow sent to the controller. Without a MAC address, it is
	// about a neighbour that should be asked.
	Heard func(pipeline.Input, ofproto.PacketIn) (pipeline.Neighbour, bool)
}

// Times of resolution. One that does not answer is asked again and again, for it may come
// back; one that has answered is believed for some time, as long as nobody else does.
const (
	askEvery     = time.Second
	refreshAfter = 30 * time.Second
	forgetAfter  = 2 * time.Minute
	unanswered   = 5    // questions to a next hop, after which the operator is told
	maxStrangers = 1024 // on the links of a bridge, asked because a packet was for them
)

// resolving is what is known of the neighbours of one bridge. Its session owns it.
type resolving struct {
	known map[stranger]*heard
	turn  <-chan time.Time
	read  bool // off what the bridge has
}

// A stranger is a neighbour without its MAC address.
type stranger = pipeline.Neighbour

type heard struct {
	pipeline.Neighbour
	at, asked time.Time // when it was heard, or heard of, and asked last
	next      bool      // a next hop: wanted as long as the model has it
	questions int       // since it was heard last
	other     [6]byte   // what somebody else has answered to the question that is open
}

// answered takes note of an answer. Nobody is believed who has not been asked; and who has been
// known elsewhere may say so before it counts that somebody else has answered.
func (h *heard) answered(mac [6]byte) {
	switch {
	case h.questions == 0:
	case h.MAC == [6]byte{}, h.MAC == mac:
		h.believe(mac)
	default:
		h.other = mac
	}
}

func (h *heard) believe(mac [6]byte) {
	h.MAC, h.other, h.at, h.questions = mac, [6]byte{}, time.Now(), 0
}

// neighbours puts into facts what is known of the neighbours.
func (s *session) neighbours(f pipeline.Facts) pipeline.Facts {
	f.Neighbours = nil
	for _, h := range s.resolving.known {
		if h.MAC != ([6]byte{}) {
			f.Neighbours = append(f.Neighbours, h.Neighbour)
		}
	}
	slices.SortFunc(f.Neighbours, func(a, b pipeline.Neighbour) int {
		if c := strings.Compare(string(a.External), string(b.External)); c != 0 {
			return c
		}
		return a.Address.Compare(b.Address)
	})
	return f
}

// resolve finds out who is wanted by a new job, and asks for those that are not known.
func (s *session) resolve(ctx context.Context) error {
	r := s.config.Resolver
	if r.Wanted == nil || s.job.input.Model == nil {
		return nil
	}
	now := time.Now()
	if s.resolving.known == nil {
		s.resolving.known = map[stranger]*heard{}
	}
	if !s.resolving.read {
		s.resolving.read = true
		for _, n := range pipeline.NeighboursIn(s.tables().Flows, s.job.input.Numbers) {
			s.resolving.known[stranger{External: n.External, Address: n.Address}] = &heard{Neighbour: n, at: now}
		}
	}
	for _, h := range s.resolving.known {
		h.next = false
	}
	for _, n := range r.Wanted(s.job.input) {
		if s.resolving.known[n] == nil {
			s.resolving.known[n] = &heard{Neighbour: n}
		}
		s.resolving.known[n].next = true
	}
	s.job.input.Facts = s.neighbours(s.job.input.Facts)
	return s.ask(ctx)
}

// ask asks for whom it is time to ask, and forgets who has been silent for long.
func (s *session) ask(ctx context.Context) error {
	s.resolving.turn = nil
	now := time.Now()
	for key, h := range s.resolving.known {
		silent := now.Sub(h.at)
		if silent > forgetAfter {
			if h.MAC = [6]byte{}; !h.next {
				delete(s.resolving.known, key)
				continue
			}
		}
		if h.MAC != ([6]byte{}) && silent < refreshAfter || now.Sub(h.asked) < askEvery {
			continue
		}
		if h.other != ([6]byte{}) { // in place of who has not answered
			h.believe(h.other)
			continue
		}
		h.asked = now
		s.missing(h)
		for _, p := range s.config.Resolver.Ask(s.job.input, key) {
			if err := s.conn.PacketOut(ctx, p); err != nil {
				return err
			}
		}
	}
	if len(s.resolving.known) > 0 {
		s.resolving.turn = time.After(askEvery)
	}
	return s.learned(ctx)
}

// missing counts a question, and tells of a next hop that has not answered so many.
func (s *session) missing(h *heard) {
	if h.questions++; h.questions == unanswered && h.next {
		s.config.Log.WithField("bridge", s.name).WithField("outside", h.External).WithField("nextHop", h.Address).
			Warn("the next hop does not answer: what is routed by it does not leave; is it there, and its port the right one?")
	}
}

// returned tells of a next hop that was missing and is there.
func (s *session) returned(h *heard) {
	if h.questions >= unanswered && h.next {
		s.config.Log.WithField("bridge", s.name).WithField("outside", h.External).WithField("nextHop", h.Address).Info("the next hop answers")
	}
}

// hear takes note of what a packet says about a neighbour.
func (s *session) hear(ctx context.Context, p ofproto.PacketIn) (isNews bool, err error) {
	if s.config.Resolver.Heard == nil || s.resolving.known == nil {
		return false, nil
	}
	n, ok := s.config.Resolver.Heard(s.job.input, p)
	if !ok {
		return false, nil
	}
	key := stranger{External: n.External, Address: n.Address}
	h := s.resolving.known[key]
	switch {
	case n.MAC != ([6]byte{}) && h == nil: // nobody has asked
	case n.MAC != ([6]byte{}):
		s.returned(h)
		h.answered(n.MAC)
		return true, s.learned(ctx)
	case h == nil && len(s.resolving.known) < maxStrangers:
		s.resolving.known[key] = &heard{Neighbour: key, at: time.Now()}
		return true, s.ask(ctx)
	}
	return true, nil
}

// learned compiles anew if what is known of the neighbours is not what it was.
func (s *session) learned(ctx context.Context) error {
	facts := s.neighbours(s.job.input.Facts)
	if slices.Equal(facts.Neighbours, s.job.input.Facts.Neighbours) {
		return nil
	}
	s.job.input.Facts = facts
	return s.strive(ctx)
}
