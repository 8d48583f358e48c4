package sandbox

import (
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Tap sees what a host sends: the beginning of each frame.
type Tap struct {
	fd    int
	done  chan struct{}
	ended sync.WaitGroup
}

// Tapped is how much of a frame a Tap keeps: all headers, without what they carry.
const Tapped = 128

// Tap has each called with the first bytes of every frame that the host sends from now on, also by a Wire. They
// are the caller's only until each returns; if that returns false, it is not called again.
func (h *Host) Tap(each func(frame []byte) bool) (t *Tap, err error) {
	t = &Tap{done: make(chan struct{})}
	err = h.Do(func() (err error) {
		dev, err := net.InterfaceByName(HostDevice)
		if err != nil {
			return err
		}
		if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL))); err != nil {
			return err
		}
		return unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: dev.Index})
	})
	if err != nil {
		return nil, err
	}
	tick := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
		unix.Close(t.fd)
		return nil, err
	}
	t.ended.Go(func() { t.read(each) })
	return t, nil
}

func (t *Tap) read(each func([]byte) bool) {
	defer unix.Close(t.fd)
	buf := make([]byte, Tapped)
	for {
		n, from, err := unix.Recvfrom(t.fd, buf, 0)
		if err == nil {
			if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING && !each(buf[:n]) {
				return
			}
			continue
		}
		select { // nothing has come for a while: all that was sent before Close is seen
		case <-t.done:
			return
		default:
		}
	}
}

// Close returns when all that was sent before has been seen.
func (t *Tap) Close() {
	close(t.done)
	t.ended.Wait()
}
