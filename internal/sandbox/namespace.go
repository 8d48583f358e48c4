package sandbox

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// A namespace is a network namespace without a name: it is there as long as something
// of this process is in it, or the file descriptor is open.
type namespace struct {
	fd int

	mu     sync.Mutex
	idle   []*thread // of visit
	closed bool
}

// newNamespace makes a namespace on a thread that it spoils, and that ends.
func newNamespace() (*namespace, error) {
	type made struct {
		fd  int
		err error
	}
	ch := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- made{err: fmt.Errorf("new network namespace: %w", err)}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		ch <- made{fd, err}
	}()
	m := <-ch
	if m.err != nil {
		return nil, m.err
	}
	return &namespace{fd: m.fd}, nil
}

func (n *namespace) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.idle {
		t.end()
	}
	n.idle, n.closed = nil, true
	if n.fd >= 0 {
		unix.Close(n.fd) // nothing can be done about an error, and nothing follows from it
		n.fd = -1
	}
}

// do runs f on a thread in the namespace. Sockets and processes that f makes stay there;
// the thread ends with f, and so do processes that die with their parent.
func (n *namespace) do(f func() error) error {
	t, err := newThread(n)
	if err != nil {
		return err
	}
	defer t.end()
	return t.do(f)
}

// visit runs f on a thread in the namespace, as do, but the thread may have run others, and may run more: f starts no process.
// A test that opens thousands of connections is mostly about making threads else.
func (n *namespace) visit(f func() error) error {
	t, err := n.take()
	if err != nil {
		return err
	}
	defer n.give(t)
	return t.do(f)
}

func (n *namespace) take() (t *thread, err error) {
	n.mu.Lock()
	if last := len(n.idle) - 1; last >= 0 {
		t, n.idle = n.idle[last], n.idle[:last]
	}
	n.mu.Unlock()
	if t != nil {
		return t, nil
	}
	return newThread(n)
}

func (n *namespace) give(t *thread) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		t.end()
		return
	}
	n.idle = append(n.idle, t)
}

// A thread runs functions, one after the other, on one thread of the operating system.
type thread struct {
	work chan func()
}

// newThread starts a thread in a namespace; nil is that of the process.
func newThread(n *namespace) (*thread, error) {
	t := &thread{make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		if n != nil {
			err = unix.Setns(n.fd, unix.CLONE_NEWNET)
		}
		ready <- err
		if err != nil {
			return
		}
		for f := range t.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("enter network namespace: %w", err)
	}
	return t, nil
}

func (t *thread) do(f func() error) error {
	done := make(chan error)
	t.work <- func() { done <- f() }
	return <-done
}

// enter moves the thread into a namespace: what it starts from now on is there.
func (t *thread) enter(n *namespace) error {
	err := t.do(func() error { return unix.Setns(n.fd, unix.CLONE_NEWNET) })
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}

func (t *thread) end() { close(t.work) }
