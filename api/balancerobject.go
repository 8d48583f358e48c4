package api

import (
	"fmt"

	"weir/intent"
)

// balancerFields notes what a load balancer says, with the backends that it has by now.
func balancerFields(o object, l *intent.LoadBalancer) {
	o.set("address", l.Address)
	for _, p := range l.Ports {
		o.set(fmt.Sprintf("ports.%s/%d.targetPort", p.Protocol, p.Port), p.Target)
	}
	for _, b := range l.Backends {
		backendFields(o, b)
	}
	for i, s := range l.Selects {
		o.selector(fmt.Sprintf("selects[%d].", i), s)
	}
	o.set("algorithm", l.Algorithm)
	o.span("drain.timeout", l.Drain)
	o.set("snat", l.SNAT)
	o.set("whenEmpty", l.WhenEmpty)
	o.set("onRemove", l.Stale)
	healthFields(o, l.Health)
	if l.Load != nil {
		o.set("load.type", l.Load.Type)
		o.limit("load.port", uint32(l.Load.Port))
		o.set("load.path", l.Load.Path)
		o.span("load.interval", l.Load.Interval)
		o.set("load.strength", l.Load.Strength)
	}
}

func backendFields(o object, b intent.Backend) {
	at := fmt.Sprintf("backends.%v", b.IP)
	if b.Endpoint != nil {
		o.set(at+".endpoint", b.Endpoint.Name)
	}
	o.set(at+".weight", b.Weight)
	o.limit(at+".port", uint32(b.Port))
}

func healthFields(o object, h *intent.Health) {
	if h == nil {
		return
	}
	o.set("health.type", h.Type)
	o.limit("health.port", uint32(h.Port))
	o.set("health.path", h.Path)
	o.set("health.host", h.Host)
	o.set("health.expect", h.Expect)
	o.span("health.interval", h.Interval)
	o.span("health.timeout", h.Timeout)
	o.set("health.rise", h.Rise)
	o.set("health.fall", h.Fall)
	o.span("health.slowStart", h.SlowStart)
}

// span notes a time in which zero is none.
func (o object) span(path string, d intent.Duration) {
	if d != 0 {
		o.set(path, d)
	}
}
