package main

import (
	"cmp"
	"context"
	"errors"
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
		Use:     "connections [TERMS]",
		Aliases: []string{"conns"},
		Short:   "list tracked connections, each with the rules that admitted it",
		Long: `connections lists what the connection tracker knows, each with the rules that admitted it, and
with what translates it: as what its source is seen outside, or to whom its destination leads.
Terms say which: all have to be met, of values with commas between them one.

  protocol=tcp,udp  state!=TIME_WAIT  tenant=blue  zone=4096  id=REF
  src=web-1  dst=10.2.0.0/16  host=db-1    an endpoint, an address or a prefix; host: either end
  dport=5432  sport=1024-65535  dport<1024
  rule=policy/db-ingress  egress=  ingress=  a rule, or all of a policy
  nat=snat/out  backend=10.1.0.11:443  translated
  mark=0x100/0x100  class=17  epoch=3  blocked  audited  !audited
  age>1h  expires<30s  bytes>10M  packets<3  where the tracker counts that

--as 203.0.113.10:40000 asks who has that port of that address outside.
--top says who has most of them. --kill has the tracker forget them, as weir connections kill does; with --plan it
is only said which, and the exit code is 2 if there are any.
With -w it goes on and prints what becomes of them: on the kernel's datapath as it happens, else from one
reading to the next, a second or more.`,
		Args: cobra.ArbitraryArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	flags := cmd.Flags()
	tenant := flags.StringP("tenant", "t", "", "only this tenant's (default: all)")
	byAddress := flags.Bool("by-address", false, "how many have left as each address outside, and how full it is")
	watch := flags.BoolP("watch", "w", false, "go on, and print what becomes of them: new, changed, ended")
	sort := flags.String("sort", "", "in the order of: "+strings.Join(orderNames(), ", "))
	top := flags.Int("top", 0, "who has most of them, so many of each kind: sources, destinations, rules, backends")
	doKill := flags.Bool("kill", false, "have the tracker forget them; needs -t")
	plan := flags.Bool("plan", false, "with --kill: only say which")
	cmd.MarkFlagsMutuallyExclusive("watch", "by-address", "top", "sort", "kill")
	filter := filterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, out, query := newClient(*socket), cmd.OutOrStdout(), filter(args)
		query.Set("tenant", *tenant)
		switch {
		case *plan && !*doKill:
			return errors.New("--plan is for --kill: say both")
		case *doKill:
			return kill(cmd, c, query, *plan, *format)
		case *watch:
			return watchConnections(cmd.Context(), out, c, query, *format)
		case *byAddress:
			return listAddresses(cmd.Context(), out, c, query, *format)
		case flags.Changed("top") && *top < 1:
			return fmt.Errorf("--top %d: want how many of each kind", *top)
		case flags.Changed("top"):
			return listTalkers(cmd.Context(), out, c, query, *format, *top)
		}
		return listConnections(cmd.Context(), out, c, query, *format, *sort)
	}
	cmd.AddCommand(killCommand())
	return cmd
}

// listConnections prints connections. They are not gathered where they can be printed as they come.
func listConnections(ctx context.Context, w io.Writer, c *client, query url.Values, format, sort string) error {
	if format == "name" && sort == "" {
		return c.eachConnection(ctx, query, func(one api.Connection) error {
			_, err := fmt.Fprintln(w, nameOf(one))
			return err
		})
	}
	if format == "json" && sort == "" {
		out := newJSONList(w)
		unread := eachOf(ctx, c, connectionsPath(query), out.add)
		if err := api.AsFarAsReached(unread); err != nil {
			return err
		}
		return cmp.Or(out.end(), unread)
	}
	by, there := orders[sort]
	if sort != "" && !there {
		return fmt.Errorf("--sort %s: must be one of %s", sort, strings.Join(orderNames(), ", "))
	}
	list := []api.Connection{}
	unread := c.eachConnection(ctx, query, func(one api.Connection) error {
		list = append(list, one)
		return nil
	})
	if err := api.AsFarAsReached(unread); err != nil {
		return err
	}
	if there {
		slices.SortStableFunc(list, by)
	}
	return cmp.Or(connectionsListing(list).print(w, format), unread)
}

// eachConnection goes through connections as the daemon reads them.
func (c *client) eachConnection(ctx context.Context, query url.Values, each func(api.Connection) error) error {
	return eachOf(ctx, c, connectionsPath(query), each)
}

func connectionsPath(query url.Values) string { return "/v1/connections?" + query.Encode() }

// listAddresses prints how full addresses outside are.
func listAddresses(ctx context.Context, w io.Writer, c *client, query url.Values, format string) error {
	var list []api.Connection
	var s api.Status
	if err := c.get(ctx, "/v1/connections", query, &list); err != nil {
		return err
	}
	if err := c.get(ctx, "/v1/status", nil, &s); err != nil {
		return err
	}
	return addressListing(useOf(list, s.Tenants)).print(w, format)
}

// filterFlags gives a command the flags, and the terms, that say which connections are meant. What it
// returns has them as a request says them, once they have been read.
func filterFlags(cmd *cobra.Command) func(terms []string) url.Values {
	said := map[string]*string{}
	for name, usage := range map[string]string{
		"protocol": "tcp, udp, icmp, ...", "src": "who has opened it: an address or a prefix", "dst": "to whom: an address or a prefix",
		"sport": "from which port", "dport": "to which port",
		"nat": "what translates it: the name of an SNAT, floating IP or port forward", "as": "as what it is known outside: an address, or ADDRESS:PORT",
	} {
		said[name] = cmd.Flags().String(name, "", usage)
	}
	return func(terms []string) url.Values {
		q := url.Values{}
		for name, value := range said {
			if *value != "" {
				q.Set(name, *value)
			}
		}
		if len(terms) > 0 {
			q.Set("select", strings.Join(terms, " "))
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
	hosts := slices.ContainsFunc(list, func(c api.Connection) bool { return c.Host != "" })
	if hosts {
		head = append(head, "HOST")
	}
	if wide {
		head = append(head, "SENDER", "RECEIVER", "ZONE", "EPOCH", "CLASS", "MARK", "LABEL", "ID")
	}
	row(w, head...)
	for _, c := range list {
		cells := []any{c.Tenant, c.Protocol, source(c), target(c), stateText(c), short(c, c.Egress), short(c, c.Ingress)}
		if translated {
			cells = append(cells, translation(c), short(c, c.NAT))
		}
		if hosts {
			cells = append(cells, c.Host)
		}
		if wide {
			cells = append(cells, api.LastPart(c.From), api.LastPart(c.To), c.Zone, c.Epoch, c.Class, fmt.Sprintf("0x%x", c.Mark), c.Label, c.Ref)
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
