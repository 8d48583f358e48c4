package flowsim

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"weir/ofproto"
)

// bridge is a switch with flows and groups as ovs-ofctl writes them.
func bridge(t testing.TB, lines ...string) *Switch {
	t.Helper()
	var tables ofproto.Tables
	for _, l := range lines {
		if strings.HasPrefix(l, "group_id") {
			g, err := ofproto.ParseGroup(l)
			if err != nil {
				t.Fatalf("%s: %v", l, err)
			}
			tables.Groups = append(tables.Groups, g)
			continue
		}
		f, err := ofproto.ParseFlow(l)
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		tables.Flows = append(tables.Flows, f)
	}
	return New(tables)
}

// syn is a TCP packet from 10.0.0.1:1000 at port 1.
func syn(dst string, port uint64) Packet {
	return Of(ofproto.Is(ofproto.InPort, 1), ofproto.IsAddr(ofproto.IPv4Src, netip.MustParseAddr("10.0.0.1")), ofproto.IsAddr(ofproto.IPv4Dst, netip.MustParseAddr(dst)),
		ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.TCPSrc, 1000), ofproto.Is(ofproto.TCPDst, port))
}

// said is what a trace shows, in one line.
func said(t *Trace) string {
	var s []string
	for _, o := range t.Outputs {
		s = append(s, fmt.Sprint("port ", o.Port))
	}
	for _, c := range t.Commits {
		s = append(s, fmt.Sprintf("commit zone %d mark %#x", c.Zone, c.Mark))
	}
	return strings.Join(append(s, t.Odd...), ", ")
}

