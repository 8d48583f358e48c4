package ofproto

import (
	"fmt"
	"slices"
	"strings"
)

func init() {
	onWire(niciraAction, 16, 32, true, func(d *decoder) Action { return d.learn(false) })
	onWire(niciraAction, 45, 40, true, func(d *decoder) Action { return d.learn(true) })
	inText("learn", parseLearn)
}

// Flags of NXAST_LEARN and NXAST_LEARN2.
const (
	learnSendFlowRem   = 1
	learnDeleteLearned = 2
	learnWriteResult   = 4
)

// Learn adds or modifies a flow, which it makes from the packet (NXAST_LEARN,
// NXAST_LEARN2).
type Learn struct {
	Table         Table // that gets the flow; not NoTable
	Priority      uint16
	IdleTimeout   uint16 // in seconds; zero: none
	HardTimeout   uint16 // in seconds; zero: none
	FinIdle       uint16 // idle timeout after the end of a TCP connection; zero: none
	FinHard       uint16 // hard timeout after the end of a TCP connection; zero: none
	Cookie        uint64
	SendFlowRem   bool
	DeleteLearned bool     // delete the learned flows together with the one that has this action
	Limit         uint32   // how many flows of that cookie there may be; zero: any number
	Result        Subfield // the one bit that says whether the flow is there; no field: none
	Specs         []LearnSpec

	long bool // NXAST_LEARN2 on the wire, though NXAST_LEARN would do
}

// A LearnTarget says what a LearnSpec makes of its bits.
type LearnTarget uint8

// The targets of a LearnSpec.
const (
	LearnMatch  LearnTarget = iota // a condition on Dst
	LearnLoad                      // an action that writes Dst
	LearnOutput                    // an action that outputs to the port with this number
)

// A LearnSpec puts some bits into a flow that is learned: those that the packet has in Src,
// or if Src is no field, those of Value.
type LearnSpec struct {
	Target LearnTarget
	Src    Subfield // of as many bits as Dst
	Dst    Subfield // at most 1023 bits; not of LearnOutput
	Value  string   // big-endian, as many bytes as Dst needs
}

// bits returns how many bits s is about.
func (s *LearnSpec) bits() uint16 {
	if s.Target == LearnOutput {
		return s.Src.Bits
	}
	return s.Dst.Bits
}

func (Learn) notInSet() {}

func (l Learn) same(o Action) bool {
	k, ok := o.(Learn)
	if !ok || !slices.Equal(l.Specs, k.Specs) {
		return false
	}
	return l.Table == k.Table && l.Priority == k.Priority && l.IdleTimeout == k.IdleTimeout && l.HardTimeout == k.HardTimeout &&
		l.FinIdle == k.FinIdle && l.FinHard == k.FinHard && l.Cookie == k.Cookie && l.SendFlowRem == k.SendFlowRem &&
		l.DeleteLearned == k.DeleteLearned && l.Limit == k.Limit && l.Result == k.Result && l.inLongForm() == k.inLongForm()
}

// inLongForm reports whether l is NXAST_LEARN2 on the wire.
func (l Learn) inLongForm() bool { return l.long || l.Limit != 0 || l.Result.Field != 0 }

func (l Learn) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	long := l.inLongForm()
	subtype := uint16(16)
	if long {
		subtype = 45
	}
	b = be.AppendUint16(be.AppendUint16(appendNX(b, subtype, 0), l.IdleTimeout), l.HardTimeout)
	b = be.AppendUint64(be.AppendUint16(b, l.Priority), l.Cookie)
	b = be.AppendUint16(b, l.flags())
	b = append(b, byte(l.Table), 0)
	b = be.AppendUint16(be.AppendUint16(b, l.FinIdle), l.FinHard)
	if long {
		b = append(be.AppendUint16(be.AppendUint32(b, l.Limit), l.Result.Offset), 0, 0)
	}
	if l.Result.Field != 0 {
		b = l.Result.Field.appendNXM(b)
	}
	for i := range l.Specs {
		b = l.Specs[i].appendTo(b)
	}
	b = pad8(b, start)
	return b, setLen(b, start, 2)
}

