package apps

import (
	"net/netip"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestOnlyWhatDecidesReports sends new packets through testdata/log.yaml.
func TestOnlyWhatDecidesReports(t *testing.T) {
	p, in := compileFile(t, "testdata/log.yaml")
	sim := flowsim.New(p.Tables())
	ends := map[string]*intent.Endpoint{}
	for _, e := range in.Model.Tenants()[0].Endpoints {
		ends[e.Name] = e
	}
	for name, c := range map[string]struct {
		from, to        string
		protocol, port  uint64
		passes, reports bool
	}{
		"a rule that allows reports":                                          {"web", "db", 6, 5432, true, true},
		"a rule that rejects reports":                                         {"web", "db", 6, 22, false, true},
		"both ends say stateless, and it is reported":                         {"web", "db", 17, 53, true, true},
		"to a port without addresses it is tracked, and another rule decides": {"web", "box", 17, 53, true, false},
		"the default reports nothing":                                         {"db", "web", 6, 80, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := ends[c.from], ends[c.to]
			at := netip.MustParseAddr("10.1.0.99") // somewhere behind a port
			if len(to.IPs) > 0 {
				at = to.IPs[0]
			}
			source, destination := ofproto.TCPSrc, ofproto.TCPDst
			if c.protocol == 17 {
				source, destination = ofproto.UDPSrc, ofproto.UDPDst
			}
			trace := sim.Send(flowsim.Of(
				ofproto.Is(ofproto.InPort, portOn(in, from.Port)), ofproto.IsMAC(ofproto.EthSrc, from.MAC), ofproto.IsMAC(ofproto.EthDst, to.MAC),
				ofproto.IsAddr(ofproto.IPv4Src, from.IPs[0]), ofproto.IsAddr(ofproto.IPv4Dst, at), ofproto.Is(ofproto.IPTTL, 64),
				ofproto.Is(ofproto.IPProto, c.protocol), ofproto.Is(source, 1024), ofproto.Is(destination, c.port)), &flowsim.Tracker{})
			passes, reports := false, false
			for _, out := range trace.Outputs {
				flags := out.Packet.Uint(ofproto.Reg0)
				passes = passes || out.Port != ofproto.PortController
				reports = reports || out.Port == ofproto.PortController && flags&(1<<pipeline.LogNew|1<<pipeline.LogSampled) != 0
			}
			if passes != c.passes || reports != c.reports {
				t.Errorf("passes: %v, reported: %v; want %v, %v", passes, reports, c.passes, c.reports)
			}
		})
	}
}