func TestWhatFlowsDo(t *testing.T) {
	for name, c := range map[string]struct {
		flows []string
		want  string
	}{
		"the highest priority counts":                       {[]string{"priority=1,actions=2", "priority=2,tcp,actions=3"}, "port 3"},
		"without a flow the packet ends":                    {[]string{"udp,actions=2"}, ""},
		"a packet does not go back where it came from":      {[]string{"actions=1,2"}, "port 2"},
		"unless it is told so":                              {[]string{"actions=in_port"}, "port 1"},
		"registers go with it from table to table":          {[]string{"actions=load:5->NXM_NX_REG0[0..3],goto_table:1", "table=1,reg0=5,actions=3"}, "port 3"},
		"a part of a long register is a part of a short":    {[]string{"actions=set_field:0x500000006->xreg1,goto_table:1", "table=1,reg2=5,reg3=6,actions=3"}, "port 3"},
		"what a resubmit writes stays":                      {[]string{"actions=resubmit(,2),resubmit(,3)", "table=2,actions=set_field:7->reg1", "table=3,reg1=7,actions=4"}, "port 4"},
		"what a clone writes does not":                      {[]string{"actions=clone(set_field:7->reg1,output:2),resubmit(,3)", "table=3,reg1=7,actions=4"}, "port 2"},
		"each bucket has a packet of its own":               {[]string{"actions=group:9", "group_id=9,type=all,bucket=actions=set_field:7->reg1,resubmit(,3),bucket=actions=resubmit(,3)", "table=3,reg1=7,actions=4", "table=3,reg1=0,actions=5"}, "port 4, port 5"},
		"in a bucket only one action sends the packet on":   {[]string{"actions=group:9", "group_id=9,type=all,bucket=actions=output:3,resubmit(,4),set_field:7->reg1", "table=4,actions=5"}, "port 3"},
		"a bucket without weight takes nothing":             {[]string{"actions=group:9", "group_id=9,type=select,bucket=weight:0,actions=2,bucket=weight:1,actions=3"}, "port 3"},
		"a TTL counts down":                                 {[]string{"tcp,nw_ttl=64,actions=dec_ttl,goto_table:1", "table=1,tcp,nw_ttl=63,actions=3"}, "port 3"},
		"a TTL that ends goes to the controller":            {[]string{"tcp,actions=mod_nw_ttl:1,dec_ttl,output:3"}, fmt.Sprint("port ", ofproto.PortController)},
		"a stack returns the last first":                    {[]string{"actions=set_field:1->reg0,set_field:2->reg1,push:NXM_NX_REG0[],push:NXM_NX_REG1[],pop:NXM_NX_REG0[],pop:NXM_NX_REG1[],goto_table:1", "table=1,reg0=2,reg1=1,actions=3"}, "port 3"},
		"all clauses of a conjunction have to be met":       {[]string{"priority=5,tcp,tp_dst=80,actions=conjunction(7,1/2)", "priority=5,ip,nw_src=10.0.0.1,actions=conjunction(7,2/2)", "priority=5,conj_id=7,ip,actions=3", "priority=1,actions=2"}, "port 3"},
		"one clause alone is nothing":                       {[]string{"priority=5,tcp,tp_dst=80,actions=conjunction(7,1/2)", "priority=5,ip,nw_src=10.0.0.2,actions=conjunction(7,2/2)", "priority=5,conj_id=7,ip,actions=3", "priority=1,actions=2"}, "port 2"},
		"a conjunction below another match does not count":  {[]string{"priority=5,tcp,tp_dst=80,actions=conjunction(7,1/2)", "priority=5,ip,nw_src=10.0.0.1,actions=conjunction(7,2/2)", "priority=5,conj_id=7,ip,actions=3", "priority=6,tcp,actions=2"}, "port 2"},
		"one that is not met gives way to a lower one":      {[]string{"priority=5,tcp,tp_dst=80,actions=conjunction(7,1/3)", "priority=4,tcp,tp_dst=80,actions=conjunction(8,1/2)", "priority=4,ip,nw_src=10.0.0.1,actions=conjunction(8,2/2)", "conj_id=8,ip,actions=3"}, "port 3"},
		"a flow cannot be two clauses of one conjunction":   {[]string{"priority=5,tcp,tp_dst=80,actions=conjunction(7,1/3),conjunction(7,2/3)", "priority=5,ip,nw_src=10.0.0.1,actions=conjunction(7,3/3)", "priority=5,conj_id=7,ip,actions=3", "priority=1,actions=2"}, "port 2"},
		"the tracker is asked, and the packet comes again":  {[]string{"ct_state=-trk,tcp,actions=ct(table=1,zone=5)", "table=1,ct_state=+new+trk,ct_zone=5,tcp,actions=ct(commit,zone=5,exec(set_field:7->ct_mark)),output:3"}, "port 3, commit zone 5 mark 0x7"},
		"what the tracker said can be forgotten":            {[]string{"ct_state=-trk,tcp,actions=ct(table=1,zone=5)", "table=1,tcp,actions=ct_clear,goto_table:2", "table=2,ct_state=-trk,actions=3"}, "port 3"},
		"a NAT shows in what is put out":                    {[]string{"tcp,actions=ct(commit,table=1,nat(dst=10.0.0.9:90))", "table=1,tcp,nw_dst=10.0.0.9,tp_dst=90,actions=3"}, "port 3, commit zone 0 mark 0x0"},
		"but not to the flows of its pass":                  {[]string{"tcp,actions=ct(commit,nat(dst=10.0.0.9:90)),goto_table:1", "table=1,tcp,nw_dst=10.0.0.2,tp_dst=80,actions=3"}, "port 3, commit zone 0 mark 0x0"},
		"nor does what the tracker has remembered":          {[]string{"tcp,actions=ct(commit,exec(set_field:7->ct_mark)),goto_table:1", "table=1,ct_state=-trk,ct_mark=0,tcp,actions=3"}, "port 3, commit zone 0 mark 0x7"},
		"nor what it has said before that":                  {[]string{"ct_state=-trk,tcp,actions=ct(table=1)", "table=1,tcp,actions=ct(commit),goto_table:2", "table=2,ct_state=-trk,actions=3"}, "port 3, commit zone 0 mark 0x0"},
		"two flows of one priority are a matter of chance":  {[]string{"tcp,actions=2", "ip,nw_src=10.0.0.1,actions=2"}, "port 2"},
		"a group that is not there is said":                 {[]string{"actions=group:9"}, "there is no group 9"},
		"what is not modelled is said":                      {[]string{"actions=learn(table=1),output:3"}, "port 3, learn(table=1) is not modelled"},
		"a loop ends":                                       {[]string{"ip,actions=ct(table=0)"}, "the packet is recirculated more than 5 times"},
		"a packet can be turned into an answer":             {[]string{"tcp,actions=move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[],goto_table:1", "table=1,ip,nw_dst=10.0.0.1,actions=in_port"}, "port 1"},
		"metadata is written under a mask":                  {[]string{"actions=write_metadata:0x12/0xff,goto_table:1", "table=1,metadata=0x12,actions=3"}, "port 3"},
		"a port may stand in a register":                    {[]string{"actions=set_field:4->reg0,output:NXM_NX_REG0[]"}, "port 4"},
		"a flow that is added again replaces the first one": {[]string{"tcp,actions=2", "tcp,actions=3"}, "port 3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := said(bridge(t, c.flows...).Send(syn("10.0.0.2", 80), nil)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTwoFlowsOfOnePriorityThatDifferAreOdd(t *testing.T) {
	trace := bridge(t, "tcp,actions=2", "ip,nw_src=10.0.0.1,actions=3").Send(syn("10.0.0.2", 80), nil)
	if len(trace.Odd) != 1 || !strings.Contains(trace.Odd[0], "two flows of one priority do different things") {
		t.Errorf("%q", trace.Odd)
	}
}

// stateful is a bridge that shows what the tracker says by the port that it chooses.
func stateful(t *testing.T) *Switch {
	return bridge(t,
		"ip,actions=ct(table=1,zone=5,nat)",
		"table=1,ct_state=+new+trk,ct_mark=0,ip,actions=ct(commit,zone=5,exec(set_field:1->ct_mark)),2",
		"table=1,ct_state=+new+trk,ct_mark=1,ip,actions=3",
		"table=1,ct_state=+est-rpl+trk,ip,actions=4",
		"table=1,ct_state=+est+rpl+trk,ip,actions=5",
		"table=1,ct_state=+rel+trk,ip,actions=6",
		"table=1,ct_state=+inv+trk,ip,actions=7")
}

func TestTheTrackerRemembers(t *testing.T) {
	s, p := stateful(t), syn("10.0.0.2", 80)
	tuple, _ := TupleOf(&p)
	answer := p
	tuple.Reversed().Stamp(&answer)
	answer.SetUint(ofproto.InPort, 9)
	broken := p
	broken.Invalid = true
	about := Of(ofproto.Is(ofproto.InPort, 9), ofproto.IsAddr(ofproto.IPv4Src, netip.MustParseAddr("10.0.0.2")), ofproto.IsAddr(ofproto.IPv4Dst, netip.MustParseAddr("10.0.0.1")),
		ofproto.Is(ofproto.ICMPv4Type, 3), ofproto.Is(ofproto.ICMPv4Code, 1))
	about.Inner = &tuple

	var ct Tracker
	for i, c := range []struct {
		what   string
		packet Packet
		want   string
	}{
		{"an error about nothing is invalid", about, "port 7"},
		{"the first packet is new, and remembered", p, "port 2, commit zone 5 mark 0x1"},
		{"while nobody answers it stays new", p, "port 3"},
		{"an answer is a reply", answer, "port 5"},
		{"from then on it is established", p, "port 4"},
		{"an error about it is related", about, "port 6"},
		{"a broken packet is invalid", broken, "port 7"},
	} {
		if got := said(s.Send(c.packet, &ct)); got != c.want {
			t.Errorf("%d: %s: got %q, want %q", i, c.what, got, c.want)
		}
	}
	if c, ok := ct.Find(5, tuple.Reversed()); !ok || c.Orig != tuple || !c.Replied {
		t.Errorf("%+v, %t", c, ok)
	}
}

func TestAnswersAreTranslatedBack(t *testing.T) {
	s := bridge(t, "in_port=1,tcp,actions=ct(commit,nat(src=192.0.2.1:5000)),2", "in_port=2,tcp,actions=ct(table=1,nat)", "table=1,actions=1")
	var ct Tracker
	out := s.Send(syn("10.0.0.2", 80), &ct).Outputs[0].Packet
	tuple, _ := TupleOf(out)
	if tuple.Src != netip.MustParseAddr("192.0.2.1") || tuple.SrcPort != 5000 {
		t.Errorf("sent as %+v", tuple)
	}
	answer := *out
	tuple.Reversed().Stamp(&answer)
	answer.SetUint(ofproto.InPort, 2)
	back, _ := TupleOf(s.Send(answer, &ct).Outputs[0].Packet)
	if p := syn("10.0.0.2", 80); back.Dst != p.Src() || back.DstPort != 1000 {
		t.Errorf("answered as %+v", back)
	}
}

// TestWhatIsWrittenBehindATranslation looks at how packets leave that a flow writes to once they are translated.
func TestWhatIsWrittenBehindATranslation(t *testing.T) {
	const nat = "ct(commit,nat(src=192.0.2.1:5000))"
	for what, c := range map[string]struct{ actions, want string }{
		"nothing":                           {nat + ",2", "192.0.2.1:5000>10.0.0.2:80"},
		"another value":                     {nat + ",set_field:192.0.2.9->ip_src,2", "192.0.2.9:5000>10.0.0.2:80"},
		"the value that flows see":          {nat + ",set_field:10.0.0.1->ip_src,2", "192.0.2.1:5000>10.0.0.2:80"},
		"another one, and that again":       {nat + ",set_field:192.0.2.9->ip_src,set_field:10.0.0.1->ip_src,2", "192.0.2.1:5000>10.0.0.2:80"},
		"another one, and that once it has": {nat + ",set_field:192.0.2.9->ip_src,3,set_field:10.0.0.1->ip_src,2", "10.0.0.1:5000>10.0.0.2:80"},
		"something else":                    {nat + ",set_field:81->tcp_dst,2", "192.0.2.1:5000>10.0.0.2:81"},
		"something before":                  {"set_field:10.0.0.7->ip_dst," + nat + ",2", "192.0.2.1:5000>10.0.0.7:80"},
		"and translated in another zone":    {nat + ",ct(commit,zone=7,nat(src=198.51.100.1)),2", "198.51.100.1:5000>10.0.0.2:80"},
		"in a copy":                         {"clone(" + nat + "),2", "10.0.0.1:1000>10.0.0.2:80"},
	} {
		trace := bridge(t, "tcp,actions="+c.actions).Send(syn("10.0.0.2", 80), nil)
		is, _ := TupleOf(trace.Outputs[len(trace.Outputs)-1].Packet)
		if got := fmt.Sprintf("%v:%d>%v:%d", is.Src, is.SrcPort, is.Dst, is.DstPort); got != c.want || len(trace.Odd) > 0 {
			t.Errorf("%s: leaves as %s, not as %s %v", what, got, c.want, trace.Odd)
		}
	}
}

// TestTheKernelTranslatesWhatIsNewInACommit looks at what the next flow sees, and what leaves, of a connection that nobody has
// answered and then somebody has.
func TestTheKernelTranslatesWhatIsNewInACommit(t *testing.T) {
	s := bridge(t, "in_port=1,tcp,actions=ct(table=1,nat)", "in_port=2,tcp,actions=ct(table=4,nat)", "table=4,actions=1",
		"table=1,tcp,nw_src=10.0.0.1,tp_dst=80,actions=ct(commit,nat(src=192.0.2.1)),2", "table=1,tcp,nw_src=10.0.0.1,tp_dst=81,actions=ct(commit,nat(dst=192.0.2.7)),2",
		"table=1,tcp,nw_src=192.0.2.1,actions=3")
	for datapath, c := range map[string]struct {
		sim  *Switch
		want [2]uint32 // the port by which the second leaves, and the third, which is answered
	}{"userspace": {s, [2]uint32{3, 3}}, "kernel": {s.OnKernel(), [2]uint32{2, 3}}} {
		var ct Tracker
		send := func() Output { return c.sim.Send(syn("10.0.0.2", 80), &ct).Outputs[0] }
		answer := *send().Packet
		is, _ := TupleOf(&answer)
		for i, want := range c.want {
			o := send()
			if o.Port != want || o.Packet.Src().String() != "192.0.2.1" {
				t.Errorf("%s: packet %d leaves by %d as %v, not by %d as 192.0.2.1", datapath, i+1, o.Port, o.Packet.Src(), want)
			}
			is.Reversed().Stamp(&answer)
			answer.SetUint(ofproto.InPort, 2)
			if back := c.sim.Send(answer, &ct).Outputs; i == 0 && (len(back) != 1 || back[0].Packet.Dst().String() != "10.0.0.1") {
				t.Errorf("%s: answered by %v", datapath, back)
			}
		}
	}
	var ct Tracker
	kernel := s.OnKernel()
	p := syn("10.0.0.2", 80)
	tuple, _ := TupleOf(&p)
	reply := tuple.Reversed()
	reply.Dst = netip.MustParseAddr("192.0.2.1")
	other := tuple
	other.DstPort = 81
	ct.Put(Connection{Orig: other, Reply: Tuple{6, other.Dst, reply.Dst, 81, 1000}})
	if o := kernel.Send(syn("10.0.0.2", 81), &ct).Outputs[0]; o.Packet.Src().String() != "10.0.0.1" {
		t.Errorf("a commit that names the other end translates to %v", o.Packet.Src())
	}
}

// TestTheKernelHandsOnWholeDatagrams sends a later fragment through both datapaths.
func TestTheKernelHandsOnWholeDatagrams(t *testing.T) {
	s := bridge(t, "udp,actions=ct(table=1)", "table=1,udp,ip_frag=later,actions=2", "table=1,udp,ip_frag=no,tp_dst=80,actions=3")
	p := Of(ofproto.Is(ofproto.InPort, 1), ofproto.IsAddr(ofproto.IPv4Src, netip.MustParseAddr("10.0.0.1")), ofproto.IsAddr(ofproto.IPv4Dst, netip.MustParseAddr("10.0.0.2")),
		ofproto.Is(ofproto.IPProto, 17), ofproto.Is(ofproto.IPFrag, 3))
	p.Datagram = &Tuple{17, p.Src(), p.Dst(), 1000, 80}
	for sim, want := range map[*Switch]string{s: "port 2", s.OnKernel(): "port 3"} {
		if got := said(sim.Send(p, nil)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func ExampleSwitch_Send() {
	f, _ := ofproto.ParseFlow("table=0,priority=5,tcp,tp_dst=80,actions=set_field:7->reg1,output:2")
	s := New(ofproto.Tables{Flows: []ofproto.Flow{f}})
	t := s.Send(syn("10.0.0.2", 80), nil)
	fmt.Println(t.Steps[0].Flow)
	fmt.Println(t.Outputs[0].Port, t.Outputs[0].Packet)
	// Output:
	// priority=5,tcp,tp_dst=80 actions=set_field:0x7->reg1,output:2
	// 2 tcp,reg1=0x7,in_port=1,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tcp_src=1000,tcp_dst=80
}

// BenchmarkSend sends packets through 20,000 flows with the masks of a firewall.
func BenchmarkSend(b *testing.B) {
	lines := []string{"actions=load:1->NXM_NX_REG3[],goto_table:60"}
	for i := range 20000 {
		bits := i % 17
		lines = append(lines, fmt.Sprintf("table=60,priority=%d,tcp,reg3=%d,nw_src=10.0.0.0/%d,tp_dst=%d/%#x,actions=2",
			30000-i%500, i/16+2, 8+i%9, (i*7)&(0xffff<<bits)&0xffff, (0xffff<<bits)&0xffff))
	}
	lines = append(lines, "table=60,priority=1,actions=3")
	s := bridge(b, lines...)
	p := syn("10.0.0.2", 80)
	for b.Loop() {
		if t := s.Send(p, nil); t.Outputs[0].Port != 3 {
			b.Fatal(said(t))
		}
	}
}

func TestWhatASwitchMayChooseIsSaid(t *testing.T) {
	s := bridge(t, "tcp,actions=group:1", "udp,actions=multipath(nw_src,0,modulo_n,3,0,reg9[0..7]),resubmit(,1)",
		"table=1,reg9=0,actions=2", "table=1,reg9=1,actions=3", "table=1,reg9=2,actions=4",
		"group_id=1,type=select,bucket=weight:1,actions=2,bucket=weight:0,actions=9,bucket=weight:3,actions=3,bucket=weight:1,actions=4")
	udp := syn("10.0.0.2", 80)
	udp.SetUint(ofproto.IPProto, 17)
	for name, p := range map[string]Packet{"buckets that have a weight": syn("10.0.0.2", 80), "links": udp} {
		for i, want := range []string{"port 2", "port 3", "port 4"} {
			asked := 0
			got := said(s.Choosing(func(n int) int { asked = n; return i }).Send(p, nil))
			if got != want || asked != 3 {
				t.Errorf("%s: the choice %d of %d is %s, want %s of 3", name, i, asked, got, want)
			}
		}
		if got := said(s.Send(p, nil)); got != "port 2" {
			t.Errorf("%s: without a choice it is %s, not the first", name, got)
		}
	}
}
