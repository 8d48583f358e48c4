package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"weir/internal/sandbox"
)

// An ovn is OVN with one hypervisor: two databases, ovn-northd and ovn-controller beside an
// Open vSwitch, all in the sandbox's directory. It is changed with ovn-nbctl, which runs as
// a daemon (without, each call would read the whole database first), and --wait=hv says when
// a change is in the bridge.
type ovn struct {
	*sandbox.Sandbox
	title    string
	nursery  *nursery
	measured []*child // those that count as its memory
	nbctl    string   // socket of the daemon
}

// missingOVN says what is not there to run OVN; empty: all is.
func missingOVN() string {
	for _, tool := range []string{"ovn-northd", "ovn-controller", "ovn-nbctl", "ovsdb-server", "ovsdb-tool"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool
		}
	}
	return ""
}

// startOVN starts an OVN on a new Open vSwitch. tuned gives ovn-northd four threads and lets
// ovn-controller read the whole southbound database.
func startOVN(ctx context.Context, tuned, dummy bool) (o *ovn, err error) {
	o = &ovn{title: "OVN", nursery: newNursery()}
	if tuned {
		o.title = "OVN tuned"
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	if o.Sandbox, err = sandbox.Start(ctx, sandbox.Config{Dummy: dummy}); err != nil {
		return o, err
	}
	if _, err := o.Vsctl("set", "Open_vSwitch", ".", "external_ids:system-id=hv1", "external_ids:hostname=hv1",
		"external_ids:ovn-remote="+o.unix("sb"), "external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip=127.0.0.1",
		"external_ids:ovn-bridge-datapath-type=netdev", "external_ids:ovn-bridge-mappings=ext:"+o.outsideBridge(), fmt.Sprintf("external_ids:ovn-monitor-all=%v", tuned)); err != nil {
		return o, err
	}
	if err := o.addOutside(); err != nil {
		return o, err
	}
	for _, db := range []string{"nb", "sb"} {
		if err := o.startDB(ctx, db); err != nil {
			return o, err
		}
	}
	return o, o.startDaemons(ctx, tuned)
}

// addOutside adds the bridge by which OVN reaches a network outside.
func (o *ovn) addOutside() error {
	if err := o.AddBridge(o.outsideBridge()); err != nil {
		return err
	}
	_, err := o.Ofctl("add-flow", o.outsideBridge(), "actions=NORMAL")
	return err
}

func (o *ovn) startDB(ctx context.Context, db string) error {
	file := o.path(db + ".db")
	if out, err := exec.CommandContext(ctx, "ovsdb-tool", "create", file, "/usr/share/ovn/ovn-"+db+".ovsschema").CombinedOutput(); err != nil {
		return fmt.Errorf("ovsdb-tool: %w: %s", err, out)
	}
	return o.run(ctx, db, "ovsdb-server", file, "--remote=p"+o.unix(db))
}

func (o *ovn) startDaemons(ctx context.Context, tuned bool) error {
	var threads []string
	if tuned {
		threads = []string{"--n-threads=4"}
	}
	if err := o.run(ctx, "northd", "ovn-northd", append(threads, "--ovnnb-db="+o.unix("nb"), "--ovnsb-db="+o.unix("sb"))...); err != nil {
		return err
	}
	if err := o.startNbctl(ctx); err != nil {
		return err
	}
	if err := o.startController(ctx); err != nil {
		return err
	}
	return o.sync(ctx)
}

// startController starts ovn-controller, once more if it ends at once without a word: it has
// been seen to, 1 time in about 80.
func (o *ovn) startController(ctx context.Context) (err error) {
	for range 2 {
		if err = o.run(ctx, "controller", "ovn-controller", o.DB()); err != nil {
			continue
		}
		if err = o.hasBridge(ctx, o.measured[len(o.measured)-1]); err == nil {
			return nil
		}
	}
	return err
}

// hasBridge waits until ovn-controller has its bridge. It has a first try before the bridge
// is there, and waits a second for the next: that is no part of what is timed.
func (o *ovn) hasBridge(ctx context.Context, controller *child) error {
	err := until(ctx, 30*time.Second, 20*time.Millisecond, func() (bool, error) {
		select {
		case <-controller.done:
			return false, fmt.Errorf("it has ended: %s", controller.lastWords())
		default:
		}
		n, err := flowCount(o)
		return err == nil && n > 0, nil
	})
	if err != nil {
		err = fmt.Errorf("ovn-controller: no bridge: %w", err)
	}
	return err
}

// run starts a daemon and waits until it can be asked.
func (o *ovn) run(ctx context.Context, name, program string, args ...string) error {
	cmd := exec.Command(program, append(args, "--no-chdir", "-vconsole:off",
		"--pidfile="+o.path(name+".pid"), "--log-file="+o.path(name+".log"))...)
	cmd.Env = o.environ()
	c, err := o.nursery.start(name, cmd)
	if err != nil {
		return err
	}
	o.measured = append(o.measured, c)
	return c.answers(ctx, o.path(fmt.Sprintf("%s.%d.ctl", program, cmd.Process.Pid)))
}

// startNbctl starts the daemon behind ovn-nbctl. It detaches itself, so it gets a process
// namespace, which ends with the shell that is its first process.
func (o *ovn) startNbctl(ctx context.Context) error {
	o.nbctl = o.path("nbctl.ctl")
	script := `ovn-nbctl --db="$1" --unixctl="$2" --pidfile="$3" --log-file="$4" -vconsole:off --detach; while :; do sleep 3600; done`
	cmd := exec.Command("sh", "-c", script, "sh", o.unix("nb"), o.nbctl, o.path("nbctl.pid"), o.path("nbctl.log"))
	cmd.Env = o.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	c, err := o.nursery.start("nbctl", cmd)
	if err != nil {
		return err
	}
	c.deaf = true // the first process of a namespace has no default for SIGTERM
	return c.answers(ctx, o.nbctl)
}

func (o *ovn) name() string            { return o.title }
func (o *ovn) bridge() string          { return "br-int" }
func (o *ovn) path(name string) string { return filepath.Join(o.RunDir(), name) }
func (o *ovn) unix(db string) string   { return "unix:" + o.path(db+".sock") }

func (o *ovn) sync(ctx context.Context) error { return o.change(ctx, "--wait=hv", "sync") }

func (o *ovn) environ() []string {
	d := o.RunDir()
	return append(os.Environ(), "OVS_RUNDIR="+d, "OVN_RUNDIR="+d, "OVS_LOGDIR="+d, "OVN_LOGDIR="+d, "OVS_DBDIR="+d, "OVN_DBDIR="+d)
}

// Close ends OVN and the Open vSwitch, and removes their files.
func (o *ovn) Close() error {
	o.nursery.close()
	if o.Sandbox == nil {
		return nil
	}
	return o.Sandbox.Close()
}

// change runs ovn-nbctl.
func (o *ovn) change(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ovn-nbctl", append([]string{"--timeout=110"}, args...)...)
	cmd.Env = append(o.environ(), "OVN_NB_DAEMON="+o.nbctl)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ovn-nbctl: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

func (o *ovn) topology(ctx context.Context, p policy) error {
	var args []string
	for _, t := range p.tenants {
		args = append(args, "--", "ls-add", t.name)
		for _, e := range t.endpoints {
			args = append(args, "--", "lsp-add", t.name, e.name, "--", "lsp-set-addresses", e.name, e.mac+" "+e.ip)
		}
	}
	args = append(args, routerArgs(p)...)
	if err := o.change(ctx, args[1:]...); err != nil {
		return err
	}
	return o.settled(ctx)
}

// rules makes the ACLs: of the switch, or of a port group where a tenant has subjects.
func (o *ovn) rules(ctx context.Context, p policy) error {
	var args []string
	for _, t := range p.tenants {
		args = append(args, groupArgs(t)...)
		args = append(args, "--")
		args = append(args, acl(t, "acl-add", 1000, "ip4", "drop")...)
		for _, r := range t.rules {
			args = append(args, "--")
			args = append(args, acl(t, "acl-add", 1001, r.match(), "allow-related")...)
		}
	}
	if err := o.change(ctx, args[1:]...); err != nil {
		return err
	}
	return o.settled(ctx)
}

// settled waits until the bridge has it all: until OVN says so, and the number of flows
// stands still.
func (o *ovn) settled(ctx context.Context) error {
	if err := o.sync(ctx); err != nil {
		return err
	}
	before, err := flowCount(o)
	if err != nil {
		return err
	}
	for {
		now, err := flowCount(o)
		if err != nil || now == before {
			return err
		}
		before = now
	}
}

// groupArgs makes the groups of a tenant: those of subjects are port groups, those of peers
// address sets.
func groupArgs(t tenant) (args []string) {
	if t.subjects == "" {
		return nil
	}
	args = []string{"--", "pg-add", t.subjects}
	for _, e := range t.in(t.subjects) {
		args = append(args, e.name)
	}
	peers := t.rules[0].group
	if peers == "" {
		return args
	}
	var addresses []string
	for _, e := range t.in(peers) {
		addresses = append(addresses, `"`+e.ip+`"`)
	}
	return append(args, "--", "create", "address_set", "name="+peers, "addresses="+strings.Join(addresses, ","))
}

func (t tenant) in(group string) (some []endpoint) {
	for _, e := range t.endpoints {
		if len(e.groups) > 0 && e.groups[0] == group {
			some = append(some, e)
		}
	}
	return some
}

// acl is one command on an ACL of a tenant.
func acl(t tenant, command string, priority int, match, verdict string) []string {
	var args []string
	owner := t.name
	if t.subjects != "" {
		args, owner = []string{"--type=port-group"}, t.subjects
		match = "outport == @" + t.subjects + " && " + match
	}
	args = append(args, command, owner, "to-lport", fmt.Sprint(priority), match)
	if verdict != "" {
		args = append(args, verdict)
	}
	return args
}

func (r rule) match() string {
	from := r.cidr
	if r.group != "" {
		from = "$" + r.group
	}
	return fmt.Sprintf("ip4.src == %s && %s.dst == %d", from, r.proto(), r.port)
}

func (o *ovn) addRule(ctx context.Context, t tenant, r rule) error {
	return o.change(ctx, append([]string{"--wait=hv"}, acl(t, "acl-add", 1001, r.match(), "allow-related")...)...)
}

func (o *ovn) removeRule(ctx context.Context, t tenant, r rule) error {
	return o.change(ctx, append([]string{"--wait=hv"}, acl(t, "acl-del", 1001, r.match(), "")...)...)
}

func (o *ovn) addMember(ctx context.Context, t tenant, number int) error {
	return o.change(ctx, "--wait=hv", "add", "address_set", t.rules[0].group, "addresses", `"`+t.endpoints[number].ip+`"`)
}

func (o *ovn) removeMember(ctx context.Context, t tenant, number int) error {
	return o.change(ctx, "--wait=hv", "remove", "address_set", t.rules[0].group, "addresses", `"`+t.endpoints[number].ip+`"`)
}

// memory is that of all but ovs-vswitchd, its database and the command-line tool.
func (o *ovn) memory() (now, peak float64) {
	for _, c := range o.measured {
		n, p := resident(c.cmd.Process.Pid)
		now, peak = now+n, peak+p
	}
	return now, peak
}
