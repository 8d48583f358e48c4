package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
)

func connectionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "connections",
		Aliases: []string{"conns"},
		Short:   "list tracked connections, each with the rules that admitted it",
		Long: `connections lists what the connection tracker knows, each with the rules that admitted it, and
with what translates it: as what its source is seen outside, or to whom its destination leads.
--as 203.0.113.10:40000 asks who has that port of that address outside.
With -w it goes on and prints what becomes of them: on the kernel's datapath as it happens, else from one
reading to the next, a second or more.`,
		Args: cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	tenant := cmd.Flags().StringP("tenant", "t", "", "only this tenant's (default: all)")
	byAddress := cmd.Flags().Bool("by-address", false, "how many have left as each address outside, and how full it is")
	watch := cmd.Flags().BoolP("watch", "w", false, "go on, and print what becomes of them: new, changed, ended")
	cmd.MarkFlagsMutuallyExclusive("watch", "by-address")
	filter := filterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := filter()
		query.Set("tenant", *tenant)
		if *watch {
			return watchConnections(cmd.Context(), cmd.OutOrStdout(), newClient(*socket), query, *format)
		}
		var list []api.Connection
		if err := newClient(*socket).get(cmd.Context(), "/v1/connections", query, &list); err != nil {
			return err
		}
		if *byAddress {
			var s api.Status
			if err := newClient(*socket).get(cmd.Context(), "/v1/status", nil, &s); err != nil {
				return err
			}
			return addressListing(useOf(list, s.Tenants)).print(cmd.OutOrStdout(), *format)
		}
		return connectionsListing(list).print(cmd.OutOrStdout(), *format)
	}
	cmd.AddCommand(killCommand())
	return cmd
}

// filterFlags gives a command the flags that say which connections are meant. What it returns
// has them as a request says them, once they have been read.
func filterFlags(cmd *cobra.Command) func() url.Values {
	said := map[string]*string{}
	for name, usage := range map[string]string{
		"protocol": "tcp, udp, icmp, ...", "src": "who has opened it: an address or a prefix", "dst": "to whom: an address or a prefix",
		"sport": "from which port", "dport": "to which port",
		"nat": "what translates it: the name of an SNAT, floating IP or port forward", "as": "as what it is known outside: an address, or ADDRESS:PORT",
	} {
		said[name] = cmd.Flags().String(name, "", usage)
	}
	return func() url.Values {
		q := url.Values{}
		for name, value := range said {
			if *value != "" {
				q.Set(name, *value)
			}
		}
		return q
	}
}

func connectionsListing(list []api.Connection) listing {
	l := listing{value: list, table: func(w io.Writer, wide bool) { connectionsTable(w, list, wide) }}
	for _, c := range list {
		l.names = append(l.names, nameOf(c))
	}
	return l
}

// nameOf is what -o name calls a connection.
func nameOf(c api.Connection) string {
	return fmt.Sprintf("%s/%s/%s-%s", c.Tenant, c.Protocol, source(c), target(c))
}

func connectionsTable(w io.Writer, list []api.Connection, wide bool) {
	head := []any{"TENANT", "PROTOCOL", "FROM", "TO", "STATE", "LET OUT BY", "LET IN BY"}
	translated := slices.ContainsFunc(list, func(c api.Connection) bool { return c.NAT != "" || translation(c) != "" })
	if translated {
		head = append(head, "TRANSLATED", "BY")
	}
	if wide {
		head = append(head, "ZONE", "EPOCH", "CLASS", "MARK", "LABEL", "ID")
	}
	row(w, head...)
	for _, c := range list {
		cells := []any{c.Tenant, c.Protocol, source(c), target(c), stateText(c), short(c, c.Egress), short(c, c.Ingress)}
		if translated {
			cells = append(cells, translation(c), short(c, c.NAT))
		}
		if wide {
			cells = append(cells, c.Zone, c.Epoch, c.Class, fmt.Sprintf("0x%x", c.Mark), c.Label, c.Ref)
		}
		row(w, cells...)
	}
}

// translation says what becomes of a connection's ends: "from 203.0.113.10:40000", "to 10.1.0.12:80".
func translation(c api.Connection) string {
	var parts []string
	if from := c.SourceTo(); from != "" {
		parts = append(parts, "from "+from)
	}
	if to := c.TargetTo(); to != "" {
		parts = append(parts, "to "+to)
	}
	return strings.Join(parts, " ")
}

// short leaves the tenant out of an intent's name: it has a column of its own.
func short(c api.Connection, id string) string { return strings.TrimPrefix(id, c.Tenant+"/") }

func stateText(c api.Connection) string {
	switch {
	case c.Backend != "" && !c.Blocked:
		return strings.TrimSpace(c.State + " " + strings.ToUpper(c.Backend))
	case c.Blocked:
		return strings.TrimSpace(c.State + " BLOCKED")
	case c.Audited:
		return strings.TrimSpace(c.State + " AUDITED")
	}
	return c.State
}

func source(c api.Connection) string { return c.Orig.From() }

func target(c api.Connection) string {
	if strings.HasPrefix(c.Protocol, "icmp") {
		return fmt.Sprintf("%s id %d", c.Orig.Dst, c.Orig.ICMPID)
	}
	return c.Orig.To()
}
