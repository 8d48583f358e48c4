package flowsim

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/drawn"
	"weir/internal/sandbox/sandboxtest"
	"weir/internal/unixctl"
	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// TestRandomTablesDoWhatOpenVSwitchDoes draws small tables, in which flows of several
// priorities and masks, conjunctions, resubmits, clones and groups meet, and compares the
// ports that a packet leaves by, and its registers in the end, with ofproto/trace.
func TestRandomTablesDoWhatOpenVSwitchDoes(t *testing.T) {
	drawn.Cases(t, 300, 3000)
	o := startOracle(t)
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		tables := drawTables(t)
		o.install(t, tables)
		sim := New(tables)
		for range 5 {
			p := syn(rapid.SampledFrom([]string{"10.0.0.2", "10.0.1.2"}).Draw(t, "to"), uint64(rapid.IntRange(80, 83).Draw(t, "port")))
			trace := sim.Send(p, nil)
			if len(trace.Odd) > 0 {
				continue // a matter of chance
			}
			got := fmt.Sprint(portsOf(trace), regsOf(&trace.End))
			if want, words := o.trace(t, p); got != want {
				t.Fatalf("%v\n%v\n%s\nflowsim %s, Open vSwitch %s\n%s", text(tables), tables.Groups, p.String(), got, want, words)
			}
			compared++
		}
	})
	t.Logf("%d packets", compared)
}

func text(t ofproto.Tables) string {
	var s strings.Builder
	for _, f := range t.Flows {
		fmt.Fprintln(&s, f)
	}
	return s.String()
}

func portsOf(t *Trace) (ports []uint64) {
	for _, o := range t.Outputs {
		if o.Port != ofproto.PortController { // a TTL that has ended
			ports = append(ports, uint64(o.Port))
		}
	}
	return ports
}

func regsOf(p *Packet) (regs [4]uint64) {
	for i := range regs {
		regs[i] = p.Uint(ofproto.Reg0 + ofproto.Field(i))
	}
	return regs
}

// drawTables draws flows of tables 0 to 4, and two groups.
func drawTables(t *rapid.T) (tables ofproto.Tables) {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	taken := map[ofproto.FlowKey]bool{}
	for range rapid.IntRange(3, 24).Draw(t, "flows") {
		table := rapid.IntRange(0, 4).Draw(t, "table")
		line := fmt.Sprintf("table=%d,priority=%d,tcp", table, rapid.IntRange(1, 4).Draw(t, "priority"))
		for _, m := range rapid.SliceOfNDistinct(rapid.SampledFrom(matches), 0, 2, func(s string) string { f, _, _ := strings.Cut(s, "="); return f }).Draw(t, "matches") {
			line += "," + m
		}
		f, err := ofproto.ParseFlow(line + ",actions=" + drawActions(one, table))
		if err != nil {
			t.Fatal(err)
		}
		if !taken[f.Key()] {
			taken[f.Key()] = true
			tables.Flows = append(tables.Flows, f)
		}
	}
	for id := 1; id <= 2; id++ {
		g, err := ofproto.ParseGroup(fmt.Sprintf("group_id=%d,type=all,bucket=actions=%s,bucket=actions=%s", id, one("bucket", inBuckets...), one("bucket", inBuckets...)))
		if err != nil {
			t.Fatal(err)
		}
		tables.Groups = append(tables.Groups, g)
	}
	return tables
}

