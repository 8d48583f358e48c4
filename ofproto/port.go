package ofproto

import "bytes"

type (
	// PortStatus says that a port was added, removed or changed (A.4.3).
	PortStatus struct {
		Reason PortReason
		Port   PortDesc
	}

	// PortMod changes the configuration of a port (A.3.4.3).
	PortMod struct {
		Port      uint32
		HWAddr    [6]byte // as the port has it, for a check
		Config    PortConfig
		Mask      PortConfig // which bits of Config are set
		Advertise PortFeatures
	}
)

// PortReason is OFPPR_*.
type PortReason uint8

// The reasons of a PortStatus.
const (
	PortAdded PortReason = iota
	PortDeleted
	PortModified
)

// A PortDesc is a port of the switch (A.2.1).
type PortDesc struct {
	Number              uint32
	HWAddr              [6]byte
	Name                string // at most 15 bytes
	Config              PortConfig
	State               PortState
	Current, Advertised PortFeatures
	Supported, Peer     PortFeatures
	CurrSpeed, MaxSpeed uint32 // kbit/s
}

// PortConfig is OFPPC_*.
type PortConfig uint32

// The configuration of a port.
const (
	PortDown       PortConfig = 1 << 0
	PortNoRecv     PortConfig = 1 << 2
	PortNoFwd      PortConfig = 1 << 5
	PortNoPacketIn PortConfig = 1 << 6

	allPortConfig = PortDown | PortNoRecv | PortNoFwd | PortNoPacketIn
)

// PortState is OFPPS_*.
type PortState uint32

// The state of a port.
const (
	PortLinkDown PortState = 1 << 0
	PortBlocked  PortState = 1 << 1
	PortLive     PortState = 1 << 2 // for fast failover groups

	allPortState = PortLinkDown | PortBlocked | PortLive
)

// PortFeatures are OFPPF_*: bit 0 10 Mbit/s half duplex, bit 15 asymmetric pause.
type PortFeatures uint32

const allPortFeatures PortFeatures = 0xffff

func (PortStatus) messageType() uint8 { return typePortStatus }
func (PortMod) messageType() uint8    { return typePortMod }

func (m PortStatus) appendBody(b []byte) ([]byte, error) {
	b = append(b, byte(m.Reason), 0, 0, 0, 0, 0, 0, 0)
	return AppendPortDesc(b, m.Port), nil
}

func (m PortMod) appendBody(b []byte) ([]byte, error) {
	b = append(be.AppendUint32(b, m.Port), 0, 0, 0, 0)
	b = append(append(b, m.HWAddr[:]...), 0, 0)
	b = be.AppendUint32(be.AppendUint32(b, uint32(m.Config)), uint32(m.Mask))
	return append(be.AppendUint32(b, uint32(m.Advertise)), 0, 0, 0, 0), nil
}

// AppendPortDesc appends p as an entry of a port-desc reply.
func AppendPortDesc(b []byte, p PortDesc) []byte {
	b = append(be.AppendUint32(b, p.Number), 0, 0, 0, 0)
	b = append(append(b, p.HWAddr[:]...), 0, 0)
	var name [16]byte // the last byte is zero
	copy(name[:15], p.Name)
	b = append(b, name[:]...)
	b = be.AppendUint32(be.AppendUint32(b, uint32(p.Config)), uint32(p.State))
	b = be.AppendUint32(be.AppendUint32(b, uint32(p.Current)), uint32(p.Advertised))
	b = be.AppendUint32(be.AppendUint32(b, uint32(p.Supported)), uint32(p.Peer))
	return be.AppendUint32(be.AppendUint32(b, p.CurrSpeed), p.MaxSpeed)
}

// DecodePortDescs appends the ports in one part of a port-desc reply to ports.
func DecodePortDescs(ports []PortDesc, body []byte) ([]PortDesc, error) {
	d := decoder{b: body, what: "port desc", short: OFPBRC_BAD_LEN}
	for d.more() {
		if p := d.portDesc(); d.err == nil {
			ports = append(ports, p)
		}
	}
	return ports, d.err
}

// portNumber reads a port of 32 bits, as which a strict decoder takes only what fits
// into the 16 bits of Open vSwitch.
func (d *decoder) portNumber() uint32 {
	p := d.u32()
	if !isPort(p) {
		d.refuse(OFPBAC_BAD_OUT_PORT)
	}
	return p
}

func (d *decoder) portDesc() (p PortDesc) {
	p.Number = d.portNumber()
	d.skip(4)
	copy(p.HWAddr[:], d.bytes(6))
	d.skip(2)
	p.Name = text0(d.bytes(16), 15)
	p.Config, p.State = PortConfig(d.u32())&allPortConfig, PortState(d.u32())&allPortState
	p.Current, p.Advertised = PortFeatures(d.u32())&allPortFeatures, PortFeatures(d.u32())&allPortFeatures
	p.Supported, p.Peer = PortFeatures(d.u32())&allPortFeatures, PortFeatures(d.u32())&allPortFeatures
	p.CurrSpeed, p.MaxSpeed = d.u32(), d.u32()
	return p
}

// text0 is the text in b, which ends with a zero, or at the latest after limit bytes.
func text0(b []byte, limit int) string {
	b = b[:min(len(b), limit)]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func (d *decoder) portStatus() (m PortStatus) {
	m.Reason = PortReason(d.u8())
	d.skip(7)
	if m.Reason > PortModified {
		d.refuse(NXBRC_BAD_REASON)
	}
	m.Port = d.portDesc()
	return m
}

func (d *decoder) portMod() (m PortMod) {
	m.Port = d.portNumber()
	d.skip(4)
	copy(m.HWAddr[:], d.bytes(6))
	d.skip(2)
	m.Config, m.Mask = PortConfig(d.u32()), PortConfig(d.u32())
	m.Advertise = PortFeatures(d.u32())
	d.skip(4)
	return m
}

func init() {
	onMessage(openflowMessage, typePortStatus, messageForm{name: "PORT_STATUS", print: (*printer).portStatus, least: 72,
		read: func(d *decoder, _ head) Message { return d.portStatus() }})
	onMessage(openflowMessage, typePortMod, messageForm{name: "PORT_MOD", print: (*printer).portMod, least: 32,
		read: func(d *decoder, _ head) Message { return d.portMod() }})
}
