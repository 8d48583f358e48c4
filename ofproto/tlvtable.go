package ofproto

type (
	// TLVTableMod says which options of tunnels are tun_metadata fields (NXT_TLV_TABLE_MOD).
	TLVTableMod struct {
		Command TLVCommand
		Maps    []TLVMap
	}
	// TLVTableRequest asks for a TLVTableReply.
	TLVTableRequest struct{}
	// TLVTableReply says which options are mapped, and how many can be (NXT_TLV_TABLE_REPLY).
	TLVTableReply struct {
		MaxSpace  uint32 // bytes of options in all
		MaxFields uint16
		Maps      []TLVMap
	}
)

// TLVCommand is NXTTMC_*.
type TLVCommand uint16

// The commands of a TLVTableMod.
const (
	TLVAdd TLVCommand = iota
	TLVDelete
	TLVClear // all of them
)

// A TLVMap maps an option of tunnels to a field: tun_metadata0 and so on.
type TLVMap struct {
	Class uint16
	Type  uint8
	Len   uint8  // of the option's data in bytes: a multiple of 4, up to 124
	Index uint16 // of the field
}

// Subtypes of experimenter messages about the TLV table.
const (
	nxTLVTableMod     = 24
	nxTLVTableRequest = 25
	nxTLVTableReply   = 26
)

func (TLVTableMod) messageType() uint8     { return typeExperimenter }
func (TLVTableRequest) messageType() uint8 { return typeExperimenter }
func (TLVTableReply) messageType() uint8   { return typeExperimenter }

func (m TLVTableMod) appendBody(b []byte) ([]byte, error) {
	b = be.AppendUint16(appendExperimenter(b, nicira, nxTLVTableMod), uint16(m.Command))
	return appendTLVMaps(append(b, 0, 0, 0, 0, 0, 0), m.Maps), nil
}

func (m TLVTableRequest) appendBody(b []byte) ([]byte, error) {
	return appendExperimenter(b, nicira, nxTLVTableRequest), nil
}

func (m TLVTableReply) appendBody(b []byte) ([]byte, error) {
	b = be.AppendUint32(appendExperimenter(b, nicira, nxTLVTableReply), m.MaxSpace)
	b = append(be.AppendUint16(b, m.MaxFields), make([]byte, 10)...)
	return appendTLVMaps(b, m.Maps), nil
}

func appendTLVMaps(b []byte, maps []TLVMap) []byte {
	for _, m := range maps {
		b = append(be.AppendUint16(b, m.Class), m.Type, m.Len)
		b = append(be.AppendUint16(b, m.Index), 0, 0)
	}
	return b
}

// tunMetadataFields is how many tun_metadata fields there are.
const tunMetadataFields = 64

func (d *decoder) tlvTableMod() (m TLVTableMod) {
	m.Command = TLVCommand(d.u16())
	d.skip(6)
	if m.Command > TLVClear {
		d.refuse(NXTTMFC_BAD_COMMAND)
	}
	m.Maps = d.tlvMaps(tunMetadataFields)
	return m
}

func (d *decoder) tlvTableReply() (m TLVTableReply) {
	m.MaxSpace, m.MaxFields = d.u32(), d.u16()
	d.skip(10)
	m.Maps = d.tlvMaps(m.MaxFields)
	return m
}

// tlvMaps reads mappings to the end of d, of fields below a number.
func (d *decoder) tlvMaps(fields uint16) (maps []TLVMap) {
	for d.more() {
		m := TLVMap{Class: d.u16(), Type: d.u8(), Len: d.u8(), Index: d.u16()}
		d.skip(2)
		switch {
		case m.Len%4 != 0 || m.Len > 124:
			d.refuse(NXTTMFC_BAD_OPT_LEN)
		case m.Index >= fields:
			d.refuse(NXTTMFC_BAD_FIELD_IDX)
		}
		maps = append(maps, m)
	}
	return maps
}

func init() {
	onMessage(niciraMessage, nxTLVTableMod, messageForm{name: "TLV_TABLE_MOD", print: (*printer).tlvTableMod, least: 8, unit: 8,
		read: func(d *decoder, _ head) Message { return d.tlvTableMod() }})
	onMessage(niciraMessage, nxTLVTableRequest, messageForm{name: "TLV_TABLE_REQUEST",
		read: func(*decoder, head) Message { return TLVTableRequest{} }})
	onMessage(niciraMessage, nxTLVTableReply, messageForm{name: "TLV_TABLE_REPLY", print: (*printer).tlvTableReply, least: 16, unit: 8,
		read: func(d *decoder, _ head) Message { return d.tlvTableReply() }})
}
