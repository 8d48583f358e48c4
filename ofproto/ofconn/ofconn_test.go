package ofconn

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/ofproto"
)

// bridge starts an Open vSwitch with one bridge, and returns its management socket.
func bridge(t *testing.T) (*sandbox.Sandbox, *Conn) {
	t.Helper()
	box := sandboxtest.Rootless(t, "br")
	if _, err := box.Vsctl("add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=1"); err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return box, c
}

var sample = ofproto.Tables{
	Groups: []ofproto.Group{{ID: 7, Type: ofproto.GroupAll, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}},
	Flows: []ofproto.Flow{
		{Table: 0, Priority: 5, Cookie: 9, Match: ofproto.MatchOn(ofproto.IsIPv4), Actions: []ofproto.Action{ofproto.GotoTable(4)}},
		{Table: 4, Priority: 5, Cookie: 9, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg1, 3)), Actions: []ofproto.Action{ofproto.ToGroup(7)}},
		{Table: 4, Priority: 0, Cookie: 9, Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortController, MaxLen: 0xffff}}},
	},
}

func TestAPlanIsAppliedAndReadBack(t *testing.T) {
	_, c := bridge(t)
	have, err := c.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), ofproto.Diff(sample, have)); err != nil {
		t.Fatal(err)
	}
	if have, err = c.Tables(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := ofproto.Diff(sample, have); !again.Empty() {
		t.Errorf("there is more to do: %+v", again)
	}
	before := c.FlowMods()
	if err := c.Apply(t.Context(), ofproto.Plan{}); err != nil || c.FlowMods() != before {
		t.Errorf("an empty plan sent something, or failed: %v", err)
	}
	if err := c.Apply(t.Context(), ofproto.Diff(ofproto.Tables{}, have)); err != nil {
		t.Fatal(err)
	}
	if have, err = c.Tables(t.Context()); err != nil || len(have.Flows)+len(have.Groups) != 0 {
		t.Errorf("%v is left, %v", have, err)
	}
}

func TestFlowsThatWeDoNotUnderstandCanBeReadAndDeleted(t *testing.T) {
	box, c := bridge(t)
	for _, f := range []string{"table=1,dl_vlan=5,actions=strip_vlan,output:1", "table=2,tun_src=10.0.0.1,actions=drop", "table=3,ip,actions=write_actions(output:1),write_metadata:5,goto_table:9", "table=5,mpls,actions=pop_mpls:0x0800"} {
		if _, err := box.Ofctl("-O", "OpenFlow13", "add-flow", "br", f); err != nil {
			t.Fatal(err)
		}
	}
	have, err := c.Tables(t.Context())
	if err != nil || len(have.Flows) != 4 {
		t.Fatalf("%d flows, %v", len(have.Flows), err)
	}
	if err := c.Apply(t.Context(), ofproto.Diff(ofproto.Tables{}, have)); err != nil {
		t.Fatal(err)
	}
	if have, err = c.Tables(t.Context()); err != nil || len(have.Flows) != 0 {
		t.Errorf("left: %v, %v", have.Flows, err)
	}
}

func TestARefusedFlowIsNamedAndNothingElseIsDone(t *testing.T) {
	_, c := bridge(t)
	bad := ofproto.Flow{Table: 4, Priority: 77, Actions: []ofproto.Action{ofproto.GotoTable(2)}} // backwards
	err := c.Apply(t.Context(), ofproto.Plan{PutFlows: append([]ofproto.Flow{sample.Flows[0]}, bad)})
	var r *ofproto.Rejected
	if !errors.As(err, &r) || r.Flow == nil || r.Flow.Priority != 77 {
		t.Fatalf("%v; want the flow of priority 77 named", err)
	}
	if have, err := c.Tables(t.Context()); err != nil || len(have.Flows) != 0 {
		t.Errorf("a part was done: %v, %v", have.Flows, err)
	}
	if err := c.Apply(t.Context(), ofproto.Plan{PutFlows: sample.Flows[:1]}); err != nil {
		t.Errorf("the session is of no more use: %v", err)
	}
}

