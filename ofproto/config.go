package ofproto

type (
	// FeaturesRequest asks for a FeaturesReply.
	FeaturesRequest struct{}
	// FeaturesReply says who the switch is (A.3.1).
	FeaturesReply struct {
		DatapathID   uint64
		Buffers      uint32 // packets that the switch can keep
		Tables       uint8
		AuxiliaryID  uint8
		Capabilities Capabilities
	}

	// GetConfigRequest asks for a GetConfigReply.
	GetConfigRequest struct{}
	// GetConfigReply is what SetConfig has set (A.3.2).
	GetConfigReply struct {
		Flags       ConfigFlags
		MissSendLen uint16
	}

	// SetConfig sets how fragments are handled and how much of a packet is sent to the
	// controller (A.3.2).
	SetConfig struct {
		Flags       ConfigFlags
		MissSendLen uint16 // bytes of a packet that matched nothing; 0xffff: all
	}
)

// Capabilities are the OFPC_* bits of a FeaturesReply.
type Capabilities uint32

// The capabilities of OpenFlow 1.3, A.3.1.
const (
	FlowCounters       Capabilities = 1 << 0 // OFPC_FLOW_STATS
	TableCounters      Capabilities = 1 << 1 // OFPC_TABLE_STATS
	PortCounters       Capabilities = 1 << 2 // OFPC_PORT_STATS
	GroupCounters      Capabilities = 1 << 3 // OFPC_GROUP_STATS
	ReassemblesIP      Capabilities = 1 << 5 // OFPC_IP_REASM
	QueueCounters      Capabilities = 1 << 6 // OFPC_QUEUE_STATS
	BlocksLoopingPorts Capabilities = 1 << 8 // OFPC_PORT_BLOCKED
)

// ConfigFlags are OFPC_FRAG_*: what is done with IP fragments.
type ConfigFlags uint16

// The ways to handle fragments. FragNXMatch is Open vSwitch's: fragments keep their ports
// where they have them.
const (
	FragNormal  ConfigFlags = 0 // OFPC_FRAG_NORMAL
	FragDrop    ConfigFlags = 1 // OFPC_FRAG_DROP
	FragReasm   ConfigFlags = 2 // OFPC_FRAG_REASM
	FragNXMatch ConfigFlags = 3 // OFPC_FRAG_NX_MATCH
)

func (FeaturesRequest) messageType() uint8  { return typeFeaturesRequest }
func (FeaturesReply) messageType() uint8    { return typeFeaturesReply }
func (GetConfigRequest) messageType() uint8 { return typeGetConfigRequest }
func (GetConfigReply) messageType() uint8   { return typeGetConfigReply }
func (SetConfig) messageType() uint8        { return typeSetConfig }

func (FeaturesRequest) appendBody(b []byte) ([]byte, error)  { return b, nil }
func (GetConfigRequest) appendBody(b []byte) ([]byte, error) { return b, nil }

func (m FeaturesReply) appendBody(b []byte) ([]byte, error) {
	b = be.AppendUint32(be.AppendUint64(b, m.DatapathID), m.Buffers)
	b = append(b, m.Tables, m.AuxiliaryID, 0, 0)
	return be.AppendUint32(be.AppendUint32(b, uint32(m.Capabilities)), 0), nil
}

func (m GetConfigReply) appendBody(b []byte) ([]byte, error) { return SetConfig(m).appendBody(b) }

func (m SetConfig) appendBody(b []byte) ([]byte, error) {
	return be.AppendUint16(be.AppendUint16(b, uint16(m.Flags)), m.MissSendLen), nil
}

func (d *decoder) features() FeaturesReply {
	f := FeaturesReply{DatapathID: d.u64(), Buffers: d.u32(), Tables: d.u8(), AuxiliaryID: d.u8()}
	d.skip(2)
	f.Capabilities = Capabilities(d.u32())
	d.skip(4)
	return f
}

func (d *decoder) config() SetConfig { return SetConfig{ConfigFlags(d.u16()), d.u16()} }

// refuseFlags refuses to set flags that OpenFlow 1.3 does not have.
func (d *decoder) refuseFlags() {
	if ConfigFlags(d.peek16())&^FragNXMatch != 0 {
		d.refuse(OFPSCFC_BAD_FLAGS)
	}
}

func init() {
	onMessage(openflowMessage, typeFeaturesRequest, messageForm{name: "FEATURES_REQUEST",
		read: func(*decoder, head) Message { return FeaturesRequest{} }})
	onMessage(openflowMessage, typeFeaturesReply, messageForm{name: "FEATURES_REPLY", print: (*printer).features, least: 24,
		read: func(d *decoder, _ head) Message { return d.features() }})
	onMessage(openflowMessage, typeGetConfigRequest, messageForm{name: "GET_CONFIG_REQUEST",
		read: func(*decoder, head) Message { return GetConfigRequest{} }})
	onMessage(openflowMessage, typeGetConfigReply, messageForm{name: "GET_CONFIG_REPLY", print: (*printer).config, least: 4,
		read: func(d *decoder, _ head) Message { return GetConfigReply(d.config()) }})
	onMessage(openflowMessage, typeSetConfig, messageForm{name: "SET_CONFIG", print: (*printer).setConfig, least: 4,
		read: func(d *decoder, _ head) Message {
			d.refuseFlags()
			return d.config()
		}})
}
