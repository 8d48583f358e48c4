package ofproto

// PacketOut sends a packet through actions (A.3.7).
type PacketOut struct {
	BufferID uint32 // of a packet in the switch, which is sent instead of Data; zero: none (OFP_NO_BUFFER on the wire)
	InPort   uint32 // PortController, PortLocal, PortAny, or a port on which it might have come
	Actions  []Action
	Data     []byte // the frame
}

func (PacketOut) messageType() uint8 { return typePacketOut }

func (m PacketOut) appendBody(b []byte) ([]byte, error) {
	b = be.AppendUint32(be.AppendUint32(b, swapAny(m.BufferID)), m.InPort)
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b, err := appendActions(b, m.Actions)
	if err != nil {
		return b, err
	}
	if len(b)-at-8 > 0xffff {
		return b, ErrTooLong
	}
	be.PutUint16(b[at:], uint16(len(b)-at-8))
	if m.BufferID != 0 {
		return b, nil
	}
	return append(b, m.Data...), nil
}

func (d *decoder) packetOut() (m PacketOut) {
	m.BufferID, m.InPort = swapAny(d.u32()), d.u32()
	n := int(d.u16())
	d.skip(6)
	if !isPort(m.InPort) {
		d.refuse(OFPBAC_BAD_OUT_PORT)
	}
	if n > len(d.b) || n%8 != 0 {
		d.fail(OFPBRC_BAD_LEN)
	}
	m.Actions = d.actions(n)
	if m.InPort >= 0xff00 && m.InPort != PortLocal && m.InPort != PortAny && m.InPort != PortController {
		d.refuse(OFPBRC_BAD_PORT)
	}
	m.Data = d.rest()
	if m.BufferID != 0 {
		m.Data = nil
	}
	return m
}

func init() {
	onMessage(openflowMessage, typePacketOut, messageForm{name: "PACKET_OUT", print: (*printer).packetOut, least: 16, unit: 1,
		read: func(d *decoder, _ head) Message { return d.packetOut() }})
}
