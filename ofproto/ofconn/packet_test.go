package ofconn

import (
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/ofproto"
)

// packet is a UDP packet that a port of the dummy datapath receives.
const packet = "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)"

func receive(t *testing.T, box *sandbox.Sandbox) {
	t.Helper()
	must2(t)(box.Appctl("netdev-dummy/receive", "p1", packet))
}

// soon returns the next value of a channel.
func soon[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %T came", *new(T))
		panic("unreachable")
	}
}

// packetsIn counts the packets that a table's flows have seen.
func packetsIn(t *testing.T, c *Conn, table ofproto.Table) uint64 {
	t.Helper()
	a, err := c.Aggregate(t.Context(), ofproto.FlowQuery{Table: table})
	must(t, err)
	return a.Packets
}

func TestAPacketThatWaitsIsResumed(t *testing.T) {
	box, c := bridge(t)
	must(t, c.UsePacketIn2(t.Context()))
	must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{
		{Cookie: 5, Actions: []ofproto.Action{
			ofproto.Set(ofproto.Reg1.Whole(), 7),
			ofproto.Controller{MaxLen: 0xffff, UserData: "\x01\x02\x03", Pause: true},
			ofproto.Resubmit{Port: ofproto.PortInPort16, Table: 9},
		}},
		{Table: 9, Priority: 1, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg1, 8), ofproto.Is(ofproto.EthDst, 0x0200000000ff)), Actions: []ofproto.Action{ofproto.Output{Port: 1}}},
	}}))
	receive(t, box)
	p := soon(t, c.PacketIn2s())
	if p.Cookie != 5 || string(p.UserData) != "\x01\x02\x03" || len(p.Continuation) == 0 || !slices.Contains(p.Match, ofproto.Is(ofproto.Reg1, 7)) {
		t.Fatalf("%+v", p)
	}
	if n := packetsIn(t, c, 9); n != 0 {
		t.Errorf("%d packets did not wait", n)
	}
	for i, m := range p.Match {
		if m.Field == ofproto.Reg1 {
			p.Match[i] = ofproto.Is(ofproto.Reg1, 8)
		}
	}
	p.Data[5] = 0xff
	must(t, c.Resume(t.Context(), p))
	must(t, c.Barrier(t.Context()))
	if n := packetsIn(t, c, 9); n != 1 {
		t.Errorf("%d packets went on", n)
	}
}

func TestAZoneIsFlushedAndNoOther(t *testing.T) {
	box, c := bridge(t)
	commit := func(zone uint16) ofproto.Action {
		return ofproto.ConnTrack{Commit: true, Zone: zone, Table: ofproto.NoTable}
	}
	must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{{Match: ofproto.MatchOn(ofproto.IsIPv4), Actions: []ofproto.Action{commit(5), commit(6)}}}}))
	receive(t, box)
	entries := func(zone string) int {
		return strings.Count(must2(t)(box.Appctl("dpctl/dump-conntrack", "zone="+zone)), "udp")
	}
	if entries("5") != 1 || entries("6") != 1 {
		t.Fatalf("%d and %d connections", entries("5"), entries("6"))
	}
	must(t, c.FlushZone(t.Context(), 5))
	if entries("5") != 0 || entries("6") != 1 {
		t.Errorf("%d and %d connections are left", entries("5"), entries("6"))
	}
}

func TestWhatTheSwitchSaysOfItsOwnAccordAreEvents(t *testing.T) {
	box, c := bridge(t)
	all := ofproto.AsyncReasons{PortStatus: 7, FlowRemoved: 0xf}
	must(t, c.SetAsync(t.Context(), ofproto.AsyncConfig{Primary: all}))
	if a, err := c.Async(t.Context()); err != nil || a.Primary != all {
		t.Errorf("%+v, %v", a, err)
	}
	must2(t)(box.Vsctl("add-port", "br", "p2"))
	if s, ok := soon(t, c.Events()).(ofproto.PortStatus); !ok || s.Port.Name != "p2" || s.Reason != ofproto.PortAdded {
		t.Errorf("%+v", s)
	}
	ports, err := c.Ports(t.Context())
	if err != nil || !slices.ContainsFunc(ports, func(p ofproto.PortDesc) bool { return p.Name == "p2" }) {
		t.Errorf("%+v, %v", ports, err)
	}
	flow := ofproto.Flow{Cookie: 9, Flags: ofproto.SendFlowRem}
	must(t, c.Do(t.Context(), ofproto.FlowMod{Flow: flow}, everything))
	for {
		if r, ok := soon(t, c.Events()).(ofproto.FlowRemoved); ok {
			if r.Flow.Cookie != 9 {
				t.Errorf("%+v", r)
			}
			break
		}
	}
}

func TestPacketsForAnotherControllerDoNotCome(t *testing.T) {
	box, c := bridge(t)
	flows := []ofproto.Flow{{Actions: []ofproto.Action{ofproto.Controller{MaxLen: 0xffff, ID: 3}}}}
	must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: flows}))
	receive(t, box)
	must(t, c.SetControllerID(t.Context(), 3))
	must(t, c.Barrier(t.Context()))
	if len(c.PacketIns()) != 0 {
		t.Error("a packet for controller 3 came to controller 0")
	}
	receive(t, box)
	if p := soon(t, c.PacketIns()); len(p.Data) == 0 {
		t.Errorf("%+v", p)
	}
}
