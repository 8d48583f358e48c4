package ofproto

import (
	"slices"
)

// portConfigNames and portStateNames are the bits of a port, of OpenFlow 1.3 and, as a
// port-mod may have them, of 1.0.
var (
	portConfigNames = []string{"PORT_DOWN", "NO_STP", "NO_RECV", "NO_RECV_STP", "NO_FLOOD", "NO_FWD", "NO_PACKET_IN"}
	portStateNames  = []string{"LINK_DOWN", "BLOCKED", "LIVE"}

	portFeatureNames = []string{
		"10MB-HD", "10MB-FD", "100MB-HD", "100MB-FD", "1GB-HD", "1GB-FD", "10GB-FD", "40GB-FD", "100GB-FD", "1TB-FD", "OTHER",
		"COPPER", "FIBER", "AUTO_NEG", "AUTO_PAUSE", "AUTO_PAUSE_ASYM",
	}
)

func (p *printer) portDesc(s *PortDesc) {
	p.port(" ", s.Number)
	p.f("(%s): addr:%s\n     config:     ", printableName(s.Name), macText(s.HWAddr))
	p.bits(uint32(s.Config), portConfigNames, " ")
	p.text("\n     state:      ")
	p.bits(uint32(s.State), portStateNames, " ")
	p.text("\n")
	for _, k := range []struct {
		name string
		PortFeatures
	}{{"current:    ", s.Current}, {"advertised: ", s.Advertised}, {"supported:  ", s.Supported}, {"peer:       ", s.Peer}} {
		if k.PortFeatures != 0 {
			p.text("     " + k.name)
			p.bits(uint32(k.PortFeatures), portFeatureNames, " ")
			p.text("\n")
		}
	}
	p.f("     speed: %d Mbps now, %d Mbps max\n", s.CurrSpeed/1000, s.MaxSpeed/1000)
}

// printableName is a name up to its first byte that cannot be printed.
func printableName(s string) string {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return s[:i]
		}
	}
	return s
}

// portDescs prints ports in the order of their numbers, also those before one that is
// refused.
func (p *printer) portDescs(d *decoder, _ head) {
	var ports []PortDesc
	for d.more() {
		if s := d.portDesc(); d.err == nil {
			ports = append(ports, s)
		}
	}
	slices.SortStableFunc(ports, func(a, b PortDesc) int { return int(uint16(a.Number)) - int(uint16(b.Number)) })
	p.text("\n")
	for i := range ports {
		p.portDesc(&ports[i])
	}
}

func (p *printer) portDescRequest(_ *decoder, _ head) { p.text(" port=ANY") }

func (p *printer) portStatus(d *decoder, _ head) {
	m := d.portStatus()
	if d.err == nil {
		p.text([...]string{" ADD:", " DEL:", " MOD:"}[m.Reason])
		p.portDesc(&m.Port)
	}
}

func (p *printer) portMod(d *decoder, _ head) {
	m := d.portMod()
	if d.err != nil {
		return
	}
	p.port(" port: ", m.Port)
	p.f(": addr:%s\n     config: ", macText(m.HWAddr))
	mask := m.Mask & allPortConfig
	p.bits(uint32(m.Config&mask), portConfigNames, " ")
	p.text("\n     mask:   ")
	p.bits(uint32(mask), portConfigNames, " ")
	p.text("\n     advertise: ")
	if f := m.Advertise & allPortFeatures; f != 0 {
		p.bits(uint32(f), portFeatureNames, " ")
	} else {
		p.text("UNCHANGED")
	}
	p.text("\n")
}

func (p *printer) tableMod(d *decoder, _ head) {
	if m := d.tableMod(); m.Table == AllTables {
		p.text(" table_id: ALL_TABLES")
	} else {
		p.uint(" table_id=", uint64(m.Table))
	}
}

