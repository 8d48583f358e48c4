package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain PROTOCOL SOURCE TARGET[:PORT]",
		Short: "say which rule lets a packet through, or stops it",
		Long: `explain asks ovs-vswitchd what it would do with a packet, by the flows that are installed, and
says which rule decides: with its place in the model, the way that the packet takes, and of what is
denied the rule that comes nearest to allowing it. Nothing is sent.

  weir explain tcp web-1 db-1:5432
  weir explain 'tcp web-1 -> db-1:5432'            the same; an arrow without quotes is the shell's
  weir explain icmp 10.1.0.11 203.0.113.1
  weir explain tcp outside/203.0.113.9 web-ip:80   from a host outside to a floating IP
  weir explain udp web-1 dns:53 --as 10.1.0.99     from an address that is not its own

The source is an endpoint, its address, or outside/ADDRESS; the target an endpoint, an address, a load
balancer, a floating IP or a port forward. Where tenants use a name or an address both, BLUE/web-1 says whose,
or -t BLUE. The exit code is 0 whatever the verdict is.`,
		Args: cobra.MinimumNArgs(1),
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	var q api.Question
	steps := cmd.Flags().Bool("steps", false, "every flow that the packet hits")
	cmd.Flags().StringVarP(&q.Tenant, "tenant", "t", "", "whose names are meant (default: all)")
	cmd.Flags().BoolVar(&q.Established, "established", false, "a packet of a connection that has been answered (default: the first)")
	cmd.Flags().StringVar(&q.As, "as", "", "the source address, if it is not the sender's own")
	cmd.Flags().StringVar(&q.FromMAC, "from-mac", "", "the source MAC address, if it is not the sender's own")
	cmd.Flags().StringVar(&q.ToMAC, "to-mac", "", "the destination MAC address, if it is not the receiver's or the router's")
	cmd.Flags().StringVar(&q.Fragment, "fragment", "", "first or later: it is a fragment")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.Packet = strings.Join(args, " ")
		var x api.Explanation
		if err := newClient(*socket).post(cmd.Context(), "/v1/explain", q, &x); err != nil {
			return err
		}
		return explanationListing(x, *steps).print(cmd.OutOrStdout(), *format)
	}
	cmd.AddCommand(explainConnectionCommand(), explainObservationCommand())
	return cmd
}

func explainConnectionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connection ID",
		Short: "say why a connection is there, and what becomes of it",
		Long: `connection says which rules have admitted a connection, and where these are written, what translates
it, under which epoch of policy it was judged last, what becomes of its next packet, and whether it would
be admitted as it has been if it were opened now. weir connections -o wide lists the ids.`,
		Args: cobra.ExactArgs(1),
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var v api.KnownExplanation
		if err := newClient(*socket).get(cmd.Context(), "/v1/connections/"+url.PathEscape(args[0])+"/explain", nil, &v); err != nil {
			return err
		}
		l := listing{value: v, names: []string{v.Connection.Ref}, table: func(w io.Writer, wide bool) { knownText(w, v, wide) }}
		return l.print(cmd.OutOrStdout(), *format)
	}
	return cmd
}

// knownText is why a connection is there, as people read it.
func knownText(w io.Writer, v api.KnownExplanation, wide bool) {
	c := v.Connection
	fmt.Fprintln(w, strings.Join(strings.Fields(fmt.Sprintf("%s %s -> %s %s", c.Protocol, source(c), target(c), stateText(c))), " "))
	for _, by := range []struct {
		what string
		*api.Intent
	}{{"let out by", v.Egress}, {"let in by", v.Ingress}} {
		if by.Intent != nil {
			fmt.Fprintf(w, "  %s %s\n", by.what, intentText(by.Intent))
		}
	}
	if t := translation(c); t != "" {
		fmt.Fprintf(w, "  translated %s, by %s\n", t, intentText(v.NAT))
	}
	if c.Backend != "" {
		fmt.Fprintf(w, "  its backend is %s\n", c.Backend)
	}
	judged := "as policy is now"
	if c.Epoch != v.Epoch {
		judged = fmt.Sprintf("older than policy now (%d): its next packet is judged again", v.Epoch)
	}
	fmt.Fprintf(w, "  zone %d, judged last under epoch %d, %s\n", c.Zone, c.Epoch, judged)
	if v.Error != "" {
		fmt.Fprintf(w, "  what becomes of it is not known: %s\n", v.Error)
		return
	}
	fmt.Fprint(w, "its next packet: ")
	explanationText(w, *v.Next, wide, wide)
	if v.Same {
		fmt.Fprintln(w, "opened now, it would be admitted by the same rules")
		return
	}
	fmt.Fprint(w, "opened now: ")
	explanationText(w, *v.Anew, wide, wide)
}

