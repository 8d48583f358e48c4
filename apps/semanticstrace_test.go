package apps

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/internal/sandbox/sandboxtest"
	"weir/internal/unixctl"
	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// A frame is a packet as it comes to the bridge.
type frame struct{ flowsim.Packet }

// text is the frame as ofproto/trace takes it.
func (f frame) text() string { return f.Packet.String() }

// frame puts p on the wire, towards the receiver's MAC or the router's.
func (w *world) frame(p reference.Packet) frame {
	mac := stationOf(p.To)
	if p.From.Network != p.To.Network {
		mac = pipeline.RouterMAC
	}
	conds := []ofproto.Cond{
		ofproto.Is(ofproto.InPort, uint64(w.ports[p.From.ID()])), ofproto.IsMAC(ofproto.EthSrc, stationOf(p.From)), ofproto.IsMAC(ofproto.EthDst, mac),
		ofproto.Is(ofproto.IPProto, uint64(p.Protocol)), ofproto.Is(ofproto.IPTTL, 64),
	}
	if p.Src.Is4() {
		conds = append(conds, ofproto.IsAddr(ofproto.IPv4Src, p.Src), ofproto.IsAddr(ofproto.IPv4Dst, p.Dst))
	} else {
		conds = append(conds, ofproto.IsAddr(ofproto.IPv6Src, p.Src), ofproto.IsAddr(ofproto.IPv6Dst, p.Dst))
	}
	f := frame{flowsim.Of(conds...)}
	for field, v := range service(p) {
		f.SetUint(field, uint64(v))
	}
	return f
}

// stationOf is the MAC address of an endpoint, or of a station behind its port.
func stationOf(e *intent.Endpoint) [6]byte {
	if pipeline.AnyMAC(e) {
		return [6]byte{2, 0, 0, 0, 0x0e, e.Name[1]}
	}
	return e.MAC
}

// syn is what begins a connection of TCP (RFC 9293, 3.1).
const syn = 0x02

// service is what a packet's protocol has beside addresses.
func service(p reference.Packet) map[ofproto.Field]uint16 {
	switch {
	case p.Protocol == reference.TCP:
		return map[ofproto.Field]uint16{ofproto.TCPSrc: p.SrcPort, ofproto.TCPDst: p.DstPort, ofproto.TCPFlags: syn}
	case p.Protocol == reference.UDP:
		return map[ofproto.Field]uint16{ofproto.UDPSrc: p.SrcPort, ofproto.UDPDst: p.DstPort}
	case p.Protocol == reference.SCTP:
		return map[ofproto.Field]uint16{ofproto.SCTPSrc: p.SrcPort, ofproto.SCTPDst: p.DstPort}
	case p.Protocol == reference.ICMP && p.Src.Is4():
		return map[ofproto.Field]uint16{ofproto.ICMPv4Type: uint16(p.Type), ofproto.ICMPv4Code: uint16(p.Code)}
	case p.Protocol == reference.ICMPv6 && p.Src.Is6():
		return map[ofproto.Field]uint16{ofproto.ICMPv6Type: uint16(p.Type), ofproto.ICMPv6Code: uint16(p.Code)}
	}
	return nil
}

// traced are the states that a trace can be told: there a connection has no mark, so
// that one that is known was admitted under an earlier epoch.
var traced = []reference.State{reference.New, reference.New, reference.New, reference.OldOriginal, reference.OldReply, reference.Related, reference.Invalid}

var ctNext = map[reference.State]string{
	reference.New: "trk,new", reference.OldOriginal: "trk,est", reference.OldReply: "trk,est,rpl", reference.Related: "trk,rel,rpl", reference.Invalid: "trk,inv",
}

// What the states have in common.
var (
	answering = []reference.State{reference.Reply, reference.OldReply, reference.Related, reference.BlockedReply, reference.BlockedRelated, reference.OldBlockedReply, reference.OldKeptReply}
	old       = []reference.State{reference.OldOriginal, reference.OldReply, reference.OldBlocked, reference.OldBlockedReply, reference.OldKept, reference.OldKeptReply, reference.OldKeptOneWay}
	kept      = []reference.State{reference.OldKept, reference.OldKeptReply, reference.OldKeptOneWay}
	blocked   = []reference.State{reference.Blocked, reference.BlockedReply, reference.BlockedRelated, reference.OldBlocked, reference.OldBlockedReply}
	related   = []reference.State{reference.Related, reference.BlockedRelated}
)

// tracker has what a packet's state says.
func (w *world) tracker(p reference.Packet, s reference.State) *flowsim.Tracker {
	id := w.model.Tenant(p.From.Tenant).ID()
	f := w.frame(p)
	tuple, _ := flowsim.TupleOf(&f.Packet)
	now := uint32(w.in.Numbers.Epoch(id)) | pipeline.MarkCommitted
	c := flowsim.Connection{Zone: w.in.Numbers.Zone(id), Orig: tuple, Mark: now}
	if s == reference.Overflow && w.model.Tenant(p.From.Tenant).Limits.Connections > 0 {
		return &flowsim.Tracker{Limits: map[uint16]int{c.Zone: 0}}
	}
	if s == reference.New || s == reference.Invalid || s == reference.Overflow {
		return &flowsim.Tracker{}
	}
	if slices.Contains(answering, s) {
		c.Orig = tuple.Reversed()
	}
	c.Replied = s != reference.OneWay && s != reference.OldKeptOneWay
	if slices.Contains(old, s) {
		c.Mark = pipeline.MarkCommitted
	}
	if slices.Contains(kept, s) {
		c.Mark |= pipeline.MarkKeep
	}
	if slices.Contains(blocked, s) {
		c.Mark |= pipeline.MarkBlocked
	}
	var t flowsim.Tracker
	t.Put(c)
	return &t
}

