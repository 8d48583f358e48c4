package ofproto

import (
	"fmt"
	"slices"
)

// Subtypes of experimenter messages.
const (
	onfBundleControl = 2300
	onfBundleAdd     = 2301
	nxCTFlushZone    = 29
)

// MaxMessage is the length of the longest message; the header has two bytes for it.
const MaxMessage = 0xffff

// Append appends a message with its header. A message longer than MaxMessage is an
// error: it would cut the connection.
func Append(b []byte, xid uint32, m Message) ([]byte, error) {
	start := len(b)
	b = append(b, Version, 0, 0, 0)
	b = be.AppendUint32(b, xid)
	b, typ, err := appendBody(b, m)
	if err != nil {
		return b[:start], err
	}
	b[start+1] = typ
	if err := setLen(b, start, 2); err != nil {
		return b[:start], fmt.Errorf("%T: %w", m, err)
	}
	return b, nil
}

func appendBody(b []byte, m Message) ([]byte, uint8, error) {
	var err error
	switch m := m.(type) {
	case Hello:
		b = append(b, 0, 1, 0, 8) // OFPHET_VERSIONBITMAP
		return be.AppendUint32(b, 1<<Version), typeHello, nil
	case *Error:
		b = be.AppendUint16(be.AppendUint16(b, m.Type), m.Code)
		if m.Type == 0xffff {
			b = be.AppendUint32(b, m.Experimenter)
		}
		return append(b, m.Data...), typeError, nil
	case EchoRequest:
		return append(b, m.Data...), typeEchoRequest, nil
	case EchoReply:
		return append(b, m.Data...), typeEchoReply, nil
	case FeaturesRequest:
		return b, typeFeaturesRequest, nil
	case FeaturesReply:
		b = be.AppendUint32(be.AppendUint64(b, m.DatapathID), m.Buffers)
		b = append(b, m.Tables, m.AuxiliaryID, 0, 0)
		return be.AppendUint32(be.AppendUint32(b, m.Capabilities), 0), typeFeaturesReply, nil
	case SetConfig:
		return be.AppendUint16(be.AppendUint16(b, m.Flags), m.MissSendLen), typeSetConfig, nil
	case BarrierRequest:
		return b, typeBarrierRequest, nil
	case BarrierReply:
		return b, typeBarrierReply, nil
	case RoleRequest:
		return appendRole(b, m.Role, m.Generation), typeRoleRequest, nil
	case RoleReply:
		return appendRole(b, m.Role, m.Generation), typeRoleReply, nil
	case FlowMod:
		b, err = appendFlowMod(b, m)
		return b, typeFlowMod, err
	case GroupMod:
		b, err = appendGroupMod(b, m)
		return b, typeGroupMod, err
	case MeterMod:
		return appendMeterMod(b, m), typeMeterMod, nil
	case PacketIn:
		return appendPacketIn(b, m), typePacketIn, nil
	case PacketOut:
		b, err = appendPacketOut(b, m)
		return b, typePacketOut, err
	case BundleControl:
		b = experimenter(b, onf, onfBundleControl)
		b = be.AppendUint16(be.AppendUint32(b, m.ID), uint16(m.Type))
		return be.AppendUint16(b, m.Flags), typeExperimenter, nil
	case BundleAdd:
		b = experimenter(b, onf, onfBundleAdd)
		b = be.AppendUint16(append(be.AppendUint32(b, m.ID), 0, 0), m.Flags)
		b, err = Append(b, m.XID, m.Message)
		return b, typeExperimenter, err
	case CTFlushZone:
		b = experimenter(b, nicira, nxCTFlushZone)
		return be.AppendUint16(append(b, 0, 0, 0, 0, 0, 0), m.Zone), typeExperimenter, nil
	case MultipartRequest:
		b = append(be.AppendUint16(b, uint16(m.Type)), 0, 0, 0, 0, 0, 0)
		return append(b, m.Body...), typeMultipartRequest, nil
	case MultipartReply:
		b = be.AppendUint16(be.AppendUint16(b, uint16(m.Type)), flag(m.More, 1))
		return append(append(b, 0, 0, 0, 0), m.Body...), typeMultipartReply, nil
	case Unknown:
		return append(b, m.Body...), m.Type, nil
	}
	return b, 0, fmt.Errorf("%T is not a message", m)
}

