package ofconn

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
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

// tables are wanted, with what it takes to get there from nothing.
type tables struct{ ofproto.Tables }

func (t tables) plan() ofproto.Plan { return ofproto.Diff(t.Tables, ofproto.Tables{}) }

var sample = tables{ofproto.Tables{
	Groups: []ofproto.Group{{ID: 7, Type: ofproto.GroupAll, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}},
	Flows: []ofproto.Flow{
		{Table: 0, Priority: 5, Cookie: 9, Match: ofproto.MatchOn(ofproto.IsIPv4), Actions: []ofproto.Action{ofproto.GotoTable(4)}},
		{Table: 4, Priority: 5, Cookie: 9, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg1, 3)), Actions: []ofproto.Action{ofproto.ToGroup(7)}},
		{Table: 4, Priority: 0, Cookie: 9, Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortController, MaxLen: 0xffff}}},
	},
}}

func TestAPlanIsAppliedAndReadBack(t *testing.T) {
	_, c := bridge(t)
	have, err := c.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), ofproto.Diff(sample.Tables, have)); err != nil {
		t.Fatal(err)
	}
	if have, err = c.Tables(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := ofproto.Diff(sample.Tables, have); !again.Empty() {
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
	if err := c.send(t.Context(), c.xids(1), ofproto.SetConfig{Flags: ofproto.FragNXMatch, MissSendLen: 0xffff}); err != nil {
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
