package sandboxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/internal/unixctl"
)

const patience = 30 * time.Second

// flowZones is how many zones one packet gets a connection in: what a flow may do is bounded.
const flowZones = 100

// Crowd fills the tracker of a Rootless with connections: each of the zones 1 to zones gets as
// many of UDP, by packets to port 1000 and up from hosts to one. Bridge br gets a port and
// flows for it. Each connection has a mark and a label, as those of Weir have. 100,000 in 1,000
// zones take a quarter of a second. They end after a minute, unless what is returned is called.
func Crowd(t testing.TB, box *sandbox.Sandbox, zones, each int) (again func()) {
	t.Helper()
	must := func(_ string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(box.Vsctl("--may-exist", "add-port", "br", "crowd", "--", "set", "interface", "crowd", "ofport_request=99"))
	var text strings.Builder
	parts := 0
	for first := 1; first <= zones; first += flowZones {
		fmt.Fprintf(&text, "priority=40000,in_port=99,udp,tp_dst=%d,actions=", 1000+parts)
		for zone := first; zone < min(first+flowZones, zones+1); zone++ {
			fmt.Fprintf(&text, "ct(commit,zone=%d,exec(load:0x8005->NXM_NX_CT_MARK[],load:%#x->NXM_NX_CT_LABEL[64..127],load:0x700000008->NXM_NX_CT_LABEL[0..63])),", zone, 1<<56|zone)
		}
		text.WriteString("in_port\n")
		parts++
	}
	flows := filepath.Join(t.TempDir(), "crowd")
	must("", os.WriteFile(flows, []byte(text.String()), 0o600))
	must(box.Ofctl("add-flows", "br", flows))
	again = func() {
		t.Helper()
		ctl, err := unixctl.DialDaemon(t.Context(), box.RunDir(), "ovs-vswitchd")
		must("", err)
		defer ctl.Close()
		for i := range each {
			for part := range parts {
				must(ctl.Call(t.Context(), "netdev-dummy/receive", "crowd", fmt.Sprintf("in_port(99),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),"+
					"ipv4(src=10.0.%d.%d,dst=10.1.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=%d,dst=%d)", i>>8&255, i&255, 1024+i/65536, 1000+part)))
			}
		}
		must(ctl.Call(t.Context(), "revalidator/wait"))
	}
	again()
	for there, until := 0, time.Now().Add(patience); there < zones*each; { // ovs-vswitchd has the packets before it looks at them
		if time.Now().After(until) {
			t.Fatalf("%d of %d connections after %v", there, zones*each, patience)
		}
		text, err := box.Appctl("dpctl/ct-get-nconns")
		must(text, err)
		if there, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
			t.Fatal(err)
		}
	}
	return again
}
