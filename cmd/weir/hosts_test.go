package main

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"

	"weir/api"
	"weir/conntrack"
	"weir/controller"
	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/metrics"
)

// onTwo is a tenant whose network is on a bridge of the same name on each of two hosts.
const onTwo = `
{apiVersion: weir/v1, kind: Bridge, metadata: {name: a/br0}}
---
{apiVersion: weir/v1, kind: Bridge, metadata: {name: b/br0}}
---
{apiVersion: weir/v1, kind: Tenant, metadata: {name: blue}, spec: {zone: 5, limits: {connections: 700}, timeouts: {tcpEstablished: 1234s}}}
---
{apiVersion: weir/v1, kind: Network, metadata: {name: lan, tenant: blue}, spec: {bridges: [a/br0, b/br0], subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.254}]}}
---
{apiVersion: weir/v1, kind: Endpoint, metadata: {name: one, tenant: blue}, spec: {network: lan, bind: {port: one}, mac: "02:00:00:00:00:01", ips: [10.0.0.1]}}
---
{apiVersion: weir/v1, kind: Endpoint, metadata: {name: two, tenant: blue}, spec: {network: lan, bind: {port: two}, mac: "02:00:00:00:00:02", ips: [10.0.0.2]}}
`

// A pair is a daemon with two hosts, a and b. world's box is a's.
func nilStatus() *controller.Status { return nil }

type pair struct {
	*world
	b *sandbox.Sandbox
}

func newPair(t *testing.T, model string) *pair {
	p := &pair{world: &world{t: t, box: openVSwitch(t), dir: t.TempDir()}, b: openVSwitch(t)}
	write(t, p.dir, "m.yaml", model)
	p.args = p.hosts("a="+p.box.RunDir(), "b="+p.b.RunDir())
	return p
}

// hosts are the arguments that say where Open vSwitch is.
func (p *pair) hosts(each ...string) (args []string) {
	for _, h := range each {
		args = append(args, "--host", h)
	}
	return args
}

// done says that bridges, and they alone, are programmed with a revision.
func done(revision uint64, bridges ...string) func(api.Status) bool {
	return func(s api.Status) bool {
		var all []string
		for _, b := range s.Bridges {
			if b.Programmed && b.Revision == revision {
				all = append(all, b.Name)
			}
		}
		return slices.Equal(all, bridges)
	}
}

// connections returns those of all hosts, as HOST/PROTOCOL, with their ids.
func (p *pair) connections() (all []string, refs map[string]string, err error) {
	p.t.Helper()
	out, err := p.weir("connections", "-t", "blue", "-o", "json", "--socket", p.path("weir.sock"))
	var list []api.Connection
	if wrong := json.Unmarshal([]byte(out), &list); wrong != nil {
		p.t.Fatalf("%v, %v: %s", err, wrong, out)
	}
	refs = map[string]string{}
	for _, c := range list {
		name := c.Host + "/" + c.Protocol
		all, refs[name] = append(all, name), c.Ref
	}
	slices.Sort(all)
	return all, refs, err
}

// are wants some connections, and no others.
func (p *pair) are(what string, want ...string) {
	p.t.Helper()
	if all, _, err := p.connections(); err != nil || !slices.Equal(all, want) {
		p.t.Errorf("%s there are %v, %v; want %v", what, all, err, want)
	}
}

