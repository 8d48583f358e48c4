package ofproto

import (
	"errors"
	"fmt"
	"slices"
)

// Version is OpenFlow 1.3 on the wire.
const Version = 4

// HeaderLen is the length of the header of every message.
const HeaderLen = 8

// MaxMessage is the length of the longest message; the header has two bytes for it.
const MaxMessage = 0xffff

// A Message is one OpenFlow 1.3 message without its header. The set is closed; a
// message that the codec does not know is kept as Unknown.
type Message interface {
	messageType() uint8
	appendBody(b []byte) ([]byte, error) // what stands behind the header
}

// Message types of OpenFlow 1.3, A.1.
const (
	typeHello             = 0
	typeError             = 1
	typeEchoRequest       = 2
	typeEchoReply         = 3
	typeExperimenter      = 4
	typeFeaturesRequest   = 5
	typeFeaturesReply     = 6
	typeGetConfigRequest  = 7
	typeGetConfigReply    = 8
	typeSetConfig         = 9
	typePacketIn          = 10
	typeFlowRemoved       = 11
	typePortStatus        = 12
	typePacketOut         = 13
	typeFlowMod           = 14
	typeGroupMod          = 15
	typePortMod           = 16
	typeTableMod          = 17
	typeMultipartRequest  = 18
	typeMultipartReply    = 19
	typeBarrierRequest    = 20
	typeBarrierReply      = 21
	typeQueueConfigAsk    = 22
	typeQueueConfigAnswer = 23
	typeRoleRequest       = 24
	typeRoleReply         = 25
	typeGetAsyncRequest   = 26
	typeGetAsyncReply     = 27
	typeSetAsync          = 28
	typeMeterMod          = 29
)

// kind says how the number of a message is to be understood.
type kind uint8

const (
	openflowMessage kind = iota // OFPT_*: the type in the header
	niciraMessage               // NXT_*: the subtype in an experimenter message
	onfMessage                  // ONFT_*
	multipartAsk                // OFPMP_*: the type in a multipart request
	multipartAnswer
	niciraAsk // NXST_*: the subtype in an experimenter multipart request
	niciraAnswer
	onfAsk // ONFST_*
	onfAnswer
	numKinds
)

// headerLens are the bytes before the body, which for an experimenter has its id and
// subtype, and for a multipart its type and flags.
var headerLens = [numKinds]int{8, 16, 16, 16, 16, 24, 24, 24, 24}

// A head is what the headers say beside what kind of message it is.
type head struct {
	version uint8
	xid     uint32
	flags   uint16 // of a multipart message
	whole   []byte
}

// more is the flag of a multipart message that is not the last.
const more = 1

// A messageForm is one kind of message: its name, which lengths it may have, and how it
// is read and printed. Each message puts its own beside its code.
type messageForm struct {
	name  string                         // "FLOW_MOD", without the prefix of its kind
	least int                            // length of the body
	unit  int                            // it may be longer by multiples of; zero: it may not
	read  func(*decoder, head) Message   // the body; nil: see multipart
	print func(*printer, *decoder, head) // the body, read strictly; nil: nothing to say
}

// nearForms has the forms of messages by kind and number; farForms those whose numbers are
// large, which are all of the ONF.
var (
	nearForms [numKinds][40]*messageForm
	farForms  = map[uint32]*messageForm{}
)

// onMessage says how a message is read.
func onMessage(k kind, number uint32, f messageForm) {
	f.name = namePrefixes[k] + f.name + nameSuffixes[k]
	if number < uint32(len(nearForms[k])) {
		nearForms[k][number] = &f
	} else {
		farForms[uint32(k)<<16|number] = &f
	}
}

// messageFormOf returns the form of a message; nil if it is not known.
func messageFormOf(k kind, number uint32) *messageForm {
	switch {
	case number < uint32(len(nearForms[k])):
		return nearForms[k][number]
	case number > 0xffff:
		return nil
	}
	return farForms[uint32(k)<<16|number]
}

var namePrefixes = [numKinds]string{"OFPT_", "NXT_", "ONFT_", "OFPST_", "OFPST_", "NXST_", "NXST_", "ONFST_", "ONFST_"}

var nameSuffixes = [numKinds]string{"", "", "", " request", " reply", " request", " reply", " request", " reply"}

// Unknown is a message that the codec does not know.
type Unknown struct {
	Type uint8
	Body []byte
}

func (m Unknown) messageType() uint8                  { return m.Type }
func (m Unknown) appendBody(b []byte) ([]byte, error) { return append(b, m.Body...), nil }

// Append appends a message with its header. A message longer than MaxMessage is an
// error: it would cut the connection.
func Append(b []byte, xid uint32, m Message) ([]byte, error) {
	start := len(b)
	b = append(b, Version, 0, 0, 0, byte(xid>>24), byte(xid>>16), byte(xid>>8), byte(xid))
	b, typ, err := appendContent(b, m)
	if err != nil {
		return b[:start], err
	}
	b[start+1] = typ
	if h, ok := m.(Hello); ok {
		b[start] = h.version()
	}
	if err := setLen(b, start, 2); err != nil {
		return b[:start], fmt.Errorf("%T: %w", m, err)
	}
	return b, nil
}

// appendContent appends what stands behind the header, and returns the type.
func appendContent(b []byte, m Message) ([]byte, uint8, error) {
	switch m := m.(type) {
	case FlowMod: // most of what is sent, and large: each call of a method would copy it
		b, err := m.append(b)
		return b, typeFlowMod, err
	}
	b, err := m.appendBody(b)
	return b, m.messageType(), err
}

