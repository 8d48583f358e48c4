// Command weir drives Open vSwitch bridges: it turns tenants and their policies into
// stateful flows, keeps the bridges that way, and says which rule admitted each
// connection.
//
// The package is wiring only. A file per verb turns flags into calls; serve.go starts
// the daemon, whose goroutines are drawn there; what is computed is computed by the
// other packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, the same for each verb.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2 // the plan has changes
)

// errChanges ends weir plan when there is something to do. It is not printed.
var errChanges = errors.New("the plan has changes")

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cmd := rootCommand()
	cmd.SetArgs(withoutArrow(args))
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errChanges):
		return exitChanges
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "weir: %v\n", err)
	return exitError
}

// withoutArrow leaves the arrow of weir explain SOURCE '->' TARGET away, which means nothing, and would be taken for an option.
func withoutArrow(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "->" })
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "stateful tenants on Open vSwitch",
		SilenceUsage:  true,
		SilenceErrors: true,
		Long: `Weir drives Open vSwitch bridges over OpenFlow 1.3. A file says who a tenant is, what
it has and what may talk; Weir compiles it into conntrack-aware flows, keeps them on
the bridge, and says which rule admitted each connection.

Exit codes: 0 ok, 1 error, 2 the plan has changes.`,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, c.CommandPath())
	})
	root.AddCommand(
		serveCommand(), validateCommand(), compileCommand(), planCommand(), statusCommand(),
		connectionsCommand(), conntrackCommand(), balancersCommand(), observeCommand(), detachCommand(), demoCommand(), ofpCommand(), versionCommand(),
	)
	root.AddCommand(certCommand(), explainCommand(), flowsCommand(), getCommand(), topCommand(), manualCommand())
	completeNames(root)
	return root
}
