package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/internal/modelfiles"
)

func planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan -f FILE|DIR|-",
		Short: "show what a model would change on the live bridges, and change nothing",
		Long: `plan compares a model with the one in force and with what is in the bridges now, and
shows the objects and flows that would change. It exits with 2 if there are any.
-o wide lists the flows.`,
		Args: cobra.NoArgs,
	}
	path, socket, format := fileFlag(cmd), socketFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sources, err := modelfiles.Sources(*path, cmd.InOrStdin())
		if err != nil {
			return err
		}
		var req api.PlanRequest
		for _, s := range sources {
			req.Sources = append(req.Sources, api.Source{Name: s.Name, Data: s.Data})
		}
		var p api.Plan
		if err := newClient(*socket).post(cmd.Context(), "/v1/plan", req, &p); err != nil {
			return err
		}
		if err := planListing(p).print(cmd.OutOrStdout(), *format); err != nil {
			return err
		}
		return planResult(p)
	}
	return cmd
}

// planResult is errChanges if p has any, or says which bridges could not be asked.
func planResult(p api.Plan) error {
	for _, b := range p.Bridges {
		if b.Error != "" {
			return fmt.Errorf("no plan for %s: %s", b.Name, b.Error)
		}
	}
	if p.Empty() {
		return nil
	}
	return errChanges
}

func planListing(p api.Plan) listing {
	l := listing{value: p, table: func(w io.Writer, wide bool) { planTable(w, p, wide) }}
	for _, c := range p.Objects {
		l.names = append(l.names, c.ID)
	}
	return l
}

func planTable(w io.Writer, p api.Plan, wide bool) {
	for _, c := range p.Objects {
		changeLines(w, c)
	}
	for _, b := range p.Bridges {
		if b.Error != "" {
			continue
		}
		fmt.Fprintf(w, "   %s: +%d ~%d -%d flows%s\n", b.Name, b.Add, b.Change, b.Remove, groupsText(b))
		for _, t := range b.Narrowed {
			fmt.Fprintf(w, "   %s: policy of %s is narrowed: its live connections are judged again\n", b.Name, t)
		}
		if len(b.Narrowed) > 0 || b.Ends > 0 {
			fmt.Fprintf(w, "   %s: connections affected: %d\n", b.Name, b.Ends)
		}
		for _, why := range b.Against {
			fmt.Fprintf(w, "   %s: it would be held: %s\n", b.Name, why)
		}
		if !wide {
			continue
		}
		for _, f := range append(b.Groups, b.Flows...) {
			fmt.Fprintf(w, "     %s %s\n", f.Verb, f.Text)
			if f.Intent != "" {
				fmt.Fprintf(w, "         for %s\n", f.Intent)
			}
		}
	}
	if p.Empty() {
		fmt.Fprintln(w, "   nothing to change")
	}
}

// changeLines shows an object: one line, and one more for each field if several have
// changed.
func changeLines(w io.Writer, c api.Change) {
	head := fmt.Sprintf(" %s %s %s", c.Verb, c.Kind, c.ID)
	if len(c.Fields) == 1 {
		fmt.Fprintf(w, "%s\t%s\t%s\n", head, fieldText(c.Fields[0]), c.At)
		return
	}
	fmt.Fprintf(w, "%s\t\t%s\n", head, c.At)
	for _, f := range c.Fields {
		fmt.Fprintf(w, "\t%s\t\n", fieldText(f))
	}
}

func fieldText(f api.Field) string {
	switch {
	case f.Old == "":
		return fmt.Sprintf("%s: %s (new)", f.Path, f.New)
	case f.New == "":
		return fmt.Sprintf("%s: %s (gone)", f.Path, f.Old)
	}
	return fmt.Sprintf("%s: %s -> %s", f.Path, f.Old, f.New)
}

// groupsText counts the groups of a plan, if it has any.
func groupsText(b api.BridgePlan) string {
	n := map[string]int{}
	for _, g := range b.Groups {
		n[g.Verb]++
	}
	if len(n) == 0 {
		return ""
	}
	return fmt.Sprintf(", +%d ~%d -%d groups", n[api.Added], n[api.Changed], n[api.Removed])
}
