package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/daemon"
	"weir/internal/words"
	"weir/ofproto/ofconn"
)

func detachCommand() *cobra.Command {
	var keys ofconn.Keys
	cmd := &cobra.Command{
		Use:   "detach BRIDGE",
		Short: "give a bridge back as it was before Weir: controllers, protocols, fail mode",
		Long: `detach removes Weir's flows, groups and meters from a bridge, and the connections, limits
and timeouts of its tenants' conntrack zones, and puts its controllers, protocols and fail
mode back as they were. The daemon must not drive the bridge any more: stop
it, or take the bridge out of the model.`,
		Args: cobra.ExactArgs(1),
	}
	hosts := hostFlags(cmd)
	keyFlags(cmd, &keys)
	keepFlows := cmd.Flags().Bool("keep-flows", false, "leave Weir's flows in the bridge")
	socket := socketFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := hosts()
		if err != nil {
			return err
		}
		if err := undriven(cmd.Context(), *socket, args[0]); err != nil {
			return err
		}
		removed, err := daemon.Detach(cmd.Context(), keys, all, args[0], *keepFlows)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is given back; %s of Weir's removed\n", args[0], words.Count(removed, "flow", "flows"))
		return nil
	}
	return cmd
}

// undriven is an error if a daemon drives the bridge: it would attach it again at once.
func undriven(ctx context.Context, socket, bridge string) error {
	var s api.Status
	if err := newClient(socket).get(ctx, "/v1/status", nil, &s); err != nil {
		return nil // no daemon there, or none that could tell
	}
	for _, b := range s.Bridges {
		if b.Name == bridge {
			return fmt.Errorf("the daemon behind %s drives %s: stop it, or take the bridge out of %s", socket, bridge, s.Model.Source)
		}
	}
	return nil
}
