package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"weir/api"
	"weir/conntrack"
	"weir/controller"
	"weir/intent"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
)

// A Host is an Open vSwitch that the daemon serves: one ovs-vswitchd with its database, its bridges and its
// connection trackers. What is not atomic is set before anything runs, and never changes; the rest is what
// its watch, the keeper and the sessions publish of it.
type Host struct {
	name   string // what it is called in bridges' names and in answers; empty: it is the only one
	target string // its database, as "unix:PATH"
	rundir string // of its ovs-vswitchd

	tracker conntrack.Source // its connections, of all its datapaths
	reader  *reader          // the same, when the daemon serves; nil: only tracker is there
	turns   *conntrack.Turns // of the controller, to read connections through ovs-vswitchd
	looks   chan struct{}    // of one place: who watches connections reads in turn

	heard    atomic.Pointer[ovsdb.Snapshot] // what its database said last; nil: nothing yet
	snapshot atomic.Pointer[ovsdb.Snapshot] // the same, once the keeper goes by it
	away     atomic.Pointer[string]         // why the database cannot be reached; nil: it can, or that is not known yet
	version  atomic.Pointer[string]         // of ovs-vswitchd; nil: not asked yet
	times    atomic.Pointer[string]         // why timeouts of connections are not as they should be; nil: they are

	trackers   atomic.Pointer[[]tracker] // of its datapaths; nil: none is known yet
	unanswered atomic.Pointer[string]    // why ovs-vswitchd, if it has a name, cannot be asked; nil: it can, or was not asked yet
}

// A seat is where a bridge of the model is.
type seat struct {
	host *Host
	name string       // what Open vSwitch calls the bridge
	row  ovsdb.Bridge // what the database says of it; its name is that in the model
}

// hostName is what a host may be called: it stands before a bridge's name, and in labels of metrics.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// HostsOf returns the hosts that flags name: those of --host, or the only one, of --ovsdb and --ovs-rundir.
func HostsOf(said []string, target, rundir string) ([]*Host, error) {
	if len(said) == 0 {
		if err := ovsdb.CheckTarget(target); err != nil {
			return nil, fmt.Errorf("--ovsdb: %w", err)
		}
		return []*Host{{target: target, rundir: rundir}}, nil
	}
	var all []*Host
	for _, text := range said {
		h, err := readHost(text)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			switch {
			case other.name == h.name:
				return nil, fmt.Errorf("--host %s: there is a host %s already", text, h.name)
			case filepath.Clean(other.rundir) == filepath.Clean(h.rundir) || other.target == h.target:
				return nil, fmt.Errorf("--host %s: that is the Open vSwitch of host %s: each has a run directory and a database of its own", text, other.name)
			}
		}
		all = append(all, h)
	}
	return all, nil
}

// readHost reads NAME=RUNDIR[,OVSDB].
func readHost(text string) (*Host, error) {
	name, where, _ := strings.Cut(text, "=")
	rundir, target, _ := strings.Cut(where, ",")
	switch {
	case !hostName.MatchString(name):
		return nil, fmt.Errorf("--host %s: want NAME=RUNDIR or NAME=RUNDIR,OVSDB, the name of letters, digits, -, . and _", text)
	case rundir == "":
		return nil, fmt.Errorf("--host %s: want its run directory, as --host %s=/run/%s: connections are read, and packets explained, through the sockets there", text, name, name)
	}
	target = cmp.Or(target, "unix:"+filepath.Join(rundir, "db.sock"))
	if err := ovsdb.CheckTarget(target); err != nil {
		return nil, fmt.Errorf("--host %s: %w", text, err)
	}
	return &Host{name: name, rundir: rundir, target: target}, nil
}

// String is how a host is named where there may be several.
func (h *Host) String() string { return cmp.Or(h.name, h.target) }

// of puts the host's name before that of something of it: "b/netdev". What is of the only host stays as it is.
func (h *Host) of(what string) string { return api.OnHost(h.name, what) }

// trouble says of which host an error is, if there may be several.
func (h *Host) trouble(err error) error {
	if err == nil || h.name == "" {
		return err
	}
	return fmt.Errorf("host %s: %w", h.name, err)
}

