package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// formats are the values of -o, the first is the default.
var formats = []string{"table", "wide", "json", "yaml", "name"}

// outputFlag adds -o to a command that lists something. It is checked before the
// command runs.
func outputFlag(cmd *cobra.Command) *string {
	format := cmd.Flags().StringP("output", "o", formats[0], strings.Join(formats, ", "))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, *format) {
			return fmt.Errorf("-o %s: must be one of %s", *format, strings.Join(formats, ", "))
		}
		return nil
	}
	return format
}

// A listing is one answer in all formats.
type listing struct {
	value any                          // for json and yaml
	names []string                     // for name
	table func(w io.Writer, wide bool) // for table and wide; tabs separate columns
}

// print writes l to w in a format of formats.
func (l listing) print(w io.Writer, format string) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false) // "->" in a text stays readable
		return e.Encode(l.value)
	case "yaml":
		return printYAML(w, l.value)
	case "name":
		for _, n := range l.names {
			fmt.Fprintln(w, n)
		}
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	l.table(tw, format == "wide")
	return tw.Flush()
}

// printYAML goes by way of JSON, so that both formats have the same names.
func printYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	y, err := yaml.JSONToYAML(b)
	if err != nil {
		return err
	}
	_, err = w.Write(y)
	return err
}

// row writes one line of a table.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		s := fmt.Sprint(c)
		if s == "" {
			s = "-"
		}
		fmt.Fprint(w, s)
	}
	fmt.Fprintln(w)
}
