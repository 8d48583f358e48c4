package apps

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestNobodySendsFromAnAddressOfAnSNAT sends from the addresses that a tenant leaves as, which only
// endpoints can do whose addresses nobody checks. Open vSwitch must not be asked to translate one
// to itself.
func TestNobodySendsFromAnAddressOfAnSNAT(t *testing.T) {
	const more = `---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: any, tenant: blue}
spec: {network: front, bind: {port: any}, mac: "02:00:00:00:00:13", ips: [10.1.0.13], trusted: true}
---
apiVersion: weir/v1
kind: SNAT
metadata: {name: all, tenant: blue}
spec: {network: front, addresses: [198.51.100.21-198.51.100.23, 203.0.113.26]}
`
	data, err := os.ReadFile("testdata/prefixes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := intent.Read(intent.Source{Name: "prefixes.yaml", Data: append(data, more...)})
	if err != nil {
		t.Fatal(err)
	}
	p, in := compileModel(t, m)
	sim := flowsim.New(p.Tables())
	for from, want := range map[string]string{
		"10.1.0.13":     "passes, committed",
		"198.51.100.20": "dropped", // a floating IP
		"198.51.100.22": "dropped", // of the pool, in a prefix
		"203.0.113.26":  "dropped", // ... on the link
	} {
		packet := flowsim.Of(
			ofproto.Is(ofproto.InPort, portOn(in, "any")), ofproto.IsMAC(ofproto.EthSrc, [6]byte{2, 0, 0, 0, 0, 0x13}), ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC),
			ofproto.IsAddr(ofproto.IPv4Src, netip.MustParseAddr(from)), ofproto.IsAddr(ofproto.IPv4Dst, netip.MustParseAddr("203.0.113.1")),
			ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPSrc, 1024), ofproto.Is(ofproto.TCPDst, 80), ofproto.Is(ofproto.TCPFlags, 2))
		if got := outcome(sim.Send(packet, &flowsim.Tracker{})); !strings.HasPrefix(got, want) {
			t.Errorf("from %s: %s, want %s", from, got, want)
		}
	}
}
