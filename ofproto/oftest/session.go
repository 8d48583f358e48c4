package oftest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"

	"weir/ofproto"
)

// A session is one connection of a controller. One goroutine reads and handles, another one
// writes.
type session struct {
	*Switch
	nc  net.Conn
	out *queue
	n   int // messages read; the reader's

	// Guarded by Switch.mu.
	role        ofproto.Role
	missSendLen uint16
	bundles     map[uint32]*bundle
	monitors    map[uint32]*monitor
	paused      uint64 // the event after which the monitors fell silent; zero: they are not
	async       ofproto.AsyncConfig
	format      ofproto.PacketInFormat
	controller  uint16              // its id, for packet-ins
	partial     map[uint32]*partial // by xid
}

// defaultMissSendLen is OFP_DEFAULT_MISS_SEND_LEN.
const defaultMissSendLen = 128

func newSession(s *Switch, nc net.Conn) *session {
	n := &session{Switch: s, nc: nc, out: newQueue(), role: ofproto.RoleEqual, bundles: map[uint32]*bundle{},
		monitors: map[uint32]*monitor{}, async: defaultAsync, partial: map[uint32]*partial{}}
	if !s.config.Service {
		n.missSendLen = defaultMissSendLen
	}
	n.send(0, s.config.Hello)
	return n
}

// end hangs up. It may be called more than once.
func (n *session) end() {
	n.out.close()
	n.nc.Close()
}

// leave ends what the session had with the switch.
func (n *session) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.bundles {
		n.dropBundle(id)
	}
	for xid := range n.partial {
		n.dropPartial(xid)
	}
	n.sessions = slices.DeleteFunc(n.sessions, func(o *session) bool { return o == n })
}

// write writes what the session has to say until it ends.
func (n *session) write() {
	defer n.end()
	for {
		f, ok := n.out.next()
		if !ok || f.last {
			return
		}
		if _, err := n.nc.Write(f.b); err != nil {
			return
		}
		if n.out.written() {
			n.resume()
		}
	}
}

// read reads messages and handles them, one at a time.
func (n *session) read() {
	defer n.leave()
	defer n.end()
	r := bufio.NewReader(n.nc)
	for n.out.mayRead() {
		b, err := readFrame(r)
		if err != nil || !n.out.mayRead() {
			return
		}
		n.n++
		if n.n == 1 {
			if !n.greeted(b) {
				return
			}
			continue
		}
		if !n.receive(b) {
			return
		}
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var h [ofproto.HeaderLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(h[2:]))
	if size < ofproto.HeaderLen {
		return nil, errors.New("not OpenFlow")
	}
	b := make([]byte, size)
	copy(b, h[:])
	_, err := io.ReadFull(r, b[ofproto.HeaderLen:])
	return b, err
}

// greeted looks at the HELLO of the peer.
func (n *session) greeted(b []byte) bool {
	xid, m, err := ofproto.Decode(b)
	hello, ok := m.(ofproto.Hello)
	if err != nil || !ok {
		return false
	}
	n.note(Request{N: n.n, XID: xid, Message: m})
	if !hello.Speaks(ofproto.Version) {
		n.reply(xid, &ofproto.Error{Type: 0, Code: 0, Data: []byte("only OpenFlow 1.3 is spoken here")}) // OFPHFC_INCOMPATIBLE
		n.out.finish()
		return false
	}
	return true
}

func (n *session) note(r Request) (react func(Request) Reaction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.received = append(n.received, r)
	return n.react
}

// receive handles one message, in its own way or as React says. It returns false if the
// session is over.
func (n *session) receive(b []byte) bool {
	xid := xidOf(b)
	m, bad := read(b)
	r := Request{N: n.n, XID: xid, Message: m}
	react := n.note(r)
	var reaction Reaction
	if react != nil {
		reaction = react(r)
	}
	switch reaction.do {
	case refuse:
		n.refuse(reaction.code, xid, b)
		return true
	case ignore:
		return true
	case say:
		n.out.put(frame{b: reaction.b, reply: true})
		return true
	case cut:
		n.out.finish()
		return false
	}
	n.out.answer(reaction.do)
	if err := n.handle(xid, m, bad, b, n.plan(m, react)); err != nil {
		n.refuseError(err, xid, b)
	}
	if reaction.do == cutAfter || reaction.do == cutInside {
		n.out.finish()
		return false
	}
	n.out.answer(nothingElse)
	return true
}

// read reads a message as Open vSwitch does.
func read(b []byte) (ofproto.Message, error) {
	if p, ok := emptyPart(b); ok {
		return p, nil
	}
	_, m, err := ofproto.DecodeStrict(b)
	return m, err
}

func xidOf(b []byte) uint32 { return binary.BigEndian.Uint32(b[4:]) }

// refuseError answers with the ErrorCode in err.
func (n *session) refuseError(err error, xid uint32, failed []byte) {
	var code ofproto.ErrorCode
	if !errors.As(err, &code) {
		code = ofproto.OFPBRC_BAD_TYPE
	}
	n.refuse(code, xid, failed)
}

func (n *session) refuse(code ofproto.ErrorCode, xid uint32, failed []byte) {
	n.reply(xid, ofproto.ErrorOf(code, xid, failed))
}

// send sends what nobody has asked for.
func (n *session) send(xid uint32, m ofproto.Message) { n.out.put(frame{b: encode(xid, m)}) }

// reply answers the request with xid.
func (n *session) reply(xid uint32, m ofproto.Message) {
	n.out.put(frame{b: encode(xid, m), reply: true})
}

// encode returns m as bytes. What does not fit into a message, as a group-mod of 64 KiB that
// is to be forwarded, has none: it is not sent.
func encode(xid uint32, m ofproto.Message) []byte {
	b, err := ofproto.Append(nil, xid, m)
	if errors.Is(err, ofproto.ErrTooLong) {
		return nil
	}
	if err != nil { // the switch makes no such message
		panic("oftest: " + err.Error())
	}
	return b
}
