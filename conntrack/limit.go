package conntrack

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"weir/internal/unixctl"
)

// A Limit is how many connections a zone may have. Those that were there before the limit
// was set are not counted.
type Limit struct {
	Zone  uint16
	Max   uint32
	Count uint32 // of those made since the limit was set; they stay counted when it is changed
}

// String returns a limit as Open vSwitch prints it.
func (l Limit) String() string { return fmt.Sprintf("zone=%d,limit=%d", l.Zone, l.Max) }

// A Datapath is the connection tracker of one datapath, as ovs-vswitchd's control socket
// reaches it: what is kept there beside the entries.
type Datapath struct{ rundir, kind string }

// Kernel is the type of the kernel's datapath. All others are in userspace.
const Kernel = "system"

// Kind returns the type of datapath that a bridge with this datapath_type is on.
func Kind(datapathType string) string {
	if datapathType == "" {
		return Kernel
	}
	return datapathType
}

// NewDatapath returns the datapath of a type of the ovs-vswitchd that keeps its files in a
// directory.
func NewDatapath(rundir, kind string) Datapath { return Datapath{rundir, kind} }

// Process says which ovs-vswitchd it is: another text is another process, in which a
// userspace datapath has nothing of what was set before.
func (d Datapath) Process() (string, error) { return unixctl.Find(d.rundir, "ovs-vswitchd") }

// call carries out a command that takes the datapath's name first.
func (d Datapath) call(ctx context.Context, method string, args ...string) (string, error) {
	return d.ask(ctx, method, append([]string{d.name()}, args...)...)
}

// ask carries out a command.
func (d Datapath) ask(ctx context.Context, method string, args ...string) (string, error) {
	c, err := unixctl.DialDaemon(ctx, d.rundir, "ovs-vswitchd")
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.Call(ctx, method, args...)
}

// name is what Open vSwitch calls the datapath.
func (d Datapath) name() string { return d.kind + "@ovs-" + d.kind }

// Limits returns the limits of all zones that have one.
func (d Datapath) Limits(ctx context.Context) ([]Limit, error) {
	text, err := d.call(ctx, "dpctl/ct-get-limits")
	if err != nil {
		return nil, err
	}
	return ParseLimits(text)
}

// SetLimits gives limits to zones; those of other zones stay. It never sets the default
// limit, which Open vSwitch before 3.3 cannot take back.
func (d Datapath) SetLimits(ctx context.Context, limits ...Limit) error {
	var args []string
	for _, l := range limits {
		args = append(args, l.String())
	}
	return d.inParts(ctx, args, func(ctx context.Context, part []string) error {
		_, err := d.call(ctx, "dpctl/ct-set-limits", part...)
		return err
	})
}

// DeleteLimits takes the limits of zones away; that some have none is no error.
func (d Datapath) DeleteLimits(ctx context.Context, zones ...uint16) error {
	var args []string
	for _, z := range zones {
		args = append(args, strconv.Itoa(int(z)))
	}
	return d.inParts(ctx, args, func(ctx context.Context, part []string) error {
		_, err := d.call(ctx, "dpctl/ct-del-limits", "zone="+strings.Join(part, ","))
		return err
	})
}

// inParts does something with a part of args at a time, so that no command is long enough to
// hold ovs-vswitchd.
func (d Datapath) inParts(ctx context.Context, args []string, do func(context.Context, []string) error) error {
	const most = 500
	for part := range slices.Chunk(args, most) {
		if err := do(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// Fill returns how many connections the datapath has, and how many it may have.
func (d Datapath) Fill(ctx context.Context) (count, most uint64, err error) {
	if d.kind == Kernel { // which cannot be asked through ovs-vswitchd
		return d.fillOfKernel(ctx)
	}
	return fillBy([2]string{"nconns", "maxconns"}, func(what string) (string, error) { return d.call(ctx, "dpctl/ct-get-"+what) })
}

// fillOfKernel asks the network namespace of ovs-vswitchd, or, where that may not be, our own.
func (d Datapath) fillOfKernel(ctx context.Context) (count, most uint64, err error) {
	if n, err := NetlinkOf(d.rundir); err == nil {
		if count, most, err := n.Fill(ctx); err == nil && most > 0 {
			return count, most, nil
		}
	}
	return fillBy([2]string{"count", "max"}, func(what string) (string, error) {
		b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_" + what)
		return string(b), err
	})
}

// fillBy asks for two numbers.
func fillBy(names [2]string, ask func(string) (string, error)) (count, most uint64, err error) {
	for i, to := range []*uint64{&count, &most} {
		text, err := ask(names[i])
		if err == nil {
			*to, err = strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return count, most, nil
}

// ParseLimits reads what ct-get-limits prints: "default limit=0", then a line
// "zone=5,limit=3,count=1" for each zone.
func ParseLimits(text string) (limits []Limit, err error) {
	n, seen := 0, map[uint16]bool{}
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "default limit=") {
			continue
		}
		l, err := parseLimit(line)
		if err == nil && seen[l.Zone] {
			err = fmt.Errorf("zone %d comes twice", l.Zone)
		}
		if err != nil {
			return nil, fmt.Errorf("limits of connections, line %d: %w", n, err)
		}
		seen[l.Zone] = true
		limits = append(limits, l)
	}
	return limits, nil
}

func parseLimit(line string) (l Limit, err error) {
	said := map[string]bool{}
	for part := range strings.SplitSeq(line, ",") {
		name, value, _ := strings.Cut(part, "=")
		to := map[string]*uint32{"limit": &l.Max, "count": &l.Count}[name]
		if said[name] {
			return Limit{}, fmt.Errorf("%s comes twice in %q", name, line)
		}
		said[name] = true
		bits := 32
		if name == "zone" {
			bits = 16
		} else if to == nil {
			continue // of a later version
		}
		v, err := strconv.ParseUint(value, 10, bits)
		if err != nil {
			return Limit{}, fmt.Errorf("%s is no number in %q", name, line)
		}
		if to != nil {
			*to = uint32(v)
		} else {
			l.Zone = uint16(v)
		}
	}
	if !said["zone"] || !said["limit"] {
		return Limit{}, fmt.Errorf("zone or limit is missing in %q", line)
	}
	return l, nil
}
