package ofproto

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// someTables returns what tables can do, each often like the one before.
func someTables(r *rand.Rand) []TableFeatures {
	maybe := func(n int) bool { return r.IntN(n) == 0 }
	fields := func() (s FieldSet) {
		for range r.IntN(4) * r.IntN(20) {
			f := fieldOrder[r.IntN(len(fieldOrder))]
			if info[f].codes != nil && !f.isTunMetadata() {
				s.add(f)
			}
		}
		return s
	}
	actions := func() ActionFeatures {
		return ActionFeatures{r.Uint32() & r.Uint32() & 0xfffffff, fields()}
	}
	instructions := func() InstructionFeatures {
		f := InstructionFeatures{Instructions: r.Uint32() & 0x7e, Write: actions(), Apply: actions()}
		for i := range f.Next {
			f.Next[i] = r.Uint64() & r.Uint64() & r.Uint64()
		}
		f.Next[3] &^= 1 << 63
		if maybe(2) {
			f.Apply = f.Write
		}
		return f
	}
	var tables []TableFeatures
	t := TableFeatures{Table: Table(r.IntN(200))}
	for range 1 + r.IntN(6) {
		switch r.IntN(8) {
		case 0:
			t.Flows = instructions()
		case 1:
			t.Miss = instructions()
		case 2:
			t.Flows = instructions()
			t.Miss = t.Flows
		case 3:
			t.Match, t.Mask, t.Wildcard = fields(), fields(), fields()
		case 4:
			t.MetadataMatch, t.MetadataWrite, t.MaxEntries = r.Uint64N(3), r.Uint64N(3), r.Uint32N(3)
		case 5:
			t.Flows.Next[t.Table/64] ^= 1 << (t.Table % 64)
		case 6:
			t.Name = []string{"", "classifier", "a\"b"}[r.IntN(3)]
		}
		tables = append(tables, t)
		t.Table += Table(r.IntN(3))
		if maybe(2) { // as tables of a switch are: one can go to the next
			t.Flows.Next[t.Table/64] &^= 1 << (t.Table % 64)
		}
	}
	return tables
}

func TestTableFeaturesArePrintedAsOpenVSwitchPrintsThem(t *testing.T) {
	if v := ofctlVersion(); v != "" && !strings.HasPrefix(v, "3.1.") {
		t.Skipf("skipped: ovs-ofctl %s has other fields than 3.1, and shortens lists of names by all that it has", v)
	}
	r := rand.New(rand.NewPCG(huntSeed(), 4))
	messages := make([][]byte, min(hunted(t, 300), 20000))
	for i := range messages {
		var body []byte
		for _, f := range someTables(r) {
			var err error
			if body, err = AppendTableFeatures(body, f); err != nil {
				t.Fatal(err)
			}
		}
		m, err := Append(nil, 0, MultipartReply{Type: MultipartTableFeatures, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		messages[i] = m
	}
	different := 0
	for i, want := range ofctlPrint(t, messages) {
		if got, _ := Print(messages[i]); got != want && different < 5 {
			different++
			t.Errorf("%x\n got %s\nwant %s", messages[i], got, want)
		}
	}
}
