package ofproto

import (
	"fmt"
	"strings"
)

func init() {
	onWire(openflow, 0, 16, false, readOutput)
	onWire(openflow, 21, 8, false, func(d *decoder) Action { return SetQueue(d.u32()) })
	onWire(openflow, 22, 8, false, func(d *decoder) Action { return ToGroup(d.u32()) })
	onWire(niciraAction, 5, 16, false, func(d *decoder) Action { return PopQueue{} })
	onWire(niciraAction, 15, 24, false, readOutputReg)
	onWire(niciraAction, 32, 24, false, readOutputReg2)
	onWire(niciraAction, 39, 16, false, readOutputTrunc)

	inText("output", parseOutput)
	inText("output_reg", parseOutput)
	inText("group", func(p *parser, kv pair) []Action { return []Action{ToGroup(p.uint(kv.value, 32))} })
	inText("enqueue", parseEnqueue)
	inText("set_queue", func(p *parser, kv pair) []Action { return []Action{SetQueue(p.uint(kv.value, 32))} })
	inText("pop_queue", func(p *parser, kv pair) []Action { return []Action{PopQueue{}} })
}

// Output sends the packet to a port (OFPAT_OUTPUT). MaxLen, the greatest number of bytes
// that are sent, matters for PortController only.
type Output struct {
	Port   uint32
	MaxLen uint16
}

func (o Output) appendTo(b []byte) ([]byte, error) {
	b = append(b, 0, 0, 0, 16)
	b = be.AppendUint32(b, o.Port)
	return append(b, byte(o.MaxLen>>8), byte(o.MaxLen), 0, 0, 0, 0, 0, 0), nil
}

func readOutput(d *decoder) Action {
	o := Output{Port: d.u32(), MaxLen: d.u16()}
	d.check(checkPort(o.Port))
	return o
}

// isOutput reports whether packets can be sent to a port: to one with a number that a port of
// a switch may have, or to a reserved one that stands for a place.
func isOutput(port uint32) bool {
	return port < 0xff00 || PortInPort <= port && port <= PortLocal
}

// String returns the action as ovs-ofctl prints it.
func (o Output) String() string {
	switch {
	case o.Port == PortController:
		return fmt.Sprintf("CONTROLLER:%d", o.MaxLen)
	case portName(o.Port) != "":
		return portName(o.Port)
	}
	return "output:" + portText(o.Port)
}

// parseOutput reads a port, a field that has the port in it, or port=PORT,max_len=BYTES.
func parseOutput(p *parser, kv pair) []Action {
	t := kv.value
	if strings.Contains(t.s, "port") && strings.Contains(t.s, "max_len") {
		return parseOutputTrunc(p, t)
	}
	if port, ok := portNumber(t.s); ok {
		o := Output{Port: port}
		if port == PortController {
			o.MaxLen = 0xffff
		}
		return []Action{o}
	}
	if name := t.s[:end(t.s, "[-")]; byName[name] == 0 && byName[strings.TrimSuffix(name, "_W")] == 0 {
		p.bad(t, "%q is neither a port nor a field that has one in it", t.s)
		return nil
	}
	return []Action{OutputReg{Src: p.subfield(t), MaxLen: 0xffff}}
}

func (o Output) check(*packet) ErrorCode { return checkPort(o.Port) }

func checkPort(port uint32) ErrorCode {
	if !isOutput(port) {
		return OFPBAC_BAD_OUT_PORT
	}
	return 0
}

// ToGroup hands the packet to a group (OFPAT_GROUP).
type ToGroup uint32

func (g ToGroup) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(b, 0, 22, 0, 8), uint32(g)), nil
}

// String returns the action as ovs-ofctl prints it.
func (g ToGroup) String() string { return fmt.Sprintf("group:%d", uint32(g)) }

// OutputReg sends the packet to the port whose number stands in Src (NXAST_OUTPUT_REG). MaxLen
// is the greatest number of bytes that are sent if that is the controller.
type OutputReg struct {
	Src    Subfield
	MaxLen uint16
	Long   bool // it is sent as NXAST_OUTPUT_REG2 although Src has a header of four bytes
}

func (o OutputReg) appendTo(b []byte) ([]byte, error) {
	if !o.Long && !o.Src.Field.hasLongHeader() {
		b = be.AppendUint16(appendNX(b, 15, 24), o.Src.ofsNbits())
		b = be.AppendUint16(o.Src.Field.appendNXM(b), o.MaxLen)
		return append(b, 0, 0, 0, 0, 0, 0), nil
	}
	start := len(b)
	b = be.AppendUint16(appendNX(b, 32, 24), o.Src.ofsNbits())
	return pad8(o.Src.Field.appendNXM(be.AppendUint16(b, o.MaxLen)), start), nil
}

