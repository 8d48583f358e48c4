package oftest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox/sandboxtest"
	"weir/ofproto"
)

// A wire is a controller that only sends and receives bytes.
type wire struct {
	nc  net.Conn
	r   *bufio.Reader
	xid uint32
}

func newWire(t testing.TB, nc net.Conn) *wire {
	t.Helper()
	w := &wire{nc: nc, r: bufio.NewReader(nc), xid: 1000}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(time.Minute))
	said := w.write(encode(1, ofproto.Hello{}))
	if _, err := readFrame(w.r); err != nil {
		t.Fatal(err)
	}
	<-said
	return w
}

// write writes b, beside whoever reads: a pipe has no room, and both sides may want to write.
func (w *wire) write(b []byte) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		w.nc.Write(b)
		close(done)
	}()
	return done
}

// exchange sends messages, and returns what comes until all have been done. What a switch
// says of its own accord has no xid.
func (w *wire) exchange(t testing.TB, messages ...ofproto.Message) (answers [][]byte) {
	t.Helper()
	var b []byte
	for i, m := range messages {
		if add, ok := m.(ofproto.BundleAdd); ok {
			add.XID += w.xid + uint32(i)
			m = add
		}
		b = append(b, encode(w.xid+uint32(i), m)...)
	}
	w.xid += 100
	b = append(b, encode(w.xid-1, ofproto.BarrierRequest{})...)
	said := w.write(b)
	for {
		f, err := readFrame(w.r)
		if err != nil {
			t.Fatalf("%v, after %+v", err, messages)
		}
		if xidOf(f) == w.xid-1 {
			<-said
			return answers
		}
		answers = append(answers, f)
	}
}

// dump returns the flows, groups and meters of a switch, byte for byte but for how long they
// have been there, in an order of our own.
func (w *wire) dump(t testing.TB) (entries []string) {
	t.Helper()
	internal := ofproto.FlowStatsRequest()
	internal.Body[0] = byte(internalTable) // which has to be asked for
	for _, q := range []struct {
		m            ofproto.MultipartRequest
		from, zeroes int // what of an entry is told differently each time
	}{
		{ofproto.FlowStatsRequest(), 4, 8}, {internal, 4, 8}, {ofproto.GroupDescRequest(), 0, 0}, {ofproto.MeterConfigRequest(), 0, 0},
	} {
		for _, f := range w.exchange(t, q.m) {
			if xidOf(f) == 0 { // nobody has asked for it
				entries = append(entries, describe(f))
				continue
			}
			if f[1] != 19 {
				t.Fatalf("answered %x", f)
			}
			for b := f[16:]; len(b) > 0; {
				n := int(binary.BigEndian.Uint16(b))
				clear(b[q.from : q.from+q.zeroes])
				entries = append(entries, fmt.Sprintf("%d: %x", q.m.Type, b[:n]))
				b = b[n:]
			}
		}
	}
	slices.Sort(entries)
	return entries
}

// A side is a switch with two controllers.
type side struct {
	name        string
	controllers []*wire
}

func newSide(t testing.TB, name string, connect func() net.Conn) side {
	return side{name, []*wire{newWire(t, connect()), newWire(t, connect())}}
}

func (s side) close() {
	for _, w := range s.controllers {
		w.nc.Close()
	}
}

// generation is above all generation ids that a real switch has seen, which it never
// forgets.
var generation uint64

// reset empties the switch.
func (s side) reset(t testing.TB) {
	s.controllers[0].exchange(t,
		ofproto.RoleRequest{Role: ofproto.RolePrimary, Generation: generation},
		ofproto.RoleRequest{Role: ofproto.RoleEqual},
		ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: ofproto.AllTables}},
		ofproto.GroupMod{Command: ofproto.GroupDelete, Group: ofproto.Group{ID: ofproto.AllGroups}},
		ofproto.MeterMod{Command: ofproto.MeterDelete, Meter: ofproto.MeterConfig{ID: ofproto.AllMeters}})
}

// play plays steps, and returns what was answered and what is there in the end.
func (s side) play(t testing.TB, steps []step) (told []string) {
	for i, p := range steps {
		messages := slices.Clone(p.messages)
		for i, m := range messages {
			if r, ok := m.(ofproto.RoleRequest); ok {
				r.Generation += generation
				messages[i] = r
			}
		}
		for _, a := range s.controllers[p.who].exchange(t, messages...) {
			told = append(told, fmt.Sprintf("after step %d: %s", i, describe(a)))
		}
	}
	return append(told, s.controllers[0].dump(t)...)
}

// describe is an answer as bytes, beginning with the name of an error.
func describe(b []byte) string {
	_, m, err := ofproto.Decode(b)
	if e, ok := m.(*ofproto.Error); ok && err == nil {
		return fmt.Sprintf("%v %x", e, b)
	}
	return fmt.Sprintf("%x", b)
}

// TestLikeOpenVSwitch plays the same random steps to a Switch and to a real one, and
// compares all that they say, byte for byte, and what is there in the end.
func TestLikeOpenVSwitch(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	if _, err := box.Vsctl("set", "bridge", "br", "protocols=OpenFlow13"); err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		nc, err := net.Dial("unix", filepath.Join(box.RunDir(), "br.mgmt"))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	compare := func(t testing.TB, steps []step) string {
		fake := New(Config{Service: true})
		defer fake.Close()
		ours, theirs := newSide(t, "ours", fake.Connect), newSide(t, "Open vSwitch", dial)
		defer ours.close()
		defer theirs.close()
		generation += 100
		ours.reset(t)
		theirs.reset(t)
		return firstDifference(ours.play(t, steps), theirs.play(t, steps))
	}
	until := time.Now().Add(budget)
	n := 0
	for seed := uint64(time.Now().UnixNano()); time.Now().Before(until); seed++ {
		d := dice{rand.New(rand.NewPCG(seed, 1))}
		var steps []step
		for range 30 {
			steps = append(steps, d.step())
		}
		if diff := compare(t, steps); diff != "" {
			steps, diff = shrink(t, steps, diff, compare)
			var b strings.Builder
			for i, s := range steps {
				if s.messages != nil {
					fmt.Fprintf(&b, "step %d: %v\n", i, s)
				}
			}
			t.Fatalf("seed %d:\n%s%s", seed, b.String(), diff)
		}
		n += len(steps)
	}
	t.Logf("%d steps", n)
}

// budget is how long the comparison goes on.
const budget = 5 * time.Second

// shrink leaves out the steps without which there is a difference all the same. An xid is
// given by the place of a step, so that a step that is left out becomes an empty one.
func shrink(t testing.TB, steps []step, diff string, compare func(testing.TB, []step) string) ([]step, string) {
	for i := range steps {
		fewer := slices.Clone(steps)
		fewer[i].messages = nil
		if d := compare(t, fewer); d != "" {
			steps, diff = fewer, d
		}
	}
	return steps, diff
}

// firstDifference says where ours and theirs differ first.
func firstDifference(ours, theirs []string) string {
	for i := range max(len(ours), len(theirs)) {
		a, b := "nothing", "nothing"
		if i < len(ours) {
			a = ours[i]
		}
		if i < len(theirs) {
			b = theirs[i]
		}
		if a != b {
			return fmt.Sprintf("ours: %s\nOpen vSwitch: %s", a, b)
		}
	}
	return ""
}