// management is where ovs-vswitchd lets the bridge be asked, whoever its controller is.
func (p seat) management() string { return "unix:" + filepath.Join(p.host.rundir, p.name+".mgmt") }

// at returns where a bridge of the model is; false: it is nowhere, as far as is known.
func (d *desk) at(bridge string) (p seat, found bool) {
	if all := d.seats.Load(); all != nil {
		p, found = (*all)[bridge]
	}
	return p, found
}

// errElsewhere is of a bridge that is asked, and that no host is known to have.
func errElsewhere(bridge string) error {
	return fmt.Errorf("bridge %s cannot be asked: it is not known to be there", bridge)
}

// ours is what a host's database says, with the bridges alone that are ours to keep, under their names
// in the model: another daemon may serve the others, and keeps their zones as well.
func (d *desk) ours(h *Host) ovsdb.Snapshot {
	s := ovsdb.Snapshot{Bridges: map[string]ovsdb.Bridge{}}
	if now := h.snapshot.Load(); now != nil {
		s.Connected, s.OVSVersion, s.Zones = now.Connected, now.OVSVersion, now.Zones
	}
	seats, served := d.seats.Load(), d.served.Load()
	if seats == nil || served == nil {
		return s
	}
	for name, p := range *seats {
		if p.host == h && (*served)[name] {
			s.Bridges[name] = p.row
		}
	}
	return s
}