func (l Learn) flags() uint16 {
	return flag(l.SendFlowRem, learnSendFlowRem) | flag(l.DeleteLearned, learnDeleteLearned) | flag(l.Result.Field != 0, learnWriteResult)
}

// appendTo appends a flow_mod_spec. Its header:
//
//	 15  14  13 12  11 10  9                   0
//	+------+---+------+---+---------------------+
//	|   0  |src|  dst | 0 |       bits          |
//	+------+---+------+---+---------------------+
//
// in which src is 1 for a value, and dst is the target.
func (s *LearnSpec) appendTo(b []byte) []byte {
	b = be.AppendUint16(b, flag(s.Src.Field == 0, 1<<13)|uint16(s.Target)<<11|s.bits()&0x3ff)
	if s.Src.Field != 0 {
		b = be.AppendUint16(s.Src.Field.appendNXM32(b), s.Src.Offset)
	} else {
		n := (int(s.bits()&0x3ff) + 15) / 16 * 2
		v := s.Value[max(len(s.Value)-n, 0):]
		b = append(append(b, make([]byte, n-len(v))...), v...)
	}
	if s.Target != LearnOutput {
		b = be.AppendUint16(s.Dst.Field.appendNXM32(b), s.Dst.Offset)
	}
	return b
}

// learn reads a Learn of the short or the long form.
func (d *decoder) learn(long bool) Action {
	l := Learn{long: long, IdleTimeout: d.u16(), HardTimeout: d.u16(), Priority: d.u16(), Cookie: d.u64()}
	flags := d.u16()
	l.Table = Table(d.u8())
	pad := *d
	d.skip(1)
	l.FinIdle, l.FinHard = d.u16(), d.u16()
	known, offset := uint16(learnSendFlowRem|learnDeleteLearned), uint16(0)
	if long {
		known |= learnWriteResult
		l.Limit, offset = d.u32(), d.u16()
		d.zero(2, NXBAC_MUST_BE_ZERO)
	}
	if pad.zero(1, OFPBAC_BAD_ARGUMENT); pad.err != nil || l.Table == NoTable || flags&^known != 0 {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	l.SendFlowRem, l.DeleteLearned = flags&learnSendFlowRem != 0, flags&learnDeleteLearned != 0
	switch {
	case flags&learnWriteResult != 0:
		l.Result = Subfield{d.longField(), offset, 1}
		if info[l.Result.Field].access&writable == 0 {
			d.fail(OFPBAC_BAD_SET_ARGUMENT)
		}
	case offset != 0:
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	l.Specs = d.learnSpecs()
	d.zero(len(d.b), OFPBAC_BAD_ARGUMENT)
	return l
}

// learnSpecs reads the flow_mod_specs, which end where a header is zero, or with the action.
func (d *decoder) learnSpecs() (specs []LearnSpec) {
	for d.more() {
		s, ok := d.learnSpec()
		if !ok {
			break
		}
		if specs == nil {
			specs = make([]LearnSpec, 0, 1+d.countSpecs())
		}
		specs = append(specs, s)
	}
	return specs
}

// countSpecs looks how many flow_mod_specs follow.
func (d *decoder) countSpecs() (n int) {
	for b := d.b; len(b) >= 2; n++ {
		head := be.Uint16(b)
		size := 2 + specSize(head)
		if head == 0 || size > len(b) {
			break
		}
		b = b[size:]
	}
	return n
}

// learnSpec reads one flow_mod_spec. It is not ok at the end, which a zero may mark.
func (d *decoder) learnSpec() (s LearnSpec, ok bool) {
	head := d.u16()
	if d.err != nil || head == 0 {
		return s, false
	}
	bits, immediate := head&0x3ff, head>>13&1 == 1
	s.Target = LearnTarget(head >> 11 & 3)
	if s.Target > LearnOutput || s.Target == LearnOutput && immediate {
		d.fail(OFPBAC_BAD_ARGUMENT)
		return s, false
	}
	if d.fits(specSize(head)); d.err != nil {
		return s, false
	}
	if immediate {
		n := (int(bits) + 7) / 8
		d.skip(n % 2)
		s.Value = string(d.bytes(n))
	} else {
		s.Src = d.learnField(bits)
	}
	if s.Target != LearnOutput {
		s.Dst = d.learnField(bits)
	}
	return s, d.err == nil
}

// specSize returns how many bytes follow the header of a flow_mod_spec.
func specSize(head uint16) int {
	n := 6
	if head>>13&1 == 1 {
		n = (int(head&0x3ff) + 15) / 16 * 2
	}
	if LearnTarget(head>>11&3) != LearnOutput {
		n += 6
	}
	return n
}

// fits fails unless there are n bytes more.
func (d *decoder) fits(n int) {
	if len(d.b) < n {
		d.fail(OFPBAC_BAD_LEN)
	}
}

func (d *decoder) learnField(bits uint16) Subfield {
	f := d.field32()
	return Subfield{f, d.u16(), bits}
}

// check goes through the parts as a switch that learned would: each condition has to have
// what it needs in those before it, each field of the packet in the match of the flow.
func (l Learn) check(p *packet) ErrorCode {
	var learned packet
	for i := range l.Specs {
		s := &l.Specs[i]
		if s.Src.Field != 0 {
			if code := checkSrc(s.Src, p); code != 0 {
				return code
			}
		}
		var code ErrorCode
		switch s.Target {
		case LearnMatch:
			if code = checkSrc(s.Dst, &learned); code == 0 && s.Src.Field == 0 {
				learned.write(s.Dst, s.Value)
			}
		case LearnLoad:
			code = checkDst(s.Dst, &learned)
		}
		if code != 0 {
			return code
		}
	}
	return 0
}

// String returns the action as ovs-ofctl prints it.
func (l Learn) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "learn(table=%d", l.Table)
	for _, n := range []struct {
		name  string
		value uint16
	}{{"idle_timeout", l.IdleTimeout}, {"hard_timeout", l.HardTimeout}, {"fin_idle_timeout", l.FinIdle}, {"fin_hard_timeout", l.FinHard}} {
		if n.value != 0 {
			fmt.Fprintf(&b, ",%s=%d", n.name, n.value)
		}
	}
	if l.Priority != defaultPriority {
		fmt.Fprintf(&b, ",priority=%d", l.Priority)
	}
	if l.SendFlowRem {
		b.WriteString(",send_flow_rem")
	}
	if l.DeleteLearned {
		b.WriteString(",delete_learned")
	}
	if l.Cookie != 0 {
		fmt.Fprintf(&b, ",cookie=%#x", l.Cookie)
	}
	if l.Limit != 0 {
		fmt.Fprintf(&b, ",limit=%d", l.Limit)
	}
	if l.Result.Field != 0 {
		fmt.Fprintf(&b, ",result_dst=%v", l.Result)
	}
	for i := range l.Specs {
		b.WriteByte(',')
		b.WriteString(l.Specs[i].String())
	}
	return b.String() + ")"
}