func experimenter(b []byte, id, subtype uint32) []byte {
	return be.AppendUint32(be.AppendUint32(b, id), subtype)
}

func appendRole(b []byte, role uint32, generation uint64) []byte {
	return be.AppendUint64(append(be.AppendUint32(b, role), 0, 0, 0, 0), generation)
}

// anyIfZero is OFPP_ANY and OFPG_ANY.
func anyIfZero(v uint32) uint32 {
	if v == 0 {
		return PortAny
	}
	return v
}

func appendFlowMod(b []byte, m FlowMod) ([]byte, error) {
	f := &m.Flow
	b = be.AppendUint64(be.AppendUint64(b, f.Cookie), m.CookieMask)
	b = append(b, byte(f.Table), byte(m.Command))
	b = be.AppendUint16(be.AppendUint16(be.AppendUint16(b, f.IdleTimeout), f.HardTimeout), f.Priority)
	b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, NoBuffer), anyIfZero(m.OutPort)), anyIfZero(m.OutGroup))
	b = append(be.AppendUint16(b, uint16(f.Flags)), 0, 0)
	b = f.appendMatch(b)
	if m.Command == FlowDelete || m.Command == FlowDeleteStrict {
		return b, nil
	}
	return appendInstructions(b, f.Actions)
}

func appendGroupMod(b []byte, m GroupMod) ([]byte, error) {
	b = append(be.AppendUint16(b, uint16(m.Command)), byte(m.Group.Type), 0)
	b = be.AppendUint32(b, m.Group.ID)
	if m.Command == GroupDelete {
		return b, nil
	}
	return appendBuckets(b, m.Group.Buckets)
}

func appendBuckets(b []byte, buckets []Bucket) ([]byte, error) {
	var err error
	for _, k := range buckets {
		start := len(b)
		b = be.AppendUint16(append(b, 0, 0), k.Weight)
		b = be.AppendUint32(be.AppendUint32(b, anyIfZero(k.WatchPort)), anyIfZero(k.WatchGroup))
		b = append(b, 0, 0, 0, 0)
		if b, err = appendActions(b, k.Actions); err != nil {
			return b, err
		}
		if err = setLen(b, start, 0); err != nil {
			return b, err
		}
	}
	return b, nil
}

func appendMeterMod(b []byte, m MeterMod) []byte {
	b = be.AppendUint16(be.AppendUint16(b, m.Command), m.Meter.Flags)
	b = be.AppendUint32(b, m.Meter.ID)
	if m.Command == 2 {
		return b
	}
	return appendBands(b, m.Meter.Bands)
}

func appendBands(b []byte, bands []MeterBand) []byte {
	for _, k := range bands {
		b = be.AppendUint16(be.AppendUint16(b, k.Type), 16)
		b = be.AppendUint32(be.AppendUint32(b, k.Rate), k.Burst)
		b = append(b, k.Prec, 0, 0, 0)
	}
	return b
}

func appendPacketIn(b []byte, m PacketIn) []byte {
	b = be.AppendUint16(be.AppendUint32(b, m.BufferID), m.TotalLen)
	b = be.AppendUint64(append(b, m.Reason, byte(m.Table)), m.Cookie)
	b = appendMatch(b, m.Match)
	return append(append(b, 0, 0), m.Data...)
}

func appendPacketOut(b []byte, m PacketOut) ([]byte, error) {
	b = be.AppendUint32(be.AppendUint32(b, NoBuffer), m.InPort)
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b, err := appendActions(b, m.Actions)
	if err != nil {
		return b, err
	}
	be.PutUint16(b[at:], uint16(len(b)-at-8))
	return append(b, m.Data...), nil
}