func readOutputReg(d *decoder) Action {
	ofs := d.u16()
	rest := *d
	d.skip(6)
	d.zero(6, OFPBAC_BAD_ARGUMENT)
	if d.err != nil {
		return nil
	}
	*d = rest
	o := OutputReg{Src: subfield(d.field32(), ofs), MaxLen: d.u16()}
	d.readable(o.Src)
	return o
}

func readOutputReg2(d *decoder) Action {
	ofs, most := d.u16(), d.u16()
	o := OutputReg{Src: subfield(d.longField(), ofs), MaxLen: most}
	o.Long = !o.Src.Field.hasLongHeader()
	d.zero(len(d.b), NXBRC_MUST_BE_ZERO)
	d.readable(o.Src)
	return o
}

// String returns the action as ovs-ofctl prints it.
func (o OutputReg) String() string { return "output:" + o.Src.String() }

func (o OutputReg) check(p *packet) ErrorCode { return checkSrc(o.Src, p) }

// OutputTrunc sends the first MaxLen bytes of the packet, of at least 14, to a port
// (NXAST_OUTPUT_TRUNC).
type OutputTrunc struct {
	Port   uint32
	MaxLen uint32
}

func (o OutputTrunc) appendTo(b []byte) ([]byte, error) {
	b = be.AppendUint16(appendNX(b, 39, 16), uint16(o.Port))
	return be.AppendUint32(b, o.MaxLen), nil
}

func readOutputTrunc(d *decoder) Action {
	o := OutputTrunc{Port: port32(d.u16()), MaxLen: d.u32()}
	if o.MaxLen < 14 { // an Ethernet header
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	return o
}

func (o OutputTrunc) check(*packet) ErrorCode { return checkPort(o.Port) }

// String returns the action as ovs-ofctl prints it.
func (o OutputTrunc) String() string {
	return fmt.Sprintf("output(port=%s,max_len=%d)", portText(o.Port), o.MaxLen)
}

func parseOutputTrunc(p *parser, t text) []Action {
	var o OutputTrunc
	for kv, ok := p.next(&t); ok; kv, ok = p.next(&t) {
		switch kv.key.s {
		case "port":
			o.Port = p.port(kv.value)
			if o.Port > 0xff00 && o.Port != PortLocal && o.Port != PortInPort {
				p.bad(kv.value, "a packet that is cut can go to a port, LOCAL or IN_PORT only")
			}
		case "max_len":
			o.MaxLen = uint32(p.uint(kv.value, 32))
			if o.MaxLen < 14 {
				p.bad(kv.value, "max_len is at least 14, the length of an Ethernet header")
			}
		default:
			p.bad(kv.key, "output has port and max_len, not %q", kv.key.s)
		}
	}
	return []Action{o}
}

// SetQueue says in which queue of its port the packet waits (OFPAT_SET_QUEUE), until PopQueue.
type SetQueue uint32

func (q SetQueue) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(b, 0, 21, 0, 8), uint32(q)), nil
}

// String returns the action as ovs-ofctl prints it.
func (q SetQueue) String() string { return fmt.Sprintf("set_queue:%d", uint32(q)) }

// PopQueue undoes SetQueue (NXAST_POP_QUEUE).
type PopQueue struct{}

func (PopQueue) appendTo(b []byte) ([]byte, error) {
	return append(appendNX(b, 5, 16), 0, 0, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (PopQueue) String() string { return "pop_queue" }

// parseEnqueue reads "1:2" or "1,2": over OpenFlow 1.3 these are three actions.
func parseEnqueue(p *parser, kv pair) []Action {
	queue := kv.value
	port := token(&queue, ":q,")
	if queue.s == "" {
		p.bad(kv.value, "want enqueue:PORT:QUEUE")
		return nil
	}
	n := p.port(port)
	if p.checks && n >= 0xff00 && n != PortInPort && n != PortLocal {
		p.refuse(port, OFPBAC_BAD_OUT_PORT, "port %s has no queues", port.s)
	}
	return []Action{SetQueue(p.uint(queue, 32)), Output{n, 0xffff}, PopQueue{}}
}

func (OutputReg) notInSet()   {}
func (OutputTrunc) notInSet() {}
func (PopQueue) notInSet()    {}
