package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// stormTime is how long the storm lasts: WEIR_STORM says otherwise.
func stormTime(t *testing.T) time.Duration {
	if s := os.Getenv("WEIR_STORM"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return 6 * time.Second
}

// stormModel is what the storm goes through: two networks in both versions of IP, a rule with
// a helper, and beside it a tenant that is only audited, and has a limit of connections.
const stormModel = routedModel + `
---
apiVersion: weir/v1
kind: Policy
metadata: {name: ftp, tenant: t}
spec: {rules: [{name: ftp, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}]}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: watched}
spec: {mode: audit, limits: {connections: 1000000}}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: watched}
spec: {subnets: [{cidr: 10.1.0.0/24}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: left, tenant: watched}
spec: {network: lan, bind: {ifaceID: left}, mac: "02:00:00:00:00:04", ips: [10.1.0.11]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: right, tenant: watched}
spec: {network: lan, bind: {ifaceID: right}, mac: "02:00:00:00:00:05", ips: [10.1.0.12]}
`

// unrest is what is added to stormModel in turn: rules and members come and go.
var unrest = []string{
	"",
	policy("t", "more", "{name: ssh, direction: ingress, action: allow, protocol: tcp, ports: [22]}",
		"{name: no-telnet, direction: ingress, action: deny, protocol: tcp, ports: [23]}"),
	object("Group", "name: clients, tenant: t", "endpoints: [web]") + policy("t", "grouped", "{name: web, direction: ingress, action: allow, from: {groups: [clients]}, protocol: tcp, ports: [80, 22]}"),
	object("Group", "name: clients, tenant: t", "endpoints: [web, app], cidrs: [10.2.0.0/24]") +
		policy("t", "grouped", "{name: web, direction: ingress, action: allow, from: {groups: [clients]}, protocol: tcp, ports: [80, 22]}"),
	policy("watched", "strict", "{name: nothing, direction: egress, action: deny}"),
}

// A stormPath is where a client of the storm connects.
type stormPath struct {
	name     string
	from, to *sandbox.Host
	address  string
	files    bool // by FTP
}

func stormPaths(n *ovstest.Net) []stormPath {
	web := n.Host("web", mac(1), []string{"10.1.0.11/24", "fd00:1::11/64"}, "10.1.0.1", "fd00:1::1")
	app := n.Host("app", mac(2), []string{"10.1.0.12/24", "fd00:1::12/64"}, "10.1.0.1", "fd00:1::1")
	db := n.Host("db", mac(3), []string{"10.2.0.13/24", "fd00:2::13/64"}, "10.2.0.1", "fd00:2::1")
	left := n.Host("left", mac(4), []string{"10.1.0.11/24"})
	right := n.Host("right", mac(5), []string{"10.1.0.12/24"})
	return []stormPath{
		{"same network", web, app, "10.1.0.12:80", false},
		{"routed", web, db, "10.2.0.13:80", false},
		{"same network, IPv6", web, app, "[fd00:1::12]:80", false},
		{"routed, IPv6", web, db, "[fd00:2::13]:80", false},
		{"FTP", web, db, "10.2.0.13", true},
		{"audited", left, right, "10.1.0.12:80", false},
	}
}

// TestStorm has 16 clients connect on each path of the firewall in turn, exchange a line and
// reset, with ports that come again and again, while policies and groups are replaced, zones
// are listed, packets are traced and connections are flushed. No connection fails that all the
// policies allow. ovs-vswitchd is asked about few of them, and about what each policy changes,
// and is the same process afterwards.
func TestStorm(t *testing.T) {
	n := ovstest.New(t)
	paths := stormPaths(n)
	n.Run(stormModel)
	for _, p := range paths {
		if p.files {
			serveFTP(t, p.to, p.address)
		} else {
			echo(t, p.to, p.address)
		}
	}
	s := storm{tally: make([]outcomes, len(paths))}
	ctx, stop := context.WithTimeout(t.Context(), stormTime(t))
	defer stop()
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() { s.client(ctx, t, paths, i) })
	}
	ovstest.Eventually(t, "every path is known", s.begun)
	begin := s.asked(t, n)
	calm, over := context.WithTimeout(ctx, stormTime(t)/3)
	defer over()
	<-calm.Done()
	before := s.asked(t, n)
	edits := unsettle(ctx, t, n)
	clients.Wait()
	s.judge(t, paths)
	after := s.asked(t, n)
	t.Logf("storm: upcalls per 1,000 connections: %.1f in the calm before, %.1f while policy was replaced %d times; %d downloads were repeated",
		before.perThousand(begin), after.perThousand(before), edits, s.repeated.Load())
	if before.often(begin, 0) || after.often(before, edits) {
		t.Error("ovs-vswitchd is asked too often")
	}
}

// begun says which path has had no connections yet.
func (s *storm) begun() error {
	for i := range s.tally {
		if s.tally[i].done.Load() < 5 {
			return fmt.Errorf("path %d has not begun", i)
		}
	}
	return nil
}

// asked is how many connections there have been, and how many packets ovs-vswitchd was asked
// about.
type asked struct{ connections, upcalls int }

