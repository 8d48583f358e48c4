package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"weir/internal/sandbox"
)

// Ports of the traffic, and the source ports of each kind of load.
const (
	connectPort = 8080
	streamPort  = 5201
	probePort   = 5300
	streamFrom  = 65100
	warmFirst   = 1100
	oneFirst    = 2001
	manyFirst   = 25001
	manyLast    = 65000
)

// A forwarding is a peer whose bridge has hosts.
type forwarding interface {
	name() string
	bridge() string
	AddHost(sandbox.HostConfig) (*sandbox.Host, error)
	Appctl(args ...string) (string, error)
	VswitchdPID() int
	Close() error
}

// A bare is a bridge with one NORMAL flow: what the datapath can do at best.
type bare struct{ *sandbox.Sandbox }

func startBare(ctx context.Context) (forwarding, error) {
	s, err := sandbox.Start(ctx, sandbox.Config{})
	if err != nil {
		return nil, err
	}
	b := bare{s}
	if err := s.AddBridge(b.bridge()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if _, err := s.Ofctl("add-flow", b.bridge(), "actions=NORMAL"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return b, nil
}

func (b bare) name() string   { return "NORMAL" }
func (b bare) bridge() string { return "br0" }

// traffic is the parts d and e with one peer.
type traffic struct {
	report  *report
	long    time.Duration // of each measurement
	inspect string        // folder, or empty
	strange bool          // each connection comes from another address
	start   func(context.Context) (forwarding, error)
}

// run starts a peer with two hosts, and has one of them talk to the other.
func (t traffic) run(ctx context.Context) error {
	f, err := t.start(ctx)
	if err != nil {
		return err
	}
	return errors.Join(t.between(ctx, f), f.Close())
}

func (t traffic) between(ctx context.Context, f forwarding) error {
	p := trafficPolicy()
	var hosts []*sandbox.Host
	for _, e := range p.endpoints() {
		h, err := f.AddHost(sandbox.HostConfig{Name: e.name, Bridge: f.bridge(), Port: e.name, IfaceID: e.name, MAC: e.mac, IPs: []string{e.ip + "/24"}})
		if err != nil {
			return err
		}
		hosts = append(hosts, h)
	}
	if c, ok := f.(controlled); ok {
		if err := errors.Join(c.topology(ctx, p), c.rules(ctx, p)); err != nil {
			return err
		}
	}
	return serving(ctx, hosts[1:], func(ctx context.Context) error {
		return t.measure(ctx, f, hosts[0], netip.MustParseAddr(p.endpoints()[1].ip))
	})
}

// serving runs a server on each of some hosts while f runs.
func serving(ctx context.Context, hosts []*sandbox.Host, f func(context.Context) error) error {
	serve, stop := context.WithCancel(ctx)
	var served sync.WaitGroup
	for _, h := range hosts {
		served.Go(func() { self(serve, h, asServer) }) // it is killed, and says so
	}
	err := f(ctx)
	stop()
	served.Wait()
	return err
}

// measure runs the loads one after the other.
func (t traffic) measure(ctx context.Context, f forwarding, from *sandbox.Host, to netip.Addr) error {
	target := netip.AddrPortFrom(to, connectPort)
	if err := warm(ctx, from, target); err != nil {
		return err
	}
	if err := closed(ctx, f, from, to); err != nil {
		return err
	}
	if err := t.stream(ctx, f, from, netip.AddrPortFrom(to, streamPort)); err != nil {
		return err
	}
	one, err := connections(ctx, from, load{To: []netip.AddrPort{target}, Time: t.long, Parallel: oneByOne, First: oneFirst, Last: manyFirst - 1})
	if err != nil {
		return err
	}
	t.report.add("d", dSequential, f.name(), one.PerSecond)
	t.report.add("d", dFailed, f.name(), float64(one.Failed))
	return t.parallel(ctx, f, from, target)
}

// parallel is the load that is compared.
func (t traffic) parallel(ctx context.Context, f forwarding, from *sandbox.Host, to netip.AddrPort) error {
	b, err := t.burst(ctx, f, from, manyFirst, manyLast, to)
	if err != nil {
		return err
	}
	t.report.add("d", dParallel, f.name(), b.PerSecond)
	t.report.add("d", dFailed, f.name(), float64(b.Failed))
	t.report.add("d", dCPU, f.name(), b.cpu)
	t.report.add("e", eUpcalls, f.name(), b.upcalls)
	t.report.add("e", eMegaflows, f.name(), b.megaflows)
	return nil
}

// A burst is many connections at a time, and what the datapath did for each, for each thousand of them, or
// for each packet.
type burst struct {
	loaded
	cpu                float64 // of ovs-vswitchd for a connection, in microseconds
	own                float64 // as much of that as is not the kernel's
	upcalls, megaflows float64
	again              float64 // how often a packet has come back
	searched           float64 // subtables, each time that a packet was looked up
}

// burst starts from no megaflow at all, and from no connection: those that there are cost a part of the next ones,
// for they are looked through by the thread that has them time out.
func (t traffic) burst(ctx context.Context, f forwarding, from *sandbox.Host, first, last int, to ...netip.AddrPort) (b burst, err error) {
	for _, clear := range []string{"dpctl/flush-conntrack", "revalidator/purge", "dpif-netdev/pmd-stats-clear"} {
		if _, err := f.Appctl(clear); err != nil {
			return b, err
		}
	}
	missed, _, err := datapath(f)
	if err != nil {
		return b, err
	}
	own, system := cpuTimes(f.VswitchdPID())
	if b.loaded, err = connections(ctx, from, load{To: to, Strangers: t.strange, Time: t.long, Parallel: inParallel, First: first, Last: last}); err != nil {
		return b, err
	}
	ownThen, systemThen := cpuTimes(f.VswitchdPID())
	text, err := f.Appctl("dpif-netdev/pmd-stats-show")
	if err != nil {
		return b, err
	}
	missedThen, megaflows, err := datapath(f)
	if b.Failed > 0 {
		t.report.note("a connection through %s failed: %s", f.name(), b.Why)
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(b.Done, 1)) }
	b.own, b.cpu = each(ownThen-own), each(ownThen-own+systemThen-system)
	b.upcalls, b.megaflows = (missedThen-missed)*1000/float64(max(b.Done, 1)), megaflows*1000/float64(max(b.Done, 1))
	b.again, b.searched = sum(again, text)/max(sum(received, text), 1), sum(searched, text)
	return b, err
}

// warm returns when the path carries connections: addresses are resolved, flows are there.
func warm(ctx context.Context, from *sandbox.Host, to netip.AddrPort) error {
	port := warmFirst
	err := until(ctx, 30*time.Second, 100*time.Millisecond, func() (bool, error) {
		port++
		r, err := connections(ctx, from, load{To: []netip.AddrPort{to}, Parallel: 1, First: port, Last: port})
		return r.Done == 1, err
	})
	if err != nil {
		err = fmt.Errorf("%s cannot reach %s: %w", from.Name, to, err)
	}
	return err
}

// closed fails if a firewall lets a connection through that no rule allows.
func closed(ctx context.Context, f forwarding, from *sandbox.Host, to netip.Addr) error {
	if _, firewall := f.(controlled); !firewall {
		return nil
	}
	const forbidden = 22 // nobody listens there: a packet that arrives is refused, and at once
	start := time.Now()
	r, err := connections(ctx, from, load{To: []netip.AddrPort{netip.AddrPortFrom(to, forbidden)}, Parallel: 1, First: warmFirst - 1, Last: warmFirst - 1})
	if err == nil && (r.Done > 0 || time.Since(start) < time.Second) {
		err = fmt.Errorf("%s does not enforce its policy", f.name())
	}
	return err
}

var (
	missed   = regexp.MustCompile(`missed:(\d+)`)
	flows    = regexp.MustCompile(`(?m)^\s+flows: (\d+)`)
	received = regexp.MustCompile(`(?m)^\s*packets received: (\d+)`)
	again    = regexp.MustCompile(`(?m)^\s*packet recirculations: (\d+)`)
	searched = regexp.MustCompile(`(?m)^\s*avg. subtable lookups per megaflow hit: ([\d.]+)`) // of the one thread that forwards
)

// datapath returns how many packets it did not know what to do with, and how many flows it
// has.
func datapath(f forwarding) (misses, megaflows float64, err error) {
	text, err := f.Appctl("dpctl/show", "-s")
	return sum(missed, text), sum(flows, text), err
}

// sum adds up all that a pattern finds.
func sum(p *regexp.Regexp, text string) (total float64) {
	for _, m := range p.FindAllStringSubmatch(text, -1) {
		v, _ := strconv.ParseFloat(m[1], 64) // digits, says the pattern
		total += v
	}
	return total
}

// stream sends for a while, and looks at the passes in the middle of it.
func (t traffic) stream(ctx context.Context, f forwarding, from *sandbox.Host, to netip.AddrPort) error {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := self(ctx, from, asStream, to.String(), strconv.FormatInt(int64(t.long), 10))
		done <- result{text, err}
	}()
	passes, looked := middle(ctx, f, t.long)
	r := <-done
	if err := errors.Join(r.err, looked); err != nil {
		return err
	}
	var mbps float64
	if err := json.Unmarshal([]byte(r.text), &mbps); err != nil {
		return fmt.Errorf("the stream said %q: %w", r.text, err)
	}
	t.report.add("d", dStream, f.name(), mbps)
	t.report.add("d", dPasses, f.name(), passes)
	return nil
}

// middle counts the passes per packet in the second and third quarter of a stream.
func middle(ctx context.Context, f forwarding, long time.Duration) (float64, error) {
	pause(ctx, long/4)
	if _, err := f.Appctl("dpif-netdev/pmd-stats-clear"); err != nil {
		return 0, err
	}
	pause(ctx, long/2)
	text, err := f.Appctl("dpif-netdev/pmd-stats-show")
	if err != nil {
		return 0, err
	}
	packets := sum(received, text)
	if packets == 0 {
		return 0, fmt.Errorf("%s: no packet in the middle of a stream", f.name())
	}
	return 1 + sum(again, text)/packets, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func connections(ctx context.Context, from *sandbox.Host, l load) (r loaded, err error) {
	args, err := json.Marshal(l)
	if err != nil {
		return r, err
	}
	text, err := self(ctx, from, asClient, string(args))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(text), &r)
}

// self runs this program in a host.
func self(ctx context.Context, h *sandbox.Host, args ...string) (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	return h.Exec(ctx, program, args...)
}
