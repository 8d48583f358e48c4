package ofproto

import "testing"

func BenchmarkZZInstr(b *testing.B) {
	a := typicalFlow(443).Actions
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := appendInstructions(buf, a); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkZZMatch(b *testing.B) {
	a := typicalFlow(443).Match
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		appendMatch(buf, a)
	}
}
