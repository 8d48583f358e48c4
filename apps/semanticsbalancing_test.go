package apps

import (
	"fmt"
	"net/netip"
	"strings"

	"pgregory.net/rapid"

	"weir/intent"
	"weir/internal/reference"
)

// balancer draws a load balancer: inside, or at an address that others of the tenant have, too.
func (d *dice) balancer(n int, where outsideOf) {
	var to []string
	port := d.one("own port", "", "", "", ", port: 444")
	for i := range rapid.IntRange(0, 3).Draw(d.T, "backends") {
		who := "endpoint: " + d.endpoints[(i+n)%len(d.endpoints)]
		if i < 2 && where != (outsideOf{}) {
			who = d.one("whom", who, who, "address: 203.0.113.5", "address: 198.51.100.7", "address: 192.0.2.9", "address: \"2001:db8::5\"", "address: 203.0.113.36", "address: 203.0.113.100")
		}
		if i == 2 {
			who = "labels: {tier: [" + d.one("whom", "app", "db", "app, db") + "]}"
		}
		to = append(to, fmt.Sprintf("{%s%s%s}", who, d.one("weight", "", "", ", weight: 0", ", weight: 30", ", weight: 300"), port))
	}
	inside := []string{"10.0.0.64", "10.0.0.64", "fd00:0::40", "10.0.1.64", "fd00:1::40"}
	address := d.one("balanced address", append(where.some([2]int{0, 0}, [2]int{20, 20}, [2]int{30, 30}, [2]int{31, 31}), inside...)...)
	ports := d.one("balanced ports", "{port: 80, protocol: tcp}", "{port: 80, protocol: tcp, targetPort: 443}", "{port: 443, protocol: udp}", "{port: 1000, protocol: sctp}", "{port: 80, protocol: tcp, targetPort: 1024}, {port: 80, protocol: udp}")
	if port != "" {
		ports = strings.Split(ports, "}, ")[0]
		ports = strings.TrimSuffix(ports, "}") + "}"
	}
	d.object("LoadBalancer", fmt.Sprint("v", n), "", fmt.Sprintf(" {address: %q, ports: [%s], backends: [%s]%s%s%s}", address, ports, strings.Join(to, ", "),
		d.one("algorithm", "", "", ", algorithm: consistent", ", algorithm: sourceIP"), d.one("seen", "", "", ", snat: always", ", snat: never"), d.one("empty", "", ", whenEmpty: reject")))
}

// addBalancers draws load balancers of a model without an outside, and adds those that it can have.
func addBalancers(t *rapid.T, text string, names []string, endpoints map[string][]string) string {
	for _, name := range names {
		d := &dice{T: t, tenant: name, endpoints: endpoints[name]}
		for n := range rapid.IntRange(0, 2).Draw(t, "load balancers") {
			d.s = &strings.Builder{}
			d.balancer(n, outsideOf{})
			text = withValid(text, d.s.String())
		}
	}
	return text
}

// A wish is ports of an address that are sent to somebody.
type wish struct {
	protocol uint8
	lo, hi   uint16
}

// askedAt returns what is sent to somebody of an address: forwards, and ports of load balancers.
func askedAt(m *intent.Model, a netip.Addr) (all []wish) {
	for _, t := range m.Tenants() {
		for _, f := range t.PortForwards {
			if number, _ := f.Protocol.Number(); f.Address == a {
				all = append(all, wish{number, f.Ports.Lo, f.Ports.Hi})
			}
		}
		for _, l := range t.LoadBalancers {
			for _, p := range l.Ports {
				if number, _ := p.Protocol.Number(); l.Address == a {
					all = append(all, wish{number, p.Port, p.Port})
				}
			}
		}
	}
	return all
}

// cutOff reports whether a connection to a backend that is its own client is not answered any more,
// for nothing lets it reach itself.
func (w *world) cutOff(k talk) bool {
	to := k.want.way.To
	return to != nil && k.From != nil && k.From.ID() == to.ID() && !reference.ReachesItself(w.tenantOf(to), k.seen.Dst)
}
