package main

import (
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"weir/api"
)

func explainObservationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "observation ID",
		Short: "say which rule has reported a packet, and what would become of it now",
		Long: `observation says more of a report of weir observe, which has the ids: which rules were asked, where
these are written now, of what was stopped the rule that comes nearest to allowing it, and what would become
of the packet by the flows that are installed now. The newest 500 reports are kept.`,
		Args: cobra.ExactArgs(1),
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var v api.ObservationExplanation
		if err := newClient(*socket).get(cmd.Context(), "/v1/observations/"+url.PathEscape(args[0])+"/explain", nil, &v); err != nil {
			return err
		}
		l := listing{value: v, names: []string{v.Observation.Ref}, table: func(w io.Writer, wide bool) { seenText(w, v, wide) }}
		return l.print(cmd.OutOrStdout(), *format)
	}
	return cmd
}

// seenText is what a rule has reported, as people read it.
func seenText(w io.Writer, v api.ObservationExplanation, wide bool) {
	o := v.Observation
	fmt.Fprintf(w, "%s %s -> %s was %s, %s on %s\n", o.Protocol, o.Source(), o.Target(), o.Verdict, o.At.Format(time.RFC3339), o.Bridge)
	if o.Why != "" {
		fmt.Fprintf(w, "  %s\n", o.Why)
	}
	for _, by := range []struct {
		what string
		*api.Intent
	}{{"policy out", v.Egress}, {"policy in", v.Ingress}} {
		if by.Intent != nil {
			fmt.Fprintf(w, "  %s: %s\n", by.what, intentText(by.Intent))
		}
	}
	if o.From+o.To != "" {
		fmt.Fprintf(w, "  from %s, to %s\n", orUnknown(o.From), orUnknown(o.To))
	}
	if o.Nearest != "" {
		fmt.Fprintf(w, "  nearest allow: %s\n", o.Nearest)
	}
	switch {
	case v.Error != "":
		fmt.Fprintf(w, "what would become of it now is not known: %s\n", v.Error)
	case v.Same && !wide:
		fmt.Fprintln(w, "now it would be the same, by the same rules")
	default:
		fmt.Fprint(w, "now: ")
		explanationText(w, *v.Now, wide, wide)
	}
}

// orUnknown is an endpoint, if it is known.
func orUnknown(id string) string {
	if id == "" {
		return "nobody that is declared"
	}
	return id
}
