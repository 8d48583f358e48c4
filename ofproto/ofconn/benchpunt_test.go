package ofconn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/internal/sidebyside"
	"weir/ofproto"
)

// What the punts of a benchmark are: so many from each of so many switches, of which so
// many are unanswered at a time.
const (
	puntSwitches = 16
	puntsOfEach  = 10000
	puntsOnWay   = 64
)

// frameFrom returns a TCP segment from one of two hosts to the other.
func frameFrom(host byte) []byte {
	f := make([]byte, 60)
	f[5], f[11] = 3-host, host // 00:00:00:00:00:0N
	f[12] = 0x08
	copy(f[14:], []byte{0x45, 0, 0, 46, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, host, 10, 0, 0, 3 - host})
	copy(f[34:], []byte{0, 80, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2})
	return f
}

// punts are a window of packet-ins, from the two hosts in turns, and as many again: from
// any packet of the first half on, there is a window. All are equally long.
func punts(b *testing.B) (wire []byte, size int) {
	b.Helper()
	for i := range 2 * puntsOnWay {
		host := byte(1 + i%2)
		p := ofproto.PacketIn{BufferID: uint32(i), TotalLen: 60, Match: ofproto.MatchOn(ofproto.Is(ofproto.InPort, uint64(host))), Data: frameFrom(host)}
		var err error
		if wire, err = ofproto.Append(wire, 0, p); err != nil {
			b.Fatal(err)
		}
	}
	return wire, len(wire) / 2 / puntsOnWay
}

// A punter is a switch that does nothing but send packets to its controller.
type punter struct {
	nc   net.Conn
	f    framer
	wire []byte
	size int
	next int // of wire
}

// dialPunter connects to a controller and shakes hands.
func dialPunter(socket string, wire []byte, size int) (*punter, error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	p := &punter{nc: nc, f: framer{r: nc}, wire: wire, size: size}
	if err := p.say(0, ofproto.Hello{}); err != nil {
		return nil, err
	}
	for {
		m, err := p.f.next()
		if err != nil {
			return nil, err
		}
		if m[1] == 5 { // OFPT_FEATURES_REQUEST
			return p, p.say(binary.BigEndian.Uint32(m[4:]), ofproto.FeaturesReply{DatapathID: 1, Tables: 1})
		}
	}
}

func (p *punter) say(xid uint32, m ofproto.Message) error {
	b, err := ofproto.Append(nil, xid, m)
	if err == nil {
		_, err = p.nc.Write(b)
	}
	return err
}

// send sends n packets.
func (p *punter) send(n int) error {
	_, err := p.nc.Write(p.wire[p.next*p.size : (p.next+n)*p.size])
	p.next = (p.next + n) % puntsOnWay
	return err
}

// run sends packets, a new one for each answer, until all are answered.
func (p *punter) run(total int) error {
	sent, answered := 0, 0
	for credit := puntsOnWay; answered < total; {
		if n := min(credit, total-sent); n > 0 {
			if err := p.send(n); err != nil {
				return err
			}
			sent += n
		}
		n, err := p.answers()
		if err != nil {
			return err
		}
		answered, credit = answered+n, n
	}
	return nil
}

// answers reads until there is at least one answer, and as many as have come with it.
func (p *punter) answers() (n int, err error) {
	for {
		m, err := p.f.next()
		if err != nil {
			return n, err
		}
		if m[1] == 14 && m[25] == 0 && binary.BigEndian.Uint16(m[30:]) != 0 || m[1] == 13 { // OFPT_FLOW_MOD, but not the table-miss flow, OFPT_PACKET_OUT
			n++
		}
		if n > 0 && !p.f.more() {
			return n, nil
		}
	}
}

// more reports whether there is a whole message in the buffer.
func (f *framer) more() bool {
	b := f.b[f.from:f.to]
	return len(b) >= ofproto.HeaderLen && len(b) >= int(binary.BigEndian.Uint16(b[2:]))
}

// punt has all switches send their packets to the controller at a socket.
func punt(b *testing.B, socket string) sidebyside.Way {
	b.Helper()
	wire, size := punts(b)
	var switches []*punter
	for range puntSwitches {
		p, err := dialPunter(socket, wire, size)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { p.nc.Close() })
		switches = append(switches, p)
	}
	all := func(total int) error {
		errs := make([]error, len(switches))
		var tasks sync.WaitGroup
		for i, p := range switches {
			tasks.Go(func() { errs[i] = p.run(total) })
		}
		tasks.Wait()
		return errors.Join(errs...)
	}
	return sidebyside.Way{Do: func() error { return all(puntsOfEach) }, Before: func() error { return all(2 * puntsOnWay) }}
}

// A learner learns where hosts are, as ovs-testcontroller does.
type learner struct {
	*Conn
	ports map[[6]byte]uint64
}

// serve answers packets until the session ends.
func (l *learner) serve(ctx context.Context) {
	for {
		select {
		case p := <-l.PacketIns():
			if l.answer(ctx, p) != nil {
				return
			}
		case <-l.Done():
			return
		}
	}
}

