package test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"weir/internal/flowsim"
	"weir/ofproto"
	"weir/test/ovstest"
)

// passes are flows that say, by what they hit, how they see a packet that the tracker has translated: before the packet
// has come back, and then. The port that is asked says what is done (table 2).
var passes = []string{
	"priority=0,actions=NORMAL",
	"priority=10,udp,nw_dst=10.0.0.2,actions=ct(table=1,zone=5,nat)",
	"priority=10,udp,nw_src=10.0.0.2,actions=ct(table=5,zone=5,nat)",
	"table=1,priority=2,udp,nw_src=10.0.0.1,actions=resubmit(,2)", // the lookup has left it as it was
	"table=1,priority=1,udp,actions=resubmit(,2)",
	"table=2,udp,tp_dst=7000,actions=ct(commit,zone=5,nat(src=10.0.0.240),exec(set_field:7->ct_mark)),resubmit(,3)",
	"table=2,udp,tp_dst=7001,actions=ct(commit,zone=5,nat(src=10.0.0.240),exec(set_field:7->ct_mark),table=3)",
	"table=2,udp,tp_dst=7002,actions=ct(commit,zone=5,nat(src=10.0.0.240)),set_field:10.0.0.241->ip_src,resubmit(,3)",
	"table=2,udp,tp_dst=7003,actions=ct(commit,zone=5,nat(src=10.0.0.240)),set_field:10.0.0.1->ip_src,resubmit(,3)",
	"table=2,udp,tp_dst=7004,actions=ct(commit,zone=5,nat(dst=10.0.0.2:7010)),resubmit(,3)",
	"table=2,udp,tp_dst=7005,actions=ct(commit,zone=5,nat(src=10.0.0.240)),ct_clear,ct(commit,zone=6,table=3)",
	"table=2,udp,tp_dst=7006,actions=clone(resubmit(,4)),resubmit(,3)",
	"table=2,udp,tp_dst=7007,actions=clone(ct(commit,zone=5,nat(src=10.0.0.240))),resubmit(,3)",
	"table=2,udp,tp_dst=7008,actions=group:1",
	"table=2,udp,tp_dst=7009,actions=group:2",
	"table=2,udp,tp_dst=7010,actions=resubmit(,3)", // 7004, and the lookup has translated it
	"table=3,priority=20,udp,nw_src=10.0.0.1,tp_dst=7004,ct_state=-trk,actions=NORMAL",
	"table=3,priority=10,udp,nw_src=10.0.0.1,ct_state=-trk,ct_mark=0,actions=NORMAL",
	"table=3,priority=10,udp,nw_src=10.0.0.1,ct_state=+trk,actions=NORMAL",
	"table=3,priority=10,udp,nw_src=10.0.0.240,ct_state=-trk,ct_mark=0,actions=NORMAL",
	"table=3,priority=10,udp,nw_src=10.0.0.241,ct_state=-trk,actions=NORMAL",
	"table=3,priority=20,udp,nw_src=10.0.0.240,ct_state=+trk,ct_zone=5,ct_mark=7,actions=NORMAL",
	"table=3,priority=10,udp,nw_src=10.0.0.240,ct_state=+trk,ct_zone=6,actions=NORMAL",
	"table=3,priority=9,udp,nw_src=10.0.0.240,ct_state=+trk,actions=NORMAL",
	"table=3,priority=1,actions=drop",
	"table=5,ct_state=+est+rpl,udp,actions=NORMAL",
	"table=4,udp,actions=ct(commit,zone=5,nat(src=10.0.0.240))",
	"table=5,priority=1,udp,actions=drop",
}

// passGroups are the groups of these.
var passGroups = []string{
	"group_id=1,type=all,bucket=actions=resubmit(,4),bucket=actions=resubmit(,3)",
	"group_id=2,type=all,bucket=actions=ct(commit,zone=5,nat(src=10.0.0.240)),bucket=actions=resubmit(,3)",
}

