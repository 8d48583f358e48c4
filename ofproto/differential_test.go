package ofproto

import (
	"bytes"
	"errors"
	flags "flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	contiv "github.com/contiv/libOpenflow/openflow13"
	"pgregory.net/rapid"

	"weir/internal/drawn"
	"weir/internal/sandbox/sandboxtest"
)

// integration skips what takes longer than a unit test, unless make integration runs it.
func integration(t testing.TB) {
	t.Helper()
	if os.Getenv("WEIR_INTEGRATION") == "" {
		t.Skip("skipped: WEIR_INTEGRATION is not set (make integration)")
	}
}

// A bridge is an OpenFlow connection to a switch, no more than a test needs: nothing of the
// packages that are tested elsewhere.
type bridge struct {
	net.Conn
	name string
	path string // of its socket
}

func openBridge(t testing.TB, dir, name string) *bridge {
	t.Helper()
	path := filepath.Join(dir, name+".mgmt")
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	b := &bridge{c, name, path}
	b.send(t, 0, Hello{})
	return b
}

func (b *bridge) send(t testing.TB, xid uint32, m Message) {
	t.Helper()
	wire, err := Append(nil, xid, m)
	if err != nil {
		t.Fatal(err)
	}
	b.sendBytes(t, wire)
}

func (b *bridge) sendBytes(t testing.TB, wire []byte) {
	t.Helper()
	if _, err := b.Write(wire); err != nil {
		t.Fatal(err)
	}
}

// next reads one message.
func (b *bridge) next(t testing.TB) []byte {
	t.Helper()
	b.SetReadDeadline(time.Now().Add(20 * time.Second))
	header := make([]byte, HeaderLen)
	if _, err := io.ReadFull(b, header); err != nil {
		t.Fatal(err)
	}
	m := append(header, make([]byte, max(0, int(be.Uint16(header[2:]))-HeaderLen))...)
	if _, err := io.ReadFull(b, m[HeaderLen:]); err != nil {
		t.Fatal(err)
	}
	return m
}

// barrier waits until all that was sent is done, and returns the errors by xid.
func (b *bridge) barrier(t testing.TB) map[uint32]*Error {
	t.Helper()
	const xid = 0xffffffff
	b.send(t, xid, BarrierRequest{})
	refused := map[uint32]*Error{}
	for {
		m := b.next(t)
		switch m[1] {
		case typeBarrierReply:
			return refused
		case typeError:
			d := decoder{b: m[HeaderLen:], what: "error"}
			e := &Error{XID: be.Uint32(m[4:]), Type: d.u16(), Code: d.u16()}
			if e.Type == 0xffff {
				e.Experimenter = d.u32()
			}
			refused[e.XID] = e
		}
	}
}

