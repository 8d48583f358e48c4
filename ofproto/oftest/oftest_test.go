package oftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// A rig is a switch with one controller, in virtual time.
type rig struct {
	*testing.T
	*Switch
	conn *ofconn.Conn
	ctx  context.Context
}

func virtual(t *testing.T, c Config, f func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, Switch: New(c), ctx: t.Context()}
		defer r.Switch.Close()
		r.conn = r.dial()
		f(r)
	})
}

// dial returns a session, which ends with the test.
func (r *rig) dial() *ofconn.Conn {
	r.Helper()
	c, err := ofconn.New(r.ctx, r.Connect(), ofconn.Config{})
	r.must(err)
	r.Cleanup(func() { c.Close() })
	return c
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// told returns the next thing that a session is told without having asked.
func told(r *rig, c *ofconn.Conn) ofproto.Message {
	r.Helper()
	synctest.Wait()
	select {
	case m := <-c.Events():
		return m
	default:
		r.Fatal("nothing was told")
		return nil
	}
}

var (
	group7 = ofproto.Group{ID: 7, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}
	first  = ofproto.Flow{Table: 0, Priority: 5, Cookie: 9, Match: ofproto.MatchOn(ofproto.IsIPv4), Actions: []ofproto.Action{ofproto.ToGroup(7)}}
	second = ofproto.Flow{Table: 4, Priority: 5, Cookie: 9, Flags: ofproto.SendFlowRem, Actions: []ofproto.Action{ofproto.Output{Port: 2}}}
	both   = ofproto.Plan{PutGroups: []ofproto.Group{group7}, PutFlows: []ofproto.Flow{first, second}}
)

func TestAPlanIsCarriedOutAndReadBack(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		r.must(r.conn.Apply(r.ctx, both))
		have, err := r.conn.Tables(r.ctx)
		r.must(err)
		want := ofproto.Tables{Flows: both.PutFlows, Groups: both.PutGroups}
		if d := ofproto.Diff(want, have); !d.Empty() {
			r.Errorf("read back: %+v", d)
		}
		if d := ofproto.Diff(have, r.Tables()); !d.Empty() {
			r.Errorf("the switch itself says something else: %+v", d)
		}
	})
}

func TestAMemberThatIsRefusedTakesItsBundleBack(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		r.React(func(q Request) Reaction {
			if m, ok := q.Message.(ofproto.FlowMod); ok && q.Commit && m.Flow.Table == 4 {
				return Refuse(ofproto.OFPFMFC_TABLE_FULL)
			}
			return Reaction{}
		})
		err := r.conn.ApplyAtomically(r.ctx, both)
		var e *ofproto.Rejected
		if !errors.As(err, &e) || e.Flow == nil || e.Flow.Table != 4 || !errors.Is(err, ofproto.OFPFMFC_TABLE_FULL) {
			r.Errorf("%v; want the flow in table 4, and why", err)
		}
		if have := r.Tables(); len(have.Flows)+len(have.Groups) != 0 {
			r.Errorf("a part was done: %v", have)
		}
		r.React(nil)
		r.must(r.conn.ApplyAtomically(r.ctx, both))
	})
}

