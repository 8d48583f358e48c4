package ofproto

import "fmt"

// Output sends the packet to a port (OFPAT_OUTPUT). MaxLen matters for
// PortController only.
type Output struct {
	Port   uint32
	MaxLen uint16
}

func init() {
	onWire(openflow, 0, 16, false, readOutput)
	onWire(openflow, 22, 8, false, func(d *decoder) Action { return ToGroup(d.u32()) })
}

func (o Output) appendTo(b []byte) ([]byte, error) {
	b = append(b, 0, 0, 0, 16)
	b = be.AppendUint32(b, o.Port)
	b = be.AppendUint16(b, o.MaxLen)
	return append(b, 0, 0, 0, 0, 0, 0), nil
}

func readOutput(d *decoder) Action {
	o := Output{Port: d.u32(), MaxLen: d.u16()}
	if o.Port != PortController {
		o.MaxLen = 0
	}
	return o
}

// String returns the action as ovs-ofctl prints it.
func (o Output) String() string {
	switch {
	case o.Port == PortController:
		return fmt.Sprintf("CONTROLLER:%d", o.MaxLen)
	case portNames[o.Port] != "":
		return portNames[o.Port]
	}
	return "output:" + portText(o.Port)
}

// ToGroup hands the packet to a group (OFPAT_GROUP).
type ToGroup uint32

func (g ToGroup) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(b, 0, 22, 0, 8), uint32(g)), nil
}

// String returns the action as ovs-ofctl prints it.
func (g ToGroup) String() string { return fmt.Sprintf("group:%d", uint32(g)) }
