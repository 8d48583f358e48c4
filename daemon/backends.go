package daemon

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/controller"
	"weir/drain"
	"weir/intent"
)

// Balancers returns the load balancers of a tenant, or of all.
func (d *desk) Balancers(ctx context.Context, tenant string) ([]api.Balancer, error) {
	numbers, model := d.numbers.Load(), d.inForce.Load().Model
	switch {
	case numbers == nil:
		return nil, errStarting
	case tenant != "" && model.Tenant(tenant) == nil:
		return nil, api.UnknownTenant(tenant)
	}
	var list []api.Balancer
	for _, t := range model.Tenants() {
		if tenant != "" && tenant != t.Name || len(t.LoadBalancers) == 0 {
			continue
		}
		have, err := d.backendsOf(ctx, t, numbers)
		if err != nil {
			return nil, err
		}
		list = append(list, d.balancersOf(t, have)...)
	}
	return list, nil
}

// balancersOf returns the load balancers of a tenant, with what their backends have.
func (d *desk) balancersOf(t *intent.Tenant, have backendCounts) (list []api.Balancer) {
	bridges, health := d.connected(), map[string]string{}
	if now := d.now(); now != nil {
		for _, h := range backendHealth(now) {
			health[h.Balancer+" "+h.Backend] = h.Health
		}
	}
	for _, l := range t.LoadBalancers {
		x := balancerOf(l, have[l.ID()], d.weights()[l.ID()], health)
		for i, b := range l.Backends {
			x.Backends[i].Begun, x.Backends[i].PerSecond = begunWith(bridges, l, b)
		}
		list = append(list, x)
	}
	return list
}

// backendCounts are what backends have, by load balancer.
type backendCounts map[intent.ID]map[drain.Key]drain.Backend

func backendsFor(t *intent.Tenant) backendCounts {
	have := backendCounts{}
	for _, l := range t.LoadBalancers {
		have[l.ID()] = map[drain.Key]drain.Backend{}
	}
	return have
}

// count counts a connection for the backend that has it.
func (have backendCounts) count(services drain.Services, c pipeline.Connection) {
	if k, state, ok := services.Backend(c); ok && !c.Over && !c.Blocked() {
		b := have[k.Service][k]
		b.Key, b.State, b.Connections = k, state, b.Connections+1
		have[k.Service][k] = b
	}
}

// until says of those that drain until when.
func (have backendCounts) until(all []drain.Backend) {
	for _, b := range all {
		if now, some := have[b.Service][b.Key]; some {
			now.Deadline = b.Deadline
			have[b.Service][b.Key] = now
		}
	}
}

// begunWith returns how many connections were begun with a backend of a load balancer, and how many are in a
// second.
func begunWith(bridges []controller.Bridge, l *intent.LoadBalancer, b intent.Backend) (n uint64, perSecond float64) {
	for _, have := range bridges {
		begun := have.BegunWith(l.ID(), b.IP)
		n, perSecond = n+begun.N, perSecond+begun.PerSecond
	}
	return n, perSecond
}

// backendsOf counts the connections of backends of a tenant, by load balancer, and says until when
// they may go on.
func (d *desk) backendsOf(ctx context.Context, t *intent.Tenant, n pipeline.Numbers) (backendCounts, error) {
	have := backendsFor(t)
	zone := n.Zone(t.ID())
	if zone == 0 { // no number yet, and so no connection
		return have, nil
	}
	all, err := d.trackedIn(ctx, "", zone)
	if err != nil {
		return nil, err
	}
	services := d.services(t, n)
	for _, c := range all {
		have.count(services, c)
	}
	have.until(d.drainings())
	return have, nil
}

// services returns the load balancers of a tenant as they are in force.
func (d *desk) services(t *intent.Tenant, n pipeline.Numbers) drain.Services {
	return drain.ServicesOf(t, n, d.weights())
}

// weights returns the weights in force, where they are others than those that are written. Where
// bridges differ, it is those of the last one by name.
func (d *desk) weights() drain.Weights {
	all := drain.Weights{}
	for _, b := range d.connected() {
		for id, w := range b.Weights {
			all[id] = w
		}
	}
	return all
}

// drainings returns the backends of all bridges that drain.
func (d *desk) drainings() (all []drain.Backend) {
	for _, b := range d.connected() {
		all = append(all, b.Draining...)
	}
	return all
}

// balancerOf returns a load balancer with what its backends have. health is by load balancer and backend.
func balancerOf(l *intent.LoadBalancer, have map[drain.Key]drain.Backend, weights map[netip.AddrPort]uint16, health map[string]string) api.Balancer {
	x := api.Balancer{ID: string(l.ID()), Tenant: l.Tenant, Address: l.Address.String(), Algorithm: string(l.Algorithm), Backends: []api.Backend{}}
	for _, p := range l.Ports {
		x.Ports = append(x.Ports, fmt.Sprintf("%s/%d", p.Protocol, p.Port))
	}
	for _, b := range l.Backends {
		n := api.Backend{Address: b.IP.String(), Weight: b.Weight, InForce: b.Weight, State: string(drain.StateOf(b, weights)), Health: health[x.ID+" "+pipeline.BackendText(b)]}
		if w, other := weights[netip.AddrPortFrom(b.IP, b.Port)]; other && b.Weight > 0 {
			n.InForce = w
		}
		if b.Port != 0 {
			n.Address = netip.AddrPortFrom(b.IP, b.Port).String()
		}
		if b.Endpoint != nil {
			n.Endpoint = string(b.Endpoint.ID())
		}
		for _, p := range l.Ports {
			k := drain.KeyOf(l, p, b)
			n = added(n, have[k])
			delete(have, k)
		}
		x.Backends = append(x.Backends, n)
	}
	x.Backends = append(x.Backends, removedOf(have)...)
	return x
}

// added returns n with the connections of one of the load balancer's ports.
func added(n api.Backend, b drain.Backend) api.Backend {
	n.Connections += b.Connections
	if n.Deadline == nil {
		n.Deadline = deadlineOf(b)
	}
	return n
}

// removedOf returns the backends that are not listed any more, and have connections.
func removedOf(have map[drain.Key]drain.Backend) (all []api.Backend) {
	by := map[netip.AddrPort]api.Backend{}
	for k, b := range have {
		n := api.Backend{Address: k.Backend.String(), State: string(drain.Removed), Connections: by[k.Backend].Connections, Deadline: by[k.Backend].Deadline}
		by[k.Backend] = added(n, b)
	}
	for _, n := range by {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b api.Backend) int { return cmp.Compare(a.Address, b.Address) })
	return all
}

func deadlineOf(b drain.Backend) *time.Time {
	if b.Deadline.IsZero() {
		return nil
	}
	at := b.Deadline.UTC()
	return &at
}

// drainingsOf returns what is said of backends that drain.
func drainingsOf(some []drain.Backend) []api.Draining {
	all := []api.Draining{}
	for _, b := range some {
		all = append(all, api.Draining{
			Balancer: string(b.Service), Protocol: conntrack.Protocol(b.Protocol).String(), Port: b.Port, Backend: b.Key.Backend.String(), State: string(b.State),
			Connections: b.Connections, Since: b.Since.UTC(), Deadline: deadlineOf(b),
		})
	}
	return all
}

// backendState says what the backend of a connection is, if that is not one that serves.
func backendState(s drain.Services, e conntrack.Entry) string {
	if _, state, there := s.Backend(trackedOf(e)); there && state != drain.Serving {
		return string(state)
	}
	return ""
}
