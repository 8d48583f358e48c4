package intent

import (
	"cmp"
	"slices"
)

// What a Health has that says nothing of it.
const (
	defaultInterval = 2 * Second
	defaultTimeout  = 1 * Second
	defaultRise     = 2
	defaultFall     = 3
	defaultLoadTime = 5 * Second
	defaultStrength = 50
)

// health checks how backends are asked.
func (c *checker) health(l *LoadBalancer, s balancerSpec) {
	if s.health == nil || !s.health.kind.set {
		return
	}
	x := s.health
	h := &Health{
		Type: CheckType(x.kind.v), Port: uint16(x.port.v), Path: x.path.v, Host: x.host.v, SlowStart: x.slowStart.v,
		Interval: cmp.Or(x.interval.v, defaultInterval), Timeout: cmp.Or(x.timeout.v, defaultTimeout),
		Rise: uint8(cmp.Or(x.rise.v, defaultRise)), Fall: uint8(cmp.Or(x.fall.v, defaultFall)),
	}
	c.onlyHTTP(h, x)
	if h.Type == CheckHTTP {
		h.Path = cmp.Or(h.Path, "/")
		h.Expect = expected(x.expect)
	}
	switch carrier := h.Type.carrier(); {
	case h.Type == CheckICMP && x.port.set:
		c.bad(x.port.place(), "leave it out, or write type: tcp", "a check of type icmp has no port")
	case carrier != "" && !x.port.set && len(l.Ports) > 0 && !l.speaks(carrier):
		c.bad(x.place, "add port", "a check of type %s asks a %s port, and the load balancer has none", h.Type, carrier)
	}
	l.Health = h
}

// speaks reports whether l has a port of a protocol.
func (l *LoadBalancer) speaks(p Protocol) bool {
	return slices.ContainsFunc(l.Ports, func(q LBPort) bool { return q.Protocol == p })
}

// onlyHTTP checks that only HTTP is asked for what other protocols do not have.
func (c *checker) onlyHTTP(h *Health, x *healthSpec) {
	if h.Type == CheckHTTP {
		return
	}
	for _, f := range []struct {
		name string
		set  bool
		at   place
	}{
		{"path", x.path.set, x.path.place()}, {"host", x.host.set, x.host.place()}, {"expect", x.expectAt.path != "", x.expectAt},
	} {
		if f.set {
			c.bad(f.at, "write type: http, or leave it out", "a check of type %s has no %s", h.Type, f.name)
		}
	}
}

// expected returns status codes in as few ranges as there can be.
func expected(values []value[StatusRange]) (all []StatusRange) {
	var ports []PortRange
	for _, v := range values {
		ports = append(ports, PortRange(v.v))
	}
	for _, r := range merged(ports) {
		all = append(all, StatusRange(r))
	}
	if len(all) == 0 {
		return []StatusRange{{200, 399}}
	}
	return all
}

// load checks by what weights are changed.
func (c *checker) load(l *LoadBalancer, s balancerSpec) {
	if s.load == nil || !s.load.kind.set {
		return
	}
	x := s.load
	reported := x.kind.v == string(LoadReported)
	for _, f := range []struct {
		name string
		set  bool
		at   place
	}{
		{"port", x.port.set && !reported, x.port.place()}, {"path", x.path.set && !reported, x.path.place()},
		{"interval", x.interval.set && x.kind.v == "none", x.interval.place()}, {"strength", x.strength.set && x.kind.v == "none", x.strength.place()},
	} {
		if f.set {
			c.bad(f.at, "leave it out", "load of type %s has no %s", x.kind.v, f.name)
		}
	}
	if reported && !x.port.set && len(l.Ports) > 0 && !l.speaks(TCP) {
		c.bad(x.place, "add port", "load is reported over HTTP, and the load balancer has no tcp port")
	}
	if x.kind.v == "none" {
		return
	}
	l.Load = &Load{
		Type: LoadType(x.kind.v), Port: uint16(x.port.v), Interval: cmp.Or(x.interval.v, defaultLoadTime),
		Strength: uint8(cmp.Or(x.strength.v, defaultStrength)),
	}
	if reported {
		l.Load.Path = cmp.Or(x.path.v, "/load")
	}
}