// Decode reads one whole message. The message does not keep b.
func Decode(b []byte) (xid uint32, m Message, err error) {
	d := decoder{b: b, what: "message", short: OFPBRC_BAD_LEN}
	version, typ, n := d.u8(), d.u8(), int(d.u16())
	xid = d.u32()
	if d.err != nil {
		return 0, nil, d.err
	}
	if n != len(b) {
		return xid, nil, fmt.Errorf("message of %d bytes says %d: %w", len(b), n, OFPBRC_BAD_LEN)
	}
	if version != Version && typ != typeHello && typ != typeError {
		return xid, nil, fmt.Errorf("OpenFlow version %d on the wire, want %d", version, Version)
	}
	m = d.body(version, typ, xid)
	return xid, m, d.err
}

func (d *decoder) rest() []byte { return slices.Clone(d.bytes(len(d.b))) }

func (d *decoder) body(version, typ uint8, xid uint32) Message {
	switch typ {
	case typeHello:
		return d.hello(version)
	case typeError:
		return d.error(xid)
	case typeEchoRequest:
		return EchoRequest{d.rest()}
	case typeEchoReply:
		return EchoReply{d.rest()}
	case typeFeaturesRequest:
		return FeaturesRequest{}
	case typeFeaturesReply:
		f := FeaturesReply{DatapathID: d.u64(), Buffers: d.u32(), Tables: d.u8(), AuxiliaryID: d.u8()}
		d.skip(2)
		f.Capabilities = d.u32()
		return f
	case typeSetConfig:
		return SetConfig{d.u16(), d.u16()}
	case typeBarrierRequest:
		return BarrierRequest{}
	case typeBarrierReply:
		return BarrierReply{}
	case typeRoleRequest, typeRoleReply:
		role := d.u32()
		d.skip(4)
		if typ == typeRoleRequest {
			return RoleRequest{role, d.u64()}
		}
		return RoleReply{role, d.u64()}
	case typeFlowMod:
		return d.flowMod()
	case typeGroupMod:
		return d.groupMod()
	case typeMeterMod:
		m := MeterMod{Command: d.u16()}
		m.Meter.Flags, m.Meter.ID = d.u16(), d.u32()
		m.Meter.Bands = d.bands(len(d.b))
		return m
	case typePacketIn:
		return d.packetIn()
	case typePacketOut:
		return d.packetOut()
	case typeExperimenter:
		return d.experimenter()
	case typeMultipartRequest:
		t := MultipartType(d.u16())
		d.skip(6)
		return MultipartRequest{t, d.rest()}
	case typeMultipartReply:
		t, flags := MultipartType(d.u16()), d.u16()
		d.skip(4)
		return MultipartReply{t, flags&1 != 0, d.rest()}
	}
	return Unknown{typ, d.rest()}
}

func (d *decoder) hello(version uint8) Message {
	h := Hello{Version: version}
	for len(d.b) >= 4 {
		typ, n := d.u16(), int(d.u16())
		if n < 4 {
			d.fail(fmt.Errorf("hello element: %w %d", OFPBRC_BAD_LEN, n))
			return h
		}
		body := d.sub(min(n-4, len(d.b)), "hello element", OFPBRC_BAD_LEN)
		if typ == 1 && h.Versions == 0 && len(body.b) >= 4 {
			h.Versions = body.u32()
		}
		d.skip(min((8-n%8)%8, len(d.b)))
	}
	return h
}

func (d *decoder) error(xid uint32) Message {
	e := &Error{XID: xid, Type: d.u16(), Code: d.u16()}
	if e.Type == 0xffff { // OFPET_EXPERIMENTER
		e.Experimenter = d.u32()
	}
	e.Data = d.rest()
	return e
}