// appendExperimenter appends the header of an experimenter message.
func appendExperimenter(b []byte, id, subtype uint32) []byte {
	return be.AppendUint32(be.AppendUint32(b, id), subtype)
}

// Decode reads one whole message, as a controller does that must live with what switches
// say: a message that it does not know is Unknown, a part of a flow is Raw. What is
// damaged is an error. The message does not keep b.
func Decode(b []byte) (xid uint32, m Message, err error) { return decode(b, false) }

// DecodeStrict reads one whole message, as Open vSwitch 3.1 does: what that refuses is an
// error, with the same ErrorCode. The bodies of multipart messages are left for the
// functions that decode them.
func DecodeStrict(b []byte) (xid uint32, m Message, err error) { return decode(b, true) }

func decode(b []byte, strict bool) (xid uint32, m Message, err error) {
	d := decoder{b: b, what: "message", short: OFPBRC_BAD_LEN, strict: strict}
	version, typ, n := d.u8(), d.u8(), int(d.u16())
	xid = d.u32()
	if d.err != nil {
		return 0, nil, d.err
	}
	if n != len(b) {
		return xid, nil, fmt.Errorf("message of %d bytes says %d: %w", len(b), n, OFPBRC_BAD_LEN)
	}
	if err := versionError(b); err != nil {
		return xid, nil, err
	}
	f, k, err := form(b)
	if err != nil {
		if strict || errors.Is(err, OFPBRC_BAD_LEN) {
			return xid, nil, err
		}
		return xid, Unknown{typ, d.rest()}, nil
	}
	h := head{version: version, xid: xid, whole: b}
	if k >= multipartAsk {
		h.flags = be.Uint16(b[10:])
	}
	if f.read == nil {
		return xid, multipart(b), nil
	}
	d.skip(headerLens[k] - HeaderLen)
	m = f.read(&d, h)
	return xid, m, d.err
}

// form returns the form of a message whose header is whole, and checks its length.
func form(b []byte) (*messageForm, kind, error) {
	k, number, err := numberOf(b)
	if err != nil {
		return nil, k, err
	}
	f := messageFormOf(k, number)
	if f == nil {
		return nil, k, fmt.Errorf("message type %d: %w", b[1], unknownMessage[k])
	}
	n := len(b) - headerLens[k] - f.least
	if n < 0 || f.unit == 0 && n != 0 || f.unit > 1 && n%f.unit != 0 {
		return nil, k, fmt.Errorf("%s of %d bytes: %w", f.name, len(b), OFPBRC_BAD_LEN)
	}
	return f, k, nil
}

// unknownMessage are the errors for a number that is not known.
var unknownMessage = [numKinds]ErrorCode{
	OFPBRC_BAD_TYPE, OFPBRC_BAD_SUBTYPE, OFPBRC_BAD_SUBTYPE, OFPBRC_BAD_STAT, OFPBRC_BAD_STAT,
	OFPBRC_BAD_SUBTYPE, OFPBRC_BAD_SUBTYPE, OFPBRC_BAD_SUBTYPE, OFPBRC_BAD_SUBTYPE,
}

// numberOf returns what kind of message b is, and its number.
func numberOf(b []byte) (kind, uint32, error) {
	switch typ := b[1]; typ {
	case typeExperimenter:
		return experimenterNumber(b, 8, niciraMessage, onfMessage)
	case typeMultipartRequest, typeMultipartReply:
		if len(b) < 16 {
			return 0, 0, fmt.Errorf("multipart of %d bytes: %w", len(b), OFPBRC_BAD_LEN)
		}
		answer := kind(typ - typeMultipartRequest)
		if t := be.Uint16(b[8:]); MultipartType(t) != MultipartExperimenter {
			return multipartAsk + answer, uint32(t), nil
		}
		return experimenterNumber(b, 16, niciraAsk+answer, onfAsk+answer)
	default:
		return openflowMessage, uint32(typ), nil
	}
}

// experimenterNumber reads the experimenter and subtype at b[at:].
func experimenterNumber(b []byte, at int, ofNicira, ofONF kind) (kind, uint32, error) {
	if len(b) < at+8 {
		return 0, 0, fmt.Errorf("experimenter message of %d bytes: %w", len(b), OFPBRC_BAD_LEN)
	}
	subtype := be.Uint32(b[at+4:])
	switch id := be.Uint32(b[at:]); id {
	case nicira:
		return ofNicira, subtype, nil
	case onf:
		return ofONF, subtype, nil
	default:
		return 0, 0, fmt.Errorf("experimenter %#x: %w", id, OFPBRC_BAD_VENDOR)
	}
}

func (d *decoder) rest() []byte { return slices.Clone(d.bytes(len(d.b))) }

// Rejected says which flow, group or meter of a Plan a switch refused, and why. At
// most one of Flow, Group and Meter is set.
type Rejected struct {
	Flow  *Flow
	Group *Group
	Meter *MeterConfig
	Err   error // an *Error
}

// Error names what was refused, and why.
func (r *Rejected) Error() string {
	switch {
	case r.Flow != nil:
		return fmt.Sprintf("%v: flow %v", r.Err, r.Flow)
	case r.Group != nil:
		return fmt.Sprintf("%v: group %v", r.Err, r.Group)
	case r.Meter != nil:
		return fmt.Sprintf("%v: meter %d", r.Err, r.Meter.ID)
	}
	return r.Err.Error()
}

// Unwrap returns the *Error.
func (r *Rejected) Unwrap() error { return r.Err }
