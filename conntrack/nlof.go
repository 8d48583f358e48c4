package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/unixctl"
)

// NetlinkOf returns the source for the connections of the kernel's datapath of the ovs-vswitchd
// that keeps its files in a directory: they are in its network namespace. Where its process
// cannot be seen, as from another container, that is an error; who has the right to read them
// is only seen by reading.
func NetlinkOf(rundir string) (*Netlink, error) {
	const daemon = "ovs-vswitchd"
	path, err := unixctl.Find(rundir, daemon)
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), daemon+"."), ".ctl"))
	if err != nil {
		return nil, fmt.Errorf("%s.pid in %s has no process id", daemon, rundir)
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !strings.HasPrefix(string(name), daemon) || !listensAt(path, pid) {
		return nil, fmt.Errorf("process %d is no %s here: it runs in another container, or not at all, and its network namespace cannot be found", pid, daemon)
	}
	same, err := inOurNetns(pid)
	if err != nil {
		return nil, fmt.Errorf("find the network namespace of %s: %w", daemon, err)
	}
	if same {
		return &Netlink{}, nil // which takes one right less
	}
	return &Netlink{Netns: fmt.Sprintf("/proc/%d/ns/net", pid)}, nil
}

// listening are the control sockets, by path, that were seen to be of the process that their names say.
var listening sync.Map

// listensAt reports whether a process of ours is the one that listens at a unix socket (unix(7), SO_PEERCRED). A
// process id that is in a file may be of another pid namespace, and that of quite another ovs-vswitchd here.
func listensAt(path string, pid int) bool {
	if _, seen := listening.Load(path); seen {
		return true
	}
	const patience = time.Second // one that stands still may have no place for us to wait in
	c, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		return false
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	var why error
	err = raw.Control(func(fd uintptr) { peer, why = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || why != nil || int(peer.Pid) != pid {
		return false
	}
	listening.Store(path, true)
	return true
}

// inOurNetns reports whether a process is in our network namespace. /proc/PID/ns tells that only who
// may trace the process, which of another user's takes CAP_SYS_PTRACE; so what it sees in
// /proc/PID/net is compared, where each namespace has files of its own, open to all.
func inOurNetns(pid int) (bool, error) {
	const file = "net/dev"
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return false, err
	}
	ours, err := os.Stat("/proc/thread-self/" + file) // the first thread may have been left in another one
	if err != nil {
		return false, err
	}
	return os.SameFile(ours, theirs), nil
}

// Fill returns how many connections the table has, and how many it may have; zero: the kernel does
// not say (before 5.9).
func (n *Netlink) Fill(ctx context.Context) (count, most uint64, err error) {
	const (
		msgStats  = 5 // IPCTNL_MSG_CT_GET_STATS
		statsNow  = 1 // CTA_STATS_GLOBAL_*
		statsMost = 2
	)
	s, err := newSocket(n.Netns)
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	defer s.until(ctx)()
	m, err := s.one(subsysConntrack | msgStats)
	if err != nil {
		return 0, 0, err
	}
	if len(m.body) < nfHeader {
		return 0, 0, errCut
	}
	a := attrs{rest: m.body[nfHeader:]}
	var now, max uint32
	for a.next() {
		switch a.typ {
		case statsNow:
			a.uint32(&now)
		case statsMost:
			a.uint32(&max)
		}
	}
	return uint64(now), uint64(max), a.err
}

// one asks for something that has one message for an answer.
func (s *socket) one(typ uint16) (message, error) {
	const op = "ask how full the table is"
	s.seq++
	var r request
	start := r.begin(typ, unix.NLM_F_REQUEST, s.seq, 0)
	r.done(start)
	if err := s.send(r.b); err != nil {
		return message{}, explained(op, err)
	}
	n, err := s.f.Read(s.buf)
	if err != nil {
		return message{}, explained(op, err)
	}
	m, _, err := cutMessage(s.buf[:n])
	if err == nil && m.typ == unix.NLMSG_ERROR {
		if err = failure(op, m); err == nil {
			err = errors.New(op + ": the kernel does not say")
		}
	}
	return m, err
}
