package oftest

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
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

// dump asks for the flows, those of the switch itself too, groups, meters and ports.
func (w *wire) dump(t testing.TB) (told []string) {
	t.Helper()
	for _, m := range []ofproto.Message{
		ofproto.FlowStatsRequest(), ofproto.FlowQuery{Table: internalTable}.Stats(), ofproto.GroupDescRequest(), ofproto.MeterConfigRequest(),
		ofproto.PortDescRequest(), ofproto.GetConfigRequest{},
	} {
		for _, f := range w.exchange(t, m) {
			told = append(told, describe(f))
		}
	}
	return told
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
func (s side) reset(t testing.TB, ports []ofproto.PortDesc) {
	c := s.controllers[0]
	c.exchange(t,
		ofproto.RoleRequest{Role: ofproto.RolePrimary, Generation: generation},
		ofproto.RoleRequest{Role: ofproto.RoleEqual},
		ofproto.SetConfig{MissSendLen: 128})
	c.deleteFlows(t)
	c.exchange(t,
		ofproto.TLVTableMod{Command: ofproto.TLVClear},
		ofproto.SetConfig{},
		ofproto.GroupMod{Command: ofproto.GroupDelete, Group: ofproto.Group{ID: ofproto.AllGroups}},
		ofproto.MeterMod{Command: ofproto.MeterDelete, Meter: ofproto.MeterConfig{ID: ofproto.AllMeters}})
	for _, p := range ports {
		c.exchange(t, ofproto.PortMod{Port: p.Number, HWAddr: p.HWAddr, Mask: ^ofproto.PortDown})
	}
}

// deleteFlows deletes all flows, and waits until all that have gone before are said to have
// gone: not later, when somebody else could hear of it. The last to go is one that it has
// added for that.
func (w *wire) deleteFlows(t testing.TB) {
	last := ofproto.FlowMod{Flow: ofproto.Flow{Cookie: generation, Flags: ofproto.SendFlowRem}}
	all := ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: ofproto.AllTables}}
	w.exchange(t, all, last)
	for frames := w.exchange(t, all); ; frames = w.exchange(t) {
		for _, f := range frames {
			if _, m, _ := ofproto.Decode(f); isRemoved(m, generation) {
				return
			}
		}
	}
}

func isRemoved(m ofproto.Message, cookie uint64) bool {
	r, ok := m.(ofproto.FlowRemoved)
	return ok && r.Cookie == cookie
}

// What a side said. Flows that go are told of when the memory that they were in is given
// back: of these only counts that they are told.
type said struct{ told, removed []string }

func (s *said) add(step int, f []byte) {
	if isMonitorError(f) {
		return
	}
	if late(f) > 0 {
		s.removed = append(s.removed, describe(f))
		return
	}
	s.told = append(s.told, fmt.Sprintf("after step %d: %s", step, describe(f)))
}

// late is not zero if f tells of a flow that has gone.
func late(f []byte) int {
	const flowRemoved = 11
	if f[1] == flowRemoved {
		return 1
	}
	return 0
}

// isMonitorError reports whether f refuses monitors. What Open vSwitch 3.1 sends then begins
// like the match of the last one that it looked at, where the header of the request should be:
// not even its version is right.
func isMonitorError(f []byte) bool {
	const multipart = 18
	_, m, _ := ofproto.Decode(f)
	e, ok := m.(*ofproto.Error)
	return f[0] != ofproto.Version || ok && len(e.Data) > 10 && e.Data[1] == multipart && e.Data[8] == 0xff
}

// merged puts updates of monitors together that follow one another: if several meters are
// deleted, there is a message for each, but in which order they go is a secret of the switch.
//
// What is told of flows that have gone may come between them, or later: it is put first.
func merged(frames [][]byte) (all [][]byte) {
	const multipart = 19
	isUpdate := func(f []byte) bool { return f[1] == multipart && xidOf(f) == 0 }
	slices.SortStableFunc(frames, func(a, b []byte) int { return cmp.Compare(late(b), late(a)) })
	for _, f := range frames {
		if n := len(all); n > 0 && isUpdate(f) && isUpdate(all[n-1]) {
			all[n-1] = finished(slices.Concat(all[n-1], f[24:]), false)
			continue
		}
		all = append(all, f)
	}
	return all
}

