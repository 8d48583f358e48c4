package sandbox

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Tap sees what a host sends, and what it gets that may begin something: the beginning of each frame.
type Tap struct {
	fd    int
	ring  []byte // shared with the kernel, block by block
	done  chan struct{}
	ended sync.WaitGroup

	mu          sync.Mutex // who reads the ring writes, and who asks how far that is
	taken, seen uint64     // frames that the ring had room for, as far as the kernel has been asked, and of those that were seen
	lost        uint32     // frames that it had none for
	closed      bool       // the socket is
}

// Tapped is how much of a frame a Tap keeps: all headers, without what they carry.
const Tapped = 128

// The ring of a Tap (Documentation/networking/packet_mmap.rst, TPACKET_V3): the kernel hands over a block of frames when it is
// full, or after some milliseconds, so that a flood costs a system call for some hundred frames.
const (
	blockSize = 64 << 10
	blocks    = 32 // some 9,000 frames
	handOver  = 10 // ms
	quiet     = 50 // ms in which nothing comes: all that was sent before has been handed over
	enough    = 2 * time.Second
)

// Tap has each called with the first bytes of every frame that the host sends from now on, also by a Wire, and of
// IP that it gets: but for TCP, of which it sees what has SYN and not ACK. They
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
		if err = t.tune(); err == nil {
			err = unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: dev.Index})
		}
		if err != nil {
			t.close()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	t.ended.Go(func() { t.read(each) })
	return t, nil
}

// tune says what the socket is to see, and makes its ring.
func (t *Tap) tune() (err error) {
	filter := unix.SockFprog{Len: uint16(len(beginnings)), Filter: &beginnings[0]}
	if err := unix.SetsockoptSockFprog(t.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(t.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return err
	}
	ring := unix.TpacketReq3{Block_size: blockSize, Block_nr: blocks, Frame_size: blockSize, Frame_nr: blocks, Retire_blk_tov: handOver}
	if err := unix.SetsockoptTpacketReq3(t.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &ring); err != nil {
		return err
	}
	t.ring, err = unix.Mmap(t.fd, 0, blockSize*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return err
}

func (t *Tap) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count()
	t.closed = true
	if t.ring != nil {
		unix.Munmap(t.ring) // it is one of ours
	}
	unix.Close(t.fd)
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
	defer t.close()
	var until time.Time // of what is sent for ever, so much is enough
	for i := 0; until.IsZero() || time.Now().Before(until); {
		if until.IsZero() && t.closes() {
			until = time.Now().Add(enough)
		}
		if t.handedOver(i, each) {
			i = (i + 1) % blocks
			continue
		}
		wanted := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}
		ready, err := unix.Poll(wanted, quiet)
		switch {
		case err != nil: // EINTR
		case wanted[0].Revents&unix.POLLERR != 0: // the interface has gone down; it is told once
			if _, err := unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
				return
			}
		case ready == 0 && !until.IsZero():
			return
		}
	}
}

func (t *Tap) closes() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// handedOver shows each frame of a block, if it is ours, and gives it back.
func (t *Tap) handedOver(i int, each func([]byte, bool)) bool {
	block := t.ring[i*blockSize : (i+1)*blockSize]
	desc := (*unix.TpacketBlockDesc)(unsafe.Pointer(&block[0]))
	head := (*unix.TpacketHdrV1)(unsafe.Pointer(&desc.Hdr))
	if atomic.LoadUint32(&head.Block_status)&unix.TP_STATUS_USER == 0 {
		return false
	}
	at := head.Offset_to_first_pkt
	for range head.Num_pkts {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[at]))
		ll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&block[at+uint32(unsafe.Sizeof(*h))])) // which is aligned as it has to be
		first := at + uint32(h.Mac)
		each(block[first:first+h.Snaplen:first+h.Snaplen], ll.Pkttype == unix.PACKET_OUTGOING)
		at += h.Next_offset
	}
	frames := head.Num_pkts
	atomic.StoreUint32(&head.Block_status, unix.TP_STATUS_KERNEL)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen += uint64(frames)
	return true
}

// count asks how many frames there have been since it was asked last: the kernel begins anew each time. With t.mu held.
func (t *Tap) count() {
	if t.closed { // the descriptor may be somebody else's by now
		return
	}
	if stats, err := unix.GetsockoptTpacketStatsV3(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		t.taken += uint64(stats.Packets - stats.Drops)
		t.lost += stats.Drops
	}
}

// CatchUp returns when all that was sent, or had come, before it was called has been seen. The kernel hands that over within
// milliseconds.
func (t *Tap) CatchUp() {
	t.mu.Lock()
	t.count()
	until := t.taken
	t.mu.Unlock()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !t.reached(until) {
		<-tick.C
	}
}

// reached reports whether so many frames have been seen, or no more will be.
func (t *Tap) reached(until uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen >= until || t.closed
}

// Close returns when all that was sent before has been seen. It returns how many frames were not, for want of room.
func (t *Tap) Close() (lost uint32) {
	close(t.done)
	t.ended.Wait()
	return t.lost
}
