package conntrack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A socket speaks with the kernel's connection tracker of a network namespace. It belongs to one
// goroutine at a time; only close may be called by another.
type socket struct {
	f   *os.File // nonblocking, so that a read can be interrupted
	fd  int
	seq uint32
	buf []byte
}

// readBuffer is what the kernel puts into one part of a dump at most, if there is room for it. With less a
// dump takes longer, and with more, too.
const readBuffer = 1 << 15

// newSocket opens a socket in a network namespace; empty: that of the process.
func newSocket(netns string) (*socket, error) {
	var fd int
	err := inNetns(netns, func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return nil, explained("open a netlink socket", err)
	}
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK} {
		_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1) // a kernel without says less in its errors
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, explained("bind a netlink socket", err)
	}
	return &socket{f: os.NewFile(uintptr(fd), "netlink"), fd: fd, buf: make([]byte, readBuffer)}, nil
}

func (s *socket) close() { _ = s.f.Close() }

// inNetns runs f on a thread in a network namespace. The thread ends if it cannot be brought back.
func inNetns(path string, f func() error) error {
	if path == "" {
		return f()
	}
	target, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer target.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer own.Close()
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter network namespace %s (which takes CAP_SYS_ADMIN): %w", path, err)
			return
		}
		err = f()
		if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// send writes messages.
func (s *socket) send(b []byte) error {
	_, err := s.f.Write(b)
	return err
}

// until has reads fail when ctx is done, until stop is called.
func (s *socket) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { s.f.SetReadDeadline(time.Unix(1, 0)) })
}

// A message is one of the kernel's.
type message struct {
	typ, flags uint16
	seq        uint32
	body       []byte // valid until the next read
}

// errCut is the error of a message that is not whole.
var errCut = errors.New("a message of the kernel is cut")

// cutMessage takes the first message off b.
func cutMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < nlHeader {
		return m, nil, errCut
	}
	n := int(ne.Uint32(b))
	if n < nlHeader || n > len(b) {
		return m, nil, errCut
	}
	m = message{typ: ne.Uint16(b[4:]), flags: ne.Uint16(b[6:]), seq: ne.Uint32(b[8:]), body: b[nlHeader:n]}
	return m, b[min((n+3)&^3, len(b)):], nil
}

// A KernelError is what the kernel's connection tracker answers to what it does not do.
type KernelError struct {
	Err  error  // a unix.Errno
	Text string // what it says about it; empty: nothing
}

// Error says why it was not done.
func (e *KernelError) Error() string {
	if e.Text != "" {
		return fmt.Sprintf("%v (%s)", e.Err, e.Text)
	}
	return e.Err.Error()
}

// Unwrap returns the errno.
func (e *KernelError) Unwrap() error { return e.Err }

// explained makes an error of op that says what to do.
func explained(op string, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the kernel's connection tracker is only shown to who has CAP_NET_ADMIN in its network namespace "+
			"(run as root, or setcap cap_net_admin+ep on the program): %s: %w", op, err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOPROTOOPT):
		return fmt.Errorf("this kernel cannot show its connection tracker (load the module nf_conntrack_netlink): %s: %w", op, err)
	}
	return fmt.Errorf("the kernel's connection tracker: %s: %w", op, err)
}

// failure reads the message of an error; nil: it is an acknowledgement.
func failure(op string, m message) error {
	if len(m.body) < 4 {
		return errCut
	}
	no := -int32(ne.Uint32(m.body))
	if no == 0 {
		return nil
	}
	return explained(op, &KernelError{Err: unix.Errno(no), Text: extAck(m)})
}

// extAck returns what an error says in words: behind the number comes the request, or only its
// header, and then attributes.
func extAck(m message) string {
	const textAttr = 1 // NLMSGERR_ATTR_MSG
	at := 4 + nlHeader
	if m.flags&unix.NLM_F_ACK_TLVS == 0 || len(m.body) < at {
		return ""
	}
	if m.flags&unix.NLM_F_CAPPED == 0 {
		at = 4 + int(ne.Uint32(m.body[4:])+3)&^3
	}
	if at < 0 || at > len(m.body) {
		return ""
	}
	for a := (attrs{rest: m.body[at:]}); a.next(); {
		if a.typ == textAttr {
			return string(bytes.TrimRight(a.value, "\x00"))
		}
	}
	return ""
}
