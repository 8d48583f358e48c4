package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/manual"
)

// manualCommand prints weir(1). Who installs Weir runs it, nobody else: it is hidden.
func manualCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "manual",
		Short:  "print the manual page, of the day that SOURCE_DATE_EPOCH says",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			page := manual.Page{
				Version: version(),
				Files: [][2]string{
					{"/etc/weir/*.yaml", "The model: what weir.service serves."},
					{"/etc/weir/serve.env", "Flags of weir.service."},
					{"/var/lib/weir", "The numbers that were given to intents, which connections are known by. It must outlive the daemon."},
					{defaultSocket, "The control socket of the daemon."},
					{"/run/openvswitch", "Where Open vSwitch has its sockets, and where a bridge finds Weir."},
				},
				SeeAlso: []string{"ovs-vsctl(8)", "ovs-ofctl(8)", "ovs-vswitchd(8)", "ovs-fields(7)", "systemd.exec(5)"},
			}
			if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
				seconds, err := strconv.ParseInt(epoch, 10, 64)
				if err != nil {
					return fmt.Errorf("SOURCE_DATE_EPOCH=%s: must be seconds since 1970", epoch)
				}
				page.Date = time.Unix(seconds, 0)
			}
			return page.Write(cmd.OutOrStdout(), cmd.Root())
		},
	}
}