// TestOneDaemonServesTwoHosts has two bridges of one name on two hosts, and connections in one zone on each.
func TestOneDaemonServesTwoHosts(t *testing.T) {
	p := newPair(t, onTwo)
	for _, box := range []*sandbox.Sandbox{p.box, p.b} {
		if err := box.AddBridge("br"); err != nil {
			t.Fatal(err)
		}
	}
	vsctl(t, p.b, "add-port", "br0", "two", "--", "set", "interface", "two", "ofport_request=2")
	vsctl(t, p.box, "add-port", "br0", "one", "--", "set", "interface", "one", "ofport_request=1")
	p.start()
	s := p.status("programmed", done(1, "a/br0", "b/br0"))
	if len(s.Hosts) != 2 || s.Hosts[0].Name != "a" || !s.Hosts[1].Database.Connected || s.Hosts[1].Database.OVSVersion == "" {
		t.Errorf("%+v", s.Hosts)
	}
	udp := sandboxtest.Packet{Protocol: 17, Rest: "udp(src=1000,dst=80)"}
	sandboxtest.Track(t, p.box, udp, sandboxtest.Packet{Protocol: 6, Rest: "tcp(src=1000,dst=80),tcp_flags(syn)"})
	sandboxtest.Track(t, p.b, udp)
	p.are("at first", "a/tcp", "a/udp", "b/udp")
	p.keepsEach()
	p.shows()

	// What is forgotten on one host stays on the other, though all else of it is the same.
	if _, refs, _ := p.connections(); refs["a/udp"] == refs["b/udp"] {
		t.Error("two connections have one id")
	}
	if out, err := p.weir("connections", "kill", "-t", "blue", "on=b", "--socket", p.path("weir.sock")); err != nil {
		t.Fatal(err, out)
	}
	p.are("when b's was killed", "a/tcp", "a/udp")
	p.loses()

	p.stop()
	if out, err := p.weir(append([]string{"detach", "b/br0", "--socket", p.path("weir.sock")}, p.args...)...); err != nil || !strings.Contains(out, "b/br0 is given back") {
		t.Errorf("%v: %s", err, out)
	}
	if left, err := p.b.Ofctl("dump-flows", "br0"); err != nil || strings.Contains(left, "table=60") {
		t.Errorf("%v: %s", err, left)
	}
	if left := p.flows(); !strings.Contains(left, "table=60") {
		t.Error("the bridge of a has lost its flows")
	}
}

// keepsEach wants what a datapath has beside flows on both hosts.
func (p *pair) keepsEach() {
	for _, box := range []*sandbox.Sandbox{p.box, p.b} {
		limits, err := conntrack.NewDatapath(box.RunDir(), "dummy").Limits(p.t.Context())
		if err != nil || len(limits) != 1 || limits[0].Zone != 5 || limits[0].Max != 700 {
			p.t.Errorf("limits %v, %v", limits, err)
		}
		if out := vsctl(p.t, box, "--columns=timeouts", "list", "CT_Timeout_Policy"); !strings.Contains(out, "tcp_established=1234") {
			p.t.Errorf("timeouts: %s", out)
		}
	}
}

// shows wants the host where somebody sees what is of one.
func (p *pair) shows() {
	t := p.t
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"status"}, []string{"2 hosts", "a/br0", "unix:" + p.b.RunDir() + "/db.sock", "connection tracker of b/dummy: "}},
		{[]string{"conntrack"}, []string{"a/dummy", "b/dummy"}},
		{[]string{"conntrack", "limits"}, []string{"a/dummy", "b/dummy"}},
		{[]string{"connections", "-t", "blue"}, []string{"HOST", "10.0.0.2:80"}},
		{[]string{"flows", "b/br0"}, []string{"blue/endpoint/two"}},
		{[]string{"explain", "tcp", "one", "two:80"}, []string{"a/br0"}},
		{[]string{"explain", "tcp", "two", "one:80"}, []string{"b/br0"}},
		{[]string{"top"}, []string{"b/br0"}},
	} {
		p.status(strings.Join(c.args, " "), func(api.Status) bool { // how full trackers are is read every few seconds
			out, err := p.weir(append(c.args, "--socket", p.path("weir.sock"))...)
			if err != nil && !errors.Is(err, errChanges) && c.args[0] != "explain" {
				t.Fatalf("%v: %v: %s", c.args, err, out)
			}
			return !slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(out, w) })
		})
	}
	var all []api.Tracking
	out, err := p.weir("conntrack", "-o", "json", "--socket", p.path("weir.sock"))
	if err = errors.Join(err, json.Unmarshal([]byte(out), &all)); err != nil || len(all) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	for i, n := range []uint64{2, 1} {
		if z := all[i].Zones; len(z) != 1 || z[0].Connections != n || all[i].Host != string(rune('a'+i)) {
			t.Errorf("%+v", all[i])
		}
	}
	s := p.status("", func(api.Status) bool { return true })
	w := httptest.NewRecorder()
	metrics.New(true, func() api.Status { return s }, nilStatus).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`weir_ovsdb_connected{host="a"} 1`, `weir_conntrack_limit{datapath="dummy",host="b"} 3e+06`, `weir_bridge_programmed{bridge="b/br0"} 1`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}

