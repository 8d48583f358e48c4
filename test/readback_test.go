package test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/api"
	"weir/conntrack"
	"weir/ofproto"
	"weir/quirk"
	"weir/test/ovstest"
)

func echoRequest(from, to int, id uint16) packet {
	return packet{from: from, to: to, proto: layers.IPProtocolICMPv4, rest: []gopacket.SerializableLayer{
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: id, Seq: 1}}}
}

// twoZones is a model of t and u, of two hosts each, in the zones 5 and 6.
func twoZones() string {
	everything := "{name: any, direction: ingress, action: allow}"
	return labModel("zone: 5", policy("t", "p",
		"{name: ftp, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}",
		"{name: tcp, direction: ingress, action: allow, protocol: tcp, mark: 17}", everything),
		labTenant("u", "zone: 6"), labEndpoint("u", 3, ""), labEndpoint("u", 4, ""), policy("u", "p", everything))
}

// TestOC01ReadBackEqualsWhatTheDatapathSays has connections of all kinds in two zones, and
// compares weir connections with the lines of dpctl/dump-conntrack, field by field.
func TestOC01ReadBackEqualsWhatTheDatapathSays(t *testing.T) {
	l := newLab(t, 4, twoZones())
	for i := range 10 {
		from, sport, dport := 1+2*(i%2), layers.TCPPort(1000+i), layers.TCPPort(80)
		if i == 0 {
			dport = 21
		}
		l.send(tcp(from, from+1, sport, dport, "S"))
		if i > 5 {
			l.send(tcp(from+1, from, dport, sport, "SA"))
			l.send(tcp(from, from+1, sport, dport, "A"))
		}
	}
	for i := range 5 {
		l.send(udp(1+2*(i%2), 2+2*(i%2), layers.UDPPort(2000+i), 53))
	}
	for i := range 3 {
		l.send(echoRequest(1+2*(i%2), 2+2*(i%2), uint16(3000+i)))
	}
	want := map[string]map[string]string{}
	for _, zone := range []string{"zone=5", "zone=6"} {
		text, err := l.Appctl("dpctl/dump-conntrack", "-m", "-s", zone)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			f := fieldsOf(strings.TrimSpace(line))
			want[f["zone"]+f["orig"]] = f
		}
	}
	got := map[string]map[string]string{}
	for _, c := range append(l.Weir.Connections("t"), l.Weir.Connections("u")...) {
		f := saidOf(c)
		got[f["zone"]+f["orig"]] = f
	}
	if d := gocmp.Diff(want, got); d != "" || len(got) != 18 {
		t.Errorf("%d connections; -dpctl/dump-conntrack +weir connections:\n%s", len(got), d)
	}
}

// fieldsOf reads a line of a dump in the plainest way, but for what passes with time.
func fieldsOf(line string) map[string]string {
	protocol, rest, _ := strings.Cut(line, ",")
	fields := map[string]string{"protocol": protocol}
	for rest != "" {
		key, value, _ := strings.Cut(rest, "=")
		end := strings.IndexByte(value+",", ',')
		if strings.HasPrefix(value, "(") {
			end = strings.IndexByte(value, ')') + 1
		}
		fields[key] = value[:end]
		rest = strings.TrimPrefix(value[end:], ",")
	}
	delete(fields, "timeout")
	fields["status"] = cmp.Or(fields["status"], "0") // before Open vSwitch 3.1 no bits are nothing, here and in flags
	if info := fields["protoinfo"]; info != "" {
		fields["protoinfo"] = strings.NewReplacer("flags_orig=,", "flags_orig=0,", "flags_reply=)", "flags_reply=0)").Replace(info)
	}
	return fields
}

// saidOf returns what weir says of a connection in the words of a dump.
func saidOf(c api.Connection) map[string]string {
	fields := map[string]string{
		"protocol": c.Protocol, "orig": tupleText(c.Protocol, c.Orig), "reply": tupleText(c.Protocol, c.Reply), "id": fmt.Sprint(c.ID),
		"zone": fmt.Sprint(c.Zone), "status": (conntrack.Status(c.Status) & statusRead).String(), "mark": fmt.Sprint(c.Mark), "labels": c.Label,
	}
	maps.Copy(fields, c.Other)
	if c.Helper != "" {
		fields["helper"] = c.Helper
	}
	if c.Protocol == "tcp" {
		scales := ""
		if c.ScaleOrig|c.ScaleReply != 0 {
			scales = fmt.Sprintf(",wscale_orig=%d,wscale_reply=%d", c.ScaleOrig, c.ScaleReply)
		}
		fields["protoinfo"] = fmt.Sprintf("(state_orig=%s,state_reply=%s%s,flags_orig=%s,flags_reply=%s)",
			c.StateOrig, c.StateReply, scales, cmp.Or(c.FlagsOrig, "0"), cmp.Or(c.FlagsReply, "0"))
	}
	return fields
}