// defaultPriority is that of a flow that does not say (OFP_DEFAULT_PRIORITY).
const defaultPriority = 0x8000

// String returns s as ovs-ofctl prints it in a learn.
func (s LearnSpec) String() string {
	from := hexString(s.Value)
	if s.Src.Field != 0 {
		from = s.Src.String()
	}
	switch whole := s.Dst == s.Dst.Field.Whole(); {
	case s.Target == LearnOutput:
		return "output:" + from
	case s.Target == LearnLoad:
		return "load:" + from + "->" + s.Dst.String()
	case s.Src.Field != 0 && s.Src.Field == s.Dst.Field && s.Src.Offset == s.Dst.Offset:
		return s.Dst.String()
	case s.Src.Field == 0 && whole:
		return s.Dst.Field.String() + "=" + wholeText(s.Dst.Field, s.Value)
	}
	return s.Dst.String() + "=" + from
}

// wholeText is the value of a whole field, as ovs-ofctl prints it.
func wholeText(f Field, value string) string {
	if len(value) > 16 {
		return hexString(value)
	}
	var v Bits
	copy(v[16-len(value):], value)
	return formatted(f, v)
}

// hexString is a number of any length as ovs-ofctl prints it: a zero has no prefix.
func hexString(v string) string {
	v = strings.TrimLeft(v, "\x00")
	if v == "" {
		return "0"
	}
	return fmt.Sprintf("%#x", v[0]) + fmt.Sprintf("%x", v[1:])
}
