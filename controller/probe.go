package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/apps/pipeline"
	"weir/health"
	"weir/intent"
	"weir/ofproto"
)

// probing is what asks the backends on one bridge how they are. Its session owns it; who reads
// packets, and those who ask, look into byTag and byName.
type probing struct {
	ctx     context.Context // of those who ask
	stop    context.CancelFunc
	monitor *health.Monitor
	loads   *health.Monitor
	pulse   pulse
	beats   sync.WaitGroup

	model     *intent.Model // for which all else is
	ports     []pipeline.Port
	beating   bool
	stretched float64             // how many times as long intervals are as they are written
	said      map[health.Key]bool // who Run knows to be asked; nil: it has not been told

	mu     sync.RWMutex // guards what follows
	byTag  map[uint32]*asker
	byName map[string]*asker
}

// An asker asks the backends of one tenant.
type asker struct {
	*health.Prober
	gateways []netip.Addr

	mu     sync.RWMutex // guards places
	places map[netip.Addr]place
}

// A place is where a backend is.
type place struct {
	port uint32
	mac  [6]byte
}

// An asking is whom to ask of a tenant.
type asking struct {
	tenant   string
	gateways []netip.Addr
	places   map[netip.Addr]place
}

// packetsWaiting is how many packets that others are to look at wait for the session: as many as
// wait where they come from.
const packetsWaiting = 256

// beginProbing readies s to ask backends. It reads all packets that come, so that answers do not
// wait while the session compiles; the others are in s.punted.
func (s *session) beginProbing(ctx context.Context) (end func()) {
	p := &s.probing
	p.ctx, p.stop = context.WithCancel(ctx)
	p.byTag, p.byName = map[uint32]*asker{}, map[string]*asker{}
	p.monitor = health.NewMonitor(p.ask, func(v health.Verdict) {
		_ = s.send(p.ctx, verdictFound{v}) // it fails only if nobody is there to be told
	})
	p.loads = health.NewLoadMonitor(p.askLoad, func(v health.Verdict) {
		_ = s.send(p.ctx, loadFound{v})
	})
	s.punted = make(chan ofproto.PacketIn, packetsWaiting)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.sortPackets(p.ctx)
	}()
	return func() {
		p.stop()
		<-done
		p.beats.Wait()
		p.monitor.Close()
		p.loads.Close()
		for _, a := range p.byTag {
			a.Close()
		}
	}
}

// sortPackets hands answers to who has asked, and all other packets to the session. It drops those
// that are too many.
func (s *session) sortPackets(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p, ok := <-s.conn.PacketIns():
			if !ok {
				close(s.punted)
				return
			}
			if s.probing.receive(p) {
				s.config.Punted(s.name, PuntProbe)
				continue
			}
			select {
			case s.punted <- p:
			default:
				s.config.Punted(s.name, PuntDropped)
			}
		}
	}
}

// ethernet is the length of the header of an Ethernet frame.
const ethernet = 14

// receive hands a packet to who has asked for it, if it is an answer.
func (p *probing) receive(in ofproto.PacketIn) bool {
	tag, owned := pipeline.TagOf(in.Cookie)
	if !owned || in.Table != pipeline.CtState || len(in.Data) < ethernet {
		return false
	}
	p.mu.RLock()
	a := p.byTag[tag]
	p.mu.RUnlock()
	if a != nil {
		a.Receive(in.Data[ethernet:])
	}
	return true
}

// errNobodyAsks is what a check that nobody can carry out is told: its tenant has just gone.
var errNobodyAsks = errors.New("nobody can be asked in its network")

// ask asks a backend how it is.
func (p *probing) ask(ctx context.Context, c health.Check) error {
	a, began := p.of(c.Tenant), time.Now()
	if a == nil {
		return errNobodyAsks
	}
	err := a.Ask(ctx, c)
	return p.believed(began, c, err, ctx.Err() != nil)
}

// believed returns the error of a check that began, if it may be for the backend: if it is not that
// there was no answer, or not half of the time that there was for one was lost here.
func (p *probing) believed(began time.Time, c health.Check, err error, noAnswer bool) error {
	if err != nil && noAnswer && p.pulse.lost(began, time.Now()) > time.Duration(c.Health.Timeout)/2 {
		return fmt.Errorf("%w: %w", health.ErrNotAsked, err)
	}
	return err
}

// askLoad asks a backend how busy it is.
func (p *probing) askLoad(ctx context.Context, c health.Check) (float64, error) {
	if a := p.of(c.Tenant); a != nil {
		return a.Load(ctx, c)
	}
	return 0, errNobodyAsks
}

// of returns who asks the backends of a tenant, or nil.
func (p *probing) of(tenant string) *asker {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byName[tenant]
}

