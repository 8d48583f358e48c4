package ofproto

import (
	"bytes"
	"math/bits"
)

type (
	// Hello opens a session (A.5.1). The zero Hello offers OpenFlow 1.3.
	Hello struct {
		Version  uint8  // of the header; zero: the highest of Versions
		Versions uint32 // bit N set: version N of the wire protocol is spoken; zero: nothing but the header says
	}

	// EchoRequest asks the peer to answer with the same data (A.5.2).
	EchoRequest struct{ Data []byte }
	// EchoReply answers an EchoRequest.
	EchoReply struct{ Data []byte }

	// BarrierRequest asks for an answer once all before it is done (A.3.8).
	BarrierRequest struct{}
	// BarrierReply answers a BarrierRequest.
	BarrierReply struct{}
)

// version is what stands in the header.
func (m Hello) version() uint8 {
	switch {
	case m.Version != 0:
		return m.Version
	case m.Versions != 0:
		return uint8(bits.Len32(m.Versions) - 1)
	}
	return Version
}

// Speaks reports whether whoever said m speaks version v.
func (m Hello) Speaks(v uint8) bool {
	if m.Versions == 0 {
		return v <= m.version()
	}
	return m.Versions>>v&1 == 1
}

func (Hello) messageType() uint8          { return typeHello }
func (*Error) messageType() uint8         { return typeError }
func (EchoRequest) messageType() uint8    { return typeEchoRequest }
func (EchoReply) messageType() uint8      { return typeEchoReply }
func (BarrierRequest) messageType() uint8 { return typeBarrierRequest }
func (BarrierReply) messageType() uint8   { return typeBarrierReply }

func (m Hello) appendBody(b []byte) ([]byte, error) {
	versions := m.Versions
	if m == (Hello{}) {
		versions = 1 << Version
	}
	if versions == 0 {
		return b, nil
	}
	b = append(b, 0, 1, 0, 8) // OFPHET_VERSIONBITMAP
	return be.AppendUint32(b, versions), nil
}

func (m *Error) appendBody(b []byte) ([]byte, error) {
	b = be.AppendUint16(be.AppendUint16(b, m.Type), m.Code)
	if m.Type == typeErrorExperimenter {
		b = be.AppendUint32(b, m.Experimenter)
	}
	return append(b, m.Data...), nil
}

// typeErrorExperimenter is OFPET_EXPERIMENTER.
const typeErrorExperimenter = 0xffff

func (m EchoRequest) appendBody(b []byte) ([]byte, error)  { return append(b, m.Data...), nil }
func (m EchoReply) appendBody(b []byte) ([]byte, error)    { return append(b, m.Data...), nil }
func (BarrierRequest) appendBody(b []byte) ([]byte, error) { return b, nil }
func (BarrierReply) appendBody(b []byte) ([]byte, error)   { return b, nil }

// hello reads a hello, of which nothing is refused: what is not understood in it is for
// later versions.
func (d *decoder) hello(h head) Message {
	elements := d.bytes(len(d.b))
	m := Hello{Version: h.version}
	if versions, said, _ := helloVersions(h.version, elements); said {
		m.Versions = versions
	}
	return m
}

// error reads an error. One of OpenFlow 1.0, in which Open vSwitch answers now and then
// whatever the version of the session is, gets the numbers that it has in 1.3.
func (d *decoder) error(h head) Message {
	if h.version == 1 {
		again := *d
		if code, failed := again.wireError(h.version); code != 0 && errorTable[code].encodable {
			w := errorTable[code]
			d.skip(len(d.b))
			return &Error{XID: h.xid, Experimenter: w.experimenter, Type: w.typ, Code: w.code, Data: bytes.Clone(failed)}
		}
	}
	e := &Error{XID: h.xid, Type: d.u16(), Code: d.u16()}
	if e.Type == typeErrorExperimenter {
		e.Experimenter = d.u32()
	}
	e.Data = d.rest()
	return e
}

func init() {
	onMessage(openflowMessage, typeHello, messageForm{name: "HELLO", unit: 1, read: (*decoder).hello, print: (*printer).hello})
	onMessage(openflowMessage, typeError, messageForm{name: "ERROR", least: 4, unit: 1, read: (*decoder).error, print: (*printer).error})
	onMessage(openflowMessage, typeEchoRequest, messageForm{name: "ECHO_REQUEST", unit: 1, print: (*printer).echo,
		read: func(d *decoder, _ head) Message { return EchoRequest{d.rest()} }})
	onMessage(openflowMessage, typeEchoReply, messageForm{name: "ECHO_REPLY", unit: 1, print: (*printer).echo,
		read: func(d *decoder, _ head) Message { return EchoReply{d.rest()} }})
	onMessage(openflowMessage, typeBarrierRequest, messageForm{name: "BARRIER_REQUEST",
		read: func(*decoder, head) Message { return BarrierRequest{} }})
	onMessage(openflowMessage, typeBarrierReply, messageForm{name: "BARRIER_REPLY",
		read: func(*decoder, head) Message { return BarrierReply{} }})
}