func TestReactions(t *testing.T) {
	garbage := Say([]byte{4, 14, 0, 3, 0, 0, 0, 0})
	for name, c := range map[string]struct {
		reaction Reaction
		done     bool // the commit was carried out
		ended    bool
	}{
		"a commit that is cut off is not carried out":     {Cut(), false, true},
		"a commit can be carried out without an answer":   {CutAfter(), true, true},
		"a commit can be cut off in its answer":           {CutInside(), true, true},
		"a commit that is carried out may go unanswered":  {Mute(), true, false},
		"a commit that is ignored is not carried out":     {Ignore(), false, false},
		"a commit that is refused is not carried out":     {Refuse(ofproto.OFPBFC_MSG_CONFLICT), false, false},
		"a commit can be answered with something foolish": {garbage, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, Config{}, func(r *rig) {
				r.React(func(q Request) Reaction {
					if m, ok := q.Message.(ofproto.BundleControl); ok && m.Type == ofproto.BundleCommit {
						return c.reaction
					}
					return Reaction{}
				})
				err := r.conn.ApplyAtomically(r.ctx, both)
				refused := c.reaction.do == refuse
				if err == nil || refused == errors.Is(err, ofconn.ErrUnknownOutcome) || refused != errors.Is(err, ofproto.OFPBFC_MSG_CONFLICT) {
					r.Errorf("%v", err)
				}
				if done := len(r.Tables().Flows) == 2; done != c.done {
					r.Errorf("carried out: %v", done)
				}
				synctest.Wait()
				if ended := r.Sessions() == 0; ended != c.ended {
					r.Errorf("session ended: %v", ended)
				}
			})
		})
	}
}

func TestTheNthMessageCanBeRefused(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		before := len(r.Requests())
		r.React(func(q Request) Reaction {
			if q.N == before+2 {
				return Refuse(ofproto.OFPFMFC_EPERM)
			}
			return Reaction{}
		})
		err := r.conn.Do(r.ctx, ofproto.FlowMod{Flow: second}, ofproto.FlowMod{Flow: second}, ofproto.FlowMod{Flow: second})
		if !errors.Is(err, ofproto.OFPFMFC_EPERM) {
			r.Errorf("%v", err)
		}
	})
}

func TestASwitchThatStallsAnswersLater(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		release := r.Stall()
		go func() {
			time.Sleep(3 * time.Second) // virtual
			release()
		}()
		start := time.Now()
		r.must(r.conn.Barrier(r.ctx))
		if d := time.Since(start); d != 3*time.Second {
			r.Errorf("it answered after %v", d)
		}
		r.Stall()
		<-r.conn.Done()
		if !strings.Contains(r.conn.Err().Error(), "silent") {
			r.Errorf("%v", r.conn.Err())
		}
	})
}

func TestSomebodyElseChangesAFlow(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		_, err := r.conn.Ask(r.ctx, ofproto.FlowMonitorRequest{Monitors: []ofproto.FlowMonitor{
			{ID: 1, Table: ofproto.AllTables, Flags: ofproto.MonitorAdd | ofproto.MonitorDelete | ofproto.MonitorActions},
		}})
		r.must(err)
		r.must(r.Do(ofproto.FlowMod{Flow: second}))
		u, ok := told(r, r.conn).(ofproto.FlowMonitorReply)
		if !ok || len(u.Updates) != 1 || u.Updates[0].Event != ofproto.UpdateAdded || !slices.Equal(u.Updates[0].Flow.Actions, second.Actions) {
			r.Errorf("%+v", u)
		}
		r.must(r.conn.Do(r.ctx, ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 4}}))
		u, ok = told(r, r.conn).(ofproto.FlowMonitorReply)
		if !ok || len(u.Updates) != 1 || u.Updates[0].Event != ofproto.UpdateAbbreviated {
			r.Errorf("its own change: %+v", u)
		}
		if err := r.Do(ofproto.FlowMod{Flow: first}); !errors.Is(err, ofproto.OFPBAC_BAD_OUT_GROUP) {
			r.Errorf("%v", err)
		}
		if err := r.Do(ofproto.BarrierRequest{}); err == nil {
			r.Error("a barrier changed a table")
		}
	})
}

