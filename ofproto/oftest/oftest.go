// Package oftest is a small OpenFlow 1.3 switch for tests: a real one, that speaks the wire.
//
// It keeps flows, groups and meters by the rules of Open vSwitch 3.1, with its errors and
// its oddities: bundles, roles, flow monitors, statistics. It forwards no packets; a test
// says which packets come in, and sees which are sent out. A test can also have it refuse a
// message, stall, hang up or answer garbage, and can change its tables as somebody else
// would:
//
//	s := oftest.New(oftest.Config{})
//	defer s.Close()
//	conn, err := ofconn.New(ctx, s.Connect(), ofconn.Config{})
//	...
//	s.React(func(r oftest.Request) oftest.Reaction {
//		if m, ok := r.Message.(ofproto.FlowMod); ok && r.Commit && m.Flow.Table == 5 {
//			return oftest.Refuse(ofproto.OFPFMFC_TABLE_FULL)
//		}
//		return oftest.Reaction{}
//	})
//
// All of it works inside a bubble of testing/synctest, over Connect.
package oftest

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"weir/ofproto"
)

// Config is what a Switch is made from. The zero Config works.
type Config struct {
	DatapathID uint64             // zero: 1
	Ports      []ofproto.PortDesc // that it has at first
	Hello      ofproto.Hello      // with what it opens a session; zero: it speaks OpenFlow 1.3 only

	// Service makes its sessions like those that are opened to a bridge's management socket,
	// which get nothing that they have not asked for until they have sent a SetConfig.
	Service bool
}

// A Switch is a switch. Its methods may be called by several goroutines.
type Switch struct {
	config  Config
	created time.Time
	tasks   sync.WaitGroup

	mu         sync.Mutex // guards what follows; never held while reading or writing
	tables     *tables
	sessions   []*session
	listeners  []net.Listener
	react      func(Request) Reaction
	received   []Request
	stalls     int
	generation *uint64 // of the newest primary; nil: none yet
	fragments  ofproto.ConfigFlags
	ports      []ofproto.PortDesc
	tlvs       [tlvFields]*ofproto.TLVMap
	events     uint64 // counts what happened to flows, for monitors
	closed     bool
}

// New returns a switch without flows, groups and meters, which nobody is connected to.
func New(c Config) *Switch {
	if c.DatapathID == 0 {
		c.DatapathID = 1
	}
	return &Switch{config: c, created: time.Now(), tables: newTables(), ports: slices.Clone(c.Ports)}
}

// Connect returns the controller's end of a new connection to the switch. It has no buffer
// of its own, and works in the virtual time of testing/synctest.
func (s *Switch) Connect() net.Conn {
	ours, theirs := net.Pipe()
	s.Serve(ours)
	return theirs
}

// Listen has the switch accept connections, and returns where: network is "unix" with the
// path of a socket, or "tcp" with an address such as "127.0.0.1:0".
func (s *Switch) Listen(network, address string) (net.Addr, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(net.ErrClosed, l.Close())
	}
	s.listeners = append(s.listeners, l)
	s.tasks.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil { // closed
				return
			}
			s.Serve(nc)
		}
	})
	return l.Addr(), nil
}

// Serve has the switch talk over a connection, whoever has opened it, and returns at once.
// The switch owns nc from then on.
func (s *Switch) Serve(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		nc.Close()
		return
	}
	n := newSession(s, nc)
	n.out.stall(s.stalls > 0)
	s.sessions = append(s.sessions, n)
	s.tasks.Go(n.write)
	s.tasks.Go(n.read)
}

// Close hangs up on everybody, and returns when nothing of the switch runs any more.
func (s *Switch) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		l.Close() // there is nothing to do about it
	}
	s.mu.Unlock()
	s.Cut()
	s.tasks.Wait()
	return nil
}

// Tables returns the flows, groups and meters of the switch, in the order in which it
// reports them. The flows that it has of its own, in table 254, are not among them.
func (s *Switch) Tables() ofproto.Tables {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t ofproto.Tables
	for _, f := range s.tables.selected(selection{table: ofproto.AllTables}) {
		t.Flows = append(t.Flows, f.Flow)
	}
	for _, g := range s.tables.sortedGroups() {
		t.Groups = append(t.Groups, g.Group)
	}
	for _, m := range s.tables.sortedMeters() {
		t.Meters = append(t.Meters, m.MeterConfig)
	}
	return t
}

// Sessions returns how many sessions there are.
func (s *Switch) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}