// play plays steps, and returns what was answered and what is there in the end. It waits
// until so many flows were said to have gone.
func (s side) play(t testing.TB, steps []step, removed int) said {
	var all said
	for _, c := range s.controllers {
		c.xid = 1 << 20 // the same on both sides
	}
	for i, p := range steps {
		messages := slices.Clone(p.messages)
		for i, m := range messages {
			if r, ok := m.(ofproto.RoleRequest); ok {
				r.Generation += generation
				messages[i] = r
			}
		}
		for _, f := range merged(s.controllers[p.who].exchange(t, messages...)) {
			all.add(i, f)
		}
	}
	for end := time.Now().Add(30 * time.Second); ; { // a busy machine takes its time
		for _, c := range s.controllers {
			for _, f := range merged(c.exchange(t)) {
				all.add(len(steps), f)
			}
		}
		if len(all.removed) >= removed || time.Now().After(end) {
			break
		}
	}
	s.controllers[0].xid = 1 << 21
	all.told = append(all.told, s.controllers[0].dump(t)...)
	slices.Sort(all.removed)
	return all
}

// describe is a message as bytes, beginning with the name of an error. How long something has
// been there is left out, and lists are in an order of our own.
func describe(b []byte) string {
	const multipart = 19
	_, m, err := ofproto.Decode(b)
	e, ok := m.(*ofproto.Error)
	switch {
	case ok && err == nil:
		return fmt.Sprintf("%v %x", e, b)
	case late(b) > 0:
		clear(b[20:28])
	case b[1] == multipart:
		return describeParts(b)
	}
	return fmt.Sprintf("%x", b)
}

// lists say how long the entries of multipart replies are, where that is told, and what of it
// is the time.
var lists = map[ofproto.MultipartType]struct{ size, at, from, to int }{
	ofproto.MultipartFlow:         {0, 0, 4, 12},
	ofproto.MultipartGroup:        {0, 0, 32, 40},
	ofproto.MultipartGroupDesc:    {0, 0, 0, 0},
	ofproto.MultipartMeter:        {0, 4, 32, 40},
	ofproto.MultipartMeterConfig:  {0, 0, 0, 0},
	ofproto.MultipartExperimenter: {0, 0, 0, 0},
	ofproto.MultipartPortDesc:     {64, 0, 0, 0},
	ofproto.MultipartPort:         {112, 0, 104, 112},
}

func describeParts(b []byte) string {
	typ, head := ofproto.MultipartType(binary.BigEndian.Uint16(b[8:])), 16
	l, ok := lists[typ]
	if typ == ofproto.MultipartDesc {
		return fmt.Sprintf("%x", withoutVersion(b))
	}
	if !ok {
		return fmt.Sprintf("%x", b)
	}
	if typ == ofproto.MultipartExperimenter {
		head = 24
	}
	var entries []string
	for rest := b[head:]; len(rest) > 0; {
		n := l.size
		if n == 0 {
			n = int(binary.BigEndian.Uint16(rest[l.at:]))
		}
		clear(rest[l.from:l.to])
		entries = append(entries, fmt.Sprintf("%x", rest[:n]))
		rest = rest[n:]
	}
	slices.Sort(entries)
	return fmt.Sprintf("%x %s", b[:head], strings.Join(entries, " "))
}

// realVersion is the version of the Open vSwitch that a Switch is compared with, as that says it.
var realVersion string

// withoutVersion takes the version out of what a switch says of itself (sw_desc of ofp_desc), if it is the one that it has.
func withoutVersion(b []byte) []byte {
	const at, size = 16 + 2*256, 256
	if len(b) < at+size {
		return b
	}
	said := strings.TrimRight(string(b[at:at+size]), "\x00")
	if b = slices.Clone(b); said == software || said == realVersion {
		clear(b[at : at+size])
	}
	return b
}

// rootless starts an Open vSwitch, and asks which it is.
func rootless(t testing.TB, bridges ...string) *sandbox.Sandbox {
	t.Helper()
	box := sandboxtest.Rootless(t, bridges...)
	text, err := box.Appctl("version") // "ovs-vswitchd (Open vSwitch) 3.1.0"
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(text, "\n")
	realVersion = first[strings.LastIndex(first, " ")+1:]
	return box
}