func TestMonitorsPauseForWhoDoesNotRead(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		w := newWire(r, r.Connect())
		w.exchange(r, ofproto.FlowMonitorRequest{Monitors: []ofproto.FlowMonitor{
			{ID: 1, Table: ofproto.AllTables, Flags: ofproto.MonitorAdd | ofproto.MonitorDelete},
		}})
		const flows = 5000 // of more than 128 KiB
		for i := range flows {
			r.must(r.Do(ofproto.FlowMod{Flow: ofproto.Flow{Priority: uint16(i)}}))
		}
		seen, paused, resumed := 0, false, false
		for !resumed {
			b, err := readFrame(w.r)
			r.must(err)
			_, m, err := ofproto.Decode(b)
			r.must(err)
			switch m := m.(type) {
			case ofproto.FlowMonitorReply:
				seen += len(m.Updates)
			case ofproto.FlowMonitorPaused:
				paused = true
			case ofproto.FlowMonitorResumed:
				resumed = true
			}
		}
		if !paused || seen != flows {
			r.Errorf("paused: %v; %d flows seen", paused, seen)
		}
	})
}

func TestARoleThatIsTakenOverFencesTheOlderPrimary(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		old := r.conn
		_, err := old.Role(r.ctx, ofproto.RolePrimary, 5)
		r.must(err)
		open := ofproto.BundleControl{ID: 1, Flags: ofproto.BundleAtomic}
		_, err = old.Ask(r.ctx, open)
		r.must(err)
		_, err = r.dial().Role(r.ctx, ofproto.RolePrimary, 6)
		r.must(err)
		if s, ok := told(r, old).(ofproto.RoleStatus); !ok || s.Role != ofproto.RoleSecondary || s.Generation != 6 {
			r.Errorf("%+v", s)
		}
		commit := open
		commit.Type = ofproto.BundleCommit
		if _, err := old.Ask(r.ctx, commit); !errors.Is(err, ofproto.OFPBRC_IS_SECONDARY) {
			r.Errorf("commit: %v", err)
		}
		if _, err := old.Role(r.ctx, ofproto.RolePrimary, 5); !errors.Is(err, ofproto.OFPRRFC_STALE) {
			r.Errorf("with the old generation: %v", err)
		}
	})
}

func TestABundleThatIsForgottenTimesOut(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		w := newWire(r, r.Connect())
		w.exchange(r, ofproto.BundleControl{ID: 1})
		start := time.Now()
		b, err := readFrame(w.r)
		r.must(err)
		if _, m, _ := ofproto.Decode(b); !errors.Is(m.(error), ofproto.OFPBFC_TIMEOUT) || time.Since(start) != 10*time.Second {
			r.Errorf("%v after %v", m, time.Since(start))
		}
	})
}

func TestWhatNobodyHasAskedFor(t *testing.T) {
	port := ofproto.PortDesc{Number: 3, Name: "p3"}
	in := ofproto.PacketIn2{PacketIn: ofproto.PacketIn{Cookie: 9, Reason: ofproto.ReasonGroup, Match: ofproto.MatchOn(ofproto.Is(ofproto.InPort, 3)), Data: make([]byte, 60)}, UserData: []byte("why")}
	virtual(t, Config{Ports: []ofproto.PortDesc{port}}, func(r *rig) {
		r.PacketIn(0, in)
		if p := <-r.conn.PacketIns(); p.Cookie != 9 || p.Reason != ofproto.ReasonAction {
			r.Errorf("%+v", p)
		}
		r.must(r.conn.Send(r.ctx, ofproto.SetControllerID{ID: 8}))
		r.must(r.conn.Barrier(r.ctx))
		r.PacketIn(0, in)
		port.Config = ofproto.PortDown
		r.Port(ofproto.PortStatus{Reason: ofproto.PortModified, Port: port})
		if s, ok := told(r, r.conn).(ofproto.PortStatus); !ok || s.Port != port {
			r.Errorf("%+v", s)
		}
		if len(r.conn.PacketIns()) > 0 {
			r.Error("it got a packet for another controller")
		}
		r.must(r.Do(ofproto.FlowMod{Flow: second}))
		r.Count(func(ofproto.Flow) bool { return true }, 3, 180)
		r.Expire(func(f ofproto.Flow) bool { return f.Cookie == second.Cookie }, true)
		if m, ok := told(r, r.conn).(ofproto.FlowRemoved); !ok || m.Reason != ofproto.RemovedIdle || m.Packets != 3 || m.Bytes != 180 || m.Cookie != 9 {
			r.Errorf("%+v", m)
		}
	})
}