// probe has the backends asked that the job's model wants asked, and says who they are.
func (s *session) probe(ctx context.Context) error {
	in, p := s.job.input, &s.probing
	if s.job.review != inForce || in.Model == nil || in.Model == p.model && sameList(in.Facts.Ports, p.ports) {
		return nil
	}
	p.model, p.ports = in.Model, in.Facts.Ports
	askings, keys := map[uint32]*asking{}, map[health.Key]bool{}
	checks, loads := map[health.Key]health.Check{}, map[health.Key]health.Check{}
	for _, x := range in.Probes() {
		if askings[x.Tag] == nil {
			askings[x.Tag] = &asking{tenant: x.Balancer.Tenant, places: map[netip.Addr]place{}}
		}
		askings[x.Tag].add(x)
		k := health.Key{Balancer: x.Balancer.ID(), Backend: pipeline.BackendKey(x.Backend)}
		if c, ok := checkOf(x); ok {
			checks[k], keys[k] = c, true
		}
		if c, ok := loadOf(x); ok {
			loads[k] = c
		}
	}
	if err := p.settle(s.conn, askings); err != nil {
		return err
	}
	s.stretch(checks, loads)
	if len(checks) > 0 && !p.beating {
		p.beating = true
		p.beats.Go(func() { p.pulse.beat(p.ctx, s.conn.Barrier) })
	}
	p.monitor.Set(checks)
	p.loads.Set(loads)
	if p.said != nil && len(keys) == 0 && len(p.said) == 0 {
		return nil
	}
	p.said = keys
	return s.send(ctx, probesSet{s.bridge, inquiry{in.Model, keys}})
}

// answersPerSecond is how many packets of answers a bridge is to hand on in a second: half of what it
// hands to its controller in all (controller_rate_limit).
const answersPerSecond = 500

// stretch has backends asked less often, where they are so many that answers would be lost.
func (s *session) stretch(lists ...map[health.Key]health.Check) {
	factor := health.Stretch(answersPerSecond, lists...)
	if factor > 1 && factor != s.probing.stretched {
		s.config.Log.WithField("bridge", s.name).WithField("times", fmt.Sprintf("%.1f", factor)).
			Warn("so many backends are asked how they are that each interval is so many times as long as it is written: the bridge could not hand on all answers")
	}
	s.probing.stretched = factor
}

func sameList[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// checkOf returns how a backend is asked, if somebody wants to know whether it is well.
func checkOf(x pipeline.Probe) (c health.Check, ok bool) {
	if x.Balancer.Health == nil {
		return c, false
	}
	at := netip.AddrPortFrom(x.Backend.IP, x.Balancer.CheckPort(x.Backend))
	return health.Check{Tenant: x.Balancer.Tenant, Source: x.Balancer.Asker(x.Backend), Backend: at, Health: *x.Balancer.Health}, true
}

func (a *asking) add(x pipeline.Probe) {
	a.places[x.Backend.IP] = place{x.Port, x.Backend.Endpoint.MAC}
	if from := x.Balancer.Asker(x.Backend); !slices.Contains(a.gateways, from) {
		a.gateways = append(a.gateways, from)
	}
}

// settle has an asker for each tenant of which somebody is asked, and for no other one.
func (p *probing) settle(conn Conn, askings map[uint32]*asking) error {
	byTag, byName := map[uint32]*asker{}, map[string]*asker{}
	for tag, want := range askings {
		slices.SortFunc(want.gateways, netip.Addr.Compare)
		a := p.byTag[tag]
		if a == nil || !slices.Equal(a.gateways, want.gateways) {
			var err error
			if a, err = p.newAsker(conn, want.gateways); err != nil {
				return err
			}
		}
		a.move(want.places)
		byTag[tag], byName[want.tenant] = a, a
	}
	p.mu.Lock()
	before := p.byTag
	p.byTag, p.byName = byTag, byName
	p.mu.Unlock()
	for tag, a := range before {
		if byTag[tag] != a {
			a.Close()
		}
	}
	return nil
}

func (p *probing) newAsker(conn Conn, gateways []netip.Addr) (a *asker, err error) {
	a = &asker{gateways: gateways}
	a.Prober, err = health.NewProber(gateways, func(to netip.Addr, packet []byte) {
		if out, ok := a.question(to, packet); ok {
			_ = conn.PacketOut(p.ctx, out) // it fails when the session does, which says so itself
		}
	})
	return a, err
}

func (a *asker) move(places map[netip.Addr]place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.places = places
}

// question puts a packet for a backend out of its port, as the router's.
func (a *asker) question(to netip.Addr, packet []byte) (out ofproto.PacketOut, ok bool) {
	a.mu.RLock()
	at, ok := a.places[to]
	a.mu.RUnlock()
	if !ok {
		return out, false
	}
	f := slices.Concat(at.mac[:], pipeline.RouterMAC[:], []byte{0x08, 0x00}, packet)
	if to.Is6() {
		f[12], f[13] = 0x86, 0xdd
	}
	return ofproto.PacketOut{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: at.port}}, Data: f}, true
}
