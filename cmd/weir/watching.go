package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/columns"
	"weir/internal/top"
)

// watchFlag adds -w to a command that lists what there is.
func watchFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().BoolP("watch", "w", false, "go on: in a terminal show what there is every second, elsewhere print it again when it has changed")
}

// A lister reads what a command lists.
type lister func(context.Context) (listing, error)

// show prints a list; and with watch what it becomes, until cmd is told to end.
func show(cmd *cobra.Command, format string, watch bool, read lister) error {
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	if !watch {
		l, err := read(ctx)
		if err != nil {
			return err
		}
		return l.print(w, format)
	}
	out, is := terminal(w)
	if !is || format != "table" && format != "wide" {
		return printChanges(ctx, w, format, read, top.Every)
	}
	writing, cancel := context.WithCancel(ctx)
	defer cancel()
	return runScreen(ctx, top.NewSheet(writing, cmd.Name(), func(ctx context.Context, width int) (string, error) {
		l, err := read(ctx)
		if err != nil {
			return "", err
		}
		return l.text(format == "wide", width), nil
	}), out)
}

// text is l as a table. One that is not wide has its columns cut to a width.
func (l listing) text(wide bool, width int) string {
	var b bytes.Buffer
	if !wide {
		l.table(&b, false)
		return columns.Fit(b.String(), width)
	}
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	l.table(tw, true)
	_ = tw.Flush() // into memory
	return b.String()
}

// printChanges prints a list, and again when it has changed, with the time before. A daemon that is not
// there for a while is told, and waited for.
func printChanges(ctx context.Context, w io.Writer, format string, read lister, every time.Duration) error {
	for last := ""; ; {
		var text strings.Builder
		l, err := read(ctx)
		if err == nil {
			err = l.print(&text, format)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			text.WriteString(err.Error() + "\n")
		}
		if text.String() != last {
			if last != "" && (format == "table" || format == "wide") {
				fmt.Fprintf(w, "\n%s\n", time.Now().Format(time.RFC3339))
			}
			if last = text.String(); last == "" {
				last = "\n" // as said as anything
			}
			if _, err := io.WriteString(w, text.String()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}
