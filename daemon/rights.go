package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"weir/api"
	"weir/conntrack"
	"weir/internal/unixctl"
)

// rights says what the daemon may not do that it has to, as the system answers now, each with
// what to do: the sockets of Open vSwitch that it may not open, and the kernel's connection tracker.
// What is not there is none of it.
func (d *desk) rights() (missing []api.Reason) {
	want := func(path, what string) {
		if why := d.closed(path, what); why != "" {
			missing = append(missing, api.Reason{ID: path, Why: why})
		}
	}
	for _, h := range d.hosts {
		if db, ok := strings.CutPrefix(h.target, "unix:"); ok {
			want(db, "the database cannot be read")
		}
		if d.config.Listen == "" {
			want(h.rundir, "no bridge can find its controller, whose socket has to be there (or let bridges connect with --listen)")
		}
		if ctl, err := unixctl.Find(h.rundir, "ovs-vswitchd"); err == nil {
			want(ctl, "ovs-vswitchd cannot be asked for connections, and traces nothing")
		}
	}
	for _, b := range d.inForce.Load().Model.Bridges() {
		if p, there := d.at(b.Name); there {
			want(strings.TrimPrefix(p.management(), "unix:"), "nothing of this bridge can be explained")
		}
	}
	if slices.ContainsFunc(d.hosts, func(h *Host) bool { return slices.Contains(d.kinds(h), conntrack.Kernel) }) && !capable(unix.CAP_NET_ADMIN) {
		missing = append(missing, api.Reason{ID: "CAP_NET_ADMIN", Why: "the kernel does not show its connections, and they are read through ovs-vswitchd, which waits for that: give it to the daemon"})
	}
	return missing
}

// closed says why a socket or folder is closed to us; empty: it is open, or not there.
func (d *desk) closed(path, what string) string {
	mode := uint32(unix.R_OK | unix.W_OK)
	if !errors.Is(unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS), unix.EACCES) { // access(2) forgets the capabilities of who is not root
		return ""
	}
	whose := ""
	if info, err := os.Stat(path); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			whose = ", for it is " + userName(owner.Uid) + "'s"
		}
	}
	return fmt.Sprintf("%s: closed to %s%s: give the daemon CAP_DAC_OVERRIDE, as weir.service does, or run it as the user of Open vSwitch",
		what, userName(uint32(os.Geteuid())), whose)
}

// userName is the name of a user, or its number where the names cannot be read.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	if uid == 0 {
		return "root"
	}
	return "user " + id
}

// capable reports whether the process has a capability in force (capabilities(7)).
func capable(bit uint) bool {
	var data [2]unix.CapUserData // version 3 has 64 bits
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return true // it is not known: the tracker says what it was refused
	}
	return data[bit/32].Effective&(1<<(bit%32)) != 0
}
