package ofproto

import (
	"encoding/hex"
	"fmt"
	"strings"
)

func init() {
	onWire(niciraAction, 8, 16, true, func(d *decoder) Action { return Note(d.bytes(len(d.b))) })
	onWire(niciraAction, 29, 24, false, readSample)
	onWire(niciraAction, 38, 32, false, readSample2)
	onWire(niciraAction, 41, 32, false, readSample3)
	onWire(niciraAction, 49, 24, true, readCheckPktLarger)
	debugOnWire(niciraAction, 254, 16, func(*decoder) Action { return DebugSlow{} })
	debugOnWire(niciraAction, 255, 16, func(*decoder) Action { return DebugRecirc{} })
	inText("note", parseNote)
	inText("sample", parseSample)
	inText("check_pkt_larger", parseCheckPktLarger)
	inText("debug_slow", func(*parser, pair) []Action { return []Action{DebugSlow{}} })
	inText("debug_recirc", func(*parser, pair) []Action { return []Action{DebugRecirc{}} })
}

func (Note) notInSet()           {}
func (Sample) notInSet()         {}
func (CheckPktLarger) notInSet() {}
func (DebugSlow) notInSet()      {}
func (DebugRecirc) notInSet()    {}

// A Note holds bytes that mean nothing to the switch (NXAST_NOTE). On the wire zeroes fill it
// up to 6, 14, 22, ... bytes.
type Note string

func (n Note) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = append(appendNX(b, 8, 0), n...)
	b = pad8(b, start)
	return b, setLen(b, start, 2)
}

// String returns the action as ovs-ofctl prints it: "note:00.11.22".
func (n Note) String() string {
	var b strings.Builder
	b.WriteString("note:")
	for i := range len(n) {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(hex.EncodeToString([]byte{n[i]}))
	}
	return b.String()
}

// parseNote reads bytes of two digits, between which points may stand.
func parseNote(p *parser, kv pair) []Action {
	t, note := kv.value, []byte(nil)
	for {
		t = t.from(len(t.s) - len(strings.TrimLeft(t.s, "."+blanks)))
		if len(t.s) < 2 || hexDigit(t.s[0]) > 15 || hexDigit(t.s[1]) > 15 {
			break
		}
		note = append(note, hexDigit(t.s[0])<<4|hexDigit(t.s[1]))
		t = t.from(2)
	}
	if t.s != "" {
		p.bad(t, "want bytes of two hexadecimal digits, not %q", t.s)
	}
	return []Action{Note(note)}
}

// A Direction says on which side of a port a Sample is taken.
type Direction uint8

// The directions of NXAST_SAMPLE3.
const (
	AnyDirection Direction = iota
	Ingress
	Egress
)

// Sample sends some of the packets to the collectors of a set (NXAST_SAMPLE, NXAST_SAMPLE2,
// NXAST_SAMPLE3).
type Sample struct {
	Probability  uint16 // in 65535 packets; not zero
	CollectorSet uint32 // of OVSDB
	Domain       uint32 // of observation
	Point        uint32 // of observation
	Port         uint16 // that is sampled, of OpenFlow 1.0; PortNone16: none
	Direction    Direction

	form uint8 // 2 or 3: on the wire at least this form of the action, though a lesser one would do
}

// PortNone16 is OFPP_NONE of OpenFlow 1.0.
const PortNone16 uint16 = 0xffff

func (s Sample) appendTo(b []byte) ([]byte, error) {
	subtype, n := uint16(29), uint16(24)
	switch {
	case s.form == 3 || s.Direction != AnyDirection:
		subtype, n = 41, 32
	case s.form == 2 || s.Port != PortNone16:
		subtype, n = 38, 32
	}
	b = be.AppendUint16(appendNX(b, subtype, n), s.Probability)
	b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, s.CollectorSet), s.Domain), s.Point)
	if n == 32 {
		b = append(be.AppendUint16(b, s.Port), byte(s.Direction), 0, 0, 0, 0, 0)
	}
	return b, nil
}