// loses has host b stand still, go, and come back. a goes on, and it is said what is not known of b.
func (p *pair) loses() {
	t := p.t
	if err := syscall.Kill(p.b.VswitchdPID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	all, _, err := p.connections()
	if want := []string{"a/tcp", "a/udp"}; !slices.Equal(all, want) || err == nil || !strings.Contains(err.Error(), "host b: ovs-vswitchd has not answered") {
		t.Errorf("while b stands still there are %v, %v", all, err)
	}
	if err := p.b.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s := p.status("b is away", func(s api.Status) bool { return done(1, "a/br0")(s) && s.Hosts[1].Unanswered != "" })
	if s.Hosts[0].Unanswered != "" {
		t.Errorf("a answers: %+v", s.Hosts[0])
	}
	out, err := p.weir("connections", "kill", "--all", "-t", "blue", "--socket", p.path("weir.sock"))
	if err == nil || !strings.Contains(err.Error(), "2 connections are forgotten") || !strings.Contains(err.Error(), "host b: ") {
		t.Errorf("%v: %s", err, out)
	}
	write(t, p.dir, "m.yaml", strings.Replace(onTwo, "connections: 700", "connections: 800", 1))
	p.status("a goes on", done(2, "a/br0"))
	if err := p.b.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.status("b has caught up", func(s api.Status) bool { return done(2, "a/br0", "b/br0")(s) && s.Hosts[1].Unanswered == "" })
	limits, err := conntrack.NewDatapath(p.b.RunDir(), "dummy").Limits(t.Context())
	if err != nil || len(limits) != 1 || limits[0].Max != 800 {
		t.Errorf("limits of b: %v, %v", limits, err)
	}
	p.are("when b has come back", []string{}...)
}

// TestABridgeOfTwoHostsIsNotGuessed has a name that two hosts have, one that one has, and a host that is not there.
func TestABridgeOfTwoHostsIsNotGuessed(t *testing.T) {
	model := strings.ReplaceAll(strings.ReplaceAll(onTwo, "a/br0", "br0"), "b/br0", "br1")
	p := newPair(t, model+"---\n{apiVersion: weir/v1, kind: Bridge, metadata: {name: d/br0}}\n---\n{apiVersion: weir/v1, kind: Bridge, metadata: {name: c/br0}}\n")
	if err := p.b.AddBridge("br1"); err != nil {
		t.Fatal(err)
	}
	p.args = append(p.args, p.hosts("c="+p.path("nobody"))...)
	p.start() // it waits for c for some seconds, then no longer
	s := p.status("br1 is programmed", done(1, "br1"))
	by := map[string]string{}
	for _, b := range s.Bridges {
		by[b.Name] = b.Error
	}
	if by["br0"] != "hosts a and b have a bridge br0 each: say which is meant, a/br0 or b/br0" || !strings.Contains(by["d/br0"], "there is no --host of that name: there are a, b, c") {
		t.Errorf("%q", by)
	}
	if s.Hosts[2].Database.Away == "" || s.Database.Connected {
		t.Errorf("%+v", s.Hosts[2])
	}
	vsctl(t, p.b, "del-br", "br0")
	p.status("br0 is a's now", done(1, "br0", "br1"))
}

func TestOneHostOrSeveral(t *testing.T) {
	if _, err := (&world{t: t}).weir("serve", "-f", "-", "--host", "a=/x", "--ovs-rundir", "/y"); err == nil || !strings.Contains(err.Error(), "leave --ovsdb and --ovs-rundir out") {
		t.Error(err)
	}
}
