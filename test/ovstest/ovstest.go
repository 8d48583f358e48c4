// Package ovstest is the harness of the traffic tests. A test states hosts, a model and
// traffic; the harness starts an Open vSwitch of its own with the hosts as namespaces, runs
// the real daemon, reads back what became of it, and cleans up whatever happens.
//
// The datapath is a parameter: WEIR_DATAPATH is netdev (the userspace datapath, the
// default) or system (the kernel's, in a guest). Every test runs on both. With WEIR_OVS_IMAGE
// Open vSwitch runs in a container made from that image.
//
// At the end of each test the harness checks what must always hold: ovs-vswitchd is still
// the same process, nothing was refused that the test did not expect, each connection names who let it be,
// each packet that was denied who denies it, each that was dropped why, and nothing came to a host to begin a connection that should not.
package ovstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/conntrack"
	"weir/internal/sandbox"
	"weir/internal/unixctl"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/quirk"
)

// Patience is how long a condition may take to come true: generous, for a guest in which
// every system call is traced.
const Patience = 20 * time.Second

// A Net is an Open vSwitch with hosts and a daemon.
type Net struct {
	*sandbox.Sandbox
	T      *testing.T
	Bridge string
	Weir   *Daemon // nil until Run

	Serve   []string // more arguments of weir serve
	Without string   // a capability that the daemon does not have, as setpriv calls it; empty: it has all

	dir        string
	others     []*sandbox.Sandbox // hosts b, c and so on of the daemon
	vswitchPID int
	hosts      map[string]*sandbox.Host
	late       map[string]bool   // hosts that have come after the daemon, or were away
	bridges    map[string]string // of hosts
	seen       sighting
}