// statusRead is what Open vSwitch 3.1 reads of the kernel's status.
const statusRead = conntrack.StatusUntracked<<1 - 1

func tupleText(protocol string, t api.Tuple) string {
	if protocol == "icmp" {
		return fmt.Sprintf("(src=%s,dst=%s,id=%d,type=%d,code=%d)", t.Src, t.Dst, t.ICMPID, t.Type, t.Code)
	}
	return fmt.Sprintf("(src=%s,dst=%s,sport=%d,dport=%d)", t.Src, t.Dst, t.Sport, t.Dport)
}

// TestOC02SelectiveFlush removes entries by a complete tuple, by a source port in a zone and
// by the source of the answers, in both ways that Open vSwitch has. Exactly these go.
func TestOC02SelectiveFlush(t *testing.T) {
	const udpProtocol = 17
	h := func(number int) ofproto.Addr { return ovstest.Addr(fmt.Sprintf("10.1.1.%d", number)) }
	complete := ofproto.CTTuple{Src: h(1), Dst: h(2), SrcPort: 1, DstPort: 53}
	all := []string{"5:1", "5:2", "6:1"}
	for name, c := range map[string]struct {
		unixctl  []string
		openflow ofproto.CTFlush
		left     []string
	}{
		"by a complete tuple": {
			[]string{"zone=5", "ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,ct_nw_proto=17,ct_tp_src=1,ct_tp_dst=53"},
			ofproto.CTFlush{Proto: udpProtocol, Zone: 5, HasZone: true, Original: complete}, []string{"5:2", "6:1"},
		},
		"by a source port in a zone": {
			[]string{"zone=5", "ct_nw_proto=17,ct_tp_src=1"},
			ofproto.CTFlush{Proto: udpProtocol, Zone: 5, HasZone: true, Original: ofproto.CTTuple{SrcPort: 1}}, []string{"5:2", "6:1"},
		},
		"by the source of the answers": {
			[]string{"zone=6", "ct_nw_proto=17", "ct_nw_src=10.1.1.4"},
			ofproto.CTFlush{Proto: udpProtocol, Zone: 6, HasZone: true, Reply: ofproto.CTTuple{Src: h(4)}}, []string{"5:1", "5:2"},
		},
		"by a source port in all zones": { // without a zone all zones are meant
			[]string{"ct_nw_proto=17,ct_tp_src=1"},
			ofproto.CTFlush{Proto: udpProtocol, Original: ofproto.CTTuple{SrcPort: 1}}, []string{"5:2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 4, twoZones())
			session := l.Session()
			openFlow, parts := l.flushes()
			for way, flush := range map[string]func() error{
				"unixctl": func() error {
					_, err := l.Appctl(append([]string{"dpctl/flush-conntrack"}, c.unixctl...)...)
					return err
				},
				"OpenFlow": func() error { return session.FlushConnections(t.Context(), []ofproto.CTFlush{c.openflow}) },
			} {
				if way == "OpenFlow" && !openFlow || way == "unixctl" && !parts && c.openflow.Original != complete {
					t.Logf("this Open vSwitch removes none in this way: %s", way)
					continue
				}
				l.send(udp(1, 2, 1, 53))
				l.send(udp(1, 2, 2, 53))
				l.send(udp(3, 4, 1, 53))
				if have := l.udpEntries(); !slices.Equal(have, all) {
					t.Fatalf("there are %v, want %v", have, all)
				}
				if err := flush(); err != nil {
					t.Fatal(err)
				}
				if have := l.udpEntries(); !slices.Equal(have, c.left) {
					t.Errorf("by %s, %v are left, want %v", way, have, c.left)
				}
			}
		})
	}
}

// flushes asks Open vSwitch, about a connection that there is not, whether it removes single connections by OpenFlow
// (NXT_CT_FLUSH), and whether it takes parts of a tuple by unixctl.
func (l *lab) flushes() (openFlow, parts bool) {
	l.T.Helper()
	absent := ofproto.CTFlush{Proto: 17, Zone: 5, HasZone: true, Original: ofproto.CTTuple{SrcPort: 9}}
	err := l.Session().FlushConnections(l.T.Context(), []ofproto.CTFlush{absent})
	if err != nil && !errors.Is(err, ofproto.OFPBRC_BAD_SUBTYPE) {
		l.T.Fatal(err)
	}
	_, partly := l.Appctl("dpctl/flush-conntrack", "zone=5", "ct_nw_proto=17,ct_tp_src=9")
	if partly != nil && !strings.Contains(partly.Error(), "at least one of the conntrack 5-tuple fields is missing") {
		l.T.Fatal(partly)
	}
	return err == nil, partly == nil
}

