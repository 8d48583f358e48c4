package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/apps/pipeline"
	"weir/ovsdb"
)

// completionPatience is how long a shell waits for names. A daemon that does not answer by then has none.
const completionPatience = time.Second

// A completer is what a shell asks for the words that may come next. It says nothing of what goes wrong: there
// is nobody to read it.
type completer = cobra.CompletionFunc

// completeNames has shells complete what there is: of a running daemon the tenants, bridges and rules, and the
// values of flags that are known beforehand. Elsewhere but where a file is meant no file is offered.
func completeNames(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	flags := map[string]completer{
		"tenant": tenantNames, "intent": ruleNames,
		"output": oneOf(formats...), "sort": oneOf(orderNames()...), "table": oneOf(slices.Sorted(maps.Values(pipeline.TableNames))...),
		"verdict": oneOf("allowed", "denied", "rejected", "audited"), "fragment": oneOf("first", "later"), "datapath": oneOf("netdev", "system"),
		"log-format": oneOf("text", "json"), "log-level": oneOf("error", "warning", "info", "debug"), "protocol": oneOf(askedProtocols...),
	}
	for _, name := range []string{"filename", "certificate", "private-key", "ca-cert", "socket"} {
		flags[name] = files(cobra.ShellCompDirectiveDefault)
	}
	for _, name := range []string{"dir", "state-dir", "ovs-rundir"} {
		flags[name] = files(cobra.ShellCompDirectiveFilterDirs)
	}
	arguments := map[string]completer{
		"weir flows": atFirst(bridgeNames), "weir detach": atFirst(databaseBridges), "weir explain": atFirst(oneOf(askedProtocols...)),
		"weir connections": terms, "weir connections kill": terms, "weir cert show": files(cobra.ShellCompDirectiveDefault),
	}
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		for name, f := range flags {
			if c.Flags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, f) // the flag is there, and has none
			}
		}
		c.ValidArgsFunction = arguments[c.CommandPath()]
		for _, child := range c.Commands() {
			each(child)
		}
	}
	each(root)
}

// askedProtocols are those that weir explain and --protocol are asked about mostly.
var askedProtocols = []string{"tcp", "udp", "icmp", "icmpv6", "sctp"}

// oneOf completes what is known beforehand.
func oneOf(all ...string) completer {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}

// files has the shell complete files, or folders.
func files(kind cobra.ShellCompDirective) completer { return cobra.FixedCompletions(nil, kind) }

// atFirst completes the first argument alone.
func atFirst(f completer) completer {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, begun)
	}
}

// terms completes which connections are meant; a value follows at once.
func terms(_ *cobra.Command, _ []string, begun string) (all []cobra.Completion, _ cobra.ShellCompDirective) {
	not := ""
	if strings.HasPrefix(begun, "!") {
		not = "!"
	}
	for _, t := range api.SelectorTerms() {
		all = append(all, not+t)
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// asked completes what the daemon behind --socket answers.
func asked(names func(context.Context, *client) ([]string, error)) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		socket, err := cmd.Flags().GetString("socket")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := patiently(cmd)
		defer cancel()
		all, err := names(ctx, newClient(socket))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

func patiently(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil { // so cobra calls it for a command that it does not run
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, completionPatience)
}

var tenantNames = asked(func(ctx context.Context, c *client) (names []string, err error) {
	var s api.Status
	err = c.get(ctx, "/v1/status", nil, &s)
	for _, t := range s.Tenants {
		names = append(names, t.Name)
	}
	return names, err
})

var bridgeNames = asked(func(ctx context.Context, c *client) (names []string, err error) {
	var s api.Status
	err = c.get(ctx, "/v1/status", nil, &s)
	for _, b := range s.Bridges {
		names = append(names, b.Name)
	}
	return names, err
})

var ruleNames = asked(func(ctx context.Context, c *client) (names []string, err error) {
	var all []api.Rule
	err = c.get(ctx, "/v1/rules", nil, &all)
	for _, r := range all {
		names = append(names, r.ID)
	}
	return names, err
})

// databaseBridges completes the bridges that Open vSwitch has: those that are given back, no daemon has any more.
func databaseBridges(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	target, err := cmd.Flags().GetString("ovsdb")
	if err != nil || strings.HasPrefix(target, "ssl:") { // its keys are not worth reading for that
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := patiently(cmd)
	defer cancel()
	db, err := ovsdb.Open(ctx, ovsdb.Database{Target: target})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := db.Snapshot(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(s.Bridges)), cobra.ShellCompDirectiveNoFileComp
}