// New starts an Open vSwitch with one bridge, br0.
func New(t *testing.T) *Net {
	t.Helper()
	if os.Getenv("WEIR_INTEGRATION") == "" {
		t.Skip("real traffic: run it with make integration")
	}
	need(t)
	s, err := sandbox.Start(t.Context(), sandbox.Config{
		Datapath: os.Getenv("WEIR_DATAPATH"), Image: os.Getenv("WEIR_OVS_IMAGE"),
		Settings: []string{"other_config:max-revalidator=100"}, // ms: what the datapath goes by is waited for again and again
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &Net{Sandbox: s, T: t, Bridge: "br0", dir: filepath.Join(s.RunDir(), "weir"), vswitchPID: s.VswitchdPID(), hosts: map[string]*sandbox.Host{}, late: map[string]bool{}, bridges: map[string]string{}}
	n.seen.sctp = !n.Has(quirk.SCTPPorts)
	t.Cleanup(n.close)
	if err := os.Mkdir(n.dir, 0o700); err != nil { // with the sandbox's files, which are removed even if we are killed
		t.Fatal(err)
	}
	if err := s.AddBridge(n.Bridge); err != nil {
		t.Fatal(err)
	}
	return n
}

// need skips the test where a tool is missing; where CI is set, that is a failure.
func need(t *testing.T) {
	missing := t.Skipf
	if os.Getenv("CI") != "" {
		missing = t.Fatalf
	}
	if os.Getuid() != 0 {
		missing("not root: namespaces cannot be made")
	}
	for _, tool := range []string{"ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ethtool", "ping"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing("%s is missing: scripts/deps.sh installs it", tool)
		}
	}
}

// Kernel reports whether the datapath is the kernel's.
func (n *Net) Kernel() bool { return n.Datapath() == "system" }

// Has reports whether the Open vSwitch that runs is said to have a quirk on this datapath.
func (n *Net) Has(id quirk.ID) bool {
	n.T.Helper()
	text, err := n.Appctl("version") // "ovs-vswitchd (Open vSwitch) 3.1.0"
	if err != nil {
		n.T.Fatal(err)
	}
	first, _, _ := strings.Cut(text, "\n")
	v, err := quirk.Parse(first[strings.LastIndex(first, " ")+1:])
	if err != nil {
		n.T.Fatal(err)
	}
	return v.Has(id, !n.Kernel())
}

// Rounds returns how often a test does something: full times, and a fifth of that in a guest,
// which is much slower, unless WEIR_LONG asks for all.
func (n *Net) Rounds(full int) int {
	if n.Kernel() && os.Getenv("WEIR_LONG") == "" {
		return max(full/5, 1)
	}
	return full
}

func (n *Net) close() {
	n.hold()
	n.holdDrops()
	var why []string
	if n.T.Failed() {
		why = complaintsOf(printed(), n.T.Name(), Sources)
		n.explain()
	}
	defer func() { n.repeat(why) }()
	if n.Weir != nil {
		n.Weir.Stop()
		if refused := n.Weir.log.refusals(); len(refused) > 0 && !n.Weir.ExpectRefusals {
			n.T.Errorf("the switch refused: %v", refused)
		}
	}
	if !n.VswitchdRuns() || n.VswitchdPID() != n.vswitchPID {
		n.T.Errorf("ovs-vswitchd is not the process that was started")
	}
	for _, s := range append(n.others, n.Sandbox) {
		if err := s.Close(); err != nil {
			n.T.Error(err)
		}
	}
}

// Another starts a further Open vSwitch, which the daemon serves as well: its hosts are a, which is n's own, b, and so
// on. It ends with n's.
func (n *Net) Another() *sandbox.Sandbox {
	n.T.Helper()
	s, err := sandbox.Start(n.T.Context(), sandbox.Config{Datapath: os.Getenv("WEIR_DATAPATH"), Image: os.Getenv("WEIR_OVS_IMAGE")})
	if err != nil {
		n.T.Fatal(err)
	}
	n.others = append(n.others, s)
	return s
}

// where are the arguments that tell the daemon where Open vSwitch is.
func (n *Net) where() []string {
	if len(n.others) == 0 {
		return []string{"--ovsdb", n.DB(), "--ovs-rundir", n.RunDir()}
	}
	args := []string{"--host", "a=" + n.RunDir()}
	for i, s := range n.others {
		args = append(args, "--host", string(rune('b'+i))+"="+s.RunDir())
	}
	return args
}

// RestartVswitchd kills ovs-vswitchd (kill -9), and starts it again.
func (n *Net) RestartVswitchd() {
	n.T.Helper()
	n.seen.unsettle()
	if err := n.KillVswitchd(syscall.SIGKILL); err != nil {
		n.T.Fatal(err)
	}
	if err := n.StartVswitchd(n.T.Context()); err != nil {
		n.T.Fatal(err)
	}
	n.vswitchPID = n.VswitchdPID()
}

// explain shows what may help to see why a test has failed.
func (n *Net) explain() {
	if n.Weir != nil {
		n.T.Logf("the daemon said:\n%s", n.Weir.log.String())
	}
	for _, args := range [][]string{{"dpctl/dump-flows", "-m"}, {"dpctl/dump-conntrack", "-m"}} {
		if text, err := n.Appctl(args...); err == nil {
			n.T.Logf("%v:\n%s", args, text)
		}
	}
	if text, err := n.Ofctl("-O", "OpenFlow13", "dump-flows", n.Bridge); err == nil {
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "n_packets=0,") {
				n.T.Logf("counted: %s", strings.TrimSpace(line))
			}
		}
	}
}

// Host adds a host: its interface on the bridge has its name, and so has its iface-id.
func (n *Net) Host(name, mac string, ips []string, gateways ...string) *sandbox.Host {
	n.T.Helper()
	h, err := n.AddHost(sandbox.HostConfig{Name: name, Bridge: n.Bridge, Port: name, IfaceID: name, MAC: mac, IPs: ips, Gateways: gateways})
	if err != nil {
		n.T.Fatal(err)
	}
	n.hosts[name] = h
	return h
}

// AddHost adds a host, and notes what it sends, from the beginning.
func (n *Net) AddHost(c sandbox.HostConfig) (*sandbox.Host, error) {
	n.late[c.Name], n.bridges[c.Name] = n.Weir != nil, c.Bridge
	c.Added = n.seen.watch
	return n.Sandbox.AddHost(c)
}

// Unplug takes a host's port off the bridge. What it sends meanwhile nobody counts.
func (n *Net) Unplug(h *sandbox.Host) error {
	n.late[h.Name] = true
	return n.Sandbox.Unplug(h)
}

