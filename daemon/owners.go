package daemon

import (
	"net/netip"

	"weir/api"
	"weir/conntrack"
	"weir/intent"
)

// owners are the endpoints of a tenant, by the addresses that they have.
type owners map[netip.Addr]intent.ID

func ownersOf(t *intent.Tenant) owners {
	all := owners{}
	for _, e := range t.Endpoints {
		for _, a := range e.IPs {
			all[a] = e.ID()
		}
	}
	return all
}

// tell puts into c who has opened it, and who answers.
func (o owners) tell(c api.Connection, e conntrack.Entry) api.Connection {
	c.From, c.To = string(o[e.Orig.Src]), string(o[e.Reply.Src])
	return c
}
