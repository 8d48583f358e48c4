package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"weir/api"
	"weir/internal/top"
)

func topCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "show what goes on, live: tenants, rules, backends, who has most connections, drops",
		Long: `top shows what goes on, and brings it up every second: bridges, tenants (connections, new ones and
denied packets in a second), rules by their hits in a second, backends of load balancers, who has most
connections, and drops by reason. Keys are said at the bottom; ? says more, q quits.

While the daemon is away it shows what was last, says so, and goes on when it is back. With -o, or where there
is no terminal, what there is now is printed once, with counts in place of rates.`,
		Args: cobra.NoArgs,
	}
	socket, format := socketFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := newClient(*socket)
		ask := func(ctx context.Context) (t api.Top, err error) {
			err = c.get(ctx, "/v1/top", nil, &t)
			return t, err
		}
		out, is := terminal(cmd.OutOrStdout())
		if cmd.Flags().Changed("output") || !is {
			t, err := ask(cmd.Context())
			if err != nil {
				return err
			}
			return topListing(t).print(cmd.OutOrStdout(), *format)
		}
		asking, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		return runScreen(cmd.Context(), top.New(asking, ask), out)
	}
	return cmd
}

// terminal returns the terminal that is written to, if it is one, and keys come from one.
func terminal(w io.Writer) (*os.File, bool) {
	f, isFile := w.(*os.File)
	return f, isFile && term.IsTerminal(f.Fd()) && term.IsTerminal(os.Stdin.Fd())
}

// runScreen takes the terminal, until q is pressed or ctx is done, and gives it back as it was.
func runScreen(ctx context.Context, screen tea.Model, out *os.File) error {
	_, err := tea.NewProgram(screen, tea.WithContext(ctx), tea.WithOutput(out), tea.WithAltScreen(), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // it was told to end
	}
	return err
}

func topListing(t api.Top) listing {
	l := listing{value: t, table: func(w io.Writer, wide bool) { topTable(w, t, wide) }}
	for _, tenant := range t.Tenants {
		l.names = append(l.names, tenant.Name)
	}
	return l
}

// topTalkers is how many talkers a table of all has.
const topTalkers = 10

func topTable(w io.Writer, t api.Top, wide bool) {
	row(w, "BRIDGE", "STATE", "FLOWS", "GROUPS", "REPAIRS")
	for _, b := range t.Bridges {
		row(w, b.Name, b.State, b.Flows, b.Groups, b.Drift)
	}
	fmt.Fprintln(w)
	row(w, "TENANT", "CONNECTIONS", "BEGUN", "DENIED", "OVER RATE", "LIMIT")
	for _, n := range t.Tenants {
		row(w, n.Name, n.Connections, n.Begun, n.Denied, n.Metered, limitText(n.Limit))
	}
	fmt.Fprintln(w)
	row(w, "KIND", "WHO", "TENANT", "CONNECTIONS", "BYTES")
	for i, k := range t.Talkers {
		if i < topTalkers || wide {
			row(w, k.Kind, k.Name, k.Tenant, k.Connections, bytesText(k))
		}
	}
	fmt.Fprintln(w)
	row(w, "BRIDGE", "DROPPED", "PACKETS")
	for _, b := range t.Bridges {
		for _, d := range b.Drops {
			row(w, b.Name, d.Reason, d.Packets)
		}
	}
}
