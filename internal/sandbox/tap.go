package sandbox

import (
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Tap sees what a host sends, and what it gets that may begin something: the beginning of each frame.
type Tap struct {
	fd    int
	done  chan struct{}
	ended sync.WaitGroup
	lost  uint32 // set before it has ended
}

// Tapped is how much of a frame a Tap keeps: all headers, without what they carry.
const Tapped = 128

// room is how many bytes of frames may wait for a Tap to look at them, as the kernel counts them: each
// frame as all that it takes.
const room = 32 << 20

// Tap has each called with the first bytes of every frame that the host sends from now on, also by a Wire, and of
// what it gets: but for TCP, of which it sees what has SYN and not ACK. They
// are the caller's only until each returns.
func (h *Host) Tap(each func(frame []byte, sent bool)) (t *Tap, err error) {
	t = &Tap{done: make(chan struct{})}
	err = h.Do(func() (err error) {
		dev, err := net.InterfaceByName(HostDevice)
		if err != nil {
			return err
		}
		if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil { // nothing comes yet
			return err
		}
		if err := t.tune(); err != nil {
			unix.Close(t.fd)
			return err
		}
		if err := unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: dev.Index}); err != nil {
			unix.Close(t.fd)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	t.ended.Go(func() { t.read(each) })
	return t, nil
}

// tune says what the socket is to see, and how much of that may wait.
func (t *Tap) tune() error {
	filter := unix.SockFprog{Len: uint16(len(beginnings)), Filter: &beginnings[0]}
	if err := unix.SetsockoptSockFprog(t.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room); err != nil {
		return err
	}
	tick := unix.NsecToTimeval(int64(50 * time.Millisecond))
	return unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick)
}

// beginnings is the filter of a Tap, a program of the kernel's (Documentation/networking/filter.rst): the beginning of what is sent, and
// of what comes all but TCP that has not SYN alone of SYN and ACK. Later fragments of IPv4 are taken for beginnings.
var beginnings = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: adPacketType},
	{Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.PACKET_OUTGOING, Jt: 13},
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.ETH_P_IPV6, Jt: 5},
	{Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.ETH_P_IP, Jf: 11},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 23},
	{Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.IPPROTO_TCP, Jf: 8},
	{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 14},
	{Code: unix.BPF_JMP | unix.BPF_JA, K: 3},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 20}, // IPv6
	{Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.IPPROTO_TCP, Jf: 4},
	{Code: unix.BPF_LDX | unix.BPF_W | unix.BPF_IMM, K: 40},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND, K: 14 + 13}, // the flags
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ, K: 0x02, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: Tapped},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// adPacketType is where a filter finds whether a frame is sent, or for whom it has come (SKF_AD_PKTTYPE).
const adPacketType = 0xfffff000 + 4

func (t *Tap) read(each func([]byte, bool)) {
	defer unix.Close(t.fd)
	buf := make([]byte, Tapped)
	for {
		n, from, err := unix.Recvfrom(t.fd, buf, 0)
		if err == nil {
			ll, ok := from.(*unix.SockaddrLinklayer)
			each(buf[:n], ok && ll.Pkttype == unix.PACKET_OUTGOING)
			continue
		}
		select { // nothing has come for a while: all that was sent before Close is seen
		case <-t.done:
			t.count()
			return
		default:
		}
	}
}

// count asks how many frames there was no room for.
func (t *Tap) count() {
	if stats, err := unix.GetsockoptTpacketStats(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		t.lost = stats.Drops
	}
}

// Close returns when all that was sent before has been seen. It returns how many frames were not, for want of room.
func (t *Tap) Close() (lost uint32) {
	close(t.done)
	t.ended.Wait()
	return t.lost
}
