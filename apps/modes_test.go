package apps

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestModes sends the first segment of a connection from a to b in each tenant of
// testdata/modes.yaml.
func TestModes(t *testing.T) {
	const syn, ack, finAck, rst, synAck, ecnSYN = 0x002, 0x010, 0x011, 0x004, 0x012, 0x0c2
	const passes, judged, marked, dropped = "passes", "passes, committed", "passes, committed, audited", "dropped"
	p, in := compileFile(t, "testdata/modes.yaml")
	sim := flowsim.New(p.Tables())
	for name, c := range map[string]struct {
		tenant      int
		port, flags uint64
		want        string
	}{
		"off: nothing is judged or tracked":                {1, 81, ack, passes},
		"audit: what is allowed is committed":              {2, 80, syn, judged},
		"audit: what is denied is committed and marked":    {2, 81, syn, marked},
		"audit: what does not begin with a SYN is, too":    {2, 80, ack, marked},
		"strict: a SYN begins a connection":                {3, 80, syn, judged},
		"strict: so does one that asks for ECN":            {3, 80, ecnSYN, judged},
		"strict: a SYN is judged":                          {3, 81, syn, dropped},
		"strict: an ACK begins none":                       {3, 80, ack, dropped},
		"strict: a FIN begins none":                        {3, 80, finAck, dropped},
		"strict: a RST begins none":                        {3, 80, rst, dropped},
		"strict: a SYN and ACK begins none":                {3, 80, synAck, dropped},
		"lenient: an ACK passes, and no connection is new": {4, 81, ack, passes},
	} {
		t.Run(name, func(t *testing.T) {
			from := in.Model.Tenants()[map[int]int{1: 2, 2: 0, 3: 3, 4: 1}[c.tenant]].Endpoints
			packet := flowsim.Of(
				ofproto.Is(ofproto.InPort, portOn(in, from[0].Port)), ofproto.IsMAC(ofproto.EthSrc, from[0].MAC), ofproto.IsMAC(ofproto.EthDst, from[1].MAC),
				ofproto.IsAddr(ofproto.IPv4Src, from[0].IPs[0]), ofproto.IsAddr(ofproto.IPv4Dst, from[1].IPs[0]),
				ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPSrc, 1024), ofproto.Is(ofproto.TCPDst, c.port), ofproto.Is(ofproto.TCPFlags, c.flags))
			if got := outcome(sim.Send(packet, &flowsim.Tracker{})); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// outcome is what became of a packet, in words.
func outcome(trace *flowsim.Trace) string {
	if len(trace.Outputs) == 0 {
		return "dropped"
	}
	s := "passes"
	for _, c := range trace.Commits {
		s += ", committed"
		if c.Mark&pipeline.MarkAudited != 0 {
			s += ", audited"
		}
	}
	return s + strings.Join(trace.Odd, ", ")
}

func portOn(in pipeline.Input, name string) uint64 {
	for _, p := range in.Facts.Ports {
		if p.Name == name {
			return uint64(p.OFPort)
		}
	}
	panic(fmt.Sprint("no port ", name))
}

// TestATranslationOfNothingIsAskedForWhereItIsSurvived looks for one in what is compiled for both
// datapaths: with something that stands for endpoints, and without.
func TestATranslationOfNothingIsAskedForWhereItIsSurvived(t *testing.T) {
	for _, name := range cases(t) {
		p, in := compileFile(t, name)
		in.Facts.Features.NullNAT = true
		bearing, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(p.Text(in.Numbers), "nat(src=0.0.0.0)") + strings.Count(p.Text(in.Numbers), "nat(src=::)"); got > 0 {
			t.Errorf("%s: %d where ovs-vswitchd would die of it", name, got)
		}
		outside := len(in.Model.Bridges()[0].Externals) > 0 || slices.ContainsFunc(in.Model.Tenants(), func(t *intent.Tenant) bool { return len(t.LoadBalancers) > 0 })
		if text := bearing.Text(in.Numbers); strings.Contains(text, "nat(src=0.0.0.0)") != outside || strings.Contains(text, "nat(src=::)") != outside {
			t.Errorf("%s: something stands for endpoints: %v, and the flows:\n%s", name, outside, text)
		}
	}
}
