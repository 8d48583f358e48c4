package ofproto

import (
	"math/rand/v2"
	"testing"
)

// A shaper makes actions of one sort each, whose parts are likely to be almost right: a
// mutated list seldom has such.
type shaper struct {
	*rand.Rand
	fields [][]byte // their headers
}

func newShaper(seed uint64) *shaper {
	s := &shaper{Rand: rand.New(rand.NewPCG(seed, 9))}
	for f := range info {
		for _, c := range info[f].codes {
			s.fields = append(s.fields, appendHeader(nil, c.header, info[f].bytes, false), appendHeader(nil, c.header, info[f].bytes, true))
		}
	}
	return s
}

// number returns a number at which something may change.
func (s *shaper) number() uint16 {
	all := []uint16{0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 63, 255, 256, 2048, 2049, 0xff00, 0xfff7, 0xfff8, 0xfffa, 0xfffd, 0xfffe, 0xffff, uint16(s.Uint32())}
	return all[s.IntN(len(all))]
}

func (s *shaper) u16(b []byte, v ...int) []byte {
	for _, v := range v {
		b = be.AppendUint16(b, uint16(v))
	}
	return b
}

// zeroes appends n bytes, most often zeroes.
func (s *shaper) zeroes(b []byte, n int) []byte {
	b = append(b, make([]byte, n)...)
	if s.IntN(6) == 0 {
		b[len(b)-1-s.IntN(n)] = byte(s.Uint32())
	}
	return b
}

// sparse appends n bytes with few bits set.
func (s *shaper) sparse(b []byte, n int) []byte {
	for range n {
		b = append(b, byte(s.Uint32()&s.Uint32()&s.Uint32()))
	}
	return b
}

func (s *shaper) field() []byte { return s.fields[s.IntN(len(s.fields))] }

func (s *shaper) bits() int { return s.IntN(4)<<6 | s.IntN(64) }

// or returns v, or seldom another number below n.
func (s *shaper) or(v, n int) int {
	if s.IntN(10) == 0 {
		return s.IntN(n)
	}
	return v
}

