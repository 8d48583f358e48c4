package conntrack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A space is a network namespace of a test, with a connection tracker of its own.
type space struct {
	t      testing.TB
	fd     int
	path   string
	helper string // that connections to port 21 get; empty: none
}

// newSpace makes a namespace that ends with the test. Without the right to make one the test is
// skipped; where CI is set that is a failure.
func newSpace(t testing.TB) *space {
	t.Helper()
	s := &space{t: t, fd: -1}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		made <- err
	}()
	if err := <-made; err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no network namespace: ", err)
		}
		t.Skip("skipped: no network namespace: ", err)
	}
	t.Cleanup(func() { unix.Close(s.fd) })
	s.path = fmt.Sprintf("/proc/self/fd/%d", s.fd)
	return s
}

// do runs f on a thread in the namespace.
func (s *space) do(f func() error) {
	s.t.Helper()
	if err := inNetns(s.path, f); err != nil {
		s.t.Fatal(err)
	}
}

// run runs a program in the namespace, and returns what it prints.
func (s *space) run(stdin string, args ...string) (out string) {
	s.t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		if os.Getenv("CI") != "" {
			s.t.Fatal(err)
		}
		s.t.Skip("skipped: ", err)
	}
	s.do(func() error {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		b, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%v: %w: %s", args, err, stderr.String())
		}
		out = string(b)
		return err
	})
	return out
}

// set writes a setting of the namespace's.
func (s *space) set(name, value string) {
	s.t.Helper()
	s.do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
}

func (s *space) source() *Netlink { return &Netlink{Netns: s.path} }

// entries reads all that f means.
func (s *space) entries(f Filter) (all []Entry) {
	s.t.Helper()
	for e, err := range s.source().Entries(s.t.Context(), f) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never came: ", what)
		}
	}
}

// create puts connections into the namespace's tracker.
func (s *space) create(entries ...Entry) {
	s.t.Helper()
	nl, err := newSocket(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer nl.close()
	for part := range slices.Chunk(entries, 200) {
		var r request
		for i, e := range part {
			flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_CREATE | unix.NLM_F_EXCL)
			if i == len(part)-1 {
				flags |= unix.NLM_F_ACK
			}
			r.creation(e, flags)
		}
		s.done(nl, r)
	}
}

// mark gives a connection another mark.
func (s *space) mark(e Entry, mark uint32) {
	s.t.Helper()
	nl, err := newSocket(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer nl.close()
	var r request
	start := r.begin(subsysConntrack|msgNew, unix.NLM_F_REQUEST|unix.NLM_F_ACK, 1, familyOf(e.Orig.Src))
	r.tuple(ctaTupleOrig, e.Protocol, e.Orig, 0)
	r.uint16(ctaZone, e.Zone)
	r.uint32(ctaMark, mark)
	r.done(start)
	s.done(nl, r)
}

// done sends a request, the last message of which asks for an answer.
func (s *space) done(nl *socket, r request) {
	s.t.Helper()
	if err := nl.send(r.b); err != nil {
		s.t.Fatal(err)
	}
	n, err := nl.f.Read(nl.buf)
	if err != nil {
		s.t.Fatal(err)
	}
	m, rest, err := cutMessage(nl.buf[:n])
	if err == nil {
		err = failure("create", m)
	}
	if err != nil || len(rest) > 0 {
		s.t.Fatal(err, len(rest))
	}
}

// creation puts the request for a connection.
func (r *request) creation(e Entry, flags uint16) {
	start := r.begin(subsysConntrack|msgNew, flags, 1, familyOf(e.Orig.Src))
	r.tuple(ctaTupleOrig, e.Protocol, e.Orig, e.ZoneOrig)
	r.tuple(ctaTupleReply, e.Protocol, e.Reply, e.ZoneReply)
	r.uint32(ctaTimeout, e.Timeout)
	r.uint32(ctaStatus, uint32(e.Status))
	r.uint32(ctaMark, e.Mark)
	if e.Zone != 0 {
		r.uint16(ctaZone, e.Zone)
	}
	if e.Protocol == TCP {
		r.nested(ctaProtoinfo, func() {
			r.nested(infoTCP, func() { r.attr(infoState, byte(slices.Index(tcpStatesOfKernel[:], e.State))) })
		})
	}
	if e.Protocol == SCTP {
		r.nested(ctaProtoinfo, func() {
			r.nested(infoSCTP, func() {
				r.attr(infoState, byte(slices.Index(sctpStatesOfKernel[:], e.State)))
				r.uint32(sctpTagOrig, e.TagOrig)
				r.uint32(sctpTagReply, e.TagReply)
			})
		})
	}
	r.done(start)
}

// made returns n connections of all kinds, in some zones.
func made(n int) []Entry {
	all := make([]Entry, n)
	for i := range all {
		var a4 [4]byte
		binary.BigEndian.PutUint32(a4[:], 10<<24+uint32(i))
		client, server := netip.AddrFrom4(a4), netip.MustParseAddr("192.0.2.1")
		if i%4 == 3 {
			a16 := netip.MustParseAddr("fd00::").As16()
			copy(a16[12:], a4[:])
			client, server = netip.AddrFrom16(a16), netip.MustParseAddr("fd00:1::1")
		}
		e := Entry{
			Protocol: []Protocol{TCP, UDP, ICMP, UDP, SCTP, TCP, ICMP, ICMPv6}[i%8], Zone: uint16(i % 16), Mark: uint32(i * 7), Timeout: 3000 + uint32(i%1000),
			Status: StatusConfirmed | StatusSeenReply | StatusAssured*Status(i%2),
			Orig:   Tuple{Src: client, Dst: server, SrcPort: uint16(1 + i%65535), DstPort: 80},
		}
		switch e.Protocol {
		case TCP:
			e.State = []State{SynSent, SynRecv, Established, FinWait1, CloseWait, LastAck, TimeWait, Closing}[i/8%8]
			e.StateOrig, e.StateReply = e.State, e.State
		case SCTP:
			e.State, e.TagOrig, e.TagReply = []State{CookieWait, CookieEchoed, Established}[i/8%3], uint32(i), 1<<31+uint32(i)
		}
		e.Reply = Tuple{Src: e.Orig.Dst, Dst: e.Orig.Src, SrcPort: 80, DstPort: e.Orig.SrcPort}
		if e.Protocol == ICMP || e.Protocol == ICMPv6 {
			request, reply := uint8(8), uint8(0)
			if e.Protocol == ICMPv6 {
				request, reply = 128, 129
			}
			e.Orig = Tuple{Src: client, Dst: server, ICMPID: uint16(i), ICMPType: request}
			e.Reply = Tuple{Src: server, Dst: client, ICMPID: uint16(i), ICMPType: reply}
		}
		all[i] = e
	}
	return all
}

// plain is e without what the kernel gives it.
func plain(e Entry) Entry {
	e.ID, e.Uses, e.Timeout, e.Status, e.Start = 0, 0, 0, e.Status&(StatusConfirmed|StatusSeenReply|StatusAssured), 0
	return e
}
