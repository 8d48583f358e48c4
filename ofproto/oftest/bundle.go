package oftest

import (
	"slices"
	"time"

	"weir/ofproto"
)

// bundleTimeout is how long a bundle may lie unused: Open vSwitch's bundle-idle-timeout.
const bundleTimeout = 10 * time.Second

// A bundle is a number of messages to be carried out together (ONF extension 230).
type bundle struct {
	flags   ofproto.BundleFlags
	closed  bool
	members []member
	opened  []byte // the message that opened it
	idle    *time.Timer
}

// A member is one message of a bundle.
type member struct {
	xid     uint32
	message ofproto.Message
	wire    []byte // of the BundleAdd, to be told of if it fails
}

// bundleControl does what a BundleControl asks for. Any mistake costs the bundle.
func (n *session) bundleControl(xid uint32, m ofproto.BundleControl, wire []byte, planned refusals) error {
	b := n.bundles[m.ID]
	var err error
	switch m.Type {
	case ofproto.BundleOpen:
		if b == nil {
			n.openBundle(m.ID, m.Flags, wire)
		} else {
			n.dropBundle(m.ID)
			err = ofproto.OFPBFC_BAD_ID
		}
	case ofproto.BundleClose:
		if err = b.close(m.Flags); err != nil {
			n.dropBundle(m.ID)
		}
	case ofproto.BundleCommit:
		err = n.commit(b, m.Flags, planned)
		n.dropBundle(m.ID)
	case ofproto.BundleDiscard:
		if b == nil {
			err = ofproto.OFPBFC_BAD_ID
		}
		n.dropBundle(m.ID)
	default:
		return ofproto.OFPBFC_BAD_TYPE
	}
	if err == nil {
		n.reply(xid, ofproto.BundleControl{ID: m.ID, Type: m.Type + 1})
	}
	return err
}

func (n *session) openBundle(id uint32, flags ofproto.BundleFlags, wire []byte) *bundle {
	b := &bundle{flags: flags, opened: slices.Clone(wire)}
	b.idle = time.AfterFunc(bundleTimeout, func() { n.expireBundle(id, b) })
	n.bundles[id] = b
	return b
}

// expireBundle drops a bundle that has not been used for long.
func (n *session) expireBundle(id uint32, b *bundle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bundles[id] != b {
		return
	}
	n.dropBundle(id)
	n.refuse(ofproto.OFPBFC_TIMEOUT, xidOf(b.opened), b.opened)
}

func (n *session) dropBundle(id uint32) {
	if b := n.bundles[id]; b != nil {
		b.idle.Stop()
		delete(n.bundles, id)
	}
}

// close closes b to more messages.
func (b *bundle) close(flags ofproto.BundleFlags) error {
	switch {
	case b == nil:
		return ofproto.OFPBFC_BAD_ID
	case b.closed:
		return ofproto.OFPBFC_BUNDLE_CLOSED
	case b.flags != flags:
		return ofproto.OFPBFC_BAD_FLAGS
	}
	b.closed = true
	b.idle.Reset(bundleTimeout)
	return nil
}

// bundleAdd adds a message to a bundle, which it opens if need be.
func (n *session) bundleAdd(m ofproto.BundleAdd, wire []byte) error {
	if err := n.admit(m.Message); err != nil {
		return err
	}
	b := n.bundles[m.ID]
	if b == nil {
		b = n.openBundle(m.ID, m.Flags, wire)
	}
	switch {
	case b.closed:
		n.dropBundle(m.ID)
		return ofproto.OFPBFC_BUNDLE_CLOSED
	case b.flags != m.Flags:
		n.dropBundle(m.ID)
		return ofproto.OFPBFC_BAD_FLAGS
	}
	b.members = append(b.members, member{m.XID, m.Message, slices.Clone(wire)})
	b.idle.Reset(bundleTimeout)
	return nil
}

// admit checks what is checked before a message is taken into a bundle.
func (s *Switch) admit(m ofproto.Message) error {
	switch m := m.(type) {
	case ofproto.FlowMod:
		return s.admitFlow(m)
	case ofproto.PacketOut:
		return admitPacketOut(m)
	}
	return nil
}

// refusals say by its place which member of a bundle a test wants refused, and how.
type refusals map[int]ofproto.ErrorCode

// commit carries out a bundle: all of it or, if a member fails, nothing. Of that member the
// peer is told with the member's xid.
func (n *session) commit(b *bundle, flags ofproto.BundleFlags, planned refusals) error {
	switch {
	case b == nil:
		return ofproto.OFPBFC_BAD_ID
	case b.flags != flags:
		return ofproto.OFPBFC_BAD_FLAGS
	}
	for i, m := range b.members {
		err := n.applyMember(m, flags)
		if code, ok := planned[i]; ok {
			err = code
		}
		if err != nil {
			n.tables.rollBack()
			n.refuseError(err, m.xid, m.wire)
			return ofproto.OFPBFC_MSG_FAILED
		}
	}
	for _, m := range b.members {
		if p, ok := m.message.(ofproto.PortMod); ok {
			n.modifyPort(p, n)
		}
	}
	n.tell(n.tables.keep())
	return nil
}

func (n *session) applyMember(m member, flags ofproto.BundleFlags) error {
	by := change{n, m.xid}
	switch m := m.message.(type) {
	case ofproto.FlowMod:
		return n.tables.applyFlow(m, by)
	case ofproto.GroupMod:
		return n.tables.applyGroup(m, by)
	case ofproto.PacketOut:
		return n.tables.checkActions(m.Actions)
	case ofproto.PortMod:
		if flags&ofproto.BundleAtomic != 0 { // what becomes of a port cannot be taken back
			return ofproto.OFPBFC_MSG_FAILED
		}
		return n.checkPort(m)
	}
	return ofproto.OFPBFC_MSG_UNSUP
}

// plan asks f, without the Switch's lock, what to do with each member of a bundle that is
// about to be committed.
func (n *session) plan(m ofproto.Message, f func(Request) Reaction) refusals {
	c, ok := m.(ofproto.BundleControl)
	if !ok || c.Type != ofproto.BundleCommit || f == nil {
		return nil
	}
	planned := refusals{}
	for i, k := range n.membersOf(c.ID) {
		if r := f(Request{N: n.n, XID: k.xid, Message: k.message, Commit: true}); r.do == refuse {
			planned[i] = r.code
		}
	}
	return planned
}

func (n *session) membersOf(id uint32) []member {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b := n.bundles[id]; b != nil {
		return b.members
	}
	return nil
}
