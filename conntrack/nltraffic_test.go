package conntrack

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("record", false, "write the kernel's messages of the traffic test to testdata")

// rules puts what goes over loopback into zones, and gives it marks and labels.
const rules = `
table inet t {
	chain zones {
		type filter hook output priority -300;
		meta l4proto tcp tcp dport { 7001, 21 } ct zone set 5
		meta l4proto tcp tcp sport { 7001, 21 } ct zone set 5
		meta l4proto udp udp dport 7002 ct zone set 6
		meta l4proto udp udp sport 7002 ct zone set 6
		meta l4proto udp udp dport 7003 ct original zone set 11
		meta l4proto icmp ct zone set 7
		meta l4proto icmpv6 ct zone set 8
		meta l4proto sctp ct zone set 9
	}
	chain marks {
		type filter hook output priority 0;
		ct state new ct zone 5 ct mark set 0x80000005 ct label set 3 ct label set 127
		ct state new ct zone 6 ct label set 64
	}
}
`

// helped gives connections to port 21 a helper, where nftables can (NFT_OBJREF).
const helped = `
table inet h {
	ct helper ftp { type "ftp" protocol tcp; }
	chain helpers {
		type filter hook output priority 1;
		ct state new tcp dport 21 ct helper set "ftp"
	}
}
`

// loopback is a namespace with rules, in which things can be sent to oneself.
func loopback(t testing.TB) *space {
	s := newSpace(t)
	s.run("", "ip", "link", "set", "lo", "up")
	s.set("netfilter/nf_conntrack_acct", "1")
	s.set("netfilter/nf_conntrack_timestamp", "1")
	s.run(rules, "nft", "-f", "-")
	return s
}

// helped sets the rules for helpers. That a kernel has no such rules is all that may be wrong with them.
func (s *space) helped() {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte(helped), 0o600); err != nil {
		s.t.Fatal(err)
	}
	out := s.run("", "sh", "-c", "nft -f "+path+" 2>&1 || :")
	switch {
	case out == "":
		s.helper = "ftp"
	case strings.Contains(out, "Could not process rule: No such file or directory"):
		s.t.Log("this kernel's nftables has no helpers: expectations are left out")
	default:
		s.t.Fatal(out)
	}
}

// thisKernel is the version of the kernel: "linux-6.1".
func thisKernel(t testing.TB) string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	return "linux-" + strings.Join(strings.SplitN(string(b), ".", 3)[:2], ".")
}

// tcp opens a connection over loopback, has said and answered something, and keeps it open.
func (s *space) tcp(address, say string) (client, server net.Conn) {
	s.t.Helper()
	s.do(func() error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		defer l.Close()
		if client, err = net.Dial("tcp", address); err != nil {
			return err
		}
		s.t.Cleanup(func() { client.Close() })
		if server, err = l.Accept(); err != nil {
			return err
		}
		s.t.Cleanup(func() { server.Close() })
		if _, err := client.Write([]byte(say)); err != nil {
			return err
		}
		_, err = server.Read(make([]byte, len(say)))
		return err
	})
	return client, server
}

// udp sends and answers.
func (s *space) udp(address string) {
	s.t.Helper()
	s.do(func() error {
		server, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		defer server.Close()
		client, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer client.Close()
		if _, err := client.Write([]byte("question")); err != nil {
			return err
		}
		_, from, err := server.ReadFrom(make([]byte, 100))
		if err == nil {
			_, err = server.WriteTo([]byte("answer"), from)
		}
		if err == nil {
			_, err = client.Read(make([]byte, 100))
		}
		return err
	})
}

// sctp sends an INIT, which nobody answers: conntrack needs no SCTP of the kernel's own.
func (s *space) sctp(from, to uint16, tag uint32) {
	s.t.Helper()
	p := make([]byte, 32)
	binary.BigEndian.PutUint16(p, from)
	binary.BigEndian.PutUint16(p[2:], to)
	p[12], p[15] = 1, 20 // INIT, of 20 bytes
	binary.BigEndian.PutUint32(p[16:], tag)
	binary.BigEndian.PutUint32(p[20:], 4096)
	p[25], p[27] = 1, 1 // streams
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	s.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	})
}

