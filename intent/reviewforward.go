package intent

import "slices"

// forwards notes port forwards by which nobody outside can get through: of policies that would
// have to let him, most are written for the port outside, and it is the endpoint's that is judged.
func (v *review) forwards(t *Tenant) {
	if t.Mode != Enforce || t.Ingress != Deny {
		return
	}
	for _, f := range t.PortForwards {
		switch {
		case t.admits(f, f.ToPorts):
		case f.Ports != f.ToPorts && t.admits(f, f.Ports):
			v.note(f.ID(), "spec.to.port", "policies judge the endpoint's own port: write "+f.ToPorts.String()+" there, not "+f.Ports.String(),
				"nobody outside gets through: no rule lets anybody from there in to %s port %s of endpoint %q", f.Protocol, f.ToPorts, f.Endpoint.Name)
		default:
			v.note(f.ID(), "spec", "add a rule that does", "nobody outside gets through: no rule lets anybody from there in to %s port %s of endpoint %q", f.Protocol, f.ToPorts, f.Endpoint.Name)
		}
	}
}

// admits reports whether some rule of t may let somebody from outside in to ports of the endpoint
// of f. Those that deny, or leave it to another tier, are not asked.
func (t *Tenant) admits(f *PortForward, ports PortRange) bool {
	lets := func(r *Rule) bool {
		return r.Direction == Ingress && r.Action == Allow && (r.Protocol == AnyProtocol || r.Protocol == f.Protocol) &&
			(len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, ports.overlaps)) &&
			r.Peer.admitsOutside(f.IP.Is4())
	}
	return slices.ContainsFunc(t.Policies, func(p *Policy) bool {
		return p.AppliesTo.Selects(f.Endpoint) && slices.ContainsFunc(p.Rules, lets)
	})
}
