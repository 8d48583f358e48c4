package ofproto

import "fmt"

type (
	// BundleControl opens, closes, commits or discards a bundle (ONF extension 230).
	BundleControl struct {
		ID    uint32
		Type  BundleControlType
		Flags BundleFlags
	}

	// BundleAdd adds a message to a bundle.
	BundleAdd struct {
		ID      uint32
		Flags   BundleFlags
		XID     uint32 // of the message; the BundleAdd has to have the same one
		Message Message
	}
)

// BundleControlType is ONF_BCT_*: even numbers ask, odd ones answer.
type BundleControlType uint16

// The types of a BundleControl.
const (
	BundleOpen BundleControlType = iota
	BundleOpened
	BundleClose
	BundleClosed
	BundleCommit
	BundleCommitted
	BundleDiscard
	BundleDiscarded
)

// BundleFlags are ONF_BF_*.
type BundleFlags uint16

// The flags of a bundle: all or nothing, and in the order in which it was filled.
const (
	BundleAtomic  BundleFlags = 1
	BundleOrdered BundleFlags = 2
)

// Subtypes of experimenter messages about bundles.
const (
	onfBundleControl = 2300
	onfBundleAdd     = 2301
)

func (BundleControl) messageType() uint8 { return typeExperimenter }
func (BundleAdd) messageType() uint8     { return typeExperimenter }

func (m BundleControl) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, onf, onfBundleControl)
	b = be.AppendUint16(be.AppendUint32(b, m.ID), uint16(m.Type))
	return be.AppendUint16(b, uint16(m.Flags)), nil
}

func (m BundleAdd) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, onf, onfBundleAdd)
	b = be.AppendUint16(append(be.AppendUint32(b, m.ID), 0, 0), uint16(m.Flags))
	return Append(b, m.XID, m.Message)
}

func (d *decoder) bundleControl() BundleControl {
	m := BundleControl{d.u32(), BundleControlType(d.u16()), BundleFlags(d.u16())}
	d.skip(len(d.b)) // properties
	return m
}

// bundleAdd reads a message with the message in it. What may be in a bundle, and what may
// not, Open vSwitch says before it looks into it.
func (d *decoder) bundleAdd(h head) Message {
	m := BundleAdd{ID: d.u32()}
	d.skip(2)
	m.Flags = BundleFlags(d.u16())
	inner := d.member(h)
	if d.err != nil {
		return m
	}
	var err error
	if m.XID, m.Message, err = decode(inner, d.strict); err != nil {
		d.fail(err)
	}
	return m
}

// member returns the message in a bundle, whose kind and length are right. It may be
// followed by properties. A bundle in a bundle would let a short message nest without end,
// and means nothing.
func (d *decoder) member(h head) []byte {
	if d.err != nil {
		return nil
	}
	if len(d.b) < HeaderLen {
		d.fail(OFPBFC_MSG_BAD_LEN)
		return nil
	}
	n := int(be.Uint16(d.b[2:]))
	switch {
	case d.b[0] != h.version:
		d.fail(OFPBFC_BAD_VERSION)
	case n < HeaderLen || n > len(d.b):
		d.fail(OFPBFC_MSG_BAD_LEN)
	case be.Uint32(d.b[4:]) != h.xid:
		d.fail(OFPBFC_MSG_BAD_XID)
	default:
		if err := bundlable(d.b[:n]); err != nil {
			d.fail(err)
			return nil
		}
		return d.b[:n]
	}
	return nil
}

// bundlable reports whether b may be in a bundle of Open vSwitch 3.1.
func bundlable(b []byte) error {
	f, k, err := form(b)
	if err != nil {
		return fmt.Errorf("%w: %v", OFPBFC_MSG_UNSUP, err)
	}
	switch b[1] {
	case typePortMod, typeFlowMod, typeGroupMod, typePacketOut:
		return nil
	}
	if k == niciraMessage && be.Uint32(b[12:]) == nxFlowMod {
		return nil
	}
	return fmt.Errorf("%w: %s", OFPBFC_MSG_UNSUP, f.name)
}

func init() {
	onMessage(onfMessage, onfBundleControl, messageForm{name: "BUNDLE_CONTROL", print: (*printer).bundleControl, least: 8, unit: 8,
		read: func(d *decoder, _ head) Message { return d.bundleControl() }})
	onMessage(onfMessage, onfBundleAdd, messageForm{name: "BUNDLE_ADD_MESSAGE", print: (*printer).bundleAdd, least: 8, unit: 1,
		read: (*decoder).bundleAdd})
}