// TestFlowsSeeAPacketAsTheModelOfTheSwitchDoes sends datagrams through flows that translate them, with what follows in the same
// pass and behind a recirculation. They hit the flows that package flowsim says, and the server sees who it says.
func TestFlowsSeeAPacketAsTheModelOfTheSwitchDoes(t *testing.T) {
	n := ovstest.New(t)
	client, server := translatedHosts(t, n)
	m := modelled{t: t, n: n, heard: map[uint16]net.PacketConn{}}
	m.install()
	for port := uint16(7000); port <= 7010; port++ {
		c, err := server.ListenPacket("udp4", fmt.Sprintf("10.0.0.2:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		m.heard[port] = c
	}
	for port := uint16(7000); port <= 7009; port++ {
		c, err := client.ListenPacket("udp4", fmt.Sprintf("10.0.0.1:%d", 30000+port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		m.asks(c, port, "the first")
		at, seen := m.asks(c, port, "one that nobody has answered")
		if port == 7002 || port == 7003 || port == 7007 { // the last may have left as something that is not remembered, and answers are nobody's
			continue
		}
		m.answers(c, at, seen)
		m.asks(c, port, "one that is answered")
	}
}

// A modelled bridge is compared with the model of it.
type modelled struct {
	t     *testing.T
	n     *ovstest.Net
	sim   *flowsim.Switch
	ct    flowsim.Tracker
	want  map[string]uint64 // how often each flow is to have been hit
	heard map[uint16]net.PacketConn
}

func (m *modelled) install() {
	m.t.Helper()
	var tables ofproto.Tables
	m.want = map[string]uint64{}
	for _, text := range passes {
		f, err := ofproto.ParseFlow(text)
		if err != nil {
			m.t.Fatalf("%s: %v", text, err)
		}
		tables.Flows = append(tables.Flows, f)
		if f.Table != 0 {
			m.want[keyOf(f)] = 0
		}
	}
	for _, text := range passGroups {
		g, err := ofproto.ParseGroup(text)
		if err != nil {
			m.t.Fatalf("%s: %v", text, err)
		}
		tables.Groups = append(tables.Groups, g)
	}
	c := m.n.Session()
	have, err := c.Tables(m.t.Context())
	if err == nil {
		err = c.Apply(m.t.Context(), ofproto.Diff(tables, have))
	}
	if err != nil {
		m.t.Fatal(err)
	}
	if m.sim = flowsim.New(tables); m.n.Kernel() {
		m.sim = m.sim.OnKernel()
	}
}

func keyOf(f ofproto.Flow) string { return fmt.Sprint(f.Table, " ", f.Priority, " ", f.Match) }

// asks sends a datagram to a port of the server, and returns at which port the server sees it, and from whom.
func (m *modelled) asks(c net.PacketConn, port uint16, what string) (at uint16, from netip.AddrPort) {
	m.t.Helper()
	src := c.LocalAddr().(*net.UDPAddr).AddrPort()
	want := m.sends(flowsim.Tuple{Protocol: 17, Src: src.Addr(), Dst: ovstest.Addr("10.0.0.2"), SrcPort: src.Port(), DstPort: port}, what)
	if _, err := c.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: int(port)}); err != nil {
		m.t.Fatal(err)
	}
	from = m.hears(m.heard[want.DstPort], fmt.Sprintf("%d, %s, at port %d", port, what, want.DstPort))
	if is := netip.AddrPortFrom(want.Src, want.SrcPort); from != is {
		m.t.Errorf("%d, %s: the server sees %v, and the model says %v", port, what, from, is)
	}
	m.compare(fmt.Sprintf("%d, %s", port, what))
	return want.DstPort, from
}

// answers sends one from a port of the server.
func (m *modelled) answers(c net.PacketConn, at uint16, to netip.AddrPort) {
	m.t.Helper()
	want := m.sends(flowsim.Tuple{Protocol: 17, Src: ovstest.Addr("10.0.0.2"), Dst: to.Addr(), SrcPort: at, DstPort: to.Port()}, "an answer")
	if _, err := m.heard[at].WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(to)); err != nil {
		m.t.Fatal(err)
	}
	if from := m.hears(c, fmt.Sprintf("an answer of port %d", at)); from != netip.AddrPortFrom(want.Src, want.SrcPort) {
		m.t.Errorf("an answer of port %d comes from %v, and the model says %v:%d", at, from, want.Src, want.SrcPort)
	}
	m.compare(fmt.Sprintf("an answer of port %d", at))
}

// sends has the model send a datagram, and returns how that leaves.
func (m *modelled) sends(tuple flowsim.Tuple, what string) flowsim.Tuple {
	m.t.Helper()
	p := flowsim.Of(ofproto.IsAddr(ofproto.IPv4Src, tuple.Src), ofproto.IsAddr(ofproto.IPv4Dst, tuple.Dst), ofproto.Is(ofproto.IPProto, 17),
		ofproto.Is(ofproto.UDPSrc, uint64(tuple.SrcPort)), ofproto.Is(ofproto.UDPDst, uint64(tuple.DstPort)))
	trace := m.sim.Send(p, &m.ct)
	if len(trace.Outputs) != 1 || len(trace.Odd) > 0 {
		m.t.Fatalf("%s, %+v: the model has %d of it leave, %v", what, tuple, len(trace.Outputs), trace.Odd)
	}
	for _, s := range trace.Steps {
		if s.Flow != nil && s.Table != 0 {
			m.want[keyOf(*s.Flow)]++
		}
	}
	left, _ := flowsim.TupleOf(trace.Outputs[0].Packet)
	return left
}

// hears returns from whom the next datagram comes.
func (m *modelled) hears(c net.PacketConn, what string) netip.AddrPort {
	m.t.Helper()
	c.SetReadDeadline(time.Now().Add(ovstest.Patience))
	_, from, err := c.ReadFrom(make([]byte, 100))
	if err != nil {
		m.t.Errorf("%s: %v", what, err)
		m.compare(what)
		m.t.FailNow()
	}
	return from.(*net.UDPAddr).AddrPort()
}

// compare waits until each flow has counted what the model says.
func (m *modelled) compare(what string) {
	m.t.Helper()
	ovstest.Eventually(m.t, what+": flows count as the model says", func() error {
		for _, f := range m.n.Flows() {
			if want, known := m.want[keyOf(f.Flow)]; known && f.Packets != want {
				return fmt.Errorf("%v: %d packets, not %d", f.Flow, f.Packets, want)
			}
		}
		return nil
	})
}
