package ofproto

// An AsyncConfig says which messages a switch sends without being asked: for each kind of
// message the reasons (bit N: reason N) for which it is sent.
type AsyncConfig struct {
	Primary   AsyncReasons // for a controller that is primary or equal
	Secondary AsyncReasons
}

// AsyncReasons are the reasons for which messages are sent, as bits.
type AsyncReasons struct {
	PacketIn, PortStatus, FlowRemoved       uint32
	RoleStatus, TableStatus, RequestForward uint32 // not in GetAsyncReply, SetAsync and NXSetAsync
}

type (
	// GetAsyncRequest asks for a GetAsyncReply (A.3.10).
	GetAsyncRequest struct{}
	// GetAsyncReply says which messages are sent without being asked.
	GetAsyncReply struct{ AsyncConfig }
	// SetAsync sets it.
	SetAsync struct{ AsyncConfig }
	// NXSetAsync is Open vSwitch's SetAsync for earlier versions (NXT_SET_ASYNC_CONFIG),
	// which it takes in 1.3 too.
	NXSetAsync struct{ AsyncConfig }
	// NXSetAsync2 sets the kinds of messages that it names, and leaves the others
	// (NXT_SET_ASYNC_CONFIG2).
	NXSetAsync2 struct{ Masks []AsyncMask }
)

// An AsyncMask sets the reasons of one kind of message: OFPACPT_* of OpenFlow 1.4.
type AsyncMask struct {
	// Type is 0 for packet-in, 2 port-status, 4 flow-removed, 6 role-status, 8 table-status,
	// 10 request-forward, each for a secondary; one more is for a primary.
	Type uint16
	Mask uint32
}

// Subtypes of experimenter messages about asynchronous messages.
const (
	nxSetAsync  = 19
	nxSetAsync2 = 27
)

func (GetAsyncRequest) messageType() uint8 { return typeGetAsyncRequest }
func (GetAsyncReply) messageType() uint8   { return typeGetAsyncReply }
func (SetAsync) messageType() uint8        { return typeSetAsync }
func (NXSetAsync) messageType() uint8      { return typeExperimenter }
func (NXSetAsync2) messageType() uint8     { return typeExperimenter }

func (GetAsyncRequest) appendBody(b []byte) ([]byte, error) { return b, nil }
func (m GetAsyncReply) appendBody(b []byte) ([]byte, error) {
	return appendAsync(b, m.AsyncConfig), nil
}
func (m SetAsync) appendBody(b []byte) ([]byte, error) { return appendAsync(b, m.AsyncConfig), nil }

func (m NXSetAsync) appendBody(b []byte) ([]byte, error) {
	return appendAsync(appendExperimenter(b, nicira, nxSetAsync), m.AsyncConfig), nil
}

func (m NXSetAsync2) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, nicira, nxSetAsync2)
	for _, k := range m.Masks {
		b = be.AppendUint32(be.AppendUint16(be.AppendUint16(b, k.Type), 8), k.Mask)
	}
	return b, nil
}

func appendAsync(b []byte, c AsyncConfig) []byte {
	b = be.AppendUint32(be.AppendUint32(b, c.Primary.PacketIn), c.Secondary.PacketIn)
	b = be.AppendUint32(be.AppendUint32(b, c.Primary.PortStatus), c.Secondary.PortStatus)
	return be.AppendUint32(be.AppendUint32(b, c.Primary.FlowRemoved), c.Secondary.FlowRemoved)
}

// The reasons that there are, as bits, by half the Type of an AsyncMask.
var asyncAllowed = [...]uint32{0x7, 0x7, 0x3f, 0x7, 0x18, 0x3}

// async reads masks of which Open vSwitch takes the bits that it knows.
func (d *decoder) async() (c AsyncConfig) {
	for i := range uint16(3) {
		for _, typ := range []uint16{2*i + 1, 2 * i} {
			c.Set(AsyncMask{typ, d.u32() & asyncAllowed[i]})
		}
	}
	return c
}

// Set sets the reasons of one kind of message; one of a kind that is not known changes nothing.
func (c *AsyncConfig) Set(m AsyncMask) {
	r := &c.Secondary
	if m.Type&1 == 1 {
		r = &c.Primary
	}
	kinds := [...]*uint32{&r.PacketIn, &r.PortStatus, &r.FlowRemoved, &r.RoleStatus, &r.TableStatus, &r.RequestForward}
	if i := int(m.Type / 2); i < len(kinds) {
		*kinds[i] = m.Mask
	}
}

// asyncMasks reads the properties of an NXSetAsync2.
func (d *decoder) asyncMasks() (m NXSetAsync2) {
	for d.more() {
		p, typ := d.property(0xfffe)
		switch {
		case d.err != nil:
		case typ > 0xffff:
			d.refuse(OFPBPC_BAD_EXP_TYPE)
		case int(typ/2) >= len(asyncAllowed):
			d.refuse(OFPACFC_UNSUPPORTED)
		case len(p.b) != 4:
			d.fail(OFPBPC_BAD_LEN)
		default:
			k := AsyncMask{uint16(typ), p.u32()}
			if k.Mask&^asyncAllowed[typ/2] != 0 {
				d.refuse(OFPACFC_INVALID)
			}
			m.Masks = append(m.Masks, k)
		}
	}
	return m
}

func init() {
	onMessage(openflowMessage, typeGetAsyncRequest, messageForm{name: "GET_ASYNC_REQUEST",
		read: func(*decoder, head) Message { return GetAsyncRequest{} }})
	onMessage(openflowMessage, typeGetAsyncReply, messageForm{name: "GET_ASYNC_REPLY", print: (*printer).async, least: 24,
		read: func(d *decoder, _ head) Message { return GetAsyncReply{d.async()} }})
	onMessage(openflowMessage, typeSetAsync, messageForm{name: "SET_ASYNC", print: (*printer).async, least: 24,
		read: func(d *decoder, _ head) Message { return SetAsync{d.async()} }})
	onMessage(niciraMessage, nxSetAsync, messageForm{name: "SET_ASYNC_CONFIG", print: (*printer).async, least: 24,
		read: func(d *decoder, _ head) Message { return NXSetAsync{d.async()} }})
	onMessage(niciraMessage, nxSetAsync2, messageForm{name: "SET_ASYNC_CONFIG2", print: (*printer).asyncMasks, unit: 8,
		read: func(d *decoder, _ head) Message { return d.asyncMasks() }})
}
