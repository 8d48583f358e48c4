package explain

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// byTag are numbers that know only whose each tag is.
type byTag map[uint32]intent.ID

func (byTag) Zone(intent.ID) uint16  { return 0 }
func (byTag) Epoch(intent.ID) uint8  { return 0 }
func (byTag) Tag(intent.ID) uint32   { return 0 }
func (byTag) Group(intent.ID) uint32 { return 0 }

func (n byTag) Origin(tag uint32) (intent.ID, bool) {
	id, ok := n[tag]
	return id, ok
}

// syn is a SYN from 10.0.0.1:40000 to 10.0.0.2:80.
var syn = []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00" +
	"\x45\x00\x00\x28\x00\x00\x00\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02" +
	"\x9c\x40\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00\x50\x02\x00\x00\x00\x00\x00\x00")

func TestReportsSayWhatBecameOfAPacket(t *testing.T) {
	numbers := byTag{1: "blue/endpoint/a", 2: "blue/endpoint/b", 3: "blue/default/egress", 4: "blue/policy/p/r",
		5: "blue/log/new", 6: "blue/log/sampled", 7: "audited/log/new", 8: "gone/log/new", 9: "blue/answers"}
	model, err := intent.Read(intent.Source{Name: "m", Data: []byte("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\n" +
		"apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: blue}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: audited}\nspec: {mode: audit}\n")})
	if err != nil {
		t.Fatal(err)
	}
	in := pipeline.Input{Model: model, Numbers: numbers}
	seen := func(verdict Verdict, why string) Observation {
		return Observation{Tenant: "blue", Verdict: verdict, Why: why, Protocol: 6, Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"),
			SrcPort: 40000, DstPort: 80, From: "blue/endpoint/a", To: "blue/endpoint/b", Egress: "blue/default/egress", Ingress: "blue/policy/p/r"}
	}
	sampled, audited := seen(Allowed, ""), seen(Audited, "denied by a rule")
	sampled.Sampled, audited.Tenant = true, "audited"
	for name, c := range map[string]struct {
		table ofproto.Table
		tag   uint32
		more  []ofproto.Cond
		frame []byte
		want  *Observation
	}{
		"allowed":               {pipeline.Commit, 5, nil, syn, new(seen(Allowed, ""))},
		"sampled":               {pipeline.PolSkip, 6, nil, syn, &sampled},
		"denied":                {pipeline.PolMiss, 5, []ofproto.Cond{ofproto.Is(pipeline.RegReason, uint64(pipeline.DeniedByRule))}, syn, new(seen(Denied, "denied by a rule"))},
		"rejected":              {pipeline.PolMiss, 5, []ofproto.Cond{ofproto.Is(pipeline.RegReason, uint64(pipeline.RejectedByRule))}, syn, new(seen(Rejected, "rejected by a rule"))},
		"audited":               {pipeline.PolMiss, 7, []ofproto.Cond{ofproto.Is(pipeline.RegReason, uint64(pipeline.DeniedByRule))}, syn, &audited},
		"remembered":            {pipeline.CommitCheck, 5, []ofproto.Cond{ofproto.Is(ofproto.CTMark, uint64(pipeline.MarkCommitted))}, syn, new(seen(Allowed, ""))},
		"over the limit":        {pipeline.CommitCheck, 5, nil, syn, new(seen(Denied, "the tenant has as many connections as it may"))},
		"of a tenant that went": {pipeline.Commit, 8, nil, syn, nil},
		"what is no report":     {pipeline.Reject, 9, nil, syn, nil},
		"cut short":             {pipeline.Commit, 5, nil, syn[:40], nil},
	} {
		t.Run(name, func(t *testing.T) {
			registers := append(c.more, ofproto.Is(pipeline.RegIn, 1), ofproto.Is(pipeline.RegOut, 2), ofproto.Is(pipeline.RegRuleOut, 3), ofproto.Is(pipeline.RegRuleIn, 4))
			got, ok := Observe(in, ofproto.PacketIn{Table: c.table, Cookie: pipeline.Cookie(c.tag), Match: ofproto.MatchOn(registers...), Data: c.frame})
			if ok != (c.want != nil) {
				t.Fatalf("%+v, %v", got, ok)
			}
			if ok {
				if d := cmp.Diff(*c.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
			}
		})
	}
}
