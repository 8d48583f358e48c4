package conntrack

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An answer is a message of a kernel's; seq zero is that of what was asked.
type answer struct {
	typ, flags uint16
	seq        uint32
	body       []byte
}

// answering returns a socket, at the other end of which each request gets the next answers. What the
// kernel says when its table is rebuilt, or it refuses a filter, cannot be had from a real one at will.
func answering(t *testing.T, answers ...[]answer) (s *socket, asked *[]int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "netlink"), os.NewFile(uintptr(fds[1]), "kernel")
	asked = new([]int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		request := make([]byte, 1<<12)
		for _, part := range answers {
			n, err := theirs.Read(request)
			if err != nil {
				return
			}
			*asked = append(*asked, n)
			var b []byte
			for _, a := range part {
				seq := a.seq
				if seq == 0 {
					seq = ne.Uint32(request[8:])
				}
				b = ne.AppendUint32(b, uint32(nlHeader+len(a.body)))
				b = ne.AppendUint16(b, a.typ)
				b = ne.AppendUint16(b, a.flags)
				b = ne.AppendUint32(b, seq)
				b = append(append(b, 0, 0, 0, 0), a.body...)
				for len(b)%4 != 0 {
					b = append(b, 0)
				}
			}
			if _, err := theirs.Write(b); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { ours.Close(); theirs.Close(); <-done })
	return &socket{f: ours, fd: fds[0], buf: make([]byte, readBuffer)}, asked
}

func TestHowADumpEnds(t *testing.T) {
	entry := messages(t, recorded(t)[0])[0]
	const intr, multi = unix.NLM_F_DUMP_INTR, unix.NLM_F_MULTI
	one := answer{typ: subsysConntrack | msgNew, flags: multi, body: entry}
	done := answer{typ: unix.NLMSG_DONE, flags: multi, body: []byte{0, 0, 0, 0}}
	no := func(errno unix.Errno) answer {
		return answer{typ: unix.NLMSG_ERROR, body: append(ne.AppendUint32(nil, uint32(-int32(errno))), make([]byte, nlHeader)...)}
	}
	interrupted := one
	interrupted.flags |= intr
	doneInterrupted := done
	doneInterrupted.flags |= intr
	late := done
	late.body = ne.AppendUint32(nil, ^uint32(unix.ENOMEM)+1)
	for name, c := range map[string]struct {
		answers [][]answer
		entries int
		want    error
		text    string
	}{
		"well":                               {[][]answer{{one, one, done}}, 2, nil, ""},
		"the table was rebuilt":              {[][]answer{{one, interrupted, done}}, 2, ErrInterrupted, "ask again"},
		"and that is said at the end":        {[][]answer{{one, doneInterrupted}}, 1, ErrInterrupted, ""},
		"an error at the end":                {[][]answer{{one, late}}, 1, unix.ENOMEM, "cannot allocate memory"},
		"who may not":                        {[][]answer{{no(unix.EPERM)}}, 0, fs.ErrPermission, "CAP_NET_ADMIN"},
		"no such table":                      {[][]answer{{no(unix.EPROTONOSUPPORT)}}, 0, unix.EPROTONOSUPPORT, "nf_conntrack_netlink"},
		"a filter that is refused":           {[][]answer{{no(unix.EINVAL)}, {one, done}}, 1, nil, ""},
		"a filter that is refused, and more": {[][]answer{{no(unix.EOPNOTSUPP)}, {no(unix.EINVAL)}}, 0, unix.EINVAL, ""},
		"what was asked before":              {[][]answer{{{typ: one.typ, seq: 999, body: entry}, {typ: unix.NLMSG_DONE, seq: 999}, one, done}}, 1, nil, ""},
		"something else":                     {[][]answer{{{typ: unix.NLMSG_NOOP}, one, done}}, 1, nil, ""},
		"an error without a number":          {[][]answer{{{typ: unix.NLMSG_ERROR}}}, 0, errCut, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, asked := answering(t, c.answers...)
			n := 0
			err := s.dump(t.Context(), subsysConntrack, func(r *request) { r.filter(Filter{Zone: 5}) }, 0, func([]byte) bool { n++; return true })
			if !errors.Is(err, c.want) || n != c.entries || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%d entries, %v; want %d, %v", n, err, c.entries, c.want)
			}
			if len(c.answers) == 2 && (len(*asked) != 2 || (*asked)[1] >= (*asked)[0]) {
				t.Errorf("it asked with %v bytes, want once more without the filter", *asked)
			}
		})
	}
}

func TestACutMessageEndsADump(t *testing.T) {
	s, _ := answering(t, []answer{{typ: subsysConntrack | msgNew, body: []byte{familyV4, 0, 0}}})
	s.buf = s.buf[:18] // as if the kernel had written less
	if err := s.dump(t.Context(), subsysConntrack, func(*request) {}, 0, func([]byte) bool { return true }); !errors.Is(err, errCut) {
		t.Errorf("%v, want %v", err, errCut)
	}
}