func (l *learner) answer(ctx context.Context, p ofproto.PacketIn) error {
	in := p.Match[0].Value.Uint64()
	l.ports[[6]byte(p.Data[6:])] = in
	out, known := l.ports[[6]byte(p.Data)]
	if !known {
		return l.PacketOut(ctx, ofproto.PacketOut{InPort: uint32(in), Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortFlood}}, Data: p.Data})
	}
	return l.Send(ctx, ofproto.FlowMod{Flow: ofproto.Flow{
		Priority: 1, IdleTimeout: 60, Match: exactly(in, p.Data), Actions: []ofproto.Action{ofproto.Output{Port: uint32(out)}},
	}})
}

// exactly matches packets of the same TCP connection. The conditions stand in the order of a
// Match, which need not be made then: what is always the same need not be found out for
// every packet.
func exactly(in uint64, d []byte) ofproto.Match {
	be := binary.BigEndian
	mac := func(at int) uint64 { return uint64(be.Uint16(d[at:]))<<32 | uint64(be.Uint32(d[at+2:])) }
	return ofproto.Match{
		ofproto.Is(ofproto.InPort, in), ofproto.Is(ofproto.EthSrc, mac(6)), ofproto.Is(ofproto.EthDst, mac(0)), ofproto.IsIPv4,
		ofproto.Is(ofproto.IPv4Src, uint64(be.Uint32(d[26:]))), ofproto.Is(ofproto.IPv4Dst, uint64(be.Uint32(d[30:]))),
		ofproto.Is(ofproto.IPProto, uint64(d[23])), ofproto.Is(ofproto.TCPSrc, uint64(be.Uint16(d[34:]))), ofproto.Is(ofproto.TCPDst, uint64(be.Uint16(d[36:]))),
	}
}

// learn starts a controller of ours, and returns its socket.
func learn(b *testing.B) string {
	b.Helper()
	socket := filepath.Join(b.TempDir(), "weir")
	l, err := Listen("punix:"+socket, Config{})
	if err != nil {
		b.Fatal(err)
	}
	var tasks sync.WaitGroup
	ctx, stop := context.WithCancel(b.Context())
	tasks.Go(func() {
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer c.Close()
				(&learner{c, map[[6]byte]uint64{}}).serve(ctx)
			})
		}
	})
	b.Cleanup(func() { stop(); l.Close(); tasks.Wait() })
	return socket
}

// testcontroller starts ovs-testcontroller, and returns its socket.
func testcontroller(b *testing.B) string {
	b.Helper()
	if _, err := exec.LookPath("ovs-testcontroller"); err != nil {
		b.Skip("skipped: no ovs-testcontroller (scripts/deps.sh bench installs it)")
	}
	dir := b.TempDir()
	socket := filepath.Join(dir, "peer")
	cmd := exec.Command("ovs-testcontroller", "punix:"+socket, "--no-chdir", "-O", "OpenFlow13", "-vconsole:off", "-vsyslog:off", "--unixctl="+filepath.Join(dir, "ctl"))
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+dir)
	runtime.LockOSThread() // with the thread that starts it, it would die
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended; Wait says nothing else
		_ = cmd.Wait()
		runtime.UnlockOSThread()
	})
	for range 1000 {
		if nc, err := net.Dial("unix", socket); err == nil {
			nc.Close()
			return socket
		}
		<-time.After(5 * time.Millisecond)
	}
	b.Fatalf("it does not listen: %s", &out)
	return ""
}

// canned starts a controller that answers each packet with the same bytes, whatever it
// is: none can be faster.
func canned(b *testing.B) string {
	b.Helper()
	socket := filepath.Join(b.TempDir(), "raw")
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := ofproto.Append(nil, 0, ofproto.FlowMod{Flow: ofproto.Flow{Priority: 1}})
	if err != nil {
		b.Fatal(err)
	}
	answers := bytes.Repeat(answer, 2*puntsOnWay)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() { can(nc, answers, len(answer)) })
		}
	})
	b.Cleanup(func() { l.Close(); tasks.Wait() })
	return socket
}

func can(nc net.Conn, answers []byte, size int) {
	defer nc.Close()
	p := &punter{nc: nc, f: framer{r: nc}}
	if p.say(0, ofproto.Hello{}) != nil || p.say(0, ofproto.FeaturesRequest{}) != nil {
		return
	}
	for n := 0; ; {
		m, err := p.f.next()
		if err != nil {
			return
		}
		if m[1] == 10 { // OFPT_PACKET_IN
			n++
		}
		if n == puntsOnWay || !p.f.more() {
			if _, err := nc.Write(answers[:n*size]); err != nil {
				return
			}
			n = 0
		}
	}
}

func BenchmarkAnswer160000PacketInsOf16Switches(b *testing.B) {
	if m := exactly(1, frameFrom(1)); !slices.Equal(m, ofproto.MatchOn(m...)) {
		b.Fatalf("%v is not how a match is written", m)
	}
	ours, theirs, limit := punt(b, learn(b)), punt(b, testcontroller(b)), punt(b, canned(b))
	ours.Name, theirs.Name, limit.Name = "weir", "ovs-testcontroller", "raw"
	sidebyside.Time(b, ours, theirs, limit)
}
