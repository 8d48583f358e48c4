package ofconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/internal/sidebyside"
	"weir/ofproto"
)

// firewall returns n flows as a policy has them in the table where it is judged, and the
// one that leads there.
func firewall(n int) []ofproto.Flow {
	flows := make([]ofproto.Flow, n)
	flows[0] = ofproto.Flow{Priority: 1, Cookie: 1, Match: ofproto.MatchOn(ofproto.IsIPv4), Actions: []ofproto.Action{ofproto.GotoTable(36)}}
	for i := 1; i < n; i++ {
		flows[i] = ofproto.Flow{
			Table: 36, Priority: 1000, Cookie: uint64(i),
			Match: ofproto.MatchOn(ofproto.CT(ofproto.New|ofproto.Trk, 0), ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6),
				ofproto.Is(ofproto.IPv4Src, 0x0a000000+uint64(i/50)), ofproto.Is(ofproto.TCPDst, uint64(1+i%50))),
			Actions: []ofproto.Action{ofproto.GotoTable(48)},
		}
	}
	return flows
}

// A site is a bridge to measure with, our session with it, and 100,000 flows for it.
type site struct {
	*sandbox.Sandbox
	*Conn
	socket string
	plan   ofproto.Plan
	file   string // the same, for ovs-ofctl
}

func newSite(b *testing.B) *site {
	b.Helper()
	box := sandboxtest.Rootless(b, "br")
	s := &site{Sandbox: box, socket: filepath.Join(box.RunDir(), "br.mgmt"), plan: ofproto.Plan{PutFlows: firewall(100000)}}
	var err error
	if s.Conn, err = Dial(b.Context(), "unix:"+s.socket, Config{}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Conn.Close() })
	var text bytes.Buffer
	for _, f := range s.plan.PutFlows {
		fmt.Fprintln(&text, f)
	}
	s.file = filepath.Join(b.TempDir(), "flows")
	if err := os.WriteFile(s.file, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return s
}

// clear empties the bridge.
func (s *site) clear() error {
	return s.Do(context.Background(), ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 255}})
}

// way is one way to fill the bridge. That it is full is checked before the next one.
func (s *site) way(name string, full *bool, do func() error) sidebyside.Way {
	return sidebyside.Way{Name: name, Do: do, Before: func() error {
		if flows, err := s.count(); err != nil || *full && flows != len(s.plan.PutFlows) {
			return fmt.Errorf("there are %d flows: %w", flows, err)
		}
		*full = true
		return s.clear()
	}}
}

// count asks how many flows there are.
func (s *site) count() (int, error) {
	a, err := s.Aggregate(context.Background(), ofproto.FlowQuery{Table: ofproto.AllTables})
	return int(a.Flows), err
}

func (s *site) ofctl(args ...string) func() error {
	return func() error {
		_, err := s.Ofctl(append([]string{"-O", "OpenFlow13"}, args...)...)
		return err
	}
}

// raw sends the flow-mods of the plan, encoded beforehand, and a barrier: no way can be
// faster.
func (s *site) raw(b *testing.B) func() error {
	var wire []byte
	for i, f := range s.plan.PutFlows {
		var err error
		if wire, err = ofproto.Append(wire, uint32(i), ofproto.FlowMod{Flow: f}); err != nil {
			b.Fatal(err)
		}
	}
	return func() error {
		return talk(s.socket, wire, ofproto.BarrierRequest{}, func(m []byte) (bool, error) {
			if m[1] == 1 {
				return false, errors.New("refused")
			}
			return m[1] == 21, nil // OFPT_BARRIER_REPLY
		})
	}
}

// talk opens a connection, says hello, sends wire and a last message, and reads until done
// says so.
func talk(socket string, wire []byte, last ofproto.Message, done func(m []byte) (bool, error)) error {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer nc.Close()
	head, err := ofproto.Append(nil, 0, ofproto.Hello{})
	if err != nil {
		return err
	}
	tail, err := ofproto.Append(nil, 0, last)
	if err != nil {
		return err
	}
	for _, b := range [][]byte{head, wire, tail} {
		if _, err := nc.Write(b); err != nil {
			return err
		}
	}
	f := framer{r: nc}
	for {
		m, err := f.next()
		if err != nil {
			return err
		}
		if end, err := done(m); end || err != nil {
			return err
		}
	}
}

func BenchmarkInstall100000Flows(b *testing.B) {
	s := newSite(b)
	ctx := b.Context()
	full := false
	sidebyside.Time(b,
		s.way("weir", &full, func() error { return s.Apply(ctx, s.plan) }),
		s.way("ovs-ofctl-bundle", &full, s.ofctl("--bundle", "add-flows", "br", s.file)),
		s.way("ovs-ofctl", &full, s.ofctl("add-flows", "br", s.file)),
		s.way("weir-one-bundle", &full, func() error { return s.ApplyAtomically(ctx, s.plan) }),
		s.way("weir-batches", &full, func() error { return s.ApplyInBatches(ctx, s.plan) }),
		s.way("raw", &full, s.raw(b)),
	)
}

func BenchmarkRead100000Flows(b *testing.B) {
	s := newSite(b)
	if err := s.Apply(b.Context(), s.plan); err != nil {
		b.Fatal(err)
	}
	sidebyside.Time(b,
		sidebyside.Way{Name: "weir", Do: func() error {
			t, err := s.Tables(b.Context())
			if err == nil && len(t.Flows) != len(s.plan.PutFlows) {
				err = fmt.Errorf("%d flows", len(t.Flows))
			}
			return err
		}},
		sidebyside.Way{Name: "raw", Do: func() error {
			return talk(s.socket, nil, ofproto.FlowStatsRequest(), func(m []byte) (bool, error) {
				return m[1] == typeMultipartReply && m[11]&1 == 0, nil
			})
		}},
		sidebyside.Way{Name: "ovs-ofctl", Do: s.ofctl("dump-flows", "br")},
	)
}

// BenchmarkAnswersWhile100000FlowsGoIn shows what the choice between a bundle and batches is
// about: how long another session waits, at worst, while one installs flows.
func BenchmarkAnswersWhile100000FlowsGoIn(b *testing.B) {
	s := newSite(b)
	other, err := Dial(b.Context(), "unix:"+s.socket, Config{})
	must(b, err)
	defer other.Close()
	for name, apply := range map[string]func(context.Context, ofproto.Plan) error{"one-bundle": s.ApplyAtomically, "batches": s.ApplyInBatches} {
		var worst time.Duration
		for range max(b.N, 3) {
			must(b, s.clear())
			done := make(chan error, 1)
			go func() { done <- apply(b.Context(), s.plan) }()
			for going := true; going; {
				start := time.Now()
				must(b, other.Barrier(b.Context()))
				worst = max(worst, time.Since(start))
				select {
				case err := <-done:
					must(b, err)
					going = false
				default:
				}
			}
		}
		b.ReportMetric(worst.Seconds()*1e3, "ms-at-worst/"+name)
	}
	b.ReportMetric(0, "ns/op") // of both together it says nothing
}