// shapes makes the actions whose readers have most to check.
var shapes = []func(s *shaper) []byte{
	func(s *shaper) []byte { // output
		return s.zeroes(s.u16([]byte{0, 0, 0, 0}, 0xffff*s.IntN(2), int(s.number()), int(s.number())), 6)
	},
	func(s *shaper) []byte { // one of OpenFlow 1.1
		return s.zeroes(s.sparse([]byte{0, byte(1 + s.IntN(24)), 0, 0}, 4), 8*s.IntN(2)+1)
	},
	func(s *shaper) []byte { // output of a register
		return s.zeroes(s.u16(append(s.u16(appendNX(nil, 15, 0), s.bits()), s.field()[:4]...), int(s.number())), 6)
	},
	func(s *shaper) []byte { // cut output
		return s.u16(appendNX(nil, 39, 0), int(s.number()), 0, int(s.number()))
	},
	func(s *shaper) []byte { // controller
		return append(s.u16(appendNX(nil, 20, 0), int(s.number()), int(s.number())), byte(s.IntN(12)), byte(s.IntN(2)))
	},
	func(s *shaper) []byte { // controller by properties
		b := s.zeroes(appendNX(nil, 37, 0), 6)
		for range s.IntN(4) {
			start, n := len(b), s.IntN(14)
			b = pad8(s.sparse(s.u16(b, s.or(s.IntN(7), 0x10000), s.or(n+4, 30)), n), start)
		}
		return b
	},
	func(s *shaper) []byte { // bundle
		n := s.IntN(6)
		b := append(s.u16(appendNX(nil, uint16(12+s.IntN(2)), 0), s.IntN(3), s.IntN(8), int(s.number())), 0, 0, 0, 2)
		b = s.u16(b, s.or(n, 3000), s.bits()*int(b[9]&1))
		if b[9] == 13 {
			b = append(b, s.field()[:4]...)
		} else {
			b = s.zeroes(b, 4)
		}
		for b = s.zeroes(b, 4); n > 0; n-- {
			b = s.u16(b, int(s.number()))
		}
		return b
	},
	func(s *shaper) []byte { // multipath
		b := s.zeroes(s.u16(appendNX(nil, 10, 0), s.IntN(8), int(s.number())), 2)
		b = s.zeroes(s.u16(b, s.IntN(5), int(s.number()), int(s.number()), int(s.number())), 2)
		return append(s.u16(b, s.bits()), s.field()[:4]...)
	},
	func(s *shaper) []byte { // encap
		types := []int{0, 0x8847, 0x894f, 0x894f, 0x894f, 0x800}
		b := s.u16(appendNX(nil, 46, 0), int(s.number()), s.or(1, 3), types[s.IntN(len(types))])
		for range s.IntN(4) {
			start, n := len(b), s.IntN(12)
			if b = append(b, 0, byte(s.or(4, 6)), byte(s.or(2, 4)), byte(s.or(8+(n+7)/8*8, 40))); b[start+2] == 1 {
				b[start+3], n = byte(3+s.IntN(8)), 0
			}
			b = pad8(s.sparse(append(b, byte(s.IntN(3)), 0, 7, byte(n)), n), start)
		}
		return b
	},
	func(s *shaper) []byte { // decap
		return s.zeroes(s.u16(s.zeroes(appendNX(nil, 47, 0), 2), s.IntN(7), int(s.number())), 8*s.or(0, 2)+1)
	},
	func(s *shaper) []byte { // dec_ttl with ids
		n := s.IntN(6)
		return s.sparse(s.zeroes(s.u16(appendNX(nil, 21, 0), s.or(n, 9)), 4), 2*n)
	},
	func(s *shaper) []byte { // copy of the ONF
		b := s.zeroes([]byte{0xff, 0xff, 0, 0, 0x4f, 0x4e, 0x46, 0, 3200 >> 8, 3200 & 0xff}, 2)
		b = s.zeroes(s.u16(b, s.IntN(33), s.IntN(5), s.IntN(5)), 2)
		return append(append(b, s.field()...), s.field()...)
	},
	func(s *shaper) []byte { // move
		b := s.u16(appendNX(nil, 6, 0), s.IntN(33), s.IntN(5), s.IntN(5))
		return append(append(b, s.field()...), s.field()...)
	},
	func(s *shaper) []byte { // stack, and output of a register with a long header
		b := s.u16(appendNX(nil, []uint16{27, 28, 32, 50}[s.IntN(4)], 0), s.IntN(9))
		return s.zeroes(s.u16(append(b, s.field()...), s.IntN(9)), 4)
	},
	func(s *shaper) []byte { // load
		b := append(s.u16(appendNX(nil, 7, 0), s.bits()), s.field()[:4]...)
		return be.AppendUint64(b, s.Uint64()>>s.IntN(64))
	},
	func(s *shaper) []byte { return s.tlv([]byte{0, 25, 0, 0}) },
	func(s *shaper) []byte { return s.tlv(appendNX(nil, 33, 0)) },
}

// tlv appends a value, perhaps with a mask, of a field that there may be.
func (s *shaper) tlv(b []byte) []byte {
	classes := []int{classNXM0, classNXM1, classERIC, classBasic, classPktReg, classExperimenter, s.IntN(0x10000)}
	experimenters := []uint32{nicira, onf, nsh, s.Uint32()}
	lengths := []int{0, 1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 20, 32, 36, 124, 127, 128, 248, 252, 255}
	class, n := classes[s.IntN(len(classes))], lengths[s.IntN(len(lengths))]
	masked := s.IntN(2)
	b = append(s.u16(b, class), byte(s.IntN(128)<<1|masked), byte(n))
	if class == classExperimenter {
		b = be.AppendUint32(b, experimenters[s.IntN(len(experimenters))])
		n = max(n-4, 0)
	}
	start := len(b)
	b = s.sparse(b, n)
	if masked == 1 && s.IntN(9) > 0 { // the mask covers the value
		for i := range n / 2 {
			b[start+i] &= b[start+n/2+i]
		}
	}
	return b
}

func TestActionsOfAllShapesAreAnsweredAsOpenVSwitchAnswersThem(t *testing.T) {
	s := newShaper(huntSeed())
	lists := make([][]byte, hunted(t, 3000))
	for i := range lists {
		b := pad8(shapes[i%len(shapes)](s), 0)
		if lists[i] = setLength(b, len(b)); s.IntN(20) == 0 {
			setLength(b, 8*s.IntN(9))
		}
	}
	hunt(t, "action_list", "parse-actions", lists)
}
