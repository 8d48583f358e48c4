package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/api"
	"weir/internal/sandbox"
)

const twoHosts = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: blue}
---
apiVersion: weir/v1
kind: Network
metadata: {name: front, tenant: blue}
spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web-1, tenant: blue, labels: {tier: web}}
spec: {network: front, bind: {port: p1}, mac: "02:00:00:00:00:11", ips: [10.1.0.11]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: app-1, tenant: blue, labels: {tier: app}}
spec: {network: front, bind: {ifaceID: app-1}, mac: "02:00:00:00:00:12", ips: [10.1.0.12]}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: web, tenant: blue}
spec:
  appliesTo: {labels: {tier: web}}
  rules:
  - {name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}
`

// write writes a file of a folder, wholly or not at all: a daemon reads it whenever it is there.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// openVSwitch starts a private Open vSwitch with a bridge br0 that needs no root.
func openVSwitch(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.Start(t.Context(), sandbox.Config{Dummy: true})
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("SKIPPED: no Open vSwitch: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := box.AddBridge("br0"); err != nil {
		t.Fatal(err)
	}
	return box
}

func vsctl(t *testing.T, box *sandbox.Sandbox, args ...string) string {
	t.Helper()
	out, err := box.Vsctl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// A world is a daemon with its files, beside an Open vSwitch.
type world struct {
	t      *testing.T
	box    *sandbox.Sandbox
	dir    string
	more   []string // arguments of weir serve
	args   []string // those that say where Open vSwitch is; nil: in box
	cancel context.CancelFunc
	ended  chan error
	log    *bytes.Buffer // read it only when the daemon has ended
}

func newWorld(t *testing.T, model string) *world {
	w := &world{t: t, box: openVSwitch(t), dir: t.TempDir()}
	write(t, w.dir, "m.yaml", model)
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) serveArgs(state, socket string) []string {
	where := w.args
	if where == nil {
		where = []string{"--ovsdb", w.box.DB(), "--ovs-rundir", w.box.RunDir()}
	}
	return slices.Concat([]string{"serve", "-f", w.path("m.yaml")}, where, []string{
		"--state-dir", w.path(state), "--socket", w.path(socket), "--log-format", "json"}, w.more)
}

// start runs the daemon until stop.
func (w *world) start() {
	w.t.Helper()
	umask := syscall.Umask(0o077)
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.ended, w.log = cancel, make(chan error, 1), &bytes.Buffer{}
	cmd := rootCommand()
	cmd.SetArgs(w.serveArgs("state", "weir.sock"))
	cmd.SetErr(w.log)
	go func() { w.ended <- cmd.ExecuteContext(ctx) }()
	w.t.Cleanup(func() {
		syscall.Umask(umask)
		w.stop()
		if w.t.Failed() {
			w.t.Logf("the daemon's log:\n%s", w.log)
		}
	})
}

// stop ends the daemon as SIGTERM does. It may be called again.
func (w *world) stop() {
	w.t.Helper()
	if w.ended == nil {
		return
	}
	w.cancel()
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Errorf("the daemon ended with: %v", err)
		}
	case <-time.After(patience):
		w.t.Error("the daemon does not end")
	}
	w.ended = nil
}

// weir runs a verb against the daemon.
func (w *world) weir(args ...string) (out string, err error) {
	w.t.Helper()
	var b bytes.Buffer
	cmd := rootCommand()
	cmd.SetOut(&b)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(w.t.Context())
	return b.String(), err
}

// patience is how long a condition is waited for: long, for a machine may have much else to do.
const patience = 30 * time.Second

// status waits until the daemon's status is as wanted.
func (w *world) status(what string, wanted func(api.Status) bool) api.Status {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var s api.Status
		out, err := w.weir("status", "-o", "json", "--socket", w.path("weir.sock"))
		if err == nil {
			err = json.Unmarshal([]byte(out), &s)
		}
		if err == nil && wanted(s) {
			return s
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not within 10 s: %s: %v\n%s", what, err, out)
		}
		<-tick.C
	}
}

func programmed(revision uint64) func(api.Status) bool {
	return func(s api.Status) bool {
		return s.Model.Revision == revision && len(s.Bridges) == 1 && s.Bridges[0].Programmed
	}
}

// flows returns the bridge's flows without counters.
func (w *world) flows() string {
	w.t.Helper()
	out, err := w.box.Ofctl("-O", "OpenFlow13", "--no-stats", "dump-flows", "br0")
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestTheDaemonKeepsABridge(t *testing.T) {
	w := newWorld(t, twoHosts)
	before := vsctl(t, w.box, "--columns=controller,protocols,fail_mode,external_ids", "list", "bridge", "br0")
	vsctl(t, w.box, "add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=1")
	w.start()
	s := w.status("programmed", programmed(1))

	// One endpoint is there, the other waits for its port.
	if b := s.Bridges[0]; len(b.Pending) != 1 || b.Pending[0].ID != "blue/endpoint/app-1" || b.Flows == 0 || b.FlowModsSent == 0 {
		t.Errorf("app-1 waits for its port: %+v", b)
	}
	if strings.Contains(w.flows(), "in_port=2") || !strings.Contains(w.flows(), "in_port=1") && !strings.Contains(w.flows(), "in_port=p1") {
		t.Errorf("p1 alone is let in:\n%s", w.flows())
	}
	vsctl(t, w.box, "add-port", "br0", "p2", "--", "set", "interface", "p2", "ofport_request=2", "external_ids:iface-id=app-1")
	w.status("app-1 is there", func(s api.Status) bool { return s.Bridges[0].Programmed && len(s.Bridges[0].Pending) == 0 })

	// The bridge is attached, and remembers the zone.
	if mode := vsctl(t, w.box, "get", "bridge", "br0", "fail_mode"); mode != "secure" {
		t.Errorf("fail_mode is %s", mode)
	}
	zone := s.Tenants[0].Zone
	w.status("the zone is remembered", func(api.Status) bool {
		out, err := w.box.Vsctl("get", "bridge", "br0", "external_ids:weir-zone-blue")
		return err == nil && strings.Trim(out, "\"\n ") == fmt.Sprint(zone)
	})
	for _, socket := range []string{w.path("weir.sock"), filepath.Join(w.box.RunDir(), "br0.controller")} {
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is for its owner only: %v, %v", socket, info, err)
		}
	}

	w.edits()
	w.second()
	installed := w.flows()
	w.stop()
	for _, socket := range []string{w.path("weir.sock"), filepath.Join(w.box.RunDir(), "br0.controller")} {
		if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", socket, err)
		}
	}
	if now := w.flows(); now != installed {
		t.Errorf("stopping the daemon changed the flows:\n%s", now)
	}

	// It comes back, and has nothing to send; the zone is the same.
	w.start()
	s = w.status("programmed again", programmed(1))
	if s.Bridges[0].FlowModsSent != 0 || s.Tenants[0].Zone != zone {
		t.Errorf("a restart changes nothing: %+v, zone %d", s, zone)
	}
	w.givesBack(before)
}

// edits changes the model: to a bad one, which changes nothing, and to a good one.
func (w *world) edits() {
	t := w.t
	write(t, w.dir, "m.yaml", strings.Replace(twoHosts, "kind: Policy", "kind: Polcy", 1))
	s := w.status("the bad model is refused", func(s api.Status) bool { return s.Model.Error != "" })
	if s.Model.Revision != 1 || !s.Bridges[0].Programmed || !strings.Contains(s.Model.Error, "m.yaml:25:") {
		t.Errorf("the model before is in force, and the place is named: %+v", s.Model)
	}
	next := strings.Replace(twoHosts, "ports: [80]", "ports: [80, 443]", 1)
	write(t, w.dir, "next.yaml", next)
	out, err := w.weir("plan", "-f", w.path("next.yaml"), "--socket", w.path("weir.sock"))
	if !errors.Is(err, errChanges) || !strings.Contains(out, "~ Policy blue/policy/web") || !strings.Contains(out, "rules[0].ports: [80] -> [80 443]") || !strings.Contains(out, "br0: +") {
		t.Errorf("the plan shows the change: %v\n%s", err, out)
	}
	if out, err = w.weir("plan", "-f", w.path("next.yaml"), "-o", "wide", "--socket", w.path("weir.sock")); !strings.Contains(out, "tp_dst=443") {
		t.Errorf("the wide plan shows the flows: %v\n%s", err, out)
	}
	if _, err := w.weir("plan", "-f", write(t, w.dir, "bad.yaml", "kind: ["), "--socket", w.path("weir.sock")); err == nil || !strings.Contains(err.Error(), "bad.yaml:1:") {
		t.Errorf("a plan of what is no model: %v", err)
	}
	write(t, w.dir, "m.yaml", next)
	w.status("the good model is programmed", func(s api.Status) bool { return s.Model.Error == "" && programmed(2)(s) })
	if !strings.Contains(w.flows(), "tp_dst=443") {
		t.Errorf("443 is not there:\n%s", w.flows())
	}
	if out, err := w.weir("plan", "-f", w.path("next.yaml"), "--socket", w.path("weir.sock")); err != nil {
		t.Errorf("nothing is left to change: %v\n%s", err, out)
	}
}

// second starts a daemon beside the first, which must not come up.
func (w *world) second() {
	if _, err := w.weir(w.serveArgs("state", "other.sock")...); err == nil || !strings.Contains(err.Error(), "in use by another weir serve") {
		w.t.Errorf("the same state directory: %v", err)
	}
	if _, err := w.weir(w.serveArgs("other", "weir.sock")...); err == nil || !strings.Contains(err.Error(), "another process listens") {
		w.t.Errorf("the same control socket: %v", err)
	}
}

// givesBack detaches the bridge, once the daemon does not drive it any more.
func (w *world) givesBack(before string) {
	t := w.t
	args := []string{"detach", "br0", "--ovsdb", w.box.DB(), "--ovs-rundir", w.box.RunDir(), "--socket", w.path("weir.sock")}
	if _, err := w.weir(args...); err == nil || !strings.Contains(err.Error(), "drives br0") {
		t.Errorf("the daemon drives it: %v", err)
	}
	w.stop()
	if out, err := w.weir(args...); err != nil || !strings.Contains(out, "br0 is given back") {
		t.Errorf("detach: %v, %s", err, out)
	}
	if after := vsctl(t, w.box, "--columns=controller,protocols,fail_mode,external_ids", "list", "bridge", "br0"); after != before {
		t.Errorf("the bridge was\n%s\nand is\n%s", before, after)
	}
	if out, err := w.box.Ofctl("dump-flows", "br0"); err != nil || strings.Contains(out, "cookie=0x77656972") {
		t.Errorf("flows are left: %v\n%s", err, out)
	}
	if out, err := w.box.Ofctl("-O", "OpenFlow13", "dump-meters", "br0"); err != nil || strings.Contains(out, "meter=") {
		t.Errorf("meters are left: %v\n%s", err, out)
	}
}

func TestABridgeThatIsNotThereIsSaid(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(twoHosts, "br0", "br7"))
	w.start()
	w.status("the reason", func(s api.Status) bool {
		return len(s.Bridges) == 1 && !s.Bridges[0].Connected && strings.Contains(s.Bridges[0].Error, "no bridge br7")
	})
	vsctl(t, w.box, "add-br", "br7")
	w.status("the bridge", programmed(1))
}

func TestBridgesFindTheDaemonOverTCP(t *testing.T) {
	w := newWorld(t, twoHosts)
	vsctl(t, w.box, "add-br", "br8")
	ctx, cancel := context.WithCancel(t.Context())
	cmd, ended := rootCommand(), make(chan error, 1)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetArgs(append(w.serveArgs("state", "weir.sock"), "--listen", "tcp:127.0.0.1:0"))
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	w.status("programmed", programmed(1))
	if target := vsctl(t, w.box, "get-controller", "br0"); !strings.HasPrefix(target, "tcp:127.0.0.1:") {
		t.Errorf("the controller is %s", target)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatIsCompiledIsTakenByOpenVSwitch(t *testing.T) {
	box := openVSwitch(t)
	w := &world{t: t, box: box, dir: t.TempDir()}
	models, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(models) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, m := range append(models, "demo.yaml", write(t, w.dir, "m.yaml", twoHosts)) {
		t.Run(filepath.Base(m), func(t *testing.T) {
			out, err := w.weir("compile", "-f", m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := box.Ofctl("-O", "OpenFlow13", "del-groups", "br0"); err != nil { // and the flows that use them
				t.Fatal(err)
			}
			if _, err := box.Ofctl("-O", "OpenFlow13", "del-flows", "br0"); err != nil {
				t.Fatal(err)
			}
			if _, err := box.Ofctl("-O", "OpenFlow13", "del-meters", "br0"); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out) {
				if meter, ok := strings.CutPrefix(strings.TrimSpace(line), "# add-meter "); ok {
					if _, err := box.Ofctl("-O", "OpenFlow13", "add-meter", "br0", meter); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := box.Ofctl("-O", "OpenFlow13", "bundle", "br0", write(t, w.dir, "flows", out)); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want := strings.Count(out, "\nflow add ")
			if got := strings.Count(w.flows(), "cookie="); got != want || want == 0 {
				t.Errorf("%d flows in the file, %d in the bridge", want, got)
			}
		})
	}
}

// TestManyNewLoadBalancersAreInTheBridgeAsCompiled adds so many at once that they are sent while the rest is compiled.
func TestManyNewLoadBalancersAreInTheBridgeAsCompiled(t *testing.T) {
	w := newWorld(t, twoHosts)
	vsctl(t, w.box, "add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=1")
	w.start()
	w.status("programmed", programmed(1))
	had := strings.Count(w.flows(), "cookie=")
	var many strings.Builder
	for i := range 150 {
		fmt.Fprintf(&many, "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: l%d, tenant: blue}\nspec: {address: 10.1.0.%d, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web-1}, {endpoint: app-1, port: 8080}]}\n", i, 100+i)
	}
	write(t, w.dir, "m.yaml", twoHosts+many.String())
	s := w.status("programmed with them", programmed(2))
	if flows := strings.Count(w.flows(), "cookie="); flows != s.Bridges[0].Flows || flows < had+150*7 {
		t.Errorf("%d flows are in the bridge, where it had %d; the daemon says %d", flows, had, s.Bridges[0].Flows)
	}
	if out, err := w.weir("plan", "-f", w.path("m.yaml"), "--socket", w.path("weir.sock")); err != nil || !strings.Contains(out, "nothing to change") {
		t.Errorf("there is more to do: %v\n%s", err, out)
	}
}

func TestABridgeIsProgrammedAgainWhenOpenVSwitchComesBack(t *testing.T) {
	w := newWorld(t, twoHosts)
	vsctl(t, w.box, "add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=1")
	w.start()
	w.status("programmed", programmed(1))
	before := w.flows()
	if err := w.box.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.status("the session is gone", func(s api.Status) bool { return !s.Bridges[0].Connected })
	if err := w.box.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.status("programmed again", programmed(1))
	if after := w.flows(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestARestartKeepsThePriorities puts a rule in front of another, which stays where it is,
// though a start from nothing would put it elsewhere.
func TestARestartKeepsThePriorities(t *testing.T) {
	w := newWorld(t, twoHosts)
	vsctl(t, w.box, "add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=1")
	w.start()
	s := w.status("programmed", programmed(1))
	sent := s.Bridges[0].FlowModsSent
	write(t, w.dir, "m.yaml", strings.Replace(twoHosts, "  rules:\n", "  rules:\n  - {name: not-telnet, direction: ingress, action: deny, protocol: tcp, ports: [\"1-80\"], from: {cidrs: [192.0.2.0/24]}}\n", 1))
	s = w.status("changed", programmed(2))
	const states = 13 // at most: the epoch is raised
	if n := s.Bridges[0].FlowModsSent - sent; n > 8+states {
		t.Errorf("%d flow-mods for a rule of 8 flows", n)
	}
	before := w.flows()
	if !strings.Contains(before, "priority=30100") || !strings.Contains(before, "priority=30000") {
		t.Errorf("the rule is not in front of the one that was there:\n%s", before)
	}
	w.stop()
	w.start()
	s = w.status("programmed", programmed(1))
	if s.Bridges[0].FlowModsSent != 0 || w.flows() != before {
		t.Errorf("%d flow-mods when nothing has changed:\n%s", s.Bridges[0].FlowModsSent, w.flows())
	}
}

func TestABridgeThatLeavesTheModelIsLeftAsItIs(t *testing.T) {
	w := newWorld(t, twoHosts)
	vsctl(t, w.box, "add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=dummy")
	w.start()
	w.status("programmed", programmed(1))
	before := w.flows()
	write(t, w.dir, "m.yaml", "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br1}\n")
	w.status("br1 instead", programmed(2))
	if after := w.flows(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if _, err := os.Stat(filepath.Join(w.box.RunDir(), "br0.controller")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody listens for br0 any more: %v", err)
	}
	write(t, w.dir, "m.yaml", twoHosts)
	w.status("br0 again", programmed(3))
}

func TestFlowsBehindOurBackAreRefusedAndNamed(t *testing.T) {
	w := newWorld(t, twoHosts)
	w.start() // the first controller that a bridge gets empties its tables
	w.status("programmed", programmed(1))
	w.stop()
	if _, err := w.box.Ofctl("-O", "OpenFlow13", "add-flow", "br0", "table=3,priority=7,in_port=9,actions=drop"); err != nil {
		t.Fatal(err)
	}
	w.start()
	s := w.status("the reason", func(s api.Status) bool { return s.Bridges[0].Error != "" && s.Bridges[0].Connected })
	if b := s.Bridges[0]; b.Programmed || !strings.Contains(b.Error, "table=3") {
		t.Errorf("the foreign flow is named: %+v", b)
	}
	if _, err := w.box.Ofctl("-O", "OpenFlow13", "del-flows", "br0", "table=3"); err != nil {
		t.Fatal(err)
	}
	w.status("it goes on", programmed(1))
}

func TestABridgeWithFlowsOfItsOwnIsNotAttached(t *testing.T) {
	w := newWorld(t, twoHosts)
	if _, err := w.box.Ofctl("-O", "OpenFlow13", "add-flow", "br0", "table=3,priority=9,ip,actions=NORMAL"); err != nil {
		t.Fatal(err)
	}
	w.start()
	s := w.status("the reason", func(s api.Status) bool { return len(s.Bridges) == 1 && strings.Contains(s.Bridges[0].Error, "br0 has") })
	if b := s.Bridges[0]; b.Connected || !strings.Contains(b.Error, "table=3") || !strings.Contains(b.Error, "first controller") {
		t.Errorf("%+v", b)
	}
	if flows, err := w.box.Ofctl("-O", "OpenFlow13", "dump-flows", "br0", "table=3"); err != nil || !strings.Contains(flows, "priority=9") {
		t.Errorf("the flow is gone: %q, %v", flows, err)
	}
	if _, err := w.box.Ofctl("-O", "OpenFlow13", "del-flows", "br0", "table=3"); err != nil {
		t.Fatal(err)
	}
	w.status("it goes on", programmed(1))
}
