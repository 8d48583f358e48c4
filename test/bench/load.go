package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// This program also is the client and the server of the traffic, when it is started in a
// host with one of these as its first argument.
const (
	asServer   = "traffic-server"
	asClient   = "traffic-client"
	asStream   = "traffic-stream"
	asProbe    = "traffic-probe"
	oneByOne   = 1
	inParallel = 16
)

// A load is what a client does: connect, wait until the server closes, close, again. Each
// source port is used once, so that no connection meets an older one of its own name.
type load struct {
	To          []netip.AddrPort // in turn
	Strangers   bool             // each connection comes from another address of the Internet; else from the host's own
	Time        time.Duration    // zero: one connection of each
	Parallel    int
	First, Last int // source ports; the load ends when they are used up
}

// A loaded is what became of a load.
type loaded struct {
	Done, Failed int
	Why          string // one that failed
	PerSecond    float64
	P50, P99     float64 // of one connection, in microseconds
}

// role runs this program as a part of the traffic.
func role(args []string) error {
	switch args[0] {
	case asServer:
		return serve()
	case asStream:
		var to netip.AddrPort
		var long time.Duration
		if err := errors.Join(to.UnmarshalText([]byte(args[1])), json.Unmarshal([]byte(args[2]), &long)); err != nil {
			return err
		}
		return stream(to, long)
	}
	if args[0] == asProbe {
		var p probe
		if err := json.Unmarshal([]byte(args[1]), &p); err != nil {
			return err
		}
		return p.run()
	}
	var l load
	if err := json.Unmarshal([]byte(args[1]), &l); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(l.run())
}

// serve closes what connects to connectPort, and swallows what is sent to streamPort. It
// ends when its parent does.
func serve() error {
	swallow, err := net.Listen("tcp4", fmt.Sprintf(":%d", streamPort))
	if err != nil {
		return err
	}
	go accept(swallow, func(c net.Conn) {
		buf := make([]byte, 1<<18)
		for {
			if _, err := c.Read(buf); err != nil {
				return // the stream has ended
			}
		}
	})
	go answer()
	closing, err := net.Listen("tcp4", fmt.Sprintf(":%d", connectPort))
	if err != nil {
		return err
	}
	accept(closing, func(net.Conn) {})
	return nil
}

func accept(l net.Listener, with func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			continue // that one client gave up does not end a server
		}
		go func() {
			with(c)
			c.Close()
		}()
	}
}

// stream sends as much as it can, and says how many megabits a second that was.
func stream(to netip.AddrPort, long time.Duration) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{Port: streamFrom}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp4", to.String())
	if err != nil {
		return err
	}
	defer c.Close()
	buf, sent, start := make([]byte, 1<<17), 0, time.Now()
	if err := c.SetDeadline(start.Add(long)); err != nil {
		return err
	}
	for {
		n, err := c.Write(buf)
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return json.NewEncoder(os.Stdout).Encode(float64(sent) * 8 / 1e6 / time.Since(start).Seconds())
		}
		if err != nil {
			return err
		}
	}
}

// run connects, in as many threads as it says.
func (l load) run() (r loaded) {
	var port, failed atomic.Int64
	var why atomic.Value
	why.Store("")
	port.Store(int64(l.First))
	times := make([][]float64, l.Parallel)
	start := time.Now()
	var workers sync.WaitGroup
	for i := range times {
		workers.Go(func() {
			for first := true; first || time.Since(start) < l.Time; first = false {
				from := int(port.Add(1) - 1)
				if from > l.Last {
					return
				}
				begun := time.Now()
				if err := connect(l.To[from%len(l.To)], l.source(from)); err != nil {
					failed.Add(1)
					why.Store(err.Error())
					continue
				}
				times[i] = append(times[i], float64(time.Since(begun).Microseconds()))
			}
		})
	}
	workers.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	r = loaded{Done: len(all), Failed: int(failed.Load()), Why: why.Load().(string),
		PerSecond: float64(len(all)) / time.Since(start).Seconds()}
	if len(all) > 0 {
		r.P50, r.P99 = quantile(all, .5), quantile(all, .99)
	}
	return r
}

// source is where a connection comes from, by its port.
func (l load) source(port int) *unix.SockaddrInet4 {
	s := &unix.SockaddrInet4{Port: port}
	if l.Strangers {
		s.Addr = stranger(port)
	}
	return s
}

// stranger is an address somewhere in the Internet, another one for each of 2^24 numbers, and none that is
// there for something special.
func stranger(number int) (a [4]byte) {
	h := uint32(number) * 2654435761 // an odd factor: the low bits are other ones for each number
	network := []uint32{11 + h>>24%85, 128 + h>>24%40, 208 + h>>24%16}[number%3]
	binary.BigEndian.PutUint32(a[:], network<<24|h&0xffffff)
	return a
}

// connect is one connection, in plain system calls: Go's poller would cost more than the
// connection.
func connect(to netip.AddrPort, from *unix.SockaddrInet4) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	limit := unix.Timeval{Sec: 2}
	err = errors.Join(
		unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
		unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(s, from))
	if err != nil {
		return err
	}
	// With a time limit neither call is restarted after a signal, and Go's scheduler sends many.
	address := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	if err := uninterrupted(func() error { return unix.Connect(s, address) }); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	var n int
	err = uninterrupted(func() (err error) {
		n, err = unix.Read(s, make([]byte, 1))
		return err
	})
	if err == nil && n != 0 {
		err = errors.New("the server said something")
	}
	return err
}

func uninterrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