// What tables are made of.
var (
	matches = []string{"reg0=0", "reg0=1", "reg0=2/2", "reg1=0", "reg1=1/1", "reg2=0", "tp_dst=80", "tp_dst=80/0xfffe", "tp_dst=81", "nw_dst=10.0.0.0/24", "nw_dst=10.0.0.2", "nw_dst=10.0.0.0/23", "conj_id=7", "conj_id=8", "conj_id=9", "nw_ttl=64"}
	writes  = []string{"set_field:1->reg0", "set_field:2->reg0", "load:3->NXM_NX_REG1[4..7]", "load:1->NXM_NX_REG1[0]", "move:NXM_NX_REG0[0..3]->NXM_NX_REG2[8..11]",
		"move:NXM_OF_TCP_DST[]->NXM_NX_REG3[0..15]", "set_field:0x100000002->xreg0", "dec_ttl", "set_field:81->tcp_dst", "output:2", "output:3", "output:1", "in_port",
		"resubmit(,1)", "resubmit(,3)", "resubmit(,4)", "resubmit(3,2)", "group:1", "group:2", "clone(set_field:2->reg0,resubmit(,4),output:2)", "push:NXM_NX_REG0[],set_field:9->reg0,pop:NXM_NX_REG0[]"}
	inBuckets = []string{"set_field:2->reg0,output:2", "output:3,resubmit(,4)", "resubmit(,3)", "in_port"}
)

func drawActions(one func(string, ...string) string, table int) string {
	switch one("kind", "plain", "plain", "plain", "conjunction", "drop") {
	case "conjunction":
		return one("clause", "conjunction(7,1/2)", "conjunction(7,2/2)", "conjunction(8,1/2),conjunction(7,1/2)", "conjunction(8,2/2)", "conjunction(9,1/3),conjunction(9,2/3)", "conjunction(9,3/3)")
	case "drop":
		return "drop"
	}
	actions := one("action", writes...) + "," + one("action", writes...)
	if table < 4 {
		actions += one("goto", "", ",goto_table:4", fmt.Sprint(",goto_table:", table+1))
	}
	return actions
}

// An oracle is a real Open vSwitch.
type oracle struct {
	conn *ofconn.Conn
	ctl  *unixctl.Conn
}

func startOracle(t *testing.T) *oracle {
	box := sandboxtest.Rootless(t, "br")
	for i := 1; i <= 3; i++ {
		p := fmt.Sprint("p", i)
		if _, err := box.Vsctl("add-port", "br", p, "--", "set", "interface", p, "type=dummy", fmt.Sprint("ofport_request=", i)); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := ofconn.Dial(t.Context(), "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), ofconn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctl, err := unixctl.DialDaemon(t.Context(), box.RunDir(), "ovs-vswitchd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctl.Close() })
	return &oracle{conn, ctl}
}

func (o *oracle) install(t *rapid.T, tables ofproto.Tables) {
	have, err := o.conn.Tables(t.Context())
	if err == nil {
		err = o.conn.Apply(t.Context(), ofproto.Diff(tables, have))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text(tables))
	}
}

var (
	actionsOf = regexp.MustCompile(`(?m)^Datapath actions: (.*)$`)
	finalOf   = regexp.MustCompile(`(?m)^Final flow: (.*)$`)
	portIn    = regexp.MustCompile(`\bp(\d)\b`)
	regIn     = regexp.MustCompile(`\breg(\d)=(0x[0-9a-f]+|0)`)
)

// trace returns the ports and registers as fmt prints them.
func (o *oracle) trace(t *rapid.T, p Packet) (string, string) {
	out, err := o.ctl.Call(t.Context(), "ofproto/trace", "br", p.String(), "--names")
	if err != nil {
		t.Fatalf("%s: %v", p.String(), err)
	}
	var ports []uint64
	var regs [4]uint64
	if m := actionsOf.FindStringSubmatch(out); m != nil {
		for _, p := range portIn.FindAllStringSubmatch(m[1], -1) {
			n, _ := strconv.ParseUint(p[1], 10, 64)
			ports = append(ports, n)
		}
	}
	if m := finalOf.FindStringSubmatch(out); m != nil {
		for _, r := range regIn.FindAllStringSubmatch(m[1], -1) {
			n, _ := strconv.ParseUint(r[2], 0, 64)
			regs[r[1][0]-'0'] = n
		}
	}
	return fmt.Sprint(ports, regs), out
}
