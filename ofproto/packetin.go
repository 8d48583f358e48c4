package ofproto

// NoBuffer says that a packet is not kept in the switch.
const NoBuffer uint32 = 0xffffffff

// PacketInReason is why a packet was sent to the controller (OFPR_*).
type PacketInReason uint8

// The reasons of OpenFlow 1.3, A.4.1, and of 1.4.
const (
	ReasonNoMatch PacketInReason = iota // OFPR_NO_MATCH: the flow that matches all without priority
	ReasonAction                        // OFPR_ACTION: an action said so
	ReasonInvalidTTL
	ReasonActionSet
	ReasonGroup
	ReasonPacketOut
)

type (
	// PacketIn is a packet that was sent to the controller (A.4.1).
	PacketIn struct {
		BufferID uint32 // NoBuffer: the packet is not kept in the switch
		TotalLen uint32 // of the packet, of which Data may be the beginning only; zero: the length of Data
		Reason   PacketInReason
		Table    Table
		Cookie   uint64 // of the flow; all ones: there was none
		Match    Match  // in_port at least, and registers, metadata, tunnel and ct fields that are not zero
		Data     []byte // the frame
	}

	// PacketIn2 is a PacketIn with what a controller action gives along (NXT_PACKET_IN2),
	// which a switch sends to who has asked for it with SetPacketInFormat.
	PacketIn2 struct {
		PacketIn
		UserData     []byte // of the controller action
		Continuation []byte // of a controller action with pause: to go back, as it is, in a Resume; else nil
	}

	// Resume lets a packet that was paused go on, with what has become of its Data and
	// Match (NXT_RESUME). UserData and BufferID are not part of it.
	Resume struct{ PacketIn2 }

	// NXPacketIn is Open vSwitch's PacketIn for OpenFlow 1.0 (NXT_PACKET_IN).
	NXPacketIn struct{ PacketIn }

	// SetPacketInFormat says what packets are sent in (NXT_SET_PACKET_IN_FORMAT).
	SetPacketInFormat struct{ Format PacketInFormat }
)

// PacketInFormat is NXPIF_*.
type PacketInFormat uint32

// The formats of packet-ins.
const (
	FormatPacketIn   PacketInFormat = 0 // PacketIn
	FormatNXPacketIn PacketInFormat = 1 // NXPacketIn
	FormatPacketIn2  PacketInFormat = 2 // PacketIn2
)

// Subtypes of experimenter messages about packets.
const (
	nxSetPacketInFormat = 16
	nxPacketIn          = 17
	nxResume            = 28
	nxPacketIn2         = 30
)

// Types of the properties of a PacketIn2.
const (
	pinPacket = iota
	pinFullLen
	pinBufferID
	pinTable
	pinCookie
	pinReason
	pinMetadata
	pinUserData
	pinContinuation
)

func (PacketIn) messageType() uint8          { return typePacketIn }
func (PacketIn2) messageType() uint8         { return typeExperimenter }
func (Resume) messageType() uint8            { return typeExperimenter }
func (NXPacketIn) messageType() uint8        { return typeExperimenter }
func (SetPacketInFormat) messageType() uint8 { return typeExperimenter }

func (m PacketIn) totalLen() uint32 {
	if m.TotalLen == 0 {
		return uint32(len(m.Data))
	}
	return m.TotalLen
}

func (m PacketIn) appendBody(b []byte) ([]byte, error) {
	b = be.AppendUint16(be.AppendUint32(b, m.BufferID), uint16(min(m.totalLen(), 0xffff)))
	b = be.AppendUint64(append(b, byte(m.Reason), byte(m.Table)), m.Cookie)
	b = appendMatch(b, m.Match)
	return append(append(b, 0, 0), m.Data...), nil
}

func (m NXPacketIn) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, nicira, nxPacketIn)
	b = be.AppendUint16(be.AppendUint32(b, m.BufferID), uint16(min(m.totalLen(), 0xffff)))
	b = be.AppendUint64(append(b, byte(m.Reason), byte(m.Table)), m.Cookie)
	b = appendNXMatch(b, m.Match)
	return append(append(b, 0, 0), m.Data...), nil
}

func (m SetPacketInFormat) appendBody(b []byte) ([]byte, error) {
	return be.AppendUint32(appendExperimenter(b, nicira, nxSetPacketInFormat), uint32(m.Format)), nil
}

func (m PacketIn2) appendBody(b []byte) ([]byte, error) {
	b, err := m.appendProperties(appendExperimenter(b, nicira, nxPacketIn2))
	if err == nil && m.UserData != nil {
		b, err = appendProperty(b, pinUserData, m.UserData)
	}
	return b, err
}

func (m Resume) appendBody(b []byte) ([]byte, error) {
	return m.appendProperties(appendExperimenter(b, nicira, nxResume))
}

