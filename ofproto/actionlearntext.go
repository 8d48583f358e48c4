package ofproto

import "math/bits"

func parseLearn(p *parser, kv pair) []Action {
	l := Learn{Table: 1, Priority: defaultPriority}
	for arg, ok := p.next(&kv.value); ok && p.err == nil; arg, ok = p.next(&kv.value) {
		l.parseArgument(p, arg)
	}
	return []Action{l}
}

// parseArgument reads one argument. Of most numbers Open vSwitch takes what there is, and
// zero if there is none.
func (l *Learn) parseArgument(p *parser, arg pair) {
	switch v := arg.value; arg.key.s {
	case "table":
		if l.Table = p.table(v); l.Table == NoTable {
			p.bad(v, "a flow cannot be learned into table 255")
		}
	case "priority":
		l.Priority = uint16(atoi(v.s))
	case "idle_timeout":
		l.IdleTimeout = uint16(atoi(v.s))
	case "hard_timeout":
		l.HardTimeout = uint16(atoi(v.s))
	case "fin_idle_timeout":
		l.FinIdle = uint16(atoi(v.s))
	case "fin_hard_timeout":
		l.FinHard = uint16(atoi(v.s))
	case "limit":
		l.Limit = uint32(atoi(v.s))
	case "cookie":
		l.Cookie = atou(v.s)
	case "send_flow_rem":
		l.SendFlowRem = true
	case "delete_learned":
		l.DeleteLearned = true
	case "result_dst":
		l.Result = p.result(v)
	default:
		l.Specs = append(l.Specs, p.learnSpec(arg))
	}
}

// atoi reads the decimal number at the beginning of s as C's atoi does.
func atoi(s string) int64 {
	v, negative, rest, ok := number(s, 10)
	switch {
	case !ok && rest == s: // no number
		return 0
	case negative && (!ok || int64(v) > 0):
		return -1 << 63
	case !negative && (!ok || int64(v) < 0):
		return 1<<63 - 1
	}
	return int64(v)
}

// atou reads the number at the beginning of s as C's strtoull does.
func atou(s string) uint64 {
	v, _, rest, ok := number(s, 0)
	if !ok && rest != s {
		return 1<<64 - 1
	}
	return v
}

// result reads the bit in which a learn says whether there is a flow.
func (p *parser) result(t text) Subfield {
	s := p.subfield(t)
	switch {
	case p.err != nil:
	case info[s.Field].access&writable == 0:
		p.bad(t, "%v cannot be written", s.Field)
	case s.Bits != 1:
		p.bad(t, "the result of a learn is one bit")
	}
	return s
}

// trySubfield reads t if it is a subfield.
func (p *parser) trySubfield(t text) (Subfield, bool) {
	q := parser{whole: p.whole}
	s := q.subfield(t)
	return s, q.err == nil
}

// learnSpec reads one "FIELD=VALUE", "FIELD=FIELD", "FIELD", "load:VALUE->FIELD",
// "load:FIELD->FIELD" or "output:FIELD".
func (p *parser) learnSpec(arg pair) LearnSpec {
	if dst, ok := p.trySubfield(arg.key); ok {
		return p.learnMatch(dst, arg)
	}
	switch arg.key.s {
	case "load":
		return p.learnLoad(arg)
	case "output":
		src := p.subfield(arg.value)
		return LearnSpec{Target: LearnOutput, Src: src}
	}
	p.bad(arg.key, "learn has no argument %q, and there is no such field", arg.key.s)
	return LearnSpec{}
}

func (p *parser) learnMatch(dst Subfield, arg pair) LearnSpec {
	p.learnable(dst, arg.key)
	s := LearnSpec{Src: dst, Dst: dst}
	if arg.value.s == "" {
		return s
	}
	if src, ok := p.trySubfield(arg.value); ok {
		if s.Src = src; src.Bits != dst.Bits {
			p.bad(arg.value, "%v has %d bits, and %v %d", src, src.Bits, dst, dst.Bits)
		}
		return s
	}
	s.Src = Subfield{}
	if dst == dst.Field.Whole() {
		s.Value = p.wholeValue(dst.Field, arg.value)
	} else {
		s.Value = p.fitting(arg.value, info[dst.Field].bytes, dst.Bits)
	}
	return s
}

// learnable refuses a field that a learn cannot name on the wire.
func (p *parser) learnable(s Subfield, t text) {
	if s.Field != 0 && s.Field.hasLongHeader() {
		p.bad(t, "learn cannot name %v", s.Field)
	}
}

// wholeValue reads the value of a whole field.
func (p *parser) wholeValue(f Field, t text) string {
	i := &info[f]
	if i.bytes > 16 {
		return p.fitting(t, i.bytes, i.bits)
	}
	v, mask := p.value(f, t)
	if p.err == nil && mask != ones(i.bytes) {
		p.bad(t, "%q is neither a field nor a value of %v without a mask", t.s, f)
	}
	return string(v[16-(int(i.bits)+7)/8:])
}

// fitting reads a number that a field of n bytes has room for, and of that the given bits.
func (p *parser) fitting(t text, n int, width uint16) string {
	v, rest, ok := long(t.s, n)
	if !ok || rest != "" {
		p.bad(t, "%q is neither a field nor a number", t.s)
		return ""
	}
	p.fits(t, v, width)
	return string(v[n-(int(width)+7)/8:])
}

// fits refuses a number that is longer than that.
func (p *parser) fits(t text, v []byte, width uint16) {
	n := len(v)
	for n > 0 && v[len(v)-n] == 0 {
		n--
	}
	if n > 0 && 8*(n-1)+bits.Len8(v[len(v)-n]) > int(width) {
		p.bad(t, "%s is more than %d bits hold", t.s, width)
	}
}

func (p *parser) learnLoad(arg pair) LearnSpec {
	from, to, arrow := arg.value.cut("->")
	if !arrow || from.s == "" {
		p.bad(arg.value, "want load:VALUE->FIELD or load:FIELD->FIELD")
		return LearnSpec{}
	}
	dst := p.subfield(to)
	s := LearnSpec{Target: LearnLoad, Dst: dst}
	if p.err != nil {
		return s
	}
	if v, rest, ok := long(from.s, 128); ok {
		if rest != "" {
			p.bad(from, "%q is neither a field nor a number", from.s)
			return s
		}
		p.learnable(dst, to)
		p.fits(from, v, dst.Bits)
		s.Value = string(v[128-(int(dst.Bits)+7)/8:])
		return s
	}
	if s.Src = p.subfield(from); s.Src.Bits != dst.Bits {
		p.bad(from, "%v has %d bits, and %v %d", s.Src, s.Src.Bits, dst, dst.Bits)
	}
	return s
}
