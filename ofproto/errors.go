package ofproto

import "fmt"

// An Error is what a switch answers to a message that it does not take (OpenFlow 1.3,
// A.4.4). It satisfies error, and wraps its ErrorCode if it has one.
type Error struct {
	XID          uint32 // of the message that failed
	Experimenter uint32 // of an experimenter error, whose Type is 0xffff; else zero
	Type         uint16 // OFPET_*
	Code         uint16 // of an experimenter error its exp_type
	Data         []byte // the failed message, or its beginning
}

// ErrorCode returns which error e is, or zero if its numbers have no name.
func (e *Error) ErrorCode() ErrorCode {
	return errorCodes[errorWire{encodable: true, experimenter: e.Experimenter, typ: e.Type, code: e.Code}]
}

// Error returns the name of the error as Open vSwitch has it: "OFPFMFC_TABLE_FULL".
func (e *Error) Error() string {
	if c := e.ErrorCode(); c != 0 {
		return c.Error()
	}
	if e.Experimenter != 0 {
		return fmt.Sprintf("OpenFlow error of experimenter %#x, type %d", e.Experimenter, e.Code)
	}
	return fmt.Sprintf("OpenFlow error type %d code %d", e.Type, e.Code)
}

// Unwrap returns the ErrorCode, or nil.
func (e *Error) Unwrap() error {
	if c := e.ErrorCode(); c != 0 {
		return c
	}
	return nil
}

// ErrorOf returns the message with which a switch says code of the message whose xid and
// bytes are given. OpenFlow wants at least the first 64 of these repeated; Open vSwitch
// repeats all that there is room for. A code that OpenFlow 1.3 has no
// number for becomes NXBRC_UNENCODABLE_ERROR.
func ErrorOf(code ErrorCode, xid uint32, failed []byte) *Error {
	if code >= numErrorCodes || !errorTable[code].encodable {
		code = NXBRC_UNENCODABLE_ERROR
	}
	w := errorTable[code]
	return &Error{XID: xid, Experimenter: w.experimenter, Type: w.typ, Code: w.code, Data: failed[:min(len(failed), MaxMessage-maxErrorHeader)]}
}

// maxErrorHeader is the length of what stands before the failed message in an error, at most.
const maxErrorHeader = HeaderLen + 8
