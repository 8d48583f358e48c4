package api

import (
	"fmt"
	"net/netip"

	"weir/intent"
)

// externalFields notes what a bridge's outsides say, by their names.
func externalFields(o object, b *intent.Bridge) {
	for _, x := range b.Externals {
		at := "external." + x.Network
		o.set(at+".port", x.Port)
		if x.MAC != (intent.MAC{}) {
			o.set(at+".mac", macText(x.MAC))
		}
		for i, s := range x.Subnets {
			subnet := fmt.Sprintf("%s.subnets[%d]", at, i)
			o.set(subnet+".cidr", s.CIDR)
			o.set(subnet+".gateway", addr(s.Gateway))
			o.set(subnet+".address", addr(s.Address))
		}
		o.set(at+".prefixes", x.Prefixes)
		for _, r := range x.Routes {
			o.set(fmt.Sprintf("%s.routes.%v.via", at, r.To), r.Via)
		}
		for _, h := range x.NextHops {
			if h.MAC != (intent.MAC{}) {
				o.set(fmt.Sprintf("%s.nextHops.%v.mac", at, h.Address), macText(h.MAC))
			}
		}
	}
}

func snatFields(o object, s *intent.SNAT) {
	o.set("priority", s.Priority)
	if s.Network != nil {
		o.set("network", s.Network.Name)
	}
	o.selector("from.", s.From)
	o.set("to.cidrs", s.To.CIDRs)
	if s.To.Protocol != intent.AnyProtocol {
		o.set("to.protocol", s.To.Protocol)
	}
	o.set("to.ports", portsText(s.To.Ports))
	o.set("exempt.cidrs", s.Exempt)
	var addresses []string
	for _, p := range s.Pools {
		for _, r := range p.Ranges {
			addresses = append(addresses, r.String())
		}
	}
	o.set("addresses", addresses)
	o.set("ports", "preserve")
	if !s.Preserves() {
		o.set("ports", portsText([]intent.PortRange{s.Ports})[0])
	}
	o.set("selection", s.Selection)
	o.flag("shared", s.Shared)
}

func floatingFields(o object, f *intent.FloatingIP) {
	o.set("address", f.Address)
	targetFields(o, "", f.Endpoint, f.IP, f.SNAT)
}

func forwardFields(o object, f *intent.PortForward) {
	o.set("address", f.Address)
	o.set("protocol", f.Protocol)
	o.set("port", portsText([]intent.PortRange{f.Ports})[0])
	targetFields(o, "to.", f.Endpoint, f.IP, f.SNAT)
	o.set("to.port", portsText([]intent.PortRange{f.ToPorts})[0])
}

// targetFields notes what an address stands for; path is what comes before its fields.
func targetFields(o object, path string, e *intent.Endpoint, ip netip.Addr, mode intent.SNATMode) {
	o.set(path+"endpoint", e.Name)
	o.set(path+"ip", ip)
	if mode != intent.SNATAuto {
		o.set("snat", mode)
	}
}
