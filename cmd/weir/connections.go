package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
)

func connectionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "connections",
		Aliases: []string{"conns"},
		Short:   "list tracked connections, each with the rules that admitted it",
		Args:    cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	tenant := cmd.Flags().StringP("tenant", "t", "", "only this tenant's (default: all)")
	byAddress := cmd.Flags().Bool("by-address", false, "how many have left as each address outside, and how full it is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *tenant != "" {
			query.Set("tenant", *tenant)
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

func connectionsListing(list []api.Connection) listing {
	l := listing{value: list, table: func(w io.Writer, wide bool) { connectionsTable(w, list, wide) }}
	for _, c := range list {
		l.names = append(l.names, fmt.Sprintf("%s/%s/%s-%s", c.Tenant, c.Protocol, source(c), target(c)))
	}
	return l
}

func connectionsTable(w io.Writer, list []api.Connection, wide bool) {
	head := []any{"TENANT", "PROTOCOL", "FROM", "TO", "STATE", "LET OUT BY", "LET IN BY"}
	if wide {
		head = append(head, "LEFT AS", "NAT", "ZONE", "EPOCH", "CLASS", "MARK", "LABEL")
	}
	row(w, head...)
	for _, c := range list {
		cells := []any{c.Tenant, c.Protocol, source(c), target(c), stateText(c), short(c, c.Egress), short(c, c.Ingress)}
		if wide {
			cells = append(cells, leftAs(c), short(c, c.NAT), c.Zone, c.Epoch, c.Class, fmt.Sprintf("0x%x", c.Mark), c.Label)
		}
		row(w, cells...)
	}
}

// short leaves the tenant out of an intent's name: it has a column of its own.
func short(c api.Connection, id string) string { return strings.TrimPrefix(id, c.Tenant+"/") }

func stateText(c api.Connection) string {
	switch {
	case c.Blocked:
		return strings.TrimSpace(c.State + " BLOCKED")
	case c.Audited:
		return strings.TrimSpace(c.State + " AUDITED")
	}
	return c.State
}

func source(c api.Connection) string { return endText(c.Orig.Src, c.Orig.Sport) }

// leftAs is the source that a connection has on the other side, if it is another one.
func leftAs(c api.Connection) string {
	if c.Reply.Dst == c.Orig.Src {
		return ""
	}
	return endText(c.Reply.Dst, c.Reply.Dport)
}

func target(c api.Connection) string {
	if strings.HasPrefix(c.Protocol, "icmp") {
		return fmt.Sprintf("%s id %d", c.Orig.Dst, c.Orig.ICMPID)
	}
	return endText(c.Orig.Dst, c.Orig.Dport)
}

func endText(address string, port uint16) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}
