package controller

import (
	"context"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// An ahead sends what is new of a program to the switch while the rest is still compiled, compared with
// what the bridge carries, and looked at for what it takes back: of thousands of load balancers the switch
// takes longer to read the flows than we to make them. They are in a bundle that is not in force before the whole plan is
// known, and wanted, and is forgotten if it is not. A session has one at most, while it strives.
type ahead struct {
	cancel context.CancelFunc
	sent   chan struct{} // closed when all is sent
}

// mayPrepare reports whether a job is likely to be carried out as it is: nobody else is asked about it, the bridge carries what it
// was given and nothing else, and nothing was refused.
func (s *session) mayPrepare() bool {
	return s.exact && len(s.theirs) == 0 && len(s.refused) == 0 && (s.job.review == inForce || s.job.only)
}

// compile compiles a job. What is new in it is sent ahead meanwhile, if it is much.
func (s *session) compile(ctx context.Context, in pipeline.Input) (*pipeline.Program, error) {
	if s.ahead == nil && s.mayPrepare() { // else it was begun by the step before
		s.cache.Ahead = func(most int) chan<- *pipeline.Unit { return s.sendAhead(ctx, most) }
		defer func() { s.cache.Ahead = nil }()
	}
	return s.config.Compile(&s.cache, in)
}

// sendAhead returns where units go that are to be sent ahead, most of them at most.
func (s *session) sendAhead(ctx context.Context, most int) chan<- *pipeline.Unit {
	ctx, cancel := context.WithCancel(ctx)
	units, sent := make(chan *pipeline.Unit, most), make(chan struct{})
	s.ahead = &ahead{cancel, sent}
	go func() {
		defer close(sent)
		for u := range units {
			s.conn.Prepare(ctx, ofproto.Tables{Groups: u.Groups, Flows: u.Flows})
		}
	}()
	return units
}

// apply carries a plan out, once all that was begun to be sent of it is sent.
func (s *session) apply(ctx context.Context, p ofproto.Plan) error {
	if a := s.ahead; a != nil {
		<-a.sent
		a.cancel()
		s.ahead = nil
	}
	return s.conn.Apply(ctx, p)
}

// abandon has the switch forget what was sent ahead and is not wanted.
func (s *session) abandon() {
	if a := s.ahead; a != nil {
		a.cancel() // the rest need not be sent
		<-a.sent
		s.ahead = nil
		s.conn.Abandon()
	}
}