// A tracer asks a real Open vSwitch.
type tracer struct {
	conn *ofconn.Conn
	ctl  *unixctl.Conn
}

// maxPorts is how many endpoints a drawn model may have.
const maxPorts = 16

func startTracer(t *testing.T) *tracer {
	box := sandboxtest.Rootless(t, "br")
	var args []string
	for i := 1; i <= maxPorts; i++ {
		p := fmt.Sprint("p", i)
		args = append(args, "--", "add-port", "br", p, "--", "set", "interface", p, "type=dummy", fmt.Sprint("ofport_request=", i))
	}
	if _, err := box.Vsctl(args[1:]...); err != nil {
		t.Fatal(err)
	}
	conn, err := ofconn.Dial(t.Context(), "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), ofconn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctl, err := unixctl.DialDaemon(t.Context(), box.RunDir(), "ovs-vswitchd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctl.Close() })
	return &tracer{conn, ctl}
}

// install makes the bridge what p says, for traces.
func (tr *tracer) install(t *rapid.T, p *pipeline.Program) { tr.installs(t, traceable(p.Tables())) }

// traceable is t with weights that are too far apart for Open vSwitch to choose a bucket by a hash
// of the datapath: at such a hash a trace ends.
func traceable(t ofproto.Tables) ofproto.Tables {
	t.Groups = slices.Clone(t.Groups)
	for i, g := range t.Groups {
		if g.Type != ofproto.GroupSelect || len(g.Buckets) == 0 {
			continue
		}
		far := []ofproto.Bucket{{Weight: 1, Actions: g.Buckets[0].Actions}}
		for _, b := range g.Buckets {
			b.Weight *= 100
			far = append(far, b)
		}
		t.Groups[i].Buckets = far
	}
	return t
}

// installs makes the bridge have some tables.
func (tr *tracer) installs(t *rapid.T, tables ofproto.Tables) {
	have, err := tr.conn.Tables(t.Context())
	if err == nil {
		err = tr.conn.Apply(t.Context(), ofproto.Diff(tables, have))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// trace asks Open vSwitch. It also returns the words of the trace.
func (tr *tracer) trace(t *rapid.T, w *world, p reference.Packet, s reference.State) (opinion, string) {
	out, err := tr.ctl.Call(t.Context(), "ofproto/trace", "br", w.frame(p).text(), "--names", "--ct-next", ctNext[s])
	if err != nil {
		t.Fatalf("%s\n%s: %v", w.text, w.frame(p).text(), err)
	}
	return w.read(out), out
}

var (
	datapathActions = regexp.MustCompile(`(?m)^Datapath actions: (.*)$`)
	portOf          = regexp.MustCompile(`(?:^|,)p(\d+)(?:,|$)`)
	markOf          = regexp.MustCompile(`ct\(commit,[^)]*mark=(0x[0-9a-f]+)`)
	reported        = regexp.MustCompile(`(?:sample\(sample=100[.0]*%,actions|clone)\(meter\(\d+\),userspace\([^ ]*controller\(reason=1[^ ]*?\)\)\)`)
	labelOf         = regexp.MustCompile(`label=0x([0-9a-f]+)`)
)

// read reads the datapath's actions out of a trace: those after the last recirculation.
func (w *world) read(trace string) (o opinion) {
	o.tracked = strings.Contains(trace, "\n20. ")
	all := datapathActions.FindAllStringSubmatch(trace, -1)
	if len(all) == 0 {
		return o
	}
	last := all[len(all)-1][1]
	o.told = strings.Contains(reported.ReplaceAllString(last, ""), "controller(reason=1")
	o.logged = reported.MatchString(trace)
	if m := portOf.FindStringSubmatch(last); m != nil {
		n, _ := strconv.ParseUint(m[1], 10, 32)
		o.port = uint32(n)
	}
	for _, actions := range all { // what is committed may come back once more, or be committed elsewhere
		for _, commit := range strings.SplitAfter(actions[1], "),") {
			if m := markOf.FindStringSubmatch(commit); m != nil {
				mark, _ := strconv.ParseUint(m[1], 0, 32)
				o.commit = w.commit(uint32(mark), labelIn(commit))
			}
		}
	}
	return o
}

func labelIn(actions string) (label ofproto.Bits) {
	if m := labelOf.FindStringSubmatch(actions); m != nil {
		b, _ := hex.DecodeString(strings.Repeat("0", 32-len(m[1])) + m[1])
		copy(label[:], b)
	}
	return label
}

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