// dump returns the entries of all flows in bytes, without what the clock changes, in order.
func (b *bridge) dump(t testing.TB) (entries [][]byte) {
	t.Helper()
	b.send(t, 7, FlowStatsRequest())
	for more := true; more; {
		m := b.next(t)
		if m[1] != typeMultipartReply {
			continue
		}
		more = m[11]&1 != 0
		for body := m[16:]; len(body) >= 2; {
			e := body[:be.Uint16(body)]
			body = body[len(e):]
			clear(e[4:12]) // the duration
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, bytes.Compare)
	return entries
}

// empty deletes all flows.
func (b *bridge) empty(t testing.TB) {
	t.Helper()
	b.send(t, 8, FlowMod{Command: FlowDelete, Flow: Flow{Table: AllTables}})
	b.barrier(t)
}

// TestRandomFlowsAreInASwitchWhatTheyWere sends flows to a switch as bytes of ours, and to
// another one as texts of ours by ovs-ofctl. Both have to have the same then, and what they
// say of it has to be what was sent.
func TestRandomFlowsAreInASwitchWhatTheyWere(t *testing.T) {
	integration(t)
	box := sandboxtest.Rootless(t, "ours", "theirs")
	ours, theirs := openBridge(t, box.RunDir(), "ours"), openBridge(t, box.RunDir(), "theirs")
	for _, b := range []*bridge{ours, theirs} {
		furnish(t, b)
	}
	log.SetOutput(io.Discard) // contiv says there what it does not know
	defer log.SetOutput(os.Stderr)
	flags.Set("rapid.shrinktime", "5s")
	drawn.Cases(t, 100, 100)
	var n, refused, again int
	rapid.Check(t, func(rt *rapid.T) {
		flows := drawFlows(rt, 60)
		ours.empty(t)
		theirs.empty(t)
		flows, no := install(t, rt, ours, flows)
		refused += no
		file := writeFlows(t, flows)
		if out, err := box.Ofctl("-O", "OpenFlow13", "--no-names", "add-flows", "theirs", file); err != nil {
			rt.Fatalf("ovs-ofctl does not take our text: %v %s", err, out)
		}
		mine := ours.dump(t)
		compareDumps(rt, mine, theirs.dump(t))
		compareFlows(rt, flows, mine)
		text, err := box.Ofctl("-O", "OpenFlow13", "--no-names", "--no-stats", "dump-flows", "ours")
		if err != nil {
			t.Fatal(err)
		}
		compareTexts(rt, flows, text)
		for _, f := range flows {
			if readByContiv(rt, f) {
				again++
			}
		}
		n += len(flows)
	})
	t.Logf("%d flows are in the switch what they were; it refused %d others; contiv writes %d as they are", n, refused, again)
	if n < 2000 && !t.Failed() {
		t.Errorf("only %d flows", n)
	}
}

// furnish makes the groups and meters that flows name: a switch wants them to be there.
func furnish(t testing.TB, b *bridge) {
	for id := range uint32(256) {
		b.send(t, id, GroupMod{Command: GroupAdd, Group: Group{ID: id}})
	}
	for id := range uint32(4) {
		b.send(t, id, MeterMod{Command: MeterAdd, Meter: MeterConfig{ID: id + 1, Flags: MeterKilobits, Bands: []MeterBand{{Type: MeterDrop, Rate: 1}}}})
	}
	for xid, err := range b.barrier(t) {
		t.Fatalf("%s: %d: %v", b.name, xid, err)
	}
}

// drawFlows returns at most n flows, each with a key of its own. It leaves out what cannot
// be there for long, what is hidden from controllers (dp_hash, recirc_id), and what Open vSwitch 3.1
// cannot read from its own text.
func drawFlows(rt *rapid.T, n int) (flows []Flow) {
	d := dice(func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "") })
	keys := map[FlowKey]bool{}
	for len(flows) < n {
		text := d.flowText()
		f, err := ParseFlow(text)
		mapped := strings.Contains(strings.ToLower(text), "tun_metadata") // a switch wants to be told first which options these are
		debug := strings.Contains(text, "debug_")                         // only a switch with a dummy datapath takes it
		expires := f.IdleTimeout > 0 && f.IdleTimeout < 60 || f.HardTimeout > 0 && f.HardTimeout < 60
		if err != nil || mapped || debug || slices.ContainsFunc(f.Match, unsaid) || slices.ContainsFunc(f.Actions, losesInText) || expires || keys[f.Key()] { // what is refused is another test's
			n--
			continue
		}
		keys[f.Key()] = true
		flows = append(flows, f)
	}
	return flows
}

// unsaid reports whether Open vSwitch 3.1 prints c as something else, or not at all: that a
// packet is an Ethernet frame, masks of some fields of tunnels, the length of options, the
// names of GTP-U's fields, the context of NSH.
func unsaid(c Cond) bool {
	switch f := c.Field; f {
	case DPHash, RecircID, PacketType, TunGBPFlags, NSHC1, NSHC2, NSHC3, NSHC4:
		return true
	default:
		return f.isTunMetadata() || TunERSPANIdx <= f && f <= TunGTPUMsgType
	}
}

// losesInText reports whether Open vSwitch prints a as it prints another action: a length of
// what goes to a port, the long form of a plain output to the controller, and a range that
// ends where it begins.
func losesInText(a Action) bool {
	switch a := a.(type) {
	case Output:
		return a.Port != PortController && a.MaxLen != 0
	case Encap: // a value of zeroes is printed as "0", which is not read
		return slices.ContainsFunc(a.Props, func(p EncapProp) bool { return p.TLV && strings.Trim(p.Value, "\x00") == "" })
	case Controller:
		return a.String() == Output{PortController, a.MaxLen}.String()
	case SetMasked: // without a mask if that has all bits, as "ANY" if it has none, or with one that no text may have
		return true
	case ConnTrack:
		if n := a.NAT; n != nil && (n.AddrMin == n.AddrMax && n.AddrMin.IsValid() || n.PortMin == n.PortMax && n.PortMin != 0) {
			return true
		}
		return a.NAT != nil && !a.NAT.AddrMin.IsValid() && (a.NAT.Random || a.NAT.Hash || a.NAT.Persistent)
	case Clone:
		return slices.ContainsFunc(a.Actions, losesInText)
	case WriteActions:
		return slices.ContainsFunc(a.Actions, losesInText)
	}
	return false
}

