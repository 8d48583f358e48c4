package apps

import (
	"net/netip"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestALoadBalancerAnswersNobodyWhoCannotBeThere has a load balancer that nobody serves, and that
// rejects what comes, asked from outside by who says that it is inside.
func TestALoadBalancerAnswersNobodyWhoCannotBeThere(t *testing.T) {
	m, err := intent.Read(intent.Source{Name: "empty.yaml", Data: []byte(`apiVersion: weir/v1
kind: Bridge
metadata: {name: br}
spec:
  external: {network: public, port: out, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}], nextHops: [{address: 203.0.113.1, mac: "02:00:00:00:ff:01"}]}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: blue}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: blue}
spec: {subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web, tenant: blue}
spec: {network: lan, bind: {port: web}, mac: "02:00:00:00:00:01", ips: [10.0.0.11]}
---
apiVersion: weir/v1
kind: LoadBalancer
metadata: {name: shop, tenant: blue}
spec: {address: 203.0.113.40, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web, weight: 0}], whenEmpty: reject}
`)})
	if err != nil {
		t.Fatal(err)
	}
	p, in := compileModel(t, m)
	x := m.Bridges()[0].Externals[0]
	sim := flowsim.New(p.Tables())
	for from, want := range map[string]bool{"198.51.100.7": true, "10.0.0.11": false, "10.0.0.77": false} {
		a := netip.MustParseAddr(from)
		packet := flowsim.Of(ofproto.Is(ofproto.InPort, uint64(in.Facts.Ports[len(in.Facts.Ports)-1].OFPort)), ofproto.IsMAC(ofproto.EthDst, pipeline.ExternalSite{External: x}.RouterMAC()), ofproto.IsAddr(ofproto.IPv4Src, a),
			ofproto.IsAddr(ofproto.IPv4Dst, netip.MustParseAddr("203.0.113.40")), ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.TCPSrc, 40000), ofproto.Is(ofproto.TCPDst, 80), ofproto.Is(ofproto.TCPFlags, syn))
		trace := sim.Send(packet, nil)
		told := len(trace.Outputs) == 1 && trace.Outputs[0].Port == ofproto.PortController
		if told != want || len(trace.Outputs) > 1 {
			t.Errorf("from %s: answered %v, want %v\n%s", from, told, want, strings.TrimSpace(stepsOf(trace)))
		}
	}
}