// appendProperties appends what PacketIn2 and Resume have in common, in the order in which
// Open vSwitch writes it.
func (m PacketIn2) appendProperties(b []byte) ([]byte, error) {
	b, err := appendProperty(b, pinPacket, m.Data)
	if err != nil {
		return b, err
	}
	put := func(typ uint16, value ...byte) { b, _ = appendProperty(b, typ, value) } // short
	if m.totalLen() != uint32(len(m.Data)) {
		put(pinFullLen, be.AppendUint32(nil, m.TotalLen)...)
	}
	put(pinTable, byte(m.Table))
	if m.Cookie != noCookie {
		put(pinCookie, be.AppendUint64(make([]byte, 4), m.Cookie)...)
	}
	put(pinReason, byte(m.Reason))
	b, start := startProperty(b, pinMetadata)
	b = AppendMatch(b, m.Match)
	if b, err = endProperty(b, start); err != nil || m.Continuation == nil {
		return b, err
	}
	b, start = startProperty(b, pinContinuation)
	return endProperty(append(append(b, 0, 0, 0, 0), m.Continuation...), start)
}

// noCookie stands for the cookie of a packet that no flow sent.
const noCookie uint64 = 1<<64 - 1

func (d *decoder) packetIn() PacketIn {
	p := PacketIn{BufferID: d.u32(), TotalLen: uint32(d.u16()), Reason: PacketInReason(d.u8()), Table: Table(d.u8()), Cookie: d.u64()}
	p.Match = d.matchLoose()
	d.skip(2)
	p.Data = d.rest()
	return p
}

func (d *decoder) nxPacketIn() NXPacketIn {
	p := PacketIn{BufferID: d.u32(), TotalLen: uint32(d.u16()), Reason: PacketInReason(d.u8()), Table: Table(d.u8()), Cookie: d.u64()}
	n := int(d.u16())
	d.skip(6)
	p.Match = d.nxMatch(n, false)
	d.short = OFPBRC_BAD_LEN
	d.skip(2)
	p.Data = d.rest()
	return NXPacketIn{p}
}

// packetIn2 reads the properties of a PacketIn2 or a Resume. What is not known is left out
// if it is loose, as it is for a controller; a switch refuses it.
func (d *decoder) packetIn2(loose bool) (m PacketIn2) {
	m.BufferID, m.Cookie = NoBuffer, noCookie
	for d.more() {
		p, typ := d.property(0xffff)
		m.property(&p, typ, loose)
		d.done(&p)
	}
	switch {
	case d.err != nil:
	case len(m.Data) == 0 || m.TotalLen != 0 && m.TotalLen < uint32(len(m.Data)):
		d.fail(OFPBRC_BAD_LEN)
	case m.TotalLen == 0:
		m.TotalLen = uint32(len(m.Data))
	}
	return m
}

// property reads one property into m.
func (m *PacketIn2) property(p *decoder, typ uint64, loose bool) {
	switch typ {
	case pinPacket:
		m.Data = p.rest()
	case pinFullLen:
		m.TotalLen = p.whole32()
	case pinBufferID:
		m.BufferID = p.whole32()
	case pinTable:
		m.Table = Table(p.u8())
	case pinCookie:
		m.Cookie = p.padded64()
	case pinReason:
		m.Reason = PacketInReason(p.u8())
	case pinMetadata:
		p.short = OFPBMC_BAD_LEN
		m.Match = p.oxms(!loose)
	case pinUserData:
		m.UserData = p.rest()
	case pinContinuation:
		p.skip(4)
		m.Continuation = p.rest()
	default:
		if !loose && typ > 0xffff {
			p.fail(OFPBPC_BAD_EXP_TYPE)
		} else if !loose {
			p.fail(OFPBPC_BAD_TYPE)
		}
	}
}

// padded64 reads a property that is eight bytes long behind its padding, and no longer.
func (d *decoder) padded64() uint64 {
	if len(d.b) != 12 {
		d.fail(OFPBPC_BAD_LEN)
	}
	d.skip(4)
	return d.u64()
}

// whole32 reads a property that is four bytes long, and no longer.
func (d *decoder) whole32() uint32 {
	if len(d.b) != 4 {
		d.fail(OFPBPC_BAD_LEN)
	}
	return d.u32()
}

func (d *decoder) setPacketInFormat() SetPacketInFormat {
	m := SetPacketInFormat{PacketInFormat(d.u32())}
	if m.Format > FormatPacketIn2 {
		d.refuse(OFPBRC_EPERM)
	}
	return m
}

func init() {
	onMessage(openflowMessage, typePacketIn, messageForm{name: "PACKET_IN", print: (*printer).packetIn, least: 16, unit: 1,
		read: func(d *decoder, _ head) Message { return d.packetIn() }})
	onMessage(niciraMessage, nxPacketIn, messageForm{name: "PACKET_IN", print: (*printer).nxPacketIn, least: 24, unit: 1,
		read: func(d *decoder, _ head) Message { return d.nxPacketIn() }})
	onMessage(niciraMessage, nxPacketIn2, messageForm{name: "PACKET_IN2", print: (*printer).packetIn2, unit: 8,
		read: func(d *decoder, _ head) Message { return d.packetIn2(true) }})
	onMessage(niciraMessage, nxResume, messageForm{name: "RESUME", print: (*printer).packetIn2, unit: 8,
		read: func(d *decoder, _ head) Message { return Resume{d.packetIn2(!d.strict)} }})
	onMessage(niciraMessage, nxSetPacketInFormat, messageForm{name: "SET_PACKET_IN_FORMAT", print: (*printer).setPacketInFormat, least: 4,
		read: func(d *decoder, _ head) Message { return d.setPacketInFormat() }})
}
