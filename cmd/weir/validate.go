package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weir/intent"
)

func validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate -f FILE|DIR|-",
		Short: "check a model without a bridge or a daemon; print all problems at once",
		Long: `validate reads a model as serve does, and prints all that is wrong with it. Of a model that
is right it also says what was probably not meant: rules that can never match, with the rule that
comes before them, rules that are there twice, selections that select nobody. These are warnings:
they are printed on standard error, and validate succeeds.`,
		Args: cobra.NoArgs,
	}
	path := fileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		m, sources, err := load(*path, cmd.InOrStdin())
		if err != nil {
			return err
		}
		warnings := intent.Review(m, sources...)
		for _, w := range warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w.Error())
		}
		text := "ok: " + census(m)
		if n := len(warnings); n > 0 {
			text += "; " + count(n, "warning", "warnings")
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
		return nil
	}
	return cmd
}

// census counts what is in a model: "1 bridge, 2 tenants, ...".
func census(m *intent.Model) string {
	var networks, endpoints, groups, policies, rules int
	for _, t := range m.Tenants() {
		networks += len(t.Networks)
		endpoints += len(t.Endpoints)
		groups += len(t.Groups)
		policies += len(t.Policies)
		for _, p := range t.Policies {
			rules += len(p.Rules)
		}
	}
	parts := []string{
		count(len(m.Bridges()), "bridge", "bridges"), count(len(m.Tenants()), "tenant", "tenants"),
		count(networks, "network", "networks"), count(endpoints, "endpoint", "endpoints"),
		count(policies, "policy", "policies"), count(rules, "rule", "rules"),
	}
	if groups > 0 {
		parts = append(parts, count(groups, "group", "groups"))
	}
	parts = append(parts, outsideCensus(m)...)
	return strings.Join(parts, ", ")
}

// outsideCensus counts what a model says of the outside, and is empty if that is nothing.
func outsideCensus(m *intent.Model) (parts []string) {
	var outsides, snats, floating, forwards, balancers int
	for _, b := range m.Bridges() {
		outsides += len(b.Externals)
	}
	for _, t := range m.Tenants() {
		snats, floating, forwards = snats+len(t.SNATs), floating+len(t.FloatingIPs), forwards+len(t.PortForwards)
		balancers += len(t.LoadBalancers)
	}
	for _, c := range []struct {
		n         int
		one, many string
	}{{outsides, "outside", "outsides"}, {snats, "SNAT", "SNATs"}, {floating, "floating IP", "floating IPs"}, {forwards, "port forward", "port forwards"}, {balancers, "load balancer", "load balancers"}} {
		if c.n > 0 {
			parts = append(parts, count(c.n, c.one, c.many))
		}
	}
	return parts
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}
