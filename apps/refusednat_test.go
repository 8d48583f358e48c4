package apps

import (
	"net/netip"
	"slices"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// TestWhatIsRefusedTakesNoAddressAlong has the switch refuse each of the SNATs and forwards of
// an address in turn: the bridge goes on answering for it, and the others have it.
func TestWhatIsRefusedTakesNoAddressAlong(t *testing.T) {
	_, in := compileFile(t, "testdata/forwards.yaml")
	tenant := in.Model.Tenants()[0]
	mapped := map[netip.Addr][]intent.ID{}
	for _, s := range tenant.SNATs {
		mapped[s.Pools[0].Ranges[0].Lo] = append(mapped[s.Pools[0].Ranges[0].Lo], s.ID())
	}
	for _, f := range tenant.PortForwards {
		mapped[f.Address] = append(mapped[f.Address], f.ID())
	}
	for address, ids := range mapped {
		for _, id := range ids {
			in.Refused = map[intent.ID]bool{id: true}
			p, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			here := ofproto.IsAddr(pipeline.IPDst(address), address)
			enters := slices.ContainsFunc(p.Tables().Flows, func(f ofproto.Flow) bool {
				return f.Table == pipeline.ExtIn && slices.Contains(f.Match, here) && !slices.Contains(f.Match, ofproto.Is(ofproto.IPProto, 132))
			})
			served := slices.ContainsFunc(p.Tables().Flows, func(f ofproto.Flow) bool {
				tag, _ := pipeline.TagOf(f.Cookie)
				of, _ := in.Numbers.Origin(tag)
				return f.Table == pipeline.LBVIP && f.Priority == 100 && slices.Contains(f.Match, here) && of != id
			})
			if len(ids) > 1 && (!enters || !served) {
				t.Errorf("without %s, %v is entered: %v, and forwarded: %v", id, address, enters, served)
			}
		}
	}
}
