package ofproto

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func init() {
	onWire(niciraAction, 20, 16, false, readController)
	onWire(niciraAction, 37, 16, true, readController2)

	inText("controller", parseController)
}

// Controller sends the packet to a controller (NXAST_CONTROLLER, and NXAST_CONTROLLER2 for
// what the first one cannot say).
type Controller struct {
	MaxLen   uint16 // bytes of the packet; 0xffff: all
	ID       uint16 // of the controller
	Reason   uint8  // OFPR_*
	UserData string // goes into the packet-in
	Pause    bool   // the packet waits for NXT_RESUME
	Meter    uint32 // that limits these packets; zero: that of the controller
	Long     bool   // it is sent as NXAST_CONTROLLER2 although NXAST_CONTROLLER could say it
}

const reasonAction = 1 // OFPR_ACTION

// reasons are the names of OFPR_*, by their numbers.
var reasons = []string{"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out", "", ""}

// Types of the properties of NXAST_CONTROLLER2.
const (
	propMaxLen = iota
	propControllerID
	propReason
	propUserData
	propPause
	propMeterID
)

func (c Controller) appendTo(b []byte) ([]byte, error) {
	if !c.Long && c.short() {
		b = be.AppendUint16(appendNX(b, 20, 16), c.MaxLen)
		return append(be.AppendUint16(b, c.ID), c.Reason, 0), nil
	}
	start := len(b)
	b = append(appendNX(b, 37, 0), 0, 0, 0, 0, 0, 0)
	if c.MaxLen != 0xffff {
		b = append(b, 0, propMaxLen, 0, 8, byte(c.MaxLen>>8), byte(c.MaxLen), 0, 0)
	}
	if c.ID != 0 {
		b = append(b, 0, propControllerID, 0, 8, byte(c.ID>>8), byte(c.ID), 0, 0)
	}
	if c.Reason != reasonAction {
		b = append(b, 0, propReason, 0, 5, c.Reason, 0, 0, 0)
	}
	if n := len(c.UserData); n > 0 {
		b = be.AppendUint16(append(b, 0, propUserData), uint16(n+4))
		b = pad8(append(b, c.UserData...), start)
	}
	if c.Pause {
		b = append(b, 0, propPause, 0, 4, 0, 0, 0, 0)
	}
	if c.Meter != 0 {
		b = be.AppendUint32(append(b, 0, propMeterID, 0, 8), c.Meter)
	}
	return b, setLen(b, start, 2)
}

// short reports whether NXAST_CONTROLLER can say c.
func (c *Controller) short() bool { return c.UserData == "" && !c.Pause && c.Meter == 0 }

func readController(d *decoder) Action {
	return Controller{MaxLen: d.u16(), ID: d.u16(), Reason: d.u8()}
}

func readController2(d *decoder) Action {
	c := Controller{MaxLen: 0xffff, Reason: reasonAction}
	d.zero(6, NXBRC_MUST_BE_ZERO)
	for d.more() {
		c.readProp(d)
	}
	c.Long = c.short()
	return c
}

// readProp reads one property with its padding.
func (c *Controller) readProp(d *decoder) {
	whole := len(d.b)
	typ, size := d.u16(), int(d.u16())
	if size < 4 || (size+7)/8*8 > whole {
		d.fail(OFPBPC_BAD_LEN)
		return
	}
	p := d.sub((size+7)/8*8-4, "property", OFPBPC_BAD_LEN)
	if p.b != nil {
		p.b = p.b[:size-4]
	}
	switch typ {
	case propMaxLen:
		c.MaxLen = p.u16()
	case propControllerID:
		c.ID = p.u16()
	case propReason:
		c.Reason = p.u8()
	case propUserData:
		c.UserData = string(p.b)
	case propPause:
		c.Pause = true
	case propMeterID:
		if c.Meter = p.u32(); len(p.b) > 0 {
			p.fail(OFPBPC_BAD_LEN)
		}
	case 0xffff:
		p.fail(p.unknownExperimenter())
	default:
		p.fail(OFPBPC_BAD_TYPE)
	}
	d.done(&p)
}