// udpEntries returns the connections of UDP, as zone and source port.
func (l *lab) udpEntries() []string {
	all := map[string]bool{}
	for _, zone := range []uint16{5, 6} {
		for _, e := range ovstest.Protocol(l.Entries(zone), "udp") {
			all[fmt.Sprintf("%d:%d", e.Zone, e.Orig.SrcPort)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// TestOC03FlushingWhatIsNotThere is no error for who asks Weir, or the switch by OpenFlow; by
// unixctl it is one. What is there goes, and what would end ovs-vswitchd is not asked for.
func TestOC03FlushingWhatIsNotThere(t *testing.T) {
	l := newLab(t, 2, labModel("zone: 5", policy("t", "p", "{name: any, direction: ingress, action: allow}")))
	text, err := l.Appctl("dpctl/flush-conntrack", "zone=5", "ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,ct_nw_proto=17,ct_tp_src=1,ct_tp_dst=53")
	if err == nil || !strings.Contains(err.Error(), "failed to flush conntrack") || !strings.Contains(err.Error(), "(No such file or directory)") {
		t.Errorf("unixctl says %q, %v", text, err)
	}
	absent := ofproto.CTFlush{Proto: 17, Zone: 5, HasZone: true, Original: ofproto.CTTuple{
		Src: ovstest.Addr("10.1.1.1"), Dst: ovstest.Addr("10.1.1.2"), SrcPort: 1, DstPort: 53}}
	openFlow, _ := l.flushes()
	if err := l.Session().FlushConnections(t.Context(), []ofproto.CTFlush{absent}); openFlow && err != nil {
		t.Errorf("OpenFlow: %v", err)
	}
	kill := func(want int, args ...string) error {
		t.Helper()
		var k api.Killed
		out, err := l.Weir.Tool(append([]string{"connections", "kill", "-t", "t", "-o", "json"}, args...)...)
		if json.Unmarshal([]byte(out), &k) != nil || k.Killed != want {
			t.Errorf("%v: %q, %v; want %d killed", args, out, err, want)
		}
		return err
	}
	kill(0, "--protocol", "udp", "--sport", "1")
	l.send(udp(1, 2, 1, 53))
	l.send(udp(1, 2, 2, 53))
	l.send(tcp(1, 2, 1, 80, "S"))
	l.send(icmp6(1, 2, 128, 0, nil))
	kill(1, "--protocol", "udp", "--sport", "1", "--dst", "10.1.1.0/24")
	kill(0, "--protocol", "udp", "--sport", "1", "--dst", "10.1.1.0/24")
	safe := l.flushesICMPv6()
	l.planKill(map[bool]int{true: 3, false: 2}[safe], map[bool]int{true: 0, false: 1}[safe])
	if all := l.Entries(5); len(all) != 3 {
		t.Errorf("after a plan there are %v, want three", all)
	}
	err = kill(map[bool]int{true: 3, false: 2}[safe], "--all") // ovs-vswitchd is the same process, or the lab says so
	left := l.Entries(5)
	if safe && (err != nil || len(left) > 0) {
		t.Errorf("%v, and %v are left", err, left)
	}
	if !safe && (err == nil || !strings.Contains(err.Error(), "flush-icmpv6") || len(left) != 1 || left[0].Protocol != conntrack.ICMPv6) {
		t.Errorf("%v, and %v are left; want ICMPv6, and that it is said", err, left)
	}
}

// planKill asks what would become of all connections, in words and for programs.
func (l *lab) planKill(killed, kept int) {
	l.T.Helper()
	var k api.Killed
	out, some, err := l.Weir.Plan("connections", "kill", "-t", "t", "--all", "--plan", "-o", "json")
	if err != nil || some != (killed > 0) || json.Unmarshal([]byte(out), &k) != nil || k.Killed != killed || k.Kept != kept || len(k.Plan) != killed+kept {
		l.T.Errorf("planned %s, %v; want %d killed, %d kept", out, err, killed, kept)
	}
	by := quirk.ByOpenFlow
	if openFlow, _ := l.flushes(); !openFlow {
		by = quirk.ByControl
	}
	if os.Getenv("WEIR_DATAPATH") == conntrack.Kernel {
		by = quirk.ByNetlink
	}
	for _, f := range k.Plan {
		if (f.By == string(by)) == (f.Why != "") {
			l.T.Errorf("by %q, and left because %q: %+v", f.By, f.Why, f.Connection)
		}
	}
	want := fmt.Sprintf("%d connections of t would be forgotten, %d left\n", killed, kept)
	if out, _, err = l.Weir.Plan("connections", "kill", "-t", "t", "--all", "--plan"); err != nil || !strings.HasSuffix(out, want) || strings.Count(out, "left: ") != kept {
		l.T.Errorf("planned %s, %v; want %s", out, err, want)
	}
}

// flushesICMPv6 reports whether a single connection of ICMPv6 can be removed.
func (l *lab) flushesICMPv6() bool {
	l.T.Helper()
	s, err := l.Weir.Status()
	if err != nil {
		l.T.Fatal(err)
	}
	return !slices.ContainsFunc(s.Bridges[0].Quirks, func(q api.Reason) bool { return q.ID == string(quirk.FlushICMPv6) })
}
