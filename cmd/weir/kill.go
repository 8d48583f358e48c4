package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/internal/words"
)

func killCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kill -t TENANT [TERMS] [filters] | --all",
		Short: "have the connection tracker forget connections",
		Long: `kill has the connection tracker forget the connections of a tenant that the filters mean,
by who opened them, what translates them, or as what they are known outside. The next packet of each is judged by the policy as a new connection:
what policy admits goes on, or begins again (with strictTCP, a TCP connection has to).
That there is no such connection is no error. What this version of Open vSwitch cannot forget alone, or
does not survive, is left, and the reason said; --plan says it of each before, and ends with 2 if there are any.
Terms say which as in weir connections.`,
		Args: cobra.ArbitraryArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	flags := cmd.Flags()
	tenant := flags.StringP("tenant", "t", "", "whose")
	all := flags.Bool("all", false, "all of the tenant's")
	plan := flags.Bool("plan", false, "only say which would be forgotten, and by which means")
	query := filterFlags(cmd)
	_ = cmd.MarkFlagRequired("tenant") // it is a flag of ours
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := query(args)
		q.Set("tenant", *tenant)
		if *all {
			q.Set("all", "true")
		}
		return kill(cmd, newClient(*socket), q, *plan, *format)
	}
	return cmd
}

// kill has connections forgotten, or says which would be.
func kill(cmd *cobra.Command, c *client, q url.Values, plan bool, format string) error {
	if plan {
		q.Set("plan", "true")
	}
	var k api.Killed
	if err := c.do(cmd.Context(), http.MethodDelete, "/v1/connections?"+q.Encode(), nil, &k); err != nil {
		return err
	}
	err := killedListing(k, q.Get("tenant")).print(cmd.OutOrStdout(), format)
	switch {
	case err != nil:
		return err
	case plan && k.Killed > 0:
		return errChanges
	case plan || k.Kept == 0:
		return nil
	}
	return fmt.Errorf("%s left: %s", words.Count(k.Kept, "connection is", "connections are"), k.Why)
}

func killedListing(k api.Killed, tenant string) listing {
	l := listing{value: k, table: func(w io.Writer, wide bool) {
		if k.Plan == nil {
			fmt.Fprintf(w, "%s of %s forgotten\n", words.Count(k.Killed, "connection", "connections"), tenant)
			return
		}
		row(w, "PROTOCOL", "FROM", "TO", "STATE", "ZONE", "BY")
		for _, f := range k.Plan {
			c, by := f.Connection, f.By
			if f.Why != "" {
				by = "left: " + f.Why
			}
			row(w, c.Protocol, source(c), target(c), stateText(c), c.Zone, by)
		}
		fmt.Fprintf(w, "\n%s of %s would be forgotten, %d left\n", words.Count(k.Killed, "connection", "connections"), tenant, k.Kept)
	}}
	for _, f := range k.Plan {
		if f.Why == "" {
			l.names = append(l.names, nameOf(f.Connection))
		}
	}
	return l
}
