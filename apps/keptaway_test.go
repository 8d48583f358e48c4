package apps

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/explain"
	"weir/internal/flowsim"
)

// TestAPolicyKeepsNoAddress has connections that a policy keeps, and denies by now, leave as what they have left as:
// while something still has that address, and not as their client. The sweep says the same.
func TestAPolicyKeepsNoAddress(t *testing.T) {
	const (
		floating = "FloatingIP address: 203.0.113.20, endpoint: h1"
		all      = "SNAT addresses: [203.0.113.10]"
		exempt   = all + ", exempt: {cidrs: [198.51.100.0/24]}"
		in       = "LoadBalancer address: 10.1.0.64, ports: [{port: 80, protocol: tcp}], backends: [{address: 198.51.100.7}]"
		out      = "LoadBalancer address: 203.0.113.64, ports: [{port: 80, protocol: tcp}], backends: [{address: 198.51.100.7}]"
	)
	for _, c := range []struct {
		name, asks    string
		before, after []string
		as            string // by now; empty: it ends
	}{
		{"by a floating IP", "198.51.100.7", []string{floating, all}, []string{floating, all}, "203.0.113.20"},
		{"by a floating IP that is gone", "198.51.100.7", []string{floating, all}, []string{all}, ""},
		{"by an SNAT", "198.51.100.7", []string{all}, []string{floating, all}, "203.0.113.10"},
		{"by an SNAT that is gone", "198.51.100.7", []string{all}, []string{floating}, ""},
		{"exempt", "198.51.100.7", []string{exempt}, []string{exempt, floating}, "10.1.0.11"},
		{"exempt no more", "198.51.100.7", []string{exempt}, []string{all}, ""},
		{"by a load balancer inside", "10.1.0.64", []string{in, all}, []string{in, all, floating}, "203.0.113.10"},
		{"by a load balancer inside, exempt", "10.1.0.64", []string{in, exempt}, []string{in, exempt, floating}, "10.1.0.11"},
		{"by a load balancer inside, exempt no more", "10.1.0.64", []string{in, exempt}, []string{in, all}, ""},
		{"by a load balancer outside", "203.0.113.64", []string{out, all}, []string{out, floating}, "203.0.113.64"},
		{"by a load balancer outside that is gone", "203.0.113.64", []string{out, all}, []string{all}, ""},
	} {
		model := func(action string, objects []string) []string {
			all := []string{crossingTenant("blue", "", 1), crossingObject("blue", "Policy", "kept", "onRevoke: keep, rules: [{name: away, direction: egress, action: "+action+", protocol: tcp}]")}
			for i, o := range objects {
				kind, spec, _ := strings.Cut(o, " ")
				all = append(all, crossingObject("blue", kind, string(rune('a'+i)), spec))
			}
			return all
		}
		p := passageOf(t, model("allow", c.before)...)
		ask := func() *flowsim.Trace { return p.says("blue-h1", "10.1.0.11", c.asks, 40000) }
		left := ask()
		p.hears(t, left)
		p.changed(t, crossedBridge, model("deny", c.after)...)
		if got := p.sweeps(t, left); slices.Contains(got, pipeline.Unmapped) != (c.as == "") {
			t.Errorf("%s: the sweep says %v", c.name, got)
		}
		for i := range 3 {
			again := ask()
			if c.as == "" {
				if len(delivered(again)) > 0 {
					t.Errorf("%s: packet %d leaves as %v\n%s", c.name, i, again.Outputs[0].Packet.Src(), stepsOf(again))
				}
				continue
			}
			back := p.hears(t, again)
			if as := again.Outputs[0].Packet.Src(); as != netip.MustParseAddr(c.as) || !p.comesBy(back, "blue-h1") {
				t.Errorf("%s: packet %d leaves as %v, and is answered by %v\n%s", c.name, i, as, delivered(back), stepsOf(again))
			}
			for _, made := range again.Commits {
				out, _ := pipeline.RulesOf(made.Label, made.Mark)
				if id, _ := p.in.Numbers.Origin(out); out != 0 && id != "blue/policy/kept/away" {
					t.Errorf("%s: let out by %s", c.name, id)
				}
			}
		}
	}
}

// sweeps says what a sweep makes of the connections that a packet has had remembered.
func (p *passage) sweeps(t *testing.T, trace *flowsim.Trace) (all []pipeline.Ruling) {
	t.Helper()
	program, err := Compile(p.in)
	if err != nil {
		t.Fatal(err)
	}
	judge := explain.NewJudge(program, p.in, p.in.Model.Tenants()[0])
	for _, c := range trace.Commits {
		conn := pipeline.Connection{Protocol: c.Orig.Protocol, Orig: ctTuple(c.Orig), Reply: ctTuple(c.Reply), Zone: c.Zone, Mark: c.Mark}
		conn.RuleOut, conn.RuleIn = pipeline.RulesOf(c.Label, c.Mark)
		conn.Object, conn.AsItself = pipeline.ObjectOf(c.Label, c.Mark), pipeline.AsItselfOf(c.Label, c.Mark)
		all = append(all, judge.Rule(conn))
	}
	return all
}
