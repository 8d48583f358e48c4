package ofproto

import "fmt"

type (
	// QueueConfigRequest asks for the queues of a port (A.3.6).
	QueueConfigRequest struct{ Port uint32 } // PortAny: of all ports

	// QueueConfigReply answers a QueueConfigRequest.
	QueueConfigReply struct {
		Port   uint32
		Queues []QueueConfig
	}
)

// A QueueConfig is how a queue is configured. Rates are in tenths of a percent; above 1000
// they are disabled, and NoRate is none.
type QueueConfig struct {
	Port             uint32 // on which the queue is
	ID               uint32
	MinRate, MaxRate uint16
}

// NoRate says that a queue has no such rate.
const NoRate uint16 = 0xffff

// AllQueues asks for the counters of all queues (OFPQ_ALL).
const AllQueues uint32 = 0xffffffff

func (QueueConfigRequest) messageType() uint8 { return typeQueueConfigAsk }
func (QueueConfigReply) messageType() uint8   { return typeQueueConfigAnswer }

func (m QueueConfigRequest) appendBody(b []byte) ([]byte, error) {
	return append(be.AppendUint32(b, m.Port), 0, 0, 0, 0), nil
}

func (m QueueConfigReply) appendBody(b []byte) ([]byte, error) {
	b = append(be.AppendUint32(b, m.Port), 0, 0, 0, 0)
	for _, q := range m.Queues {
		start := len(b)
		b = be.AppendUint32(be.AppendUint32(b, q.ID), q.Port)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
		b = appendRate(b, queueMinRate, q.MinRate)
		b = appendRate(b, queueMaxRate, q.MaxRate)
		be.PutUint16(b[start+8:], uint16(len(b)-start))
	}
	return b, nil
}

// Types of the properties of a queue.
const (
	queueMinRate = 1 // OFPQT_MIN_RATE
	queueMaxRate = 2 // OFPQT_MAX_RATE
)

func appendRate(b []byte, property, rate uint16) []byte {
	if rate == NoRate {
		return b
	}
	b = append(be.AppendUint16(be.AppendUint16(b, property), 16), 0, 0, 0, 0)
	return append(be.AppendUint16(b, rate), 0, 0, 0, 0, 0, 0)
}

func (d *decoder) queueConfigRequest() (m QueueConfigRequest) {
	m.Port = d.portNumber()
	d.skip(4)
	if m.Port >= 0xff00 && m.Port != PortAny {
		d.refuse(OFPQOFC_BAD_PORT)
	}
	return m
}

func (d *decoder) queueConfigReply() (m QueueConfigReply) {
	m.Port = d.u32()
	d.skip(4)
	if d.more() && !isPort(m.Port) {
		d.refuse(OFPBAC_BAD_OUT_PORT)
	}
	for d.more() {
		if q := d.queueConfig(); d.err == nil {
			m.Queues = append(m.Queues, q)
		}
	}
	return m
}

// queueConfig reads one queue. Properties that are not known are left out.
func (d *decoder) queueConfig() QueueConfig {
	q := QueueConfig{ID: d.u32(), Port: d.u32(), MinRate: NoRate, MaxRate: NoRate}
	n := int(d.u16())
	d.skip(6)
	if d.err == nil && (n < 16 || n%8 != 0) {
		d.fail(fmt.Errorf("%w %d", OFPBRC_BAD_LEN, n))
	}
	p := d.sub(n-16, "queue property", OFPBRC_BAD_LEN)
	for p.more() {
		p.queueProperty(&q)
	}
	d.done(&p)
	return q
}

func (d *decoder) queueProperty(q *QueueConfig) {
	left := len(d.b)
	typ, n := d.u16(), int(d.u16())
	rate := typ == queueMinRate || typ == queueMaxRate
	if d.err == nil && (n < 8 || n > left || n%8 != 0 || rate && n != 16) {
		d.fail(OFPBRC_BAD_LEN)
		return
	}
	body := d.sub(n-4, "queue property", OFPBRC_BAD_LEN)
	body.skip(4)
	switch typ {
	case queueMinRate:
		q.MinRate = body.u16()
	case queueMaxRate:
		q.MaxRate = body.u16()
	}
}

func init() {
	onMessage(openflowMessage, typeQueueConfigAsk, messageForm{name: "QUEUE_GET_CONFIG_REQUEST", least: 8,
		print: (*printer).queueConfigRequest, read: func(d *decoder, _ head) Message { return d.queueConfigRequest() }})
	onMessage(openflowMessage, typeQueueConfigAnswer, messageForm{name: "QUEUE_GET_CONFIG_REPLY", least: 8, unit: 8,
		print: (*printer).queueConfigReply, read: func(d *decoder, _ head) Message { return d.queueConfigReply() }})
}
