package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// packetInNames are the reasons of packet-ins. The two after packet_out are Open vSwitch's
// own and have no names.
var packetInNames = []string{"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out", "", ""}

func (p *printer) packetIn(d *decoder, _ head) {
	if m := d.packetIn(); d.err == nil {
		p.packetInText(m, nil)
	}
}

func (p *printer) nxPacketIn(d *decoder, _ head) {
	if m := d.nxPacketIn(); d.err == nil {
		p.packetInText(m.PacketIn, nil)
	}
}

// packetIn2 prints a PacketIn2 or a Resume, with what Open vSwitch has put into the
// continuation.
func (p *printer) packetIn2(d *decoder, _ head) {
	m := d.packetIn2(true)
	if d.err != nil {
		return
	}
	c := decoder{b: m.Continuation, off: d.off, what: "continuation", short: OFPBPC_BAD_LEN, strict: true}
	k := c.continuation()
	if d.done(&c); d.err != nil {
		return
	}
	p.packetInText(m.PacketIn, func() {
		p.userData(m.UserData)
		p.continuation(&k)
	})
}

// packetInText prints a packet-in; more prints what stands before the frame.
func (p *printer) packetInText(m PacketIn, more func()) {
	if m.Table != 0 {
		p.uint(" table_id=", uint64(m.Table))
	}
	if m.Cookie != noCookie {
		p.hex(" cookie=0x", m.Cookie)
	}
	p.f(" total_len=%d ", m.TotalLen)
	p.match(m.Match, defaultPriority)
	if int(m.Reason) < len(packetInNames) {
		p.text(" (via " + packetInNames[m.Reason] + ")")
	} else {
		p.f(" (via %d)", m.Reason)
	}
	p.f(" data_len=%d", len(m.Data))
	switch {
	case m.BufferID == NoBuffer && m.TotalLen != uint32(len(m.Data)):
		p.text(" (unbuffered) (***total_len != data_len***)")
	case m.BufferID == NoBuffer:
		p.text(" (unbuffered)")
	default:
		p.f(" buffer=0x%08x", m.BufferID)
		if m.TotalLen < uint32(len(m.Data)) {
			p.text(" (***total_len < data_len***)")
		}
	}
	p.text("\n")
	if more != nil {
		more()
	}
	p.frame(m.Data, m.Match.packetType())
}

// packetType returns the type of the packets that m is about: zero is Ethernet.
func (m Match) packetType() uint32 {
	t, _ := m.value(PacketType)
	return uint32(t)
}

func (p *printer) userData(b []byte) {
	if len(b) == 0 {
		return
	}
	p.text(" userdata=")
	for i, c := range b {
		if i > 0 {
			p.text(".")
		}
		p.f("%02x", c)
	}
	p.text("\n")
}

// A continuation is where a packet was when a controller action paused it. Only Open
// vSwitch of one version has to understand it.
type continuation struct {
	bridge      [16]byte
	stack       []string // the top first
	mirrors     uint32
	conntracked bool
	table       Table    // of the flow whose actions come next
	cookie      uint64   // of that flow
	actions     []string // as text; those of each flow begin with which one it is
	actionSet   []Action
	port        uint32 // of the datapath
}

// Types of the properties of a continuation.
const (
	ncBridge = 0x8000 + iota
	ncStack
	ncMirrors
	ncConntracked
	ncTable
	ncCookie
	ncActions
	ncActionSet
	ncPort
)

func (d *decoder) continuation() (c continuation) {
	for d.more() {
		p, typ := d.property(0xffff)
		p.continued(&c, typ)
		d.done(&p)
	}
	return c
}

// continued reads one property of a continuation; d is the property.
func (d *decoder) continued(c *continuation, typ uint64) {
	switch typ {
	case ncBridge:
		if len(d.b) != len(c.bridge) {
			d.fail(OFPBPC_BAD_LEN)
			return
		}
		copy(c.bridge[:], d.b)
	case ncStack:
		if len(d.b) > 128 { // the largest value there is
			d.fail(OFPBPC_BAD_LEN)
			return
		}
		c.stack = append(c.stack, stackText(d.b))
	case ncMirrors:
		c.mirrors = d.whole32()
	case ncConntracked:
		c.conntracked = true
	case ncTable:
		c.table = Table(d.u8())
	case ncCookie:
		c.cookie = d.padded64()
	case ncActions:
		c.actions = append(c.actions, fmt.Sprintf("unroll_xlate(table=%d, cookie=%d)", c.table, c.cookie))
		if a := d.propertyActions(); len(a) > 0 {
			c.actions = append(c.actions, Text(a))
		}
	case ncActionSet:
		c.actionSet = append(c.actionSet, d.propertyActions()...)
	case ncPort:
		c.port = d.whole32()
	}
}

// propertyActions reads the actions in a property, behind its padding.
func (d *decoder) propertyActions() []Action {
	d.short = OFPBPC_BAD_LEN
	d.skip(4)
	return d.actions(len(d.b))
}

// stackText is a value on the stack, without its first zeroes.
func stackText(b []byte) string {
	digits := strings.TrimLeft(hex.EncodeToString(b), "0")
	if digits == "" {
		return "0"
	}
	return "0x" + digits
}

func (p *printer) continuation(c *continuation) {
	if c.bridge != ([16]byte{}) { // four numbers in the order of the switch's machine
		n := func(i int) uint32 { return binary.LittleEndian.Uint32(c.bridge[4*i:]) }
		p.f(" continuation.bridge=%08x-%04x-%04x-%04x-%04x%08x\n", n(0), n(1)>>16, n(1)&0xffff, n(2)>>16, n(2)&0xffff, n(3))
	}
	if c.stack != nil {
		p.text(" continuation.stack=(top)")
		for _, v := range c.stack {
			p.text(" " + v)
		}
		p.text(" (bottom)\n")
	}
	if c.mirrors != 0 {
		p.f(" continuation.mirrors=0x%x\n", c.mirrors)
	}
	if c.conntracked {
		p.text(" continuation.conntracked=true\n")
	}
	if c.actions != nil {
		p.text(" continuation.actions=" + strings.Join(c.actions, ",") + "\n")
	}
	if len(c.actionSet) > 0 {
		p.actions(" continuation.action_set=", c.actionSet)
		p.text("\n")
	}
	if c.port != 0 {
		p.f(" continuation.odp_port=%d\n", c.port)
	}
}

func (p *printer) packetOut(d *decoder, _ head) {
	m := d.packetOut()
	if d.err != nil {
		return
	}
	p.port(" in_port=", m.InPort)
	p.actions(" actions=", m.Actions)
	if m.BufferID != 0 {
		p.f(" buffer=0x%08x", swapAny(m.BufferID))
		return
	}
	p.uint(" data_len=", uint64(len(m.Data)))
	if len(m.Data) > 0 {
		p.text("\n")
		p.frame(m.Data, 0)
	}
}

func (p *printer) setPacketInFormat(d *decoder, _ head) {
	m := d.setPacketInFormat()
	if d.err == nil {
		p.text(" format=" + [...]string{"standard", "nxt_packet_in", "nxt_packet_in2"}[m.Format])
	}
}
