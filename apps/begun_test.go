package apps

import (
	"testing"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// TestConnectionsBegunAreThoseOfTheirBackend has each flow of models with load balancers meet packets, and wants
// those of COMMIT to be of each backend that is listed, of each port, and of nothing else.
func TestConnectionsBegunAreThoseOfTheirBackend(t *testing.T) {
	for _, file := range []string{"balancers.yaml", "balancing.yaml", "site.yaml"} {
		p, in := compileFile(t, "testdata/"+file)
		var stats []ofproto.FlowStats
		for _, f := range p.Tables().Flows {
			stats = append(stats, ofproto.FlowStats{Flow: f, Packets: 1})
		}
		want := map[pipeline.Chosen]bool{}
		for _, tenant := range in.Model.Tenants() {
			for _, l := range tenant.LoadBalancers {
				for _, port := range l.Ports {
					for _, b := range l.Backends {
						want[pipeline.Chosen{Service: pipeline.ServiceID(l, port), Backend: b.IP}] = true
					}
				}
			}
		}
		got := pipeline.Begun(stats, in.Numbers)
		for of := range want {
			if got[of] == 0 {
				t.Errorf("%s: nothing is counted of %v", file, of)
			}
		}
		for of := range got {
			if !want[of] {
				t.Errorf("%s: counted is %v", file, of)
			}
		}
	}
}
