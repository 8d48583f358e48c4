package apps

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/internal/unixctl"
	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// A stage is a real Open vSwitch with the ports 1 to 3 of testdata/stations.yaml: db, and
// the stations of guests and of office.
type stage struct {
	*testing.T
	box  *sandbox.Sandbox
	conn *ofconn.Conn
	ctl  *unixctl.Conn
}

const (
	dbPort     = 1
	guestsPort = 2
	officePort = 3
)

func newStage(t *testing.T) *stage {
	box := sandboxtest.Rootless(t, "br")
	s := &stage{T: t, box: box}
	for i := 1; i <= 3; i++ {
		p := fmt.Sprint("p", i)
		if _, err := box.Vsctl("add-port", "br", p, "--", "set", "interface", p, "type=dummy", fmt.Sprint("ofport_request=", i)); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.conn, err = ofconn.Dial(t.Context(), "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), ofconn.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	if s.ctl, err = unixctl.DialDaemon(t.Context(), box.RunDir(), "ovs-vswitchd"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ctl.Close() })
	return s
}

// give makes the bridge what p says.
func (s *stage) give(p *pipeline.Program) {
	s.Helper()
	have := s.tables()
	have.Flows = slices.DeleteFunc(have.Flows, pipeline.IsStation)
	if err := s.conn.Apply(s.Context(), ofproto.Diff(p.Tables(), have)); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) tables() ofproto.Tables {
	s.Helper()
	have, err := s.conn.Tables(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return have
}

// stations are what the switch has learned: "MAC address at the port of TAG".
func (s *stage) stations() (all []string) {
	for _, f := range s.tables().Flows {
		if f.Table != pipeline.Stations {
			continue
		}
		if !pipeline.IsStation(f) {
			s.Fatalf("%v is not known as what the switch has learned", f)
		}
		all = append(all, f.Match.String())
	}
	slices.Sort(all)
	return all
}

// says has a station send a broadcast from behind a port. The switch looks at it soon after.
func (s *stage) says(port int, mac string) {
	s.Helper()
	if out, err := s.ctl.Call(s.Context(), "netdev-dummy/receive", fmt.Sprint("p", port), fmt.Sprintf("in_port(%d),%s", port, arpOf(mac))); err != nil {
		s.Fatal(out, err)
	}
}

func arpOf(mac string) string {
	return fmt.Sprintf("eth(src=%s,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=10.1.0.99,tip=10.1.0.11,op=1,sha=%s,tha=00:00:00:00:00:00)", mac, mac)
}

// reached are the ports that a datagram from db to a MAC address comes to.
func (s *stage) reached(mac string) (ports []string) {
	s.Helper()
	out, err := s.ctl.Call(s.Context(), "ofproto/trace", "br", "udp,in_port=1,dl_src=02:00:00:00:00:01,dl_dst="+mac+",nw_src=10.1.0.11,nw_dst=10.1.0.77,nw_ttl=64,udp_src=514,udp_dst=514", "--names", "--ct-next", "trk,new")
	if err != nil {
		s.Fatal(out, err)
	}
	all := datapathActions.FindAllStringSubmatch(out, -1)
	for _, p := range []string{"p1", "p2", "p3"} {
		if slices.Contains(strings.FieldsFunc(all[len(all)-1][1], func(r rune) bool { return strings.ContainsRune(",() ", r) }), p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// soon reports whether something is so, now or after the switch has been asked often enough
// to have looked at all frames.
func soon(so func() bool) bool {
	for range 1000 {
		if so() {
			return true
		}
	}
	return false
}

// TestStationsAreLearned sends frames from behind two ports.
func TestStationsAreLearned(t *testing.T) {
	const one, two, three = "02:00:00:00:0e:01", "02:00:00:00:0e:02", "02:00:00:00:0e:03"
	s := newStage(t)
	p, in := compileFile(t, "testdata/stations.yaml")
	s.give(p)
	if got := s.reached(one); !slices.Equal(got, []string{"p3"}) {
		t.Errorf("what nobody knows comes to %v, want p3 only, which may have it", got)
	}
	s.says(guestsPort, "02:00:00:00:00:01") // db's
	s.says(dbPort, three)                   // not db's
	s.says(officePort, one)
	s.says(guestsPort, two)
	if !soon(func() bool { return len(s.stations()) == 2 }) {
		t.Fatalf("learned: %v, want %s and %s", s.stations(), one, two)
	}
	if got := s.reached(one); !slices.Equal(got, []string{"p3"}) {
		t.Errorf("what is for %s comes to %v, want p3", one, got)
	}
	if got := s.reached(two); len(got) > 0 {
		t.Errorf("what is for %s, a guest, comes to %v, and is denied", two, got)
	}

	s.give(p)
	if got := s.stations(); len(got) != 2 {
		t.Errorf("programmed again, the switch has %v", got)
	}
	s.says(guestsPort, one)
	if !soon(func() bool { return len(s.reached(one)) == 0 }) {
		t.Errorf("%s, which has moved to the guests, is reached as it was", one)
	}
	in.Facts.Ports = slices.DeleteFunc(in.Facts.Ports, func(p pipeline.Port) bool { return p.Name == "p2" })
	without, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	s.give(without)
	if got := s.stations(); len(got) > 0 {
		t.Errorf("the port of the guests has gone, and the switch still has %v", got)
	}
}

// TestStationsAreBounded has more stations behind a port than there may be.
func TestStationsAreBounded(t *testing.T) {
	const most = 1024
	s := newStage(t)
	p, _ := compileFile(t, "testdata/stations.yaml")
	s.give(p)
	known := 0
	for i := 0; known < most && i < 20*most; i++ { // a frame may be lost under load
		s.says(officePort, fmt.Sprintf("02:00:00:01:%02x:%02x", i>>8, i&0xff))
		if i >= most && i%100 == 0 {
			known = len(s.stations())
		}
	}
	for i := range 100 { // who are too many
		s.says(officePort, fmt.Sprintf("02:00:00:02:00:%02x", i))
	}
	if !soon(func() bool { return len(s.stations()) == most }) {
		t.Errorf("%d stations, want %d", len(s.stations()), most)
	}
	if _, err := s.ctl.Call(t.Context(), "revalidator/purge"); err != nil { // it counts now
		t.Fatal(err)
	}
	out, err := s.box.Ofctl("-O", "OpenFlow13", "dump-flows", "br", fmt.Sprintf("table=%d,reg11=%#x", pipeline.Drop, uint32(pipeline.TooManyStations)))
	if err != nil || strings.Contains(out, "n_packets=0,") || !strings.Contains(out, "n_packets=") {
		t.Errorf("those who are too many are not counted: %v\n%s", err, out)
	}
}