func TestPacketsComeInAndGoOut(t *testing.T) {
	box, c := bridge(t)
	punt := ofproto.Flow{Cookie: 5, Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortController, MaxLen: 0xffff}}}
	if err := c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{punt}}); err != nil {
		t.Fatal(err)
	}
	// A session beside the controllers' gets packets only once it has asked for them, or has
	// sent a packet itself; the bridge's controllers get them always.
	if err := c.send(t.Context(), c.xid.Add(1), ofproto.SetConfig{Flags: ofproto.FragNXMatch, MissSendLen: 0xffff}); err != nil {
		t.Fatal(err)
	}
	if err := c.FlushZone(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	frame := "020000000002020000000001080045000014000100004011000001010101020202020000"
	if _, err := box.Appctl("netdev-dummy/receive", "p1", frame+strings.Repeat("00", 24)); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-c.PacketIns():
		if p.Cookie != 5 || len(p.Match) == 0 || p.Match[0] != ofproto.Is(ofproto.InPort, 1) {
			t.Errorf("%+v", p)
		}
		if err := c.PacketOut(t.Context(), ofproto.PacketOut{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: 1}}, Data: p.Data}); err != nil {
			t.Error(err)
		}
		if err := c.Barrier(t.Context()); err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no packet came")
	}
}

// peer plays the other side of a session: it answers HELLO and FEATURES, and then what
// answer says.
func peer(nc net.Conn, hello ofproto.Message, answer func(xid uint32, m ofproto.Message) []ofproto.Message) {
	defer nc.Close()
	write := func(xid uint32, m ofproto.Message) bool {
		b, err := ofproto.Append(nil, xid, m)
		if err == nil {
			_, err = nc.Write(b)
		}
		return err == nil
	}
	go write(1, hello) // a pipe has no room: both sides begin by writing
	f := framer{r: nc}
	for {
		frame, err := f.next()
		if err != nil {
			return
		}
		xid, m, err := ofproto.Decode(frame)
		if err != nil {
			return
		}
		if _, ok := m.(ofproto.FeaturesRequest); ok && !write(xid, ofproto.FeaturesReply{DatapathID: 1}) {
			return
		}
		if answer == nil {
			continue
		}
		for _, a := range answer(xid, m) {
			if a == nil || !write(xid, a) {
				return
			}
		}
	}
}

func TestPeersThatDoNotBehave(t *testing.T) {
	for name, c := range map[string]struct {
		play func(net.Conn)
		want string
		when string
	}{
		"one that speaks another version is refused": {func(nc net.Conn) {
			go nc.Write([]byte{1, 0, 0, 8, 0, 0, 0, 1})
			io.Copy(io.Discard, nc)
		}, "speaks no OpenFlow 1.3", "new"},
		"one that says nothing is given up":   {func(nc net.Conn) { io.Copy(io.Discard, nc) }, "within 5s", "new"},
		"one that begins with something else": {func(nc net.Conn) { peer(nc, ofproto.EchoRequest{}, nil) }, "not with HELLO", "new"},
		"one that falls silent is dropped":    {func(nc net.Conn) { peer(nc, ofproto.Hello{}, nil) }, "silent for", "later"},
		"one that sends garbage loses its connection": {func(nc net.Conn) {
			peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
				if _, ok := m.(ofproto.SetConfig); ok {
					nc.Write([]byte{4, 14, 0, 3, 0, 0, 0, 0})
				}
				return nil
			})
		}, "length of 3", "later"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				go c.play(theirs)
				conn, err := New(t.Context(), ours, Config{})
				if c.when == "later" {
					if err != nil {
						t.Fatal(err)
					}
					<-conn.Done()
					err = conn.Err()
					conn.Close()
				}
				theirs.Close()
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; want %q", err, c.want)
				}
			})
		})
	}
}

func TestACommitThatIsCutHasAnUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go peer(theirs, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
			b, ok := m.(ofproto.BundleControl)
			switch {
			case ok && b.Type == ofproto.BundleCommit:
				return []ofproto.Message{nil} // hang up
			case ok:
				return []ofproto.Message{ofproto.BundleControl{ID: b.ID, Type: b.Type + 1}}
			}
			if _, ok := m.(ofproto.BarrierRequest); ok {
				return []ofproto.Message{ofproto.BarrierReply{}}
			}
			return nil
		})
		c, err := New(context.Background(), ours, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Apply(context.Background(), ofproto.Plan{PutFlows: sample.Flows}); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%v; want an unknown outcome", err)
		}
		c.Close()
	})
}
