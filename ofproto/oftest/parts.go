package oftest

import (
	"encoding/binary"

	"weir/ofproto"
)

// parts returns a multipart message in as many parts as it needs, whole entries in each
// (OpenFlow 1.3, A.3.5). empty is it without an entry.
func parts(xid uint32, empty ofproto.Message, entries [][]byte) (frames [][]byte) {
	head := encode(xid, empty)
	part := append([]byte(nil), head...)
	for _, e := range entries {
		if len(part)+len(e) > ofproto.MaxMessage {
			frames = append(frames, finished(part, true))
			part = append([]byte(nil), head...)
		}
		part = append(part, e...)
	}
	return append(frames, finished(part, false))
}

// finished writes the length of a part into it, and whether there are more.
func finished(part []byte, more bool) []byte {
	binary.BigEndian.PutUint16(part[2:], uint16(len(part)))
	if more {
		part[11] |= 1 // OFPMPF_REPLY_MORE
	}
	return part
}

// replyParts answers a multipart request.
func (n *session) replyParts(xid uint32, empty ofproto.Message, entries [][]byte) {
	for _, b := range parts(xid, empty, entries) {
		n.out.put(frame{b: b, reply: true})
	}
}