// TestTheKernelSaysWhatTheTrafficWas sends what rules put into zones, and reads what the tracker says of it.
func TestTheKernelSaysWhatTheTrafficWas(t *testing.T) {
	s := loopback(t)
	s.helped()
	began := time.Now()
	s.tcp("127.0.0.1:7001", "hello")
	s.udp("[::1]:7002")
	s.udp("127.0.0.1:7003")
	s.run("", "ping", "-q", "-c", "2", "-i", "0.01", "127.0.0.1")
	s.run("", "ping", "-q", "-c", "1", "::1")
	s.sctp(1000, 7005, 0x01020304)
	client, server := s.tcp("127.0.0.1:21", "USER anonymous\r\n") // the helper reads what comes behind the end of a line
	announcement := []byte("PORT 127,0,0,1,30,40\r\n")
	if _, err := client.Write(announcement); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, announcement); err != nil {
		t.Fatal(err)
	}
	mine := netip.MustParseAddrPort(client.LocalAddr().String()).Port()
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	got := map[string]Entry{}
	for _, e := range s.entries(Filter{}) {
		name := fmt.Sprint(e.Protocol, " ", e.Orig.DstPort)
		if e.Start < began.UnixNano() || e.Start > time.Now().UnixNano() {
			t.Errorf("%s began at %v", name, time.Unix(0, e.Start))
		}
		if e.ID == 0 || e.Timeout == 0 || e.Uses == 0 || e.CountOrig.Packets == 0 {
			t.Errorf("%s: %+v", name, e)
		}
		if e.Protocol == ICMP && (e.CountOrig != Counters{2, 168} || e.CountReply != Counters{2, 168}) {
			t.Errorf("%s: %v, %v", name, e.CountOrig, e.CountReply)
		}
		e.ID, e.Timeout, e.Uses, e.CountOrig, e.CountReply, e.Start = 0, 0, 0, Counters{}, Counters{}, 0
		if e.Orig.SrcPort != 1000 {
			e.Orig.SrcPort, e.Reply.DstPort = 0, 0
		}
		e.Orig.ICMPID, e.Reply.ICMPID = 0, 0
		if e.Protocol == SCTP { // a kernel that speaks it answers with an ABORT
			e.Status &^= StatusSeenReply
		}
		got[name] = e
	}
	open := func(port uint16, helper string) Entry {
		return Entry{
			Protocol: TCP, Orig: Tuple{Src: v4, Dst: v4, DstPort: port}, Reply: Tuple{Src: v4, Dst: v4, SrcPort: port}, Zone: 5, Mark: 0x80000005,
			Label: Label{0: 0x80, 15: 8}, Status: got["tcp 7001"].Status &^ StatusHelper, State: Established, StateOrig: Established, StateReply: Established,
			ScaleOrig: got["tcp 7001"].ScaleOrig, ScaleReply: got["tcp 7001"].ScaleReply, FlagsOrig: got["tcp 7001"].FlagsOrig, FlagsReply: got["tcp 7001"].FlagsReply, Helper: helper,
		}
	}
	ftp := open(21, s.helper)
	ftp.Status |= StatusHelper & got["tcp 21"].Status
	ftp.FlagsOrig, ftp.FlagsReply, ftp.Status = got["tcp 21"].FlagsOrig, got["tcp 21"].FlagsReply, got["tcp 21"].Status
	want := map[string]Entry{
		"tcp 7001": open(7001, ""), "tcp 21": ftp,
		"udp 7002": {Protocol: UDP, Orig: Tuple{Src: v6, Dst: v6, DstPort: 7002}, Reply: Tuple{Src: v6, Dst: v6, SrcPort: 7002}, Zone: 6,
			Label: Label{7: 1}, Status: StatusSeenReply | StatusConfirmed},
		"udp 7003": {Protocol: UDP, Orig: Tuple{Src: v4, Dst: v4, DstPort: 7003}, Reply: Tuple{Src: v4, Dst: v4, SrcPort: 7003}, ZoneOrig: 11,
			Status: StatusSeenReply | StatusConfirmed},
		"icmp 0":   {Protocol: ICMP, Orig: Tuple{Src: v4, Dst: v4, ICMPType: 8}, Reply: Tuple{Src: v4, Dst: v4}, Zone: 7, Status: StatusSeenReply | StatusConfirmed},
		"icmpv6 0": {Protocol: ICMPv6, Orig: Tuple{Src: v6, Dst: v6, ICMPType: 128}, Reply: Tuple{Src: v6, Dst: v6, ICMPType: 129}, Zone: 8, Status: StatusSeenReply | StatusConfirmed},
		"sctp 7005": {Protocol: SCTP, Orig: Tuple{Src: v4, Dst: v4, SrcPort: 1000, DstPort: 7005}, Reply: Tuple{Src: v4, Dst: v4, SrcPort: 7005, DstPort: 1000}, Zone: 9,
			Status: StatusConfirmed, State: Closed, TagReply: 0x01020304},
	}
	if e := got["tcp 7001"]; e.Status&(StatusSeenReply|StatusAssured|StatusConfirmed) != StatusSeenReply|StatusAssured|StatusConfirmed || e.FlagsOrig&3 == 0 {
		t.Errorf("%v, %v", e.Status, e.FlagsOrig)
	}
	if d := cmp.Diff(text(want), text(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if s.helper != "" {
		s.expects(v4, mine)
	}
	if *update {
		s.record("testdata/" + thisKernel(t) + ".messages")
	}
}

func text(all map[string]Entry) map[string]string {
	lines := map[string]string{}
	for k, e := range all {
		lines[k] = strings.ReplaceAll(fmt.Sprintf("%+v", e), " ", "\n")
	}
	return lines
}

// expects wants what the client has announced, by the connection that it has announced it on.
func (s *space) expects(a netip.Addr, client uint16) {
	s.t.Helper()
	var all []Expectation
	for e, err := range s.source().Expectations(s.t.Context()) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, e)
	}
	if len(all) != 1 {
		s.t.Fatalf("%d expectations: %+v", len(all), all)
	}
	e := all[0]
	want := Expectation{ // the kernel does not say its zone
		Protocol: TCP, Tuple: Tuple{Src: a, Dst: a, DstPort: 30<<8 + 40}, Mask: Tuple{Src: netip.MustParseAddr("255.255.255.255"), Dst: netip.MustParseAddr("255.255.255.255"), DstPort: 0xffff},
		Parent: Tuple{Src: a, Dst: a, SrcPort: client, DstPort: 21}, Helper: "ftp", Timeout: e.Timeout, ID: e.ID, Flags: e.Flags, Class: e.Class,
	}
	if e != want || e.Timeout == 0 || e.ID == 0 {
		s.t.Errorf("\n got %+v\nwant %+v", e, want)
	}
}

// record writes the messages of a dump, one after the other, each behind its length.
func (s *space) record(path string) {
	nl, err := newSocket(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer nl.close()
	var all []byte
	err = nl.dump(s.t.Context(), subsysConntrack, func(*request) {}, 0, func(body []byte) bool {
		all = slices.Concat(binary.BigEndian.AppendUint16(all, uint16(len(body))), body)
		return true
	})
	if err == nil {
		err = os.WriteFile(path, all, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
