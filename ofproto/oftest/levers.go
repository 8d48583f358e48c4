package oftest

import (
	"fmt"
	"slices"

	"weir/ofproto"
)

// A Request is a message that has come.
type Request struct {
	N       int // counts the messages of its session, from 1 for its HELLO
	XID     uint32
	Message ofproto.Message // as far as it could be read; nil: not at all
	Commit  bool            // Message is a member of a bundle, whose turn to be carried out has come
}

// A Reaction is what a Switch does with a message, if it is not what Open vSwitch would do.
// The zero Reaction changes nothing.
type Reaction struct {
	do   deed
	code ofproto.ErrorCode
	b    []byte
}

type deed uint8

const (
	nothingElse deed = iota
	refuse
	ignore
	mute
	cut
	cutAfter
	cutInside
	say
)

// Refuse answers an error. What refuses a member whose bundle is being committed takes the
// whole bundle back, as Open vSwitch does: its commit fails too.
func Refuse(code ofproto.ErrorCode) Reaction { return Reaction{do: refuse, code: code} }

// Ignore does nothing with the message, and answers nothing.
func Ignore() Reaction { return Reaction{do: ignore} }

// Mute carries the message out, and answers nothing.
func Mute() Reaction { return Reaction{do: mute} }

// Cut hangs up. The message is not carried out.
func Cut() Reaction { return Reaction{do: cut} }

// CutAfter carries the message out, and hangs up without an answer.
func CutAfter() Reaction { return Reaction{do: cutAfter} }

// CutInside carries the message out, and hangs up in the middle of the answer.
func CutInside() Reaction { return Reaction{do: cutInside} }

// Say answers with b, whatever that is, and does nothing with the message.
func Say(b []byte) Reaction { return Reaction{do: say, b: slices.Clone(b)} }

// React has the switch ask f what to do with each message, HELLO excepted, before it does
// anything; nil: nothing special any more. For a bundle f is asked for each message that
// comes, which is wrapped in a BundleAdd, and for each member when the bundle is committed.
// f may call the switch.
func (s *Switch) React(f func(Request) Reaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.react = f
}

// Received returns the messages of type M that have come, in all sessions, in their order;
// also those that were refused. Received[ofproto.PacketOut] are the packets that were sent
// out, Received[ofproto.CTFlushZone] the zones that were flushed.
func Received[M ofproto.Message](s *Switch) (all []M) {
	for _, r := range s.Requests() {
		if m, ok := r.Message.(M); ok {
			all = append(all, m)
		}
	}
	return all
}

// Requests returns all messages that have come, in all sessions, in their order.
func (s *Switch) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Cut hangs up on everybody. Who listens goes on listening.
func (s *Switch) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sessions {
		n.end()
	}
}

// Stall has the switch read and answer nothing more, on any connection, until release is
// called. What it has read by then it still answers, afterwards.
func (s *Switch) Stall() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stall(+1)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stall(-1)
	}
}

func (s *Switch) stall(more int) {
	s.stalls += more
	for _, n := range s.sessions {
		n.out.stall(s.stalls > 0)
	}
}

// Do carries out a flow-mod, group-mod or meter-mod as if another controller had sent it.
// The error is the one with which the switch refuses it, an ofproto.ErrorCode, or says that
// m is something else.
func (s *Switch) Do(m ofproto.Message) error {
	b, err := ofproto.Append(nil, 0, m)
	if err != nil {
		return err
	}
	if _, m, err = ofproto.DecodeStrict(b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.change(m, change{})
	if err == errNoChange {
		return fmt.Errorf("%T changes no table", m)
	}
	return err
}

// Count adds packets and bytes to the counters of the flows of which is holds.
func (s *Switch) Count(is func(ofproto.Flow) bool, packets, bytes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.tables.flowsThat(func(f *flow) bool { return is(f.Flow) }) {
		f.packets += packets
		f.bytes += bytes
	}
}

// Expire removes the flows of which is holds, as if their idle timeout had passed, or their
// hard one. The switch has no clock of its own for that.
func (s *Switch) Expire(is func(ofproto.Flow) bool, idle bool) {
	reason := ofproto.RemovedHard
	if idle {
		reason = ofproto.RemovedIdle
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables.removeFlows(s.tables.flowsThat(func(f *flow) bool { return !isInternal(f) && is(f.Flow) }), event{reason: reason})
	s.tell(s.tables.keep())
}
