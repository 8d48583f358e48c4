package oftest

import (
	"encoding/binary"
	"slices"
	"time"

	"weir/ofproto"
)

// partialTimeout is how long the next part of a multipart request may take.
const partialTimeout = time.Second

// A partial is a multipart request of which more is to come. Requests that fit into one
// message may have empty parts around it; only a request for monitors may really have
// several.
type partial struct {
	typ      ofproto.MultipartType
	filled   int // parts with a body
	body     []byte
	monitors []ofproto.FlowMonitor
	last     []byte // the bytes of the last part that came
	idle     *time.Timer
}

// bodied are the types of requests that have something to say.
var bodied = map[ofproto.MultipartType]bool{
	ofproto.MultipartFlow: true, ofproto.MultipartAggregate: true, ofproto.MultipartPort: true, ofproto.MultipartQueue: true,
	ofproto.MultipartGroup: true, ofproto.MultipartMeter: true, ofproto.MultipartMeterConfig: true,
}

// emptyPart returns a part that says nothing of a request that should. Whether another part
// does shows at the end.
func emptyPart(b []byte) (p ofproto.MultipartRequest, ok bool) {
	const request, head, more = 18, 16, 1
	if b[0] != ofproto.Version || b[1] != request || len(b) != head {
		return p, false
	}
	p.Type, p.More = ofproto.MultipartType(binary.BigEndian.Uint16(b[8:])), b[11]&more != 0
	return p, bodied[p.Type]
}

// whole returns m; if m is the last part of a multipart request, the whole of it, and nil if
// there is more to come.
func (n *session) whole(xid uint32, m ofproto.Message, wire []byte) (ofproto.Message, error) {
	switch m := m.(type) {
	case ofproto.FlowMonitorRequest:
		p, err := n.part(xid, ofproto.MultipartExperimenter, len(m.Monitors), wire)
		if err != nil {
			return nil, err
		}
		p.monitors = append(p.monitors, m.Monitors...)
		if m.More {
			return nil, nil
		}
		n.dropPartial(xid)
		return ofproto.FlowMonitorRequest{Monitors: p.monitors}, nil
	case ofproto.MultipartRequest:
		p, err := n.part(xid, m.Type, len(m.Body), wire)
		if err != nil {
			return nil, err
		}
		p.body = append(p.body, m.Body...)
		if m.More {
			return nil, nil
		}
		n.dropPartial(xid)
		if p.filled == 0 && bodied[m.Type] {
			return nil, ofproto.OFPBRC_BAD_LEN
		}
		if p.filled > 1 && m.Type != ofproto.MultipartTableFeatures {
			return nil, ofproto.OFPBRC_BAD_STAT
		}
		return ofproto.MultipartRequest{Type: m.Type, Body: p.body}, nil
	}
	return m, nil
}

// part notes one part of a request, with a body of some size.
func (n *session) part(xid uint32, typ ofproto.MultipartType, size int, wire []byte) (*partial, error) {
	p := n.partial[xid]
	if p == nil {
		p = &partial{typ: typ}
		p.idle = time.AfterFunc(partialTimeout, func() { n.expirePartial(xid, p) })
		n.partial[xid] = p
	}
	if p.typ != typ {
		n.dropPartial(xid)
		return nil, ofproto.OFPBRC_BAD_STAT
	}
	if size > 0 {
		p.filled++
	}
	p.last = slices.Clone(wire)
	p.idle.Reset(partialTimeout)
	return p, nil
}

// expirePartial gives up a request whose next part does not come.
func (n *session) expirePartial(xid uint32, p *partial) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.partial[xid] != p {
		return
	}
	n.dropPartial(xid)
	n.refuse(ofproto.OFPBRC_MULTIPART_REQUEST_TIMEOUT, xid, p.last)
}

func (n *session) dropPartial(xid uint32) {
	if p := n.partial[xid]; p != nil {
		p.idle.Stop()
		delete(n.partial, xid)
	}
}
