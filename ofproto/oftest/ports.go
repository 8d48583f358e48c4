package oftest

import (
	"slices"

	"weir/ofproto"
)

// Port adds, removes or changes a port as m says, and tells all who want to hear of it.
func (s *Switch) Port(m ofproto.PortStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.port(m.Port.Number)
	switch {
	case m.Reason == ofproto.PortDeleted && i >= 0:
		s.ports = slices.Delete(s.ports, i, i+1)
	case m.Reason != ofproto.PortDeleted && i >= 0:
		s.ports[i] = m.Port
	case m.Reason != ofproto.PortDeleted:
		s.ports = append(s.ports, m.Port)
	}
	s.tellPort(m, nil)
}

// port returns where a port is, or -1.
func (s *Switch) port(number uint32) int {
	return slices.IndexFunc(s.ports, func(p ofproto.PortDesc) bool { return p.Number == number })
}

// tellPort tells all sessions but one of a port.
func (s *Switch) tellPort(m ofproto.PortStatus, but *session) {
	for _, n := range s.sessions {
		if n != but && n.hears(ofPorts, uint8(m.Reason)) {
			n.send(0, m)
		}
	}
}

// checkPort returns why a port-mod cannot be carried out.
func (s *Switch) checkPort(m ofproto.PortMod) error {
	i := s.port(m.Port)
	switch {
	case i < 0:
		return ofproto.OFPPMFC_BAD_PORT
	case s.ports[i].HWAddr != m.HWAddr:
		return ofproto.OFPPMFC_BAD_HW_ADDR
	}
	return nil
}

// modifyPort carries out a port-mod. Whose it is gets no message of it.
func (s *Switch) modifyPort(m ofproto.PortMod, by *session) {
	p := &s.ports[s.port(m.Port)]
	before := *p
	p.Config = p.Config&^m.Mask | m.Config&m.Mask
	if *p != before {
		s.tellPort(ofproto.PortStatus{Reason: ofproto.PortModified, Port: *p}, by)
	}
}