func (s *storm) asked(t *testing.T, n *ovstest.Net) (a asked) {
	t.Helper()
	for i := range s.tally {
		a.connections += int(s.tally[i].done.Load())
	}
	a.upcalls = upcalls(t, n)
	return a
}

// often reports whether there have been more upcalls since before than one for 100
// connections, some for each policy, and a few now and then. A policy that takes something
// back gives the flows of the datapath another epoch, and there are flows for each older
// epoch of which a connection is met again: about 20 on six paths, 90 in half a minute.
func (a asked) often(before asked, edits int) bool {
	return a.upcalls-before.upcalls > (a.connections-before.connections)/100+120*edits+20
}

func (a asked) perThousand(before asked) float64 {
	return float64(a.upcalls-before.upcalls) / float64(max(a.connections-before.connections, 1)) * 1000
}

// A storm counts what became of the connections on each path.
type storm struct {
	tally    []outcomes
	why      sync.Map     // what was wrong
	repeated atomic.Int64 // downloads
}

type outcomes struct{ done, failed atomic.Int64 }

// client connects on one path after the other until ctx is done. An FTP download takes two
// connections.
func (s *storm) client(ctx context.Context, t *testing.T, paths []stormPath, number int) {
	for k := number; ctx.Err() == nil; k++ {
		p, c := paths[k%len(paths)], &s.tally[k%len(paths)]
		if err := p.once(t, 20000+100*number+k%100, &s.repeated); err != nil {
			c.failed.Add(1)
			s.why.Store(p.name+": "+err.Error(), true)
			continue
		}
		c.done.Add(1)
	}
}

// once connects from a port, exchanges a line, and resets; or downloads a file.
func (p stormPath) once(t *testing.T, port int, repeated *atomic.Int64) error {
	if p.files {
		return p.fetch(t, repeated)
	}
	return once(p.from, port, p.address)
}

// fetch downloads a file. A data connection that was announced, or open, when policy was
// narrowed does not last: the download is repeated then, as its user would.
func (p stormPath) fetch(t *testing.T, repeated *atomic.Int64) (err error) {
	for range 3 {
		got, err := download(t, p.from, "PASV", p.address)
		switch {
		case err == nil && got == theFile:
			return nil
		case err == nil:
			return fmt.Errorf("got %q", got)
		}
		repeated.Add(1)
	}
	return err
}

// once connects from a port, exchanges a line, and resets.
func once(h *sandbox.Host, port int, target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ovstest.Patience)
	defer cancel()
	c, err := h.DialFrom(ctx, &net.TCPAddr{Port: port}, "tcp", target)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	if err := insist(c); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	return c.(*net.TCPConn).SetLinger(0)
}

// judge says what became of the connections.
func (s *storm) judge(t *testing.T, paths []stormPath) {
	t.Helper()
	for i, p := range paths {
		c := &s.tally[i]
		t.Logf("%-20s %6d connections, %d failed", p.name, c.done.Load(), c.failed.Load())
		if c.done.Load() < 10 || c.failed.Load() > 0 {
			t.Errorf("%s: %d connections failed, %d did not", p.name, c.failed.Load(), c.done.Load())
		}
	}
	s.why.Range(func(k, _ any) bool { t.Log(k); return true })
}

// unsettle replaces the policy, looks at everything and flushes connections until ctx is
// done, and returns how many policies there were.
func unsettle(ctx context.Context, t *testing.T, n *ovstest.Net) (edits int) {
	zone, watched := n.Weir.Zone("t"), n.Weir.Zone("watched")
	for ; ctx.Err() == nil; edits++ {
		n.Weir.Apply(stormModel + unrest[(edits+1)%len(unrest)])
		n.Weir.Connections("t")
		n.Weir.Connections("watched")
		for _, args := range [][]string{
			{"ofproto/trace", n.Bridge, "in_port=1,tcp,dl_src=" + mac(1) + ",dl_dst=" + mac(2) + ",nw_src=10.1.0.11,nw_dst=10.1.0.12,tp_dst=80"},
			{"dpctl/ct-set-limits", fmt.Sprintf("zone=%d,limit=%d", watched, 500000+edits)}, // which is not what the model says
			{"dpctl/flush-conntrack", fmt.Sprintf("zone=%d", zone), fmt.Sprintf("ct_nw_src=10.1.0.11,ct_nw_proto=6,ct_tp_src=%d,ct_tp_dst=80", 20000+100*(edits%16)+edits%100)},
		} {
			if _, err := n.Appctl(args...); err != nil && !strings.Contains(err.Error(), "No such file") {
				t.Error(err)
			}
		}
	}
	return edits
}

var missed = regexp.MustCompile(`missed:(\d+)`)

// upcalls returns how many packets the datapath did not know what to do with.
func upcalls(t *testing.T, n *ovstest.Net) int {
	t.Helper()
	text, err := n.Appctl("dpctl/show", "-s")
	if err != nil {
		t.Fatal(err)
	}
	m := missed.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no count of misses in %q", text)
	}
	count, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return count
}
