package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// switchRestarts is how often ovs-vswitchd is killed under traffic, and connections how many feel it.
const (
	switchRestarts = 10
	connections    = 200
)

// TestSwitchKilled kills ovs-vswitchd again and again (kill -9) under connections that talk,
// and under somebody who sends what policy denies. The connections survive, the flows are
// back soon after the bridge has connected, and nothing that is denied is ever delivered.
//
// The userspace datapath's tracker dies with the process: what is known of a connection is
// lost, and its next segment is judged as the first of a new one. It has to come from the side
// that has opened the connection: the clients repeat what is not answered.
func TestSwitchKilled(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2(httpRule))
	talk := talkers(t, h1, h2, connections, insist)
	denied := sendDenied(t, h1, h2)
	want := flowCount(t, n)
	var worst time.Duration
	restarts := n.Rounds(switchRestarts)
	for range restarts {
		before := talk.lines.Load()
		n.RestartVswitchd()
		worst = max(worst, backAfter(t, n, w, want))
		ovstest.Eventually(t, "connections go on", func() error {
			if lines := talk.lines.Load() - before; lines < connections {
				return fmt.Errorf("%d lines were said", lines)
			}
			return nil
		})
	}
	broken := talk.stop()
	sent, delivered := denied.stop()
	t.Logf("ovs-vswitchd killed %d times: %d connections broken, flows back %v after the connect at worst, %d denied packets sent and %d delivered",
		restarts, broken, worst.Round(time.Millisecond), sent, delivered)
	if broken != 0 || worst > 2*time.Second || delivered != 0 || sent == 0 {
		t.Errorf("the restarts were felt: %d broken, %v", broken, talk.why())
	}
}

// insist says a line until it is answered.
func insist(c conn) error {
	const line = "are you still there?"
	buf := make([]byte, len(line))
	said := 0
	for begun := time.Now(); time.Since(begun) < 3*ovstest.Patience; { // TCP waits twice as long each time
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Write([]byte(line)); err != nil {
			return err
		}
		said++
		for said > 0 {
			_, err := io.ReadFull(c, buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			said--
		}
		if said == 0 {
			return nil
		}
	}
	return errors.New("no answer")
}

// backAfter returns how long after the bridge has connected all flows are there.
func backAfter(t *testing.T, n *ovstest.Net, w *ovstest.Daemon, want int) time.Duration {
	t.Helper()
	var connected time.Time
	ovstest.Eventually(t, "flows are back", func() error {
		s, err := w.Status()
		if err != nil {
			return err
		}
		if connected.IsZero() && s.Bridges[0].Connected {
			connected = time.Now()
		}
		if got := flowCount(t, n); got != want || connected.IsZero() {
			return fmt.Errorf("%d flows, want %d", got, want)
		}
		return nil
	})
	return time.Since(connected)
}

var flowCounted = regexp.MustCompile(`flow_count=(\d+)`)

// flowCount returns how many flows the bridge has.
func flowCount(t *testing.T, n *ovstest.Net) (count int) {
	t.Helper()
	text, err := n.Ofctl("-O", "OpenFlow13", "dump-aggregate", n.Bridge)
	m := flowCounted.FindStringSubmatch(text)
	if m == nil {
		return -1 // ovs-vswitchd is about to come
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Sscan(m[1], &count)
	return count
}

// A denial is somebody who sends all the time what policy denies, and somebody who looks
// whether any of it comes.
type denial struct {
	sent, delivered atomic.Int64
	done            chan struct{}
	all             sync.WaitGroup
	once            sync.Once
}

// sendDenied sends datagrams and segments from a host to ports of another that nothing
// opens, and such as open with an address that is not the host's own.
func sendDenied(t *testing.T, from, to *sandbox.Host) *denial {
	t.Helper()
	sender, receiver := wire(t, from), wire(t, to)
	const text = "denied by policy"
	frames := [][]byte{
		datagram(t, net.HardwareAddr{2, 0, 0, 0, 0, 1}, "10.1.1.1", text),
		datagram(t, net.HardwareAddr{2, 0, 0, 0, 0, 1}, "10.1.1.9", text),
		datagram(t, net.HardwareAddr{2, 0, 0, 0, 0, 9}, "10.1.1.1", text),
	}
	d := &denial{done: make(chan struct{})}
	d.all.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-d.done:
				return
			case <-tick.C:
				if sender.Send(frames[i%len(frames)]) == nil {
					d.sent.Add(1)
				}
			}
		}
	})
	d.all.Go(func() {
		for {
			select {
			case <-d.done:
				return
			case f := <-receiver.Frames():
				if bytes.Contains(f, []byte(text)) {
					d.delivered.Add(1)
				}
			}
		}
	})
	t.Cleanup(func() { d.stop() })
	return d
}

// stop ends it, and returns how much was sent and how much of it has come.
func (d *denial) stop() (sent, delivered int64) {
	d.once.Do(func() { close(d.done) })
	d.all.Wait()
	return d.sent.Load(), d.delivered.Load()
}

// TestWhatIsLostWithTheTracker kills ovs-vswitchd under connections of a tenant with strictTCP
// and of one without. The userspace datapath's tracker forgets them. With strictTCP they end
// there, for what does not begin with a SYN is no beginning. Without, they live on as soon as
// the side that has opened them says something; what the other side says before cannot be
// told from what policy denies. The kernel's tracker remembers all.
func TestWhatIsLostWithTheTracker(t *testing.T) {
	for name, strict := range map[string]bool{"strictTCP": true, "picked up": false} {
		t.Run(name, func(t *testing.T) {
			n, h1, h2 := pair(t)
			w := n.Run(pairModel(fmt.Sprintf("defaults: {strictTCP: %v}", strict)) + forH2(httpRule))
			said := make(chan net.Conn, 1)
			accept(t, h2, "10.1.1.2:80", func(c net.Conn) {
				said <- c
				io.Copy(c, c)
			})
			c, err := h1.Dial(t.Context(), "tcp", "10.1.1.2:80")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := say(c, "hello", ovstest.Patience); err != nil {
				t.Fatal(err)
			}
			server := <-said
			want := flowCount(t, n)
			n.RestartVswitchd()
			backAfter(t, n, w, want)
			hears(t, c, server, n.Kernel())
			unheard := map[bool]string{false: "!"}[n.Kernel()]
			if lives := hearsAll(c, "still there?", unheard+"still there?"); lives != (n.Kernel() || !strict) {
				t.Errorf("the connection lives on: %v", lives)
			}
			stopped := n.Packets(func(f ofproto.Flow) bool { return f.Table == pipeline.CtState && f.Priority == otherTCPFlow })
			if (stopped > 0) != (strict && !n.Kernel()) {
				t.Errorf("%d segments were stopped for beginning without a SYN", stopped)
			}
		})
	}
}

// hears has a server say something that nobody has asked for, and the client hear it, or not
// yet.
func hears(t *testing.T, client, server net.Conn, want bool) {
	t.Helper()
	if _, err := server.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	patience := time.Second
	if want {
		patience = ovstest.Patience
	}
	client.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 1)
	if _, err := client.Read(buf); (err == nil) != want {
		t.Errorf("what the server says is heard: %v", err)
	}
}

// hearsAll says a line, and reports whether an answer comes.
func hearsAll(c net.Conn, line, answer string) bool {
	c.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := c.Write([]byte(line)); err != nil {
		return false
	}
	buf := make([]byte, len(answer))
	_, err := io.ReadFull(c, buf)
	return err == nil && string(buf) == answer
}