// Eventually waits until a condition holds; nil is that it does. The last error fails the
// test.
func Eventually(t testing.TB, what string, condition func() error) {
	t.Helper()
	Within(t, Patience, what, condition)
}

// Within is Eventually with another patience, for what takes as long as the machine is slow.
func Within(t testing.TB, patience time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

// Entries returns the connections of a zone.
func (n *Net) Entries(zone uint16) []conntrack.Entry {
	n.T.Helper()
	var all []conntrack.Entry
	for e, err := range conntrack.NewUnixctl(n.RunDir()).Entries(n.T.Context(), conntrack.Filter{Zone: zone}) {
		if err != nil {
			n.T.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// Protocol returns those of entries that are of a protocol.
func Protocol(entries []conntrack.Entry, protocol string) (some []conntrack.Entry) {
	for _, e := range entries {
		if e.Protocol.String() == protocol {
			some = append(some, e)
		}
	}
	return some
}

// Appctl asks ovs-vswitchd, as ovs-appctl does, without starting that.
//
// revalidator/wait waits twice: ovs-vswitchd answers when the round is over that the revalidators are in, which may have looked
// at a flow of the datapath before what is waited for. Only the round after that looks at all of them anew.
//
// A purge waits for a round of the revalidators: Open vSwitch 3.1 aborts if a flow is purged that it is just putting into
// the kernel ("Invalid ukey transition 5->4").
func (n *Net) Appctl(args ...string) (string, error) {
	switch args[0] {
	case "revalidator/wait":
		if text, err := n.ask(args...); err != nil {
			return text, err
		}
	case "revalidator/purge":
		if text, err := n.Round(); err != nil {
			return text, err
		}
	}
	return n.ask(args...)
}

// Round waits for the end of the round that the revalidators are in: some milliseconds, which is enough for a packet that the
// kernel has asked ovs-vswitchd about. The packets of a lab are each waited for so.
func (n *Net) Round() (string, error) { return n.ask("revalidator/wait") }

func (n *Net) ask(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also when the test's own has ended
	defer cancel()
	c, err := unixctl.DialDaemon(ctx, n.RunDir(), "ovs-vswitchd")
	if err != nil {
		return "", err
	}
	defer c.Close()
	text, err := c.Call(ctx, args[0], args[1:]...)
	return strings.TrimSuffix(text, "\n"), err
}

// Session opens an OpenFlow session beside the daemon's, to look.
func (n *Net) Session() *ofconn.Conn {
	n.T.Helper()
	c, err := ofconn.Dial(n.T.Context(), "unix:"+filepath.Join(n.RunDir(), n.Bridge+".mgmt"), ofconn.Config{})
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { c.Close() })
	return c
}

// Flows returns the flows of the bridge with their counters, as the datapath has them now.
func (n *Net) Flows() []ofproto.FlowStats {
	n.T.Helper()
	all, err := n.flows(n.T.Context())
	if err != nil {
		n.T.Fatal(err)
	}
	return all
}

func (n *Net) flows(ctx context.Context) ([]ofproto.FlowStats, error) {
	c, err := ofconn.Dial(ctx, "unix:"+filepath.Join(n.RunDir(), n.Bridge+".mgmt"), ofconn.Config{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := n.Appctl("revalidator/wait"); err != nil { // the counters are brought up now and then
		return nil, err
	}
	return c.FlowStats(ctx)
}

// Packets returns how many packets the flows that are wanted have counted.
func (n *Net) Packets(wanted func(ofproto.Flow) bool) (packets uint64) {
	n.T.Helper()
	for _, f := range n.Flows() {
		if wanted(f.Flow) {
			packets += f.Packets
		}
	}
	return packets
}

// Addr parses an address.
func Addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// binary is the daemon under test: WEIR_BIN, or one that is built for this run.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("WEIR_BIN"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "weir-bin-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) // what is open stays, until this process ends
	path := filepath.Join(dir, "weir")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, "weir/cmd/weir").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), err
})

func decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return errors.Join(err, fmt.Errorf("in %q", text))
	}
	return nil
}
