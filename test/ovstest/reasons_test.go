package ovstest

import (
	wire "encoding/binary"
	"slices"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/reference"
)

// TestEveryReasonIsAsked wants each reason of the pipeline to be one that the reference gives, or that comes of a change, or that is
// listed with why nobody can know it.
func TestEveryReasonIsAsked(t *testing.T) {
	for r, text := range pipeline.Reasons {
		_, not := unasked[r]
		if causes[r] == "" && !slices.Contains(past, r) && !not && r != pipeline.NoReason {
			t.Errorf("nothing is said of reason %d, %q: teach internal/reference, or say in unasked why not", r, text)
		}
	}
}

// TestManyPacketsAreFewKinds has a host send to all ports of TCP, from some: what no model tells apart is one, and is counted.
func TestManyPacketsAreFewKinds(t *testing.T) {
	m, err := intent.Read(intent.Source{Name: "model.yaml", Data: []byte("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\n" +
		"apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\n---\n" +
		"apiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: t}\nspec: {rules: [{name: web, direction: ingress, action: allow, protocol: tcp, ports: [80, 8000-8999]}]}\n")})
	if err != nil {
		t.Fatal(err)
	}
	var s sighting
	s.learn(m)
	s.settle(func() {})
	frame := make([]byte, 54) // of TCP over IPv4
	copy(frame[12:], []byte{0x08, 0x00, 0x45})
	frame[22], frame[23] = 64, reference.TCP
	for from := range 10 {
		for to := range 1 << 16 {
			wire.BigEndian.PutUint16(frame[34:], uint16(6000*from))
			wire.BigEndian.PutUint16(frame[36:], uint16(to))
			s.see("h1", frame, true)
		}
	}
	all := 0
	tells := map[uint16]bool{}
	for f, c := range s.sent {
		all += c.sure
		tells[f.DstPort] = true
	}
	if all != 10<<16 || len(s.sent) > 200 || s.full {
		t.Errorf("%d frames are %d kinds", all, len(s.sent))
	}
	for _, port := range []uint16{80, 81, 8000, 9000} {
		if !tells[port] {
			t.Errorf("port %d is not told from the one before", port)
		}
	}
}