func (p *printer) portRequest(d *decoder, _ head) {
	if n := d.portNumber(); d.err == nil {
		p.port(" port_no=", n)
	}
}

// count is how many of the entries in d are taken.
func count[T any](d decoder, read func(*decoder) T) (n int) {
	for d.more() {
		if read(&d); d.err == nil {
			n++
		}
	}
	return n
}

func (p *printer) portStats(d *decoder, _ head) {
	p.f(" %d ports\n", count(*d, (*decoder).portStats))
	for d.more() {
		s := d.portStats()
		if d.err != nil {
			return
		}
		p.text("  port ")
		if uint16(s.Port) < 10 {
			p.text(" ")
		}
		p.port("", s.Port)
		p.text(": rx ")
		p.counter("pkts=", s.RxPackets, ", ")
		p.counter("bytes=", s.RxBytes, ", ")
		p.counter("drop=", s.RxDropped, ", ")
		p.counter("errs=", s.RxErrors, ", ")
		p.counter("frame=", s.RxFrame, ", ")
		p.counter("over=", s.RxOver, ", ")
		p.counter("crc=", s.RxCRC, "\n           tx ")
		p.counter("pkts=", s.TxPackets, ", ")
		p.counter("bytes=", s.TxBytes, ", ")
		p.counter("drop=", s.TxDropped, ", ")
		p.counter("errs=", s.TxErrors, ", ")
		p.counter("coll=", s.Collisions, "\n")
		if s.DurationSec != unknownDuration {
			p.text("           duration=")
			p.duration(s.DurationSec, s.DurationNsec)
			p.text("\n")
		}
	}
}

// unknownDuration is how many seconds there are if nobody knows.
const unknownDuration = 0xffffffff

func (p *printer) queueConfigRequest(d *decoder, _ head) {
	if m := d.queueConfigRequest(); d.err == nil {
		p.port(" port=", m.Port)
	}
}

// queueConfigReply prints the queues in the order of their numbers, also those before one
// that is refused.
func (p *printer) queueConfigReply(d *decoder, _ head) {
	m := d.queueConfigReply()
	slices.SortStableFunc(m.Queues, func(a, b QueueConfig) int { return int(int64(a.ID) - int64(b.ID)) })
	p.text(" ")
	for i, q := range m.Queues {
		if i == 0 && uint16(m.Port) != 0 {
			p.port("port=", m.Port)
			p.text("\n")
		}
		p.uint("queue ", uint64(q.ID))
		p.text(":")
		p.rate(" min_rate:", q.MinRate)
		p.rate(" max_rate:", q.MaxRate)
		p.text("\n")
	}
	p.chomp(' ')
}

func (p *printer) rate(name string, v uint16) {
	switch {
	case v <= 1000:
		p.f("%s%d.%d%%", name, v/10, v%10)
	case v != NoRate:
		p.text(name + "(disabled)")
	}
}

func (p *printer) queue(n uint32) {
	if n == AllQueues {
		p.text("ALL")
	} else {
		p.uint("", uint64(n))
	}
}

func (p *printer) queueRequest(d *decoder, _ head) {
	n := d.portNumber()
	if d.err == nil {
		p.port(" port=", n)
		p.text(" queue=")
		p.queue(d.u32())
	}
}

func (p *printer) queueStats(d *decoder, _ head) {
	p.f(" %d queues\n", count(*d, (*decoder).queueStats))
	for d.more() {
		s := d.queueStats()
		if d.err != nil {
			return
		}
		p.port("  port ", s.Port)
		p.text(" queue ")
		p.queue(s.Queue)
		p.counter(": bytes=", s.TxBytes, ", ")
		p.counter("pkts=", s.TxPackets, ", ")
		p.counter("errors=", s.TxErrors, ", duration=")
		if s.DurationSec != unknownDuration {
			p.duration(s.DurationSec, s.DurationNsec)
		} else {
			p.text("?")
		}
		p.text("\n")
	}
}
