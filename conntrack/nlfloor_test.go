package conntrack

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkKernelWays reads a table of 200,000 connections in ways that might be faster than the one that is
// taken: docs/decisions/0017 has what came of it.
func BenchmarkKernelWays(b *testing.B) {
	s := newSpace(b)
	s.create(made(crowd)...)
	run := func(name string, read func() int) {
		b.Run(name, func(b *testing.B) {
			began := processorTime(b)
			for b.Loop() {
				if n := read(); n != crowd {
					b.Fatal(n)
				}
			}
			perEntry(b, began)
		})
	}
	for _, size := range []int{readBuffer / 2, readBuffer, 8 * readBuffer} {
		run(fmt.Sprintf("nothing decoded, %d KiB", size>>10), func() int { return s.received(b, 0, size) })
	}
	run("nothing decoded or copied", func() int { s.received(b, unix.MSG_TRUNC, nlHeader); return crowd })
	run("one socket", func() int { return s.decoded(b, Filter{}) })
	run("two sockets, by family", func() int { return s.decoded(b, Filter{Family: 4}, Filter{Family: 6}) })
	for _, n := range []uint32{2, 4} {
		var parts []Filter
		for i := range n {
			parts = append(parts, Filter{Mark: i, MarkMask: n - 1})
		}
		run(fmt.Sprintf("%d sockets, by marks", n), func() int { return s.decoded(b, parts...) })
	}
}

// received asks for the whole table, and returns how many connections have come. It looks at nothing but the
// headers of messages; with MSG_TRUNC not even at those, and counts none.
func (s *space) received(b *testing.B, flags, size int) (n int) {
	nl, err := newSocket(s.path)
	if err != nil {
		b.Fatal(err)
	}
	defer nl.close()
	var r request
	start := r.begin(subsysConntrack|msgGet, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, 1, 0)
	r.done(start)
	if err := nl.send(r.b); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, max(size, readBuffer))
	if flags&unix.MSG_TRUNC != 0 { // the kernel makes parts as large as what it was given room for at most
		if _, _, err := unix.Recvfrom(nl.fd, buf, 0); err != nil {
			b.Fatal(err)
		}
	}
	for buf = buf[:size]; ; {
		got, _, err := unix.Recvfrom(nl.fd, buf, flags) // each has the kernel make the next part: nothing is waited for
		switch {
		case errors.Is(err, unix.EAGAIN):
			return n
		case err != nil:
			b.Fatal(err)
		case flags&unix.MSG_TRUNC == 0:
			n += connectionsIn(b, buf[:got])
		}
	}
}

// connectionsIn counts the connections in a part of a dump.
func connectionsIn(b *testing.B, part []byte) (n int) {
	for len(part) > 0 {
		m, rest, err := cutMessage(part)
		if err != nil {
			b.Fatal(err)
		}
		if part = rest; m.typ == subsysConntrack|msgNew {
			n++
		}
	}
	return n
}

// decoded reads parts of the table at the same time, each over a socket of its own.
func (s *space) decoded(b *testing.B, parts ...Filter) int {
	var n atomic.Int64
	var all sync.WaitGroup
	for _, f := range parts {
		all.Go(func() {
			for _, err := range s.source().Entries(context.Background(), f) {
				if err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return int(n.Load())
}