func explanationListing(x api.Explanation, steps bool) listing {
	l := listing{value: x, table: func(w io.Writer, wide bool) { explanationText(w, x, wide, steps || wide) }}
	if x.By != nil {
		l.names = []string{x.By.ID}
	}
	return l
}

// explanationText is an explanation as people read it: what and by whom, the way, and what would help.
func explanationText(w io.Writer, x api.Explanation, wide, steps bool) {
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s  %s", strings.ToUpper(x.Verdict), intentText(x.By)), " "))
	if x.By != nil && x.By.Description != "" {
		fmt.Fprintf(w, "  %q\n", x.By.Description)
	}
	if x.Reason != "" {
		fmt.Fprintf(w, "  %s\n", x.Reason)
	}
	fmt.Fprintf(w, "  %s   (%s, %s, %d packets so far)\n", strings.Join(wayOf(x), " -> "), x.Bridge, x.Table, x.Packets)
	if x.Target != nil {
		fmt.Fprintf(w, "  for %s, which sends it to %s\n", intentText(x.Target), x.Dst)
	}
	if x.SNAT != nil && x.OFPort != 0 {
		fmt.Fprintf(w, "  leaves as %s, by %s\n", x.Src, intentText(x.SNAT))
	}
	for _, o := range x.Backends {
		fmt.Fprintf(w, "  another backend: %s %s is %s by %s\n", endName(x, o.To), o.Backend, o.Verdict, o.By)
	}
	if x.Nearest != nil {
		fmt.Fprintf(w, "  nearest allow: %s\n", x.Nearest.Text)
	}
	for _, a := range x.Assumptions {
		fmt.Fprintf(w, "  assumed: %s\n", a)
	}
	if steps {
		stepLines(w, x, wide)
	}
}

func intentText(i *api.Intent) string {
	switch {
	case i == nil:
		return ""
	case i.At == "":
		return i.ID + "  (not in the model any more)"
	}
	return i.ID + "  " + i.At
}

// wayOf is the way of a packet in a few words.
func wayOf(x api.Explanation) []string {
	way := []string{endName(x, x.From)}
	if x.State != "" {
		way = append(way, fmt.Sprintf("zone %d, %s", x.Zone, x.State))
	}
	target, in := named("", x.Target, x.Tenant), named("policy in: ", x.Ingress, x.Tenant)
	out, as := named("policy out: ", x.Egress, x.Tenant), named("", x.SNAT, x.Tenant)
	if x.Target != nil && x.SNAT != nil { // from one tenant to another: it leaves the one, and comes in to the other
		way = append(append(append(append(way, out...), as...), target...), in...)
	} else {
		way = append(append(append(append(way, target...), out...), in...), as...)
	}
	switch {
	case x.Verdict == "answered":
		return append(way, "answered by the bridge")
	case x.Verdict == "handed":
		return append(way, "handed to the controller")
	case x.OFPort == 0:
		return append(way, "drop")
	case x.To == "":
		return append(way, fmt.Sprintf("port %d", x.OFPort))
	}
	return append(way, fmt.Sprintf("%s, port %d", endName(x, x.To), x.OFPort))
}

// named is an intent on the way of a packet, or nothing.
func named(what string, i *api.Intent, tenant string) []string {
	if i == nil {
		return nil
	}
	return []string{what + shortIn(tenant, i.ID)}
}

// shortIn leaves the tenant out of the name of an intent of its own.
func shortIn(tenant, id string) string { return strings.TrimPrefix(id, tenant+"/") }

// endName is the name of an endpoint, or another intent, without what says that it is one of the tenant's.
func endName(x api.Explanation, id string) string {
	return strings.TrimPrefix(shortIn(x.Tenant, id), "endpoint/")
}

// stepLines lists the flows that were hit.
func stepLines(w io.Writer, x api.Explanation, wide bool) {
	pass := 0
	for _, s := range x.Steps {
		if s.Pass != pass {
			pass = s.Pass
			fmt.Fprintf(w, "  recirculated, %d\n", pass)
		}
		if s.Missed {
			fmt.Fprintf(w, "  %3d %-10s no flow\n", s.Number, s.Table)
			continue
		}
		fmt.Fprintf(w, "  %3d %-10s priority=%d,%s  %s %s\n", s.Number, s.Table, s.Priority, s.Match, s.Intent, s.At)
		if wide {
			for _, a := range s.Actions {
				fmt.Fprintf(w, "                   %s\n", a)
			}
		}
		if s.Bucket != "" {
			fmt.Fprintf(w, "                 bucket: %s\n", s.Bucket)
		}
	}
}