func TestServiceSessionsGetNothingUnasked(t *testing.T) {
	virtual(t, Config{Service: true}, func(r *rig) {
		w := newWire(r, r.Connect())
		w.exchange(r)
		r.Port(ofproto.PortStatus{})
		if got := w.exchange(r, ofproto.SetConfig{MissSendLen: 128}); len(got) != 0 {
			r.Errorf("%x", got)
		}
		r.Port(ofproto.PortStatus{})
		if got := w.exchange(r); len(got) != 1 {
			r.Errorf("%x", got)
		}
	})
}

func TestALongAnswerComesInParts(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		const flows = 3000
		for i := range flows {
			r.must(r.Do(ofproto.FlowMod{Flow: ofproto.Flow{Priority: uint16(i), Actions: second.Actions}}))
		}
		w := newWire(r, r.Connect())
		parts := w.exchange(r, ofproto.FlowStatsRequest())
		var back []ofproto.FlowStats
		for i, p := range parts {
			_, m, err := ofproto.Decode(p)
			r.must(err)
			reply := m.(ofproto.MultipartReply)
			if reply.More != (i < len(parts)-1) {
				r.Errorf("part %d of %d: more is %v", i, len(parts), reply.More)
			}
			back, err = ofproto.DecodeFlowStats(back, reply.Body)
			r.must(err)
		}
		if len(parts) < 2 || len(back) != flows {
			r.Errorf("%d parts, %d flows", len(parts), len(back))
		}
	})
}

func TestItSpeaksOneVersionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Close()
		nc := s.Connect()
		defer nc.Close()
		go nc.Write(encode(1, ofproto.Hello{Version: 1}))
		for _, want := range []byte{0, 1} { // HELLO, ERROR
			b, err := readFrame(nc)
			if err != nil || b[1] != want {
				t.Fatalf("%x, %v", b, err)
			}
		}
		if _, err := readFrame(nc); err == nil {
			t.Error("it did not hang up")
		}
		_, err := ofconn.New(t.Context(), New(Config{Hello: ofproto.Hello{Version: 1}}).Connect(), ofconn.Config{})
		if err == nil {
			t.Error("a switch that says that it speaks OpenFlow 1.0 was believed to speak 1.3")
		}
	})
}

func TestItListens(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "mgmt")} {
		s := New(Config{DatapathID: 17})
		a, err := s.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ofconn.Dial(t.Context(), fmt.Sprintf("%s:%s", network, a), ofconn.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if id := c.Features().DatapathID; id != 17 {
			t.Errorf("it is %d", id)
		}
		s.Cut()
		<-c.Done()
		c.Close()
		s.Close()
		if _, err := s.Listen(network, address); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	}
}

func TestPacketsThatAreSentOutAreKnown(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		out := ofproto.PacketOut{InPort: ofproto.PortController, Actions: second.Actions, Data: make([]byte, 60)}
		r.must(r.conn.PacketOut(r.ctx, out))
		r.must(r.conn.FlushZone(r.ctx, 5))
		if p := Received[ofproto.PacketOut](r.Switch); len(p) != 1 || !slices.Equal(p[0].Actions, out.Actions) {
			r.Errorf("%+v", p)
		}
		if z := Received[ofproto.CTFlushZone](r.Switch); !slices.Equal(z, []ofproto.CTFlushZone{{Zone: 5}}) {
			r.Errorf("%+v", z)
		}
	})
}

