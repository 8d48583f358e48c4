package sandboxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/sandbox"
)

// A Packet is one between two hosts, as Open vSwitch writes it: of which protocol, and what is behind the IP header,
// "udp(src=1000,dst=80)".
type Packet struct {
	Six      bool // IPv6
	Protocol uint8
	Rest     string
}

// Track sends packets through bridge br of a dummy datapath, which commits the connection of each in the zones 5
// and 6.
func Track(t *testing.T, box *sandbox.Sandbox, packets ...Packet) {
	t.Helper()
	must := func(_ string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(box.Vsctl("add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=1", "--", "add-port", "br", "p2"))
	flows := filepath.Join(t.TempDir(), "flows")
	must("", os.WriteFile(flows, []byte("ip,actions=ct(commit,zone=5),ct(commit,zone=6),output:2\nipv6,actions=ct(commit,zone=5),ct(commit,zone=6),output:2\n"), 0o600))
	must(box.Ofctl("add-flows", "br", flows))
	for _, p := range packets {
		ip := fmt.Sprintf("eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=%d,tos=0,ttl=64,frag=no),", p.Protocol)
		if p.Six {
			ip = fmt.Sprintf("eth_type(0x86dd),ipv6(src=fc00::1,dst=fc00::2,label=0,proto=%d,tclass=0,hlimit=64,frag=no),", p.Protocol)
		}
		must(box.Appctl("netdev-dummy/receive", "p1", strings.TrimSuffix("in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),"+ip+p.Rest, ",")))
	}
	must(box.Appctl("revalidator/wait"))
}