// TestLikeOpenVSwitch plays the same random steps to a Switch and to a real one, and
// compares all that they say, byte for byte, and what is there in the end.
func TestLikeOpenVSwitch(t *testing.T) {
	box := rootless(t, "br")
	if _, err := box.Vsctl("set", "bridge", "br", "protocols=OpenFlow13", "--", "add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=1"); err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		nc, err := net.Dial("unix", filepath.Join(box.RunDir(), "br.mgmt"))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	ports, monitors := portsOf(t, dial()), takesMonitors(t, dial())
	if !monitors {
		t.Log("this Open vSwitch takes no flow monitors over OpenFlow 1.3: nothing is compared about them")
	}
	compare := func(t testing.TB, steps []step) string {
		fake := New(Config{Service: true, Ports: ports})
		defer fake.Close()
		ours, theirs := newSide(t, "ours", fake.Connect), newSide(t, "Open vSwitch", dial)
		defer ours.close()
		defer theirs.close()
		generation += 100
		ours.reset(t, ports)
		theirs.reset(t, ports)
		a := ours.play(t, steps, 0)
		b := theirs.play(t, steps, len(a.removed))
		return firstDifference(slices.Concat(a.told, a.removed), slices.Concat(b.told, b.removed))
	}
	n := 0
	first, count := seeds()
	for seed := first; seed < first+count; seed++ {
		d := dice{Rand: rand.New(rand.NewPCG(seed, 1))}
		steps := d.steps(ports)
		if !monitors {
			steps = withoutMonitors(steps)
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

// portsOf asks a switch for its ports.
func portsOf(t *testing.T, nc net.Conn) (ports []ofproto.PortDesc) {
	for _, f := range newWire(t, nc).exchange(t, ofproto.PortDescRequest()) {
		var err error
		if ports, err = ofproto.DecodePortDescs(ports, f[16:]); err != nil {
			t.Fatal(err)
		}
	}
	return ports
}

// takesMonitors asks a switch for a flow monitor, which goes with the connection, and reports whether it takes it.
func takesMonitors(t *testing.T, nc net.Conn) bool {
	w := newWire(t, nc)
	defer nc.Close()
	for _, f := range w.exchange(t, ofproto.FlowMonitorRequest{Monitors: []ofproto.FlowMonitor{{ID: 1, Flags: ofproto.MonitorAdd, Table: ofproto.AllTables}}}) {
		if _, m, _ := ofproto.Decode(f); isError(m) {
			return false
		}
	}
	return true
}

func isError(m ofproto.Message) bool {
	_, is := m.(*ofproto.Error)
	return is
}

// withoutMonitors leaves out what is said of monitors.
func withoutMonitors(steps []step) []step {
	for i := range steps {
		steps[i].messages = slices.DeleteFunc(steps[i].messages, func(m ofproto.Message) bool {
			switch m.(type) {
			case ofproto.FlowMonitorRequest, ofproto.FlowMonitorCancel:
				return true
			}
			return false
		})
	}
	return steps
}

// seeds returns the first seed and how many: the same in each run, unless HUNT_SEED says
// another first one.
func seeds() (first, count uint64) {
	first, _ = strconv.ParseUint(os.Getenv("HUNT_SEED"), 10, 64)
	if os.Getenv("WEIR_INTEGRATION") != "" {
		return first, 3000
	}
	return first, 200
}

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

// TestPacketInsLikeOpenVSwitch has a packet come into a real switch, and then what it makes of
// it in the format that says most into a Switch: both have to say the same in every format that is used with OpenFlow 1.3.
func TestPacketInsLikeOpenVSwitch(t *testing.T) {
	box := rootless(t, "br")
	if _, err := box.Vsctl("set", "bridge", "br", "protocols=OpenFlow13", "--", "add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=1"); err != nil {
		t.Fatal(err)
	}
	fake := New(Config{Service: true})
	defer fake.Close()
	formats := []ofproto.PacketInFormat{ofproto.FormatPacketIn2, ofproto.FormatPacketIn}
	var ours, theirs []*wire
	for _, f := range formats {
		nc, err := net.Dial("unix", filepath.Join(box.RunDir(), "br.mgmt"))
		if err != nil {
			t.Fatal(err)
		}
		a, b := newWire(t, fake.Connect()), newWire(t, nc)
		for _, w := range []*wire{a, b} {
			w.exchange(t, ofproto.SetConfig{MissSendLen: 128}, ofproto.SetPacketInFormat{Format: f})
		}
		ours, theirs = append(ours, a), append(theirs, b)
	}
	punt := ofproto.Controller{MaxLen: 0xffff, Reason: 1, UserData: "why"}
	theirs[0].exchange(t, ofproto.FlowMod{Flow: ofproto.Flow{Cookie: 5, Actions: []ofproto.Action{ofproto.SetField{Field: ofproto.Reg3, Value: ofproto.Uint(9)}, punt}}})
	frame := "020000000002020000000001080045000014000100004011000001010101020202020000" + strings.Repeat("00", 24)
	if _, err := box.Appctl("netdev-dummy/receive", "p1", frame); err != nil {
		t.Fatal(err)
	}
	for i, w := range theirs {
		want, err := readFrame(w.r)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			_, m, err := ofproto.Decode(want)
			in, ok := m.(ofproto.PacketIn2)
			if err != nil || !ok {
				t.Fatalf("%T, %v", m, err)
			}
			fake.PacketIn(0, in)
		}
		if got, err := readFrame(ours[i].r); err != nil || !slices.Equal(got, want) {
			t.Errorf("format %d, %v\nours:         %x\nOpen vSwitch: %x", formats[i], err, got, want)
		}
	}
}