func TestRequestsInParts(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		w := newWire(r, r.Connect())
		w.exchange(r)
		flows := ofproto.FlowStatsRequest()
		ask := func(parts ...ofproto.MultipartRequest) []byte {
			var b []byte
			for i, p := range parts {
				p.More = i < len(parts)-1
				b = append(b, encode(7, p)...)
			}
			<-w.write(b)
			f, err := readFrame(w.r)
			r.must(err)
			return f
		}
		for name, c := range map[string]struct {
			parts []ofproto.MultipartRequest
			want  error
		}{
			"empty parts count for nothing":             {[]ofproto.MultipartRequest{{Type: flows.Type}, flows, {Type: flows.Type}}, nil},
			"nobody says what is wanted":                {[]ofproto.MultipartRequest{{Type: flows.Type}, {Type: flows.Type}}, ofproto.OFPBRC_BAD_LEN},
			"two parts with a body are one too many":    {[]ofproto.MultipartRequest{flows, flows}, ofproto.OFPBRC_BAD_STAT},
			"a part of another type ends the request":   {[]ofproto.MultipartRequest{flows, ofproto.GroupDescRequest()}, ofproto.OFPBRC_BAD_STAT},
			"what there is not is an error in one part": {[]ofproto.MultipartRequest{{Type: 99}}, ofproto.OFPBRC_BAD_STAT},
		} {
			_, m, err := ofproto.Decode(ask(c.parts...))
			r.must(err)
			e, _ := m.(error)
			if !errors.Is(e, c.want) {
				r.Errorf("%s: %v", name, m)
			}
		}
		start := time.Now()
		flows.More = true
		<-w.write(encode(8, flows))
		f, err := readFrame(w.r)
		r.must(err)
		if _, m, _ := ofproto.Decode(f); !errors.Is(m.(error), ofproto.OFPBRC_MULTIPART_REQUEST_TIMEOUT) || time.Since(start) != time.Second {
			r.Errorf("%v after %v", m, time.Since(start))
		}
	})
}

// FuzzSwitch has a controller talk nonsense: it costs nobody but itself.
func FuzzSwitch(f *testing.F) {
	d := dice{Rand: rand.New(rand.NewPCG(1, 1))}
	for range 50 {
		var b []byte
		for _, s := range d.steps([]ofproto.PortDesc{{Number: 1}}) {
			for i, m := range s.messages {
				b = append(b, encode(uint32(i), m)...)
			}
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := New(Config{})
		defer s.Close()
		w := newWire(t, s.Connect())
		go io.Copy(io.Discard, w.r)
		<-w.write(b)
		w.nc.Close()
		newWire(t, s.Connect()).exchange(t, ofproto.FlowStatsRequest())
	})
}

func TestTunnelOptionsAreMappedBeforeTheyAreUsed(t *testing.T) {
	option := ofproto.TLVTableMod{Maps: []ofproto.TLVMap{{Class: 0xffff, Type: 7, Len: 4, Index: 3}}}
	cond := ofproto.Is(ofproto.TunMetadata3, 7)
	cond.Len, cond.Mask = 4, ofproto.Uint(0xffffffff)
	add := ofproto.FlowMod{Flow: ofproto.Flow{Match: ofproto.Match{cond}}}
	remove := ofproto.TLVTableMod{Command: ofproto.TLVDelete, Maps: option.Maps}
	virtual(t, Config{}, func(r *rig) {
		for i, c := range []struct {
			m    ofproto.Message
			want error
		}{
			{add, ofproto.NXFMFC_INVALID_TLV_FIELD},
			{option, nil},
			{option, ofproto.NXTTMFC_ALREADY_MAPPED},
			{add, nil},
			{remove, ofproto.NXTTMFC_INVALID_TLV_DEL},
			{ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: ofproto.AllTables}}, nil},
			{remove, nil},
			{add, ofproto.NXFMFC_INVALID_TLV_FIELD},
		} {
			if err := r.conn.Do(r.ctx, c.m); !errors.Is(err, c.want) {
				r.Errorf("%d: %v, want %v", i, err, c.want)
			}
		}
	})
}
