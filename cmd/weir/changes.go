package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"weir/api"
	"weir/internal/top"
)

// watchConnections prints what becomes of connections until ctx is done; in a terminal it shows those that
// have changed last.
func watchConnections(ctx context.Context, w io.Writer, c *client, query url.Values, format string) error {
	if out, is := terminal(w); is && format == "table" {
		return showConnections(ctx, out, c, query)
	}
	first := true
	return c.eachChange(ctx, query, func() {}, func(change api.ConnectionChange) error {
		err := changeListing(change, first).print(w, format)
		first = false
		return err
	})
}

// eachChange goes through what becomes of connections, until ctx is done. It says before that it is told.
func (c *client) eachChange(ctx context.Context, query url.Values, begin func(), each func(api.ConnectionChange) error) error {
	resp, err := c.open(ctx, "/v1/connections/changes?"+query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	begin()
	for lines := json.NewDecoder(resp.Body); ; {
		var change api.ConnectionChange
		switch err := lines.Decode(&change); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the daemon has gone")
		case err != nil:
			return err
		}
		if err := each(change); err != nil {
			return err
		}
	}
}

// showConnections takes the terminal, and shows what becomes of connections until q is pressed. What is
// wrong with the query is said before.
func showConnections(ctx context.Context, out *os.File, c *client, query url.Values) error {
	follow := func(ctx context.Context, told func(top.Change)) error {
		return c.eachChange(ctx, query, func() { told(top.Change{Kind: "begin"}) }, func(change api.ConnectionChange) error {
			told(liveChange(change))
			return nil
		})
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.open(asking, "/v1/connections/changes?"+query.Encode())
	if err != nil {
		return err
	}
	resp.Body.Close()
	table := top.Table{Title: "connections", Columns: []string{"STATE", "TENANT", "PROTO", "FROM", "TO", "LET IN BY"}, Fixed: []string{"CHANGE", "STATE", "PROTO", "FROM", "TO"}}
	return runScreen(ctx, top.NewLive(asking, table, follow), out)
}

// liveChange is a change as the screen has it.
func liveChange(c api.ConnectionChange) top.Change {
	if c.Connection == nil {
		return top.Change{Note: c.Error}
	}
	is := *c.Connection
	return top.Change{Key: is.Tenant + " " + is.Ref, Kind: c.Change, Cells: []string{cmp.Or(stateText(is), "-"), is.Tenant, is.Protocol, source(is), target(is), cmp.Or(short(is, is.Ingress), "-")}}
}

func changeListing(c api.ConnectionChange, head bool) listing {
	l := listing{value: c, table: func(w io.Writer, wide bool) {
		const layout = "%-12s  %-7s  %-12s  %-6s  %-21s  %-21s  %s\n"
		if head {
			fmt.Fprintf(w, layout, "TIME", "CHANGE", "TENANT", "PROTO", "FROM", "TO", "STATE")
		}
		if c.Error != "" {
			fmt.Fprintf(w, "%-12s  %s\n", c.At.Local().Format("15:04:05.000"), c.Error)
			return
		}
		fmt.Fprintf(w, layout, c.At.Local().Format("15:04:05.000"), c.Change, c.Connection.Tenant, c.Connection.Protocol,
			source(*c.Connection), target(*c.Connection), changedText(c, wide))
	}}
	if c.Connection != nil {
		l.names = []string{c.Change + " " + nameOf(*c.Connection)}
	}
	return l
}

// changedText is the state of a connection, with the one before if that was another. What has changed
// besides, as its mark, is said where it is asked for.
func changedText(c api.ConnectionChange, wide bool) string {
	text := stateText(*c.Connection)
	if c.Before != nil && stateText(*c.Before) != text {
		text = stateText(*c.Before) + " -> " + text
	}
	if wide {
		text += fmt.Sprintf("  zone %d mark 0x%x %s", c.Connection.Zone, c.Connection.Mark, translation(*c.Connection))
	}
	return text
}
