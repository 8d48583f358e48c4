package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
)

func expectationsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "expectations",
		Short: "what the helpers of the trackers wait for: connections that others have announced",
		Long: `expectations lists the connections that helpers have heard announced in others, of FTP for data, and that have
not come yet. What the datapath does not say is left out, and so is whose they are where several tenants
have a connection with the same addresses and ports and the kernel does not say which of them it was.`,
		Args: cobra.NoArgs,
	}
	socket, format, watch := socketFlag(cmd), outputFlag(cmd), watchFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := newClient(*socket)
		return show(cmd, *format, *watch, func(ctx context.Context) (listing, error) {
			var all []api.Expected
			if err := c.get(ctx, "/v1/conntrack/expectations", nil, &all); err != nil {
				return listing{}, err
			}
			return expectedListing(all), unknown(all)
		})
	}
	return cmd
}

// unknown is an error if no tracker says what it waits for.
func unknown(all []api.Expected) (err error) {
	for _, x := range all {
		if x.Error == "" || len(x.Expectations) > 0 {
			return nil
		}
		err = errors.Join(err, fmt.Errorf("%s: %s", api.OnHost(x.Host, x.Datapath), x.Error))
	}
	return err
}

func expectedListing(all []api.Expected) listing {
	l := listing{value: all, table: func(w io.Writer, wide bool) { expectedTable(w, all, wide) }}
	for _, x := range all {
		for _, e := range x.Expectations {
			l.names = append(l.names, fmt.Sprintf("%s/%s/%s/%s-%s", api.OnHost(x.Host, x.Datapath), placesText(e.Zones), e.Protocol, anyEnd(e.Orig.Src, e.Orig.Sport), anyEnd(e.Orig.Dst, e.Orig.Dport)))
		}
	}
	return l
}

func expectedTable(w io.Writer, all []api.Expected, wide bool) {
	head := []any{"DATAPATH", "TENANT", "PROTOCOL", "FROM", "TO", "HELPER", "EXPIRES", "ANNOUNCED BY"}
	if wide {
		head = append(head, "ZONE", "ID")
	}
	row(w, head...)
	for _, x := range all {
		for _, e := range x.Expectations {
			expires := ""
			if e.Expires > 0 {
				expires = fmt.Sprintf("%ds", e.Expires)
			}
			cells := []any{api.OnHost(x.Host, x.Datapath), e.Tenant, e.Protocol, anyEnd(e.Orig.Src, e.Orig.Sport), anyEnd(e.Orig.Dst, e.Orig.Dport), e.Helper, expires, e.Parent.From() + " -> " + e.Parent.To()}
			if wide {
				cells = append(cells, placesText(e.Zones), e.Ref)
			}
			row(w, cells...)
		}
	}
	for _, x := range all {
		if x.Error != "" {
			fmt.Fprintf(w, "\n%s: %s\n", api.OnHost(x.Host, x.Datapath), x.Error)
		}
	}
}

// anyEnd is an end of a connection that is expected: "10.1.1.2:*".
func anyEnd(address string, port uint16) string {
	if address == "" {
		address = "*"
	} else if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	if port == 0 {
		return address + ":*"
	}
	return address + ":" + strconv.Itoa(int(port))
}

// placesText is "4096", or "4096 or 4097" where it may be either.
func placesText(zones []uint16) string {
	texts := make([]string, len(zones))
	for i, z := range zones {
		texts[i] = strconv.Itoa(int(z))
	}
	return strings.Join(texts, " or ")
}