// kinds returns the types of the datapaths that our bridges of a host are on.
func (d *desk) kinds(h *Host) (kinds []string) {
	for _, b := range d.ours(h).Bridges {
		if kind := conntrack.Kind(b.DatapathType); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// A base is what the keeper knows of one host.
type base struct {
	*Host
	db       *ovsdb.Client
	from     *ovsdb.Snapshot // which it goes by
	snapshot ovsdb.Snapshot
	seen     uint64 // counts the snapshots
	times    timekeeper
	ward     *warden
}

// hear takes what the databases have said since.
func (k *keeper) hear() {
	for _, b := range k.bases {
		if s := b.heard.Load(); s != nil && s != b.from {
			b.from = s
			k.observe(b, *s)
		}
	}
}

// locate finds the bridges of the model, and says where they are.
func (k *keeper) locate() {
	all := map[string]seat{}
	for _, b := range k.model.Bridges() {
		s := k.sites[b.Name]
		if s == nil {
			s = newSite()
			k.sites[b.Name] = s
		}
		at, name, err := find(k.bases, b.Name, s.at)
		if s.at != nil && at != nil && at != s.at {
			k.shut(s) // it has moved
			*s = *newSite()
		}
		if s.lost = err; err == nil {
			s.at, s.name = at, name
		}
		if row, there := s.row(); there {
			row.Name = b.Name
			all[b.Name] = seat{s.at.Host, s.name, row}
		}
	}
	k.desk.seats.Store(&all)
}

// find returns the host that has a bridge, and what it is called there. HOST/BRIDGE says which host;
// a bridge that has only its own name is where one of that name is, or was, if it has gone.
func find(bases []*base, bridge string, was *base) (at *base, name string, err error) {
	of, name, qualified := strings.Cut(bridge, "/")
	switch {
	case bases[0].name != "":
	case qualified:
		return nil, "", fmt.Errorf("bridge %s is on host %s, and hosts have no names here: weir serve --host %s=RUNDIR, or leave the host out", name, of, of)
	default:
		return bases[0], bridge, nil
	}
	if qualified {
		i := slices.IndexFunc(bases, func(b *base) bool { return b.name == of })
		if i < 0 {
			return nil, "", fmt.Errorf("bridge %s is on host %s, and there is no --host of that name: there are %s", name, of, strings.Join(namesOf(bases), ", "))
		}
		return bases[i], name, nil
	}
	var has []*base
	for _, b := range bases {
		if _, there := b.snapshot.Bridges[bridge]; there {
			has = append(has, b)
		}
	}
	switch {
	case len(has) == 1:
		return has[0], bridge, nil
	case len(has) > 1:
		return nil, "", fmt.Errorf("hosts %s and %s have a bridge %s each: say which is meant, %s or %s",
			has[0].name, has[1].name, bridge, has[0].of(bridge), has[1].of(bridge))
	case was != nil:
		return was, bridge, nil
	}
	return nil, "", nowhere(bases, bridge)
}

// nowhere is of a bridge that no host has that is reached.
func nowhere(bases []*base, bridge string) error {
	text := "no host has a bridge " + bridge + " (ovs-vsctl add-br " + bridge + ")"
	var away []string
	for _, b := range bases {
		if !b.snapshot.Connected {
			away = append(away, b.name)
		}
	}
	if len(away) > 0 {
		text += "; not reached: " + strings.Join(away, ", ")
	}
	return errors.New(text)
}

func namesOf(bases []*base) (all []string) {
	for _, b := range bases {
		all = append(all, b.name)
	}
	return all
}

// row is what the database says of a site's bridge; false: it has none.
func (s *site) row() (row ovsdb.Bridge, there bool) {
	if s.at != nil {
		row, there = s.at.snapshot.Bridges[s.name]
	}
	return row, there
}

// whose returns the bridge that has connected to the door that all share. Where several have its datapath
// id, as hosts that were copied have, it is the one whose certificate has been shown.
func (k *keeper) whose(conn *ofconn.Conn) (bridge string, err error) {
	id := fmt.Sprintf("%016x", conn.Features().DatapathID)
	var all, proven []string
	for _, name := range slices.Sorted(maps.Keys(k.sites)) {
		row, there := k.sites[name].row()
		if !there || row.DatapathID != id {
			continue
		}
		all = append(all, name)
		if b := k.named(name); b != nil && b.Certificate != "" && proves(b, conn) == nil {
			proven = append(proven, name)
		}
	}
	switch {
	case len(all) == 0:
		return "", fmt.Errorf("datapath %s is no bridge of the model", id)
	case len(all) == 1:
		return all[0], nil
	case len(proven) == 1:
		return proven[0], nil
	}
	return "", fmt.Errorf("bridges %s all have the datapath id %s: give each another (ovs-vsctl set bridge BRIDGE other-config:datapath-id=...), or say their certificates",
		strings.Join(all, ", "), id)
}

// bridgesOn returns a bridge of a tenant on each datapath, of each host, that it has some on.
func (d *desk) bridgesOn(t *intent.Tenant) (bridges []string) {
	type datapath struct {
		host *Host
		kind string
	}
	seen := map[datapath]bool{}
	for _, b := range d.inForce.Load().Model.Bridges() {
		p, there := d.at(b.Name)
		if of := (datapath{p.host, conntrack.Kind(p.row.DatapathType)}); there && onBridge(t, b.Name) && !seen[of] {
			seen[of] = true
			bridges = append(bridges, b.Name)
		}
	}
	return bridges
}

func targetsOf(hosts []*Host) (all []string) {
	for _, h := range hosts {
		all = append(all, h.target)
	}
	return all
}

// trackers returns what is known of the trackers of all hosts; false: nothing yet.
func (d *desk) trackers() (all []tracker, known bool) {
	for _, h := range d.hosts {
		if some := h.trackers.Load(); some != nil {
			all, known = append(all, *some...), true
		}
	}
	return all, known
}

// bases returns what the keeper begins with.
func (d *desk) bases(ctx context.Context, ctl *controller.Controller, log *logrus.Logger) (all []*base, err error) {
	for _, h := range d.hosts {
		db, err := ovsdb.Open(ctx, d.databaseOf(h))
		if err != nil {
			return nil, h.trouble(err)
		}
		all = append(all, &base{Host: h, db: db, ward: newWarden(d, h, ctl, log), times: timekeeper{left: times{}, fights: controller.Fights{}, taken: map[string]*takenBy{}}})
	}
	return all, nil
}

// isOn reports whether a bridge is on the host of a name.
func (d *desk) isOn(bridge, name string) bool {
	p, found := d.at(bridge)
	return found && p.host.name == name
}
