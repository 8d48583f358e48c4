package explain

import (
	"testing"

	"weir/intent"
)

type numbers map[uint32]intent.ID

func (numbers) Zone(intent.ID) uint16                 { return 0 }
func (numbers) Epoch(intent.ID) uint8                 { return 0 }
func (numbers) Tag(intent.ID) uint32                  { return 0 }
func (numbers) Group(intent.ID) uint32                { return 0 }
func (n numbers) Origin(tag uint32) (intent.ID, bool) { id, ok := n[tag]; return id, ok }

func TestAConnectionNamesItsRules(t *testing.T) {
	n := numbers{5: "blue/default/egress", 9: "blue/policy/db/app"}
	label := [16]byte{0: 1, 11: 9, 15: 5}
	for name, c := range map[string]struct {
		label [16]byte
		mark  uint32
		want  Admission
	}{
		"a live one":                      {label, 0x118003, Admission{Committed: true, Epoch: 3, Class: 17, Egress: "blue/default/egress", Ingress: "blue/policy/db/app"}},
		"one that was stopped":            {label, 0x8103, Admission{Committed: true, Blocked: true, Epoch: 3, Egress: "blue/default/egress", Ingress: "blue/policy/db/app"}},
		"one that an audit let pass":      {[16]byte{0: 1, 15: 5}, 0xc003, Admission{Committed: true, Audited: true, Epoch: 3, Egress: "blue/default/egress"}},
		"one that somebody else has made": {label, 0x3, Admission{Epoch: 3}},
		"one of another layout":           {[16]byte{0: 2, 11: 9, 15: 5}, 0x8001, Admission{Committed: true, Epoch: 1}},
		"a rule that nobody knows":        {[16]byte{0: 1, 15: 7}, 0x8001, Admission{Committed: true, Epoch: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Connection(c.label, c.mark, n); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
