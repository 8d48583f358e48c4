package apps

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/reference"
	"weir/ofproto"
)

// drawServices draws a load balancer for each address of an endpoint, of which that alone takes
// connections, in whichever way it is chosen.
func drawServices(t *rapid.T, tenant string, e *intent.Endpoint, number int) string {
	var s strings.Builder
	for i, a := range e.IPs {
		at := fmt.Sprintf("10.0.0.%d", 200+number)
		if a.Is6() {
			at = fmt.Sprintf("fd00:0::f%d", number)
		}
		name := fmt.Sprintf("l%d-%d", number, i)
		fmt.Fprintf(&s, "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: %s, tenant: %s}\nspec: {address: %q, algorithm: %s, snat: %s, backends: [{endpoint: %s, ip: %q}%s], "+
			"ports: [{port: 7080, protocol: tcp, targetPort: 80}, {port: 443, protocol: tcp}, {port: 7053, protocol: udp, targetPort: 1000}]}\n",
			name, tenant, at, rapid.SampledFrom([]string{"hash", "consistent", "sourceIP"}).Draw(t, "algorithm"), rapid.SampledFrom([]string{"auto", "auto", "always"}).Draw(t, "snat"), e.Name, a,
			rapid.SampledFrom([]string{"", fmt.Sprintf(", {address: 10.0.0.%d, weight: 0}", 220+number)}).Draw(t, "others"))
	}
	return s.String()
}

// throughBalancer returns the load balancer that has p's receiver, and the port of it by which what
// p is comes there, if there is one.
func throughBalancer(m *intent.Model, p reference.Packet) (*intent.LoadBalancer, intent.LBPort, bool) {
	for _, l := range m.Tenant(p.From.Tenant).LoadBalancers {
		if l.Name[0] != 'l' || !slices.ContainsFunc(l.Backends, func(b intent.Backend) bool { return b.Endpoint == p.To && b.IP == p.Dst }) { // others have more than one
			continue
		}
		for _, port := range l.Ports {
			if number, _ := port.Protocol.Number(); number == p.Protocol && port.Target == p.DstPort {
				return l, port, true
			}
		}
	}
	return nil, intent.LBPort{}, false
}

// TestSemanticsOfLoadBalancers sends packets to load balancers through the flows. They come to
// the one backend that there is as policy says of what is sent to it itself.
func TestSemanticsOfLoadBalancers(t *testing.T) {
	drawn.Cases(t, 200, 3000)
	n, passed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawModelWith(t, "")
		m, err := intent.Read(intent.Source{Name: "drawn.yaml", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range m.Tenant("blue").Endpoints {
			more := text + drawServices(t, "blue", e, i)
			if _, err := intent.Read(intent.Source{Name: "drawn.yaml", Data: []byte(more)}); err == nil { // there are subnets without gateways
				text = more
			}
		}
		w := drawnWorld(t, text, drawDatapath(t))
		for range packetsOfAModel {
			p, ok := drawPacket(t, w.model)
			if !ok || p.From.Tenant != "blue" {
				continue
			}
			p.Protocol, p.DstPort = reference.TCP, rapid.SampledFrom([]uint16{80, 443}).Draw(t, "port")
			if p.SrcPort = 40000; rapid.Bool().Draw(t, "UDP") {
				p.Protocol, p.DstPort = reference.UDP, 1000
			}
			p.Type, p.Code = 0, 0
			l, port, ok := throughBalancer(w.model, p)
			want := w.reference(p, reference.New)
			if !ok || !want.tracked || want.stray || l.Bridged() && !l.Subnet().CIDR.Contains(p.Src) && !p.Src.IsLinkLocalUnicast() {
				continue // what is sent to a load balancer is tracked; without a gateway it has to come from its link
			}
			f := w.frame(p)
			f.Set(ofproto.EthDst, ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC).Value)
			f.Set(pipeline.IPDst(l.Address), ofproto.IsAddr(pipeline.IPDst(l.Address), l.Address).Value)
			f.SetUint(map[uint8]ofproto.Field{reference.TCP: ofproto.TCPDst, reference.UDP: ofproto.UDPDst}[p.Protocol], uint64(port.Port))
			got := w.opinionOf(w.sim.Send(f.Packet, nil))
			if want.commit != "" && want.commit != "blocked" {
				want.commit += translatedBy(pipeline.ServiceID(l, port))
			}
			if (l.SNAT == intent.SNATAlways || l.Bridged() && p.From == p.To) && want.port != 0 { // it is remembered twice
				got.commit = got.commit[:min(len(got.commit), len(want.commit))]
			}
			if got != want {
				w.disagree(t, f, reference.New, want, "flowsim", got, fmt.Sprint(l.Name, " ", l.SNAT, " ", l.Algorithm))
			}
			n++
			if want.port != 0 {
				passed++
			}
		}
	})
	t.Logf("%d packets, of which %d pass", n, passed)
}