// install sends flows to a switch, and returns those that it takes. What it refuses, it has
// to refuse for the reason for which a strict decoder does, or for what else is in it.
func install(t testing.TB, rt *rapid.T, b *bridge, flows []Flow) (taken []Flow, refused int) {
	var wire []byte
	want := make([]ErrorCode, len(flows))
	for i, f := range flows {
		at := len(wire)
		var err error
		if wire, err = Append(wire, uint32(i), FlowMod{Flow: f}); err != nil {
			rt.Fatal(err)
		}
		d := decoder{b: wire[at+HeaderLen:], what: "flow mod", short: OFPBRC_BAD_LEN, strict: true}
		d.flowMod()
		errors.As(d.err, &want[i])
	}
	b.sendBytes(t, wire)
	errs := b.barrier(t)
	for i, f := range flows {
		got := ErrorCode(0)
		if err := errs[uint32(i)]; err != nil {
			got = err.ErrorCode()
		}
		switch {
		case got == 0 && want[i] == 0:
			taken = append(taken, f)
			continue
		case got == want[i], want[i] == 0 && (got == OFPBAC_BAD_OUT_GROUP || got == OFPMMFC_UNKNOWN_METER || got == OFPFMFC_OVERLAP):
		default:
			rt.Fatalf("the switch says %v and we say %v of %v", got, want[i], f)
		}
		refused++
	}
	return taken, refused
}