// unknownExperimenter says what is wrong with an experimenter's property.
func (d *decoder) unknownExperimenter() ErrorCode {
	switch {
	case len(d.b) < 8:
		return OFPBPC_BAD_LEN
	case d.u32() == 0:
		return OFPBPC_BAD_EXPERIMENTER
	}
	return OFPBPC_BAD_EXP_TYPE
}

// String returns the action as ovs-ofctl prints it.
func (c Controller) String() string {
	if c.Reason == reasonAction && c.ID == 0 && c.UserData == "" && !c.Pause && c.Meter == 0 {
		return fmt.Sprintf("CONTROLLER:%d", c.MaxLen)
	}
	var s []string
	if c.Reason != reasonAction {
		s = append(s, "reason="+reasonText(c.Reason))
	}
	if c.MaxLen != 0xffff {
		s = append(s, fmt.Sprintf("max_len=%d", c.MaxLen))
	}
	if c.ID != 0 {
		s = append(s, fmt.Sprintf("id=%d", c.ID))
	}
	if c.UserData != "" {
		s = append(s, "userdata="+dottedHex(c.UserData))
	}
	if c.Pause {
		s = append(s, "pause")
	}
	if c.Meter != 0 {
		s = append(s, fmt.Sprintf("meter_id=%d", c.Meter))
	}
	return "controller(" + strings.Join(s, ",") + ")"
}

// reasonText is the name of an OFPR_*, or its number if it is none.
func reasonText(r uint8) string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return strconv.Itoa(int(r))
}

// dottedHex is s in hexadecimal with a dot between two bytes.
func dottedHex(s string) string {
	if s == "" {
		return ""
	}
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		b = fmt.Appendf(b, "%02x.", s[i])
	}
	return string(b[:len(b)-1])
}

// parseController reads a number of bytes, or "reason=REASON,max_len=BYTES,id=ID,...". What
// an output to the controller can say, is one.
func parseController(p *parser, kv pair) []Action {
	c := Controller{MaxLen: 0xffff, Reason: reasonAction}
	t, long, data := kv.value, false, text{}
	if t.s != "" && strings.Trim(t.s, "0123456789") == "" {
		c.MaxLen, t = uint16(p.uint(t, 16)), text{}
	}
	for arg, ok := p.next(&t); ok && p.err == nil; arg, ok = p.next(&t) {
		if arg.key.s == "userdata" {
			long, data = true, arg.value // the last one counts
			continue
		}
		c.parse(p, arg)
	}
	c.UserData = p.hex(data)
	if !long && c == (Controller{MaxLen: c.MaxLen, Reason: reasonAction}) {
		return []Action{Output{PortController, c.MaxLen}}
	}
	return []Action{c}
}

// parse reads one argument.
func (c *Controller) parse(p *parser, arg pair) {
	switch arg.key.s {
	case "reason":
		i := slices.IndexFunc(reasons, func(name string) bool { return strings.EqualFold(name, arg.value.s) })
		if i < 0 {
			p.bad(arg.value, "there is no reason %q: want %s", arg.value.s, strings.Join(reasons[:6], ", "))
		}
		c.Reason = uint8(i)
	case "max_len":
		c.MaxLen = uint16(p.uint(arg.value, 16))
	case "id":
		c.ID = uint16(p.uint(arg.value, 16))
	case "pause":
		c.Pause = true
	case "meter_id":
		c.Meter = uint32(p.uint(arg.value, 32))
	default:
		p.bad(arg.key, "controller has no argument %q: want reason, max_len, id, userdata, pause or meter_id", arg.key.s)
	}
}

// hex reads bytes of two hexadecimal digits each, between which dots and blanks may stand.
func (p *parser) hex(t text) string {
	var b []byte
	for s := t; ; s = s.from(2) {
		s = s.from(len(s.s) - len(strings.TrimLeft(s.s, "."+blanks)))
		if s.s == "" {
			return string(b)
		}
		if len(s.s) < 2 || hexDigit(s.s[0]) == 255 || hexDigit(s.s[1]) == 255 {
			p.bad(s, "want bytes of two hexadecimal digits each")
			return ""
		}
		b = append(b, hexDigit(s.s[0])<<4|hexDigit(s.s[1]))
	}
}

func (Controller) notInSet() {}
