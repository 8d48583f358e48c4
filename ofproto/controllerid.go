package ofproto

// SetControllerID names this session, so that controller actions can choose it
// (NXT_SET_CONTROLLER_ID). A session begins with 0.
type SetControllerID struct{ ID uint16 }

// RequestForward says that another controller has changed a group or a meter
// (ONFT_REQUESTFORWARD, ONF extension 350). Request is a GroupMod or a MeterMod.
type RequestForward struct {
	XID     uint32 // of the request
	Request Message
}

const (
	nxSetControllerID = 20
	onfRequestForward = 2350
)

func (SetControllerID) messageType() uint8 { return typeExperimenter }
func (RequestForward) messageType() uint8  { return typeExperimenter }

func (m SetControllerID) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, nicira, nxSetControllerID)
	return be.AppendUint16(append(b, 0, 0, 0, 0, 0, 0), m.ID), nil
}

func (m RequestForward) appendBody(b []byte) ([]byte, error) {
	return Append(appendExperimenter(b, onf, onfRequestForward), m.XID, m.Request)
}

// forwarded returns the message in a RequestForward.
func (d *decoder) forwarded() []byte {
	n := 0
	if len(d.b) >= HeaderLen {
		n = int(be.Uint16(d.b[2:]))
	}
	if n < HeaderLen || n > len(d.b) {
		d.fail(OFPBFC_MSG_BAD_LEN)
		return nil
	}
	b := d.bytes(n)
	if b[0] != Version {
		d.fail(OFPBRC_BAD_VERSION)
		return nil
	}
	if _, _, err := form(b); err != nil {
		d.fail(err)
		return nil
	}
	if b[1] != typeGroupMod && b[1] != typeMeterMod {
		d.fail(OFPBFC_MSG_UNSUP)
		return nil
	}
	return b
}

func (d *decoder) requestForward() (m RequestForward) {
	b := d.forwarded()
	if d.err != nil {
		return m
	}
	var err error
	if m.XID, m.Request, err = decode(b, d.strict); err != nil {
		d.fail(err)
	}
	return m
}

func init() {
	onMessage(niciraMessage, nxSetControllerID, messageForm{name: "SET_CONTROLLER_ID", print: (*printer).controllerID, least: 8,
		read: func(d *decoder, _ head) Message {
			d.skip(6)
			return SetControllerID{d.u16()}
		}})
	onMessage(onfMessage, onfRequestForward, messageForm{name: "REQUESTFORWARD", print: (*printer).requestForward, least: 8, unit: 8,
		read: func(d *decoder, _ head) Message { return d.requestForward() }})
}