func writeFlows(t testing.TB, flows []Flow) string {
	var s strings.Builder
	for _, f := range flows {
		s.WriteString(f.String() + "\n")
	}
	name := filepath.Join(t.TempDir(), "flows")
	if err := os.WriteFile(name, []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func compareDumps(rt *rapid.T, ours, theirs [][]byte) {
	without := func(a, b [][]byte) [][]byte {
		return slices.DeleteFunc(slices.Clone(a), func(e []byte) bool { _, found := slices.BinarySearchFunc(b, e, bytes.Compare); return found })
	}
	mine, others := without(ours, theirs), without(theirs, ours)
	if len(mine)+len(others) > 0 || len(ours) != len(theirs) {
		rt.Fatalf("sent as bytes, %d flows:\n%s\nsent as texts, %d flows:\n%s", len(ours), entryText(mine), len(theirs), entryText(others))
	}
}

func entryText(entries [][]byte) string {
	if len(entries) == 0 {
		return "-"
	}
	f, err := DecodeFlowStats(nil, bytes.Clone(entries[0]))
	return fmt.Sprintf("%x\n%v %v", entries[0], f, err)
}

// compareFlows compares what a switch has with what was sent.
func compareFlows(rt *rapid.T, sent []Flow, entries [][]byte) {
	have, err := DecodeFlowStats(nil, bytes.Join(entries, nil))
	if err != nil {
		rt.Fatal(err)
	}
	byKey := map[FlowKey]Flow{}
	for _, f := range have {
		byKey[f.Key()] = f.Flow
	}
	if len(byKey) != len(sent) {
		rt.Fatalf("%d flows were sent, %d are there", len(sent), len(byKey))
	}
	for _, f := range sent {
		if g := byKey[f.Key()]; !f.Equal(g) {
			rt.Fatalf("sent %v\n got %v", f, g)
		}
	}
}

// compareTexts compares the lines of ovs-ofctl dump-flows with ours.
func compareTexts(rt *rapid.T, sent []Flow, dump string) {
	var want, got []string
	for _, f := range sent {
		want = append(want, f.String())
	}
	for line := range strings.Lines(dump) {
		if line = strings.TrimSpace(line); strings.Contains(line, "actions=") {
			got = append(got, line)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			rt.Fatalf("line %d\nours   %s\ntheirs %s", i, slices.Concat(want[i:], []string{"-"})[0], slices.Concat(got[i:], []string{"-"})[0])
		}
	}
}

// readByContiv has contiv/libOpenflow read f. It knows few fields and actions and panics at
// many others; where it gets through, it has to read what we wrote. It reports whether it
// writes f again as we do.
func readByContiv(rt *rapid.T, f Flow) (same bool) {
	wire, err := Append(nil, 0, FlowMod{Flow: f})
	if err != nil {
		rt.Fatal(err)
	}
	m := contiv.NewFlowMod()
	if !survives(func() { err = m.UnmarshalBinary(bytes.Clone(wire)) }) || err != nil {
		return false
	}
	if m.Cookie != f.Cookie || m.TableId != uint8(f.Table) || m.Priority != f.Priority || m.IdleTimeout != f.IdleTimeout || m.HardTimeout != f.HardTimeout || m.Flags != uint16(f.Flags) {
		rt.Fatalf("contiv reads %+v of %v", m, f)
	}
	var again []byte
	return survives(func() { again, err = m.MarshalBinary() }) && err == nil && bytes.Equal(again, wire)
}

// survives reports whether f does not panic.
func survives(f func()) (ok bool) {
	defer func() { ok = recover() == nil }()
	f()
	return true
}

// TestRandomGroupsAreInASwitchWhatTheyWere is the same for groups.
func TestRandomGroupsAreInASwitchWhatTheyWere(t *testing.T) {
	integration(t)
	box := sandboxtest.Rootless(t, "ours", "theirs")
	ours, theirs := openBridge(t, box.RunDir(), "ours"), openBridge(t, box.RunDir(), "theirs")
	var n, refused int
	for round := range uint64(40) {
		for _, b := range []*bridge{ours, theirs} {
			b.send(t, 1, GroupMod{Command: GroupDelete, Group: Group{ID: AllGroups}})
			b.barrier(t)
		}
		groups, no := installGroups(t, ours, seeded(3<<40+textSeed()+round), 50)
		refused += no
		n += len(groups)
		file := filepath.Join(t.TempDir(), "groups")
		if err := os.WriteFile(file, []byte(strings.Join(groups, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := box.Ofctl("-O", "OpenFlow13", "--no-names", "add-groups", "theirs", file); err != nil {
			t.Fatalf("ovs-ofctl does not take our text: %v", err)
		}
		for _, b := range []*bridge{ours, theirs} {
			dump, err := box.Ofctl("-O", "OpenFlow13", "--no-names", "dump-groups", b.name)
			if err != nil {
				t.Fatal(err)
			}
			compareGroups(t, b.name, groups, dump)
		}
	}
	t.Logf("%d groups are in the switch what they were; it refused %d others", n, refused)
}

// installGroups sends n groups to a switch, and returns the texts of those that it takes.
func installGroups(t *testing.T, b *bridge, d dice, n int) (taken []string, refused int) {
	for id := range uint32(n) {
		text := d.groupText()
		g, err := ParseGroup(text)
		debug := strings.Contains(text, "debug_") // only a switch with a dummy datapath takes it
		loses := func(k Bucket) bool { return slices.ContainsFunc(k.Actions, losesInText) }
		if err != nil || debug || slices.ContainsFunc(g.Buckets, loses) {
			continue
		}
		g.ID = id
		wire, err := Append(nil, id, GroupMod{Group: g})
		if err != nil {
			t.Fatal(err)
		}
		b.sendBytes(t, wire)
		var want ErrorCode
		errors.As(Check(wire), &want)
		switch err := b.barrier(t)[id]; {
		case err == nil && want == 0:
			taken = append(taken, g.String())
		case err == nil || want != 0 && err.ErrorCode() != want:
			t.Errorf("the switch says %v and we say %v of %v", err, want, g)
		default:
			refused++
		}
	}
	return taken, refused
}

func compareGroups(t *testing.T, bridge string, sent []string, dump string) {
	var got []string
	for line := range strings.Lines(dump) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "group_id=") {
			got = append(got, line)
		}
	}
	slices.Sort(sent)
	slices.Sort(got)
	for i := range max(len(sent), len(got)) {
		if i >= len(sent) || i >= len(got) || sent[i] != got[i] {
			t.Fatalf("%s, line %d:\nours   %s\ntheirs %s", bridge, i, slices.Concat(sent[i:], []string{"-"})[0], slices.Concat(got[i:], []string{"-"})[0])
		}
	}
}

// TestRandomMetersAreInASwitchWhatTheyWere is the same for meters, of which a switch without
// a kernel takes those with bands that drop.
func TestRandomMetersAreInASwitchWhatTheyWere(t *testing.T) {
	integration(t)
	box := sandboxtest.Rootless(t, "ours", "theirs")
	ours := openBridge(t, box.RunDir(), "ours")
	var want []string
	refused := 0
	for id := range uint32(300) {
		m, err := ParseMeter(seeded(4<<40 + textSeed() + uint64(id)).meterText())
		if err != nil {
			continue
		}
		m.ID = id + 1
		ours.send(t, id, MeterMod{Command: MeterAdd, Meter: m})
		if err := ours.barrier(t)[id]; err != nil {
			refused++
			continue
		}
		text := m.String()
		if _, err := box.Ofctl("-O", "OpenFlow13", "add-meter", "theirs", text); err != nil {
			t.Fatalf("ovs-ofctl does not take our text: %v", err)
		}
		want = append(want, text)
	}
	for _, bridge := range []string{"ours", "theirs"} {
		dump, err := box.Ofctl("-O", "OpenFlow13", "dump-meters", bridge)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(dump+"\n", "\n"+text+"\n") {
				t.Errorf("%s has no\n%s\nbut\n%s", bridge, text, dump)
			}
		}
	}
	t.Logf("%d meters are in the switch what they were; it refused %d others", len(want), refused)
}