func readSample(d *decoder) Action {
	s := Sample{Probability: d.u16(), CollectorSet: d.u32(), Domain: d.u32(), Point: d.u32(), Port: PortNone16}
	if s.Probability == 0 {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	return s
}

// readSample2 reads the form that has a port. What stands behind that does not count.
func readSample2(d *decoder) Action {
	s, _ := readSample(d).(Sample)
	s.Port, s.form = d.u16(), 2
	return s
}

// readSample3 reads the form that has a direction, which Open vSwitch looks at first.
func readSample3(d *decoder) Action {
	rest := *d
	rest.skip(16)
	direction := Direction(rest.u8())
	rest.zero(5, NXBRC_MUST_BE_ZERO)
	if direction > Egress {
		rest.fail(OFPBAC_BAD_ARGUMENT)
	}
	if rest.err != nil {
		d.done(&rest)
		return nil
	}
	s, _ := readSample2(d).(Sample)
	d.skip(6) // read above
	s.Direction, s.form = direction, 3
	return s
}

// String returns the action as ovs-ofctl prints it.
func (s Sample) String() string {
	t := fmt.Sprintf("sample(probability=%d,collector_set_id=%d,obs_domain_id=%d,obs_point_id=%d", s.Probability, s.CollectorSet, s.Domain, s.Point)
	if s.Port != PortNone16 {
		t += ",sampling_port=" + port16Text(s.Port)
	}
	switch s.Direction {
	case Ingress:
		t += ",ingress"
	case Egress:
		t += ",egress"
	}
	return t + ")"
}

func parseSample(p *parser, kv pair) []Action {
	s := Sample{Port: PortNone16}
	for arg, ok := p.next(&kv.value); ok && p.err == nil; arg, ok = p.next(&kv.value) {
		switch arg.key.s {
		case "probability":
			s.Probability = uint16(p.uint(arg.value, 16))
			if s.Probability == 0 {
				p.bad(arg.value, "want a probability from 1 to 65535")
			}
		case "collector_set_id":
			s.CollectorSet = uint32(p.uint(arg.value, 32))
		case "obs_domain_id":
			s.Domain = uint32(p.uint(arg.value, 32))
		case "obs_point_id":
			s.Point = uint32(p.uint(arg.value, 32))
		case "sampling_port":
			s.Port = uint16(p.port(arg.value))
		case "ingress":
			s.Direction = Ingress
		case "egress":
			s.Direction = Egress
		default:
			p.bad(arg.key, "sample has no argument %q", arg.key.s)
		}
	}
	if s.Probability == 0 {
		p.bad(kv.key, "sample needs a probability")
	}
	return []Action{s}
}

// CheckPktLarger writes into one bit whether the packet is longer than Len bytes
// (NXAST_CHECK_PKT_LARGER).
type CheckPktLarger struct {
	Len uint16
	Dst Subfield
}

func (c CheckPktLarger) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = be.AppendUint16(be.AppendUint16(appendNX(b, 49, 24), c.Len), c.Dst.Offset)
	b = c.Dst.Field.appendNXM(b)
	return pad8(b, start), nil
}

func readCheckPktLarger(d *decoder) Action {
	c := CheckPktLarger{Len: d.u16(), Dst: Subfield{Offset: d.u16(), Bits: 1}}
	c.Dst.Field = d.longField()
	d.zero(len(d.b), NXBRC_MUST_BE_ZERO)
	if d.err == nil {
		if code := checkDst(c.Dst, nil); code != 0 {
			d.fail(code)
		}
	}
	return c
}

// String returns the action as ovs-ofctl prints it.
func (c CheckPktLarger) String() string { return fmt.Sprintf("check_pkt_larger(%d)->%v", c.Len, c.Dst) }

// parseCheckPktLarger reads "1500)->reg0[0]", as the parentheses leave it.
func parseCheckPktLarger(p *parser, kv pair) []Action {
	n, dst, arrow := kv.value.cut("->")
	n.s = strings.TrimSuffix(n.s, ")")
	if !arrow || dst.s == "" {
		p.bad(kv.value, "want check_pkt_larger(LENGTH)->FIELD[BIT]")
		return nil
	}
	c := CheckPktLarger{Dst: p.subfield(dst), Len: uint16(p.uint(n, 16))}
	if c.Dst.Bits != 1 {
		p.bad(dst, "the result of check_pkt_larger is one bit")
	}
	return []Action{c}
}

// DebugSlow has the packet handled in user space. A switch takes it in its own tests only.
type DebugSlow struct{}

func (DebugSlow) appendTo(b []byte) ([]byte, error) {
	return append(appendNX(b, 254, 16), 0, 0, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (DebugSlow) String() string { return "debug_slow" }

// DebugRecirc has the packet go through the datapath once more. A switch takes it in its own
// tests only.
type DebugRecirc struct{}

func (DebugRecirc) appendTo(b []byte) ([]byte, error) {
	return append(appendNX(b, 255, 16), 0, 0, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (DebugRecirc) String() string { return "debug_recirc" }
