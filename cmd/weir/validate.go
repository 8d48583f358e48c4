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
		Args:  cobra.NoArgs,
	}
	path := fileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		m, _, err := load(*path, cmd.InOrStdin())
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "ok: "+census(m))
		return nil
	}
	return cmd
}

// census counts what is in a model: "1 bridge, 2 tenants, ...".
func census(m *intent.Model) string {
	var networks, endpoints, policies, rules int
	for _, t := range m.Tenants() {
		networks += len(t.Networks)
		endpoints += len(t.Endpoints)
		policies += len(t.Policies)
		for _, p := range t.Policies {
			rules += len(p.Rules)
		}
	}
	return strings.Join([]string{
		count(len(m.Bridges()), "bridge", "bridges"), count(len(m.Tenants()), "tenant", "tenants"),
		count(networks, "network", "networks"), count(endpoints, "endpoint", "endpoints"),
		count(policies, "policy", "policies"), count(rules, "rule", "rules"),
	}, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}
