package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"weir/api"
)

// An addressUse is how much of an address outside connections take.
type addressUse struct {
	Tenant      string `json:"tenant"`
	By          string `json:"by,omitempty"` // the SNAT or floating IP
	Address     string `json:"address"`
	Connections int    `json:"connections"`
	Busiest     string `json:"busiest"` // where most of them go to: a port can be taken once for each
	InUse       int    `json:"inUse"`   // ports, for that
	Ports       int    `json:"ports"`   // that there are; zero: not limited
}

// useOf sums connections up by the address as which they have left, the fullest first.
func useOf(list []api.Connection, tenants []api.Tenant) []addressUse {
	ports := map[string]int{}
	for _, t := range tenants {
		for _, s := range t.SNATs {
			ports[s.ID] = s.Ports
		}
	}
	uses, to := map[string]*addressUse{}, map[string]map[string]int{}
	for _, c := range list {
		if c.Reply.Dst == c.Orig.Src {
			continue
		}
		key := c.Tenant + " " + c.NAT + " " + c.Reply.Dst
		if uses[key] == nil {
			uses[key], to[key] = &addressUse{Tenant: c.Tenant, By: c.NAT, Address: c.Reply.Dst, Ports: ports[c.NAT]}, map[string]int{}
		}
		uses[key].Connections++
		to[key][c.Protocol+" "+c.Reply.From()]++
	}
	all := []addressUse{}
	for key, u := range uses {
		for where, n := range to[key] {
			if n > u.InUse || n == u.InUse && where < u.Busiest {
				u.Busiest, u.InUse = where, n
			}
		}
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b addressUse) int {
		return cmp.Or(-cmp.Compare(a.InUse, b.InUse), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Address, b.Address), cmp.Compare(a.By, b.By))
	})
	return all
}

func addressListing(all []addressUse) listing {
	l := listing{value: all, table: func(w io.Writer, _ bool) {
		row(w, "TENANT", "ADDRESS", "BY", "CONNECTIONS", "MOST OF THEM TO", "PORTS IN USE THERE")
		for _, u := range all {
			row(w, u.Tenant, u.Address, u.By, u.Connections, u.Busiest, portsText(u))
		}
	}}
	for _, u := range all {
		l.names = append(l.names, u.Tenant+"/"+u.Address)
	}
	return l
}

func portsText(u addressUse) string {
	if u.Ports == 0 {
		return fmt.Sprint(u.InUse)
	}
	return fmt.Sprintf("%d of %d (%d%%)", u.InUse, u.Ports, 100*u.InUse/u.Ports)
}
