package apps

import (
	"testing"

	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestLimits sends the first segment of a connection from a to b in each tenant of
// testdata/limits.yaml, whose zone has room for more, or not.
func TestLimits(t *testing.T) {
	const audit, free, limited = 0, 1, 2
	p, in := compileFile(t, "testdata/limits.yaml")
	sim := flowsim.New(p.Tables())
	for name, c := range map[string]struct {
		tenant int
		port   uint64
		full   bool
		want   string
	}{
		"what the limit has room for is committed and passes":   {limited, 80, false, "passes, committed"},
		"what it has no room for is dropped":                    {limited, 80, true, "dropped"},
		"what is denied is dropped":                             {limited, 81, false, "dropped"},
		"in an audit, what has room is committed":               {audit, 80, false, "passes, committed"},
		"in an audit, what has no room passes":                  {audit, 80, true, "passes"},
		"in an audit, what is denied and has no room passes":    {audit, 81, true, "passes"},
		"a tenant without a limit passes, whatever the tracker": {free, 80, true, "passes"},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := in.Model.Tenants()[c.tenant]
			from := tenant.Endpoints
			packet := flowsim.Of(
				ofproto.Is(ofproto.InPort, portOn(in, from[0].Port)), ofproto.IsMAC(ofproto.EthSrc, from[0].MAC), ofproto.IsMAC(ofproto.EthDst, from[1].MAC),
				ofproto.IsAddr(ofproto.IPv4Src, from[0].IPs[0]), ofproto.IsAddr(ofproto.IPv4Dst, from[1].IPs[0]),
				ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPSrc, 1024), ofproto.Is(ofproto.TCPDst, c.port), ofproto.Is(ofproto.TCPFlags, 2))
			ct := flowsim.Tracker{}
			if c.full {
				ct.Limits = map[uint16]int{in.Numbers.Zone(tenant.ID()): 0}
			}
			if got := outcome(sim.Send(packet, &ct)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
