package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/api"
)

// orders are those in which weir connections lists: amounts from the most down, the oldest first.
var orders = map[string]func(a, b api.Connection) int{
	"tenant":   by(func(c api.Connection) string { return c.Tenant }),
	"protocol": by(func(c api.Connection) string { return c.Protocol }),
	"state":    by(stateText),
	"egress":   by(func(c api.Connection) string { return c.Egress }),
	"ingress":  by(func(c api.Connection) string { return c.Ingress }),
	"src":      func(a, b api.Connection) int { return compareEnds(a.Orig.Src, a.Orig.Sport, b.Orig.Src, b.Orig.Sport) },
	"dst":      func(a, b api.Connection) int { return compareEnds(a.Orig.Dst, a.Orig.Dport, b.Orig.Dst, b.Orig.Dport) },
	"bytes": func(a, b api.Connection) int {
		return cmp.Compare(b.Orig.Bytes+b.Reply.Bytes, a.Orig.Bytes+a.Reply.Bytes)
	},
	"packets": func(a, b api.Connection) int {
		return cmp.Compare(b.Orig.Packets+b.Reply.Packets, a.Orig.Packets+a.Reply.Packets)
	},
	"expires": func(a, b api.Connection) int { return cmp.Compare(b.Expires, a.Expires) },
	"age":     func(a, b api.Connection) int { return cmp.Compare(startOf(a), startOf(b)) },
}

func orderNames() []string { return slices.Sorted(maps.Keys(orders)) }

func by(of func(api.Connection) string) func(a, b api.Connection) int {
	return func(a, b api.Connection) int { return cmp.Compare(of(a), of(b)) }
}

func compareEnds(a string, aPort uint16, b string, bPort uint16) int {
	x, _ := netip.ParseAddr(a) // they were made by String
	y, _ := netip.ParseAddr(b)
	return cmp.Or(x.Compare(y), cmp.Compare(aPort, bPort))
}

// startOf is when a connection was opened; of one of which that is not known, now.
func startOf(c api.Connection) int64 {
	if c.Start == nil {
		return time.Now().UnixNano()
	}
	return c.Start.UnixNano()
}

// listTalkers prints who has most of some connections.
func listTalkers(ctx context.Context, w io.Writer, c *client, query url.Values, format string, most int) error {
	all := map[api.Talker]*api.Talker{}
	err := c.eachConnection(ctx, query, func(one api.Connection) error {
		for _, k := range talkersOf(one) {
			talks(all, k, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return talkerListing(mostOf(all, most)).print(w, format)
}

// talks counts a connection for a talker, who is known without his counts.
func talks(all map[api.Talker]*api.Talker, k api.Talker, c api.Connection) {
	if all[k] == nil {
		v := k
		all[k] = &v
	}
	all[k].Connections++
	all[k].Bytes += c.Orig.Bytes + c.Reply.Bytes
}

// talkersOf says who has to do with a connection.
func talkersOf(c api.Connection) []api.Talker {
	all := []api.Talker{
		{Kind: "source", Tenant: c.Tenant, Name: c.Orig.Src, Endpoint: api.LastPart(c.From)},
		{Kind: "destination", Tenant: c.Tenant, Name: c.Orig.To()},
	}
	if c.Orig.Dst == c.Reply.Src {
		all[1].Endpoint = api.LastPart(c.To)
	}
	for _, rule := range []string{c.Egress, c.Ingress} {
		if rule != "" {
			all = append(all, api.Talker{Kind: "rule", Tenant: c.Tenant, Name: rule})
		}
	}
	if strings.Contains(c.NAT, "/loadbalancer/") && c.TargetTo() != "" {
		all = append(all, api.Talker{Kind: "backend", Tenant: c.Tenant, Name: c.Reply.From(), Endpoint: api.LastPart(c.To)})
	}
	return all
}

// mostOf returns so many of each kind, kind by kind, who has most connections first.
func mostOf(all map[api.Talker]*api.Talker, most int) []api.Talker {
	kinds := []string{"source", "destination", "rule", "backend"}
	list := []api.Talker{}
	for _, t := range all {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b api.Talker) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(b.Connections, a.Connections),
			cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Name, b.Name))
	})
	seen := map[string]int{}
	return slices.DeleteFunc(list, func(t api.Talker) bool {
		seen[t.Kind]++
		return seen[t.Kind] > most
	})
}

func talkerListing(list []api.Talker) listing {
	l := listing{value: list, table: func(w io.Writer, _ bool) {
		row(w, "KIND", "WHO", "ENDPOINT", "TENANT", "CONNECTIONS", "BYTES")
		for _, t := range list {
			row(w, t.Kind, t.Name, t.Endpoint, t.Tenant, t.Connections, bytesText(t))
		}
	}}
	for _, t := range list {
		l.names = append(l.names, t.Kind+" "+t.Name)
	}
	return l
}

// bytesText is how many bytes a talker has, if they are counted.
func bytesText(t api.Talker) string {
	if t.Bytes == 0 {
		return ""
	}
	return fmt.Sprint(t.Bytes)
}