func (d *decoder) flowMod() Message {
	m := FlowMod{}
	f := &m.Flow
	f.Cookie, m.CookieMask = d.u64(), d.u64()
	f.Table, m.Command = Table(d.u8()), FlowCommand(d.u8())
	f.IdleTimeout, f.HardTimeout, f.Priority = d.u16(), d.u16(), d.u16()
	d.skip(4)
	m.OutPort, m.OutGroup = zeroIfAny(d.u32()), zeroIfAny(d.u32())
	f.Flags = FlowFlags(d.u16())
	d.skip(2)
	d.flowMatch(f)
	f.Actions = d.instructions(len(d.b))
	return m
}

func zeroIfAny(v uint32) uint32 {
	if v == PortAny {
		return 0
	}
	return v
}

func (d *decoder) groupMod() Message {
	m := GroupMod{Command: GroupCommand(d.u16())}
	m.Group.Type = GroupType(d.u8())
	d.skip(1)
	m.Group.ID = d.u32()
	m.Group.Buckets = d.buckets(len(d.b))
	return m
}

func (d *decoder) buckets(n int) (buckets []Bucket) {
	s := d.sub(n, "bucket", OFPGMFC_BAD_BUCKET)
	for s.more() {
		size := int(s.u16())
		if s.err == nil && size < 16 {
			s.fail(OFPBRC_BAD_LEN)
			break
		}
		body := s.sub(size-2, "bucket", OFPGMFC_BAD_BUCKET)
		k := Bucket{Weight: body.u16(), WatchPort: zeroIfAny(body.u32()), WatchGroup: zeroIfAny(body.u32())}
		body.skip(4)
		k.Actions = body.actions(len(body.b))
		s.done(&body)
		buckets = append(buckets, k)
	}
	d.done(&s)
	return buckets
}

func (d *decoder) bands(n int) (bands []MeterBand) {
	s := d.sub(n, "band", OFPMMFC_BAD_BAND)
	for s.more() {
		k := MeterBand{Type: s.u16()}
		if size := s.u16(); s.err == nil && size != 16 {
			s.fail(OFPBRC_BAD_LEN)
			break
		}
		k.Rate, k.Burst, k.Prec = s.u32(), s.u32(), s.u8()
		s.skip(3)
		bands = append(bands, k)
	}
	d.done(&s)
	return bands
}

func (d *decoder) packetIn() Message {
	p := PacketIn{BufferID: d.u32(), TotalLen: d.u16(), Reason: d.u8(), Table: Table(d.u8()), Cookie: d.u64()}
	p.Match = d.match()
	d.skip(2)
	p.Data = d.rest()
	return p
}

func (d *decoder) packetOut() Message {
	d.skip(4)
	p := PacketOut{InPort: d.u32()}
	n := int(d.u16())
	d.skip(6)
	p.Actions = d.actions(n)
	p.Data = d.rest()
	return p
}

func (d *decoder) experimenter() Message {
	whole := d.b
	id, subtype := d.u32(), d.u32()
	switch {
	case id == onf && subtype == onfBundleControl:
		return BundleControl{d.u32(), BundleControlType(d.u16()), d.u16()}
	case id == onf && subtype == onfBundleAdd:
		add := BundleAdd{ID: d.u32()}
		d.skip(2)
		add.Flags = d.u16()
		var err error
		if add.XID, add.Message, err = decodeInner(d.bytes(len(d.b))); err != nil {
			d.fail(err)
		}
		return add
	case id == nicira && subtype == nxCTFlushZone:
		d.skip(6)
		return CTFlushZone{d.u16()}
	}
	d.b = nil
	return Unknown{typeExperimenter, slices.Clone(whole)}
}

// decodeInner reads a message inside a bundle. A bundle in a bundle would let a short
// message nest without end, and means nothing.
func decodeInner(b []byte) (uint32, Message, error) {
	if len(b) >= HeaderLen && b[1] == typeExperimenter {
		return 0, nil, fmt.Errorf("experimenter message in a bundle")
	}
	if len(b) >= HeaderLen { // the member may be followed by properties
		n := int(be.Uint16(b[2:]))
		if n >= HeaderLen && n <= len(b) {
			b = b[:n]
		}
	}
	return Decode(b)
}
