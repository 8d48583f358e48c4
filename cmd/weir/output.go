package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/charmbracelet/x/term"
	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"weir/internal/columns"
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

// print writes l to w in a format of formats. Tables are cut to the width of a terminal; wide ones, and
// what goes elsewhere, are not.
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
	if width := widthOf(w); width > 0 && format == "table" {
		var text bytes.Buffer
		l.table(&text, false)
		_, err := io.WriteString(w, columns.Fit(text.String(), width))
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	l.table(tw, format == "wide")
	return tw.Flush()
}

// widthOf returns how many columns a terminal has; zero: w is none.
func widthOf(w io.Writer) int {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(f.Fd()) {
		return 0
	}
	width, _, err := term.GetSize(f.Fd())
	if err != nil {
		return 0
	}
	return width
}

// A jsonList prints the values of an answer one by one, as listing.print prints a list of them. They are
// not read: that would be most of the work.
type jsonList struct {
	out  *bufio.Writer
	some bool
	text bytes.Buffer // of one value
}

func newJSONList(w io.Writer) *jsonList { return &jsonList{out: bufio.NewWriterSize(w, 64<<10)} }

func (l *jsonList) add(v json.RawMessage) error {
	l.text.Reset()
	l.text.WriteString(map[bool]string{false: "[\n  ", true: ",\n  "}[l.some])
	l.some = true
	if err := json.Indent(&l.text, v, "  ", "  "); err != nil {
		return err
	}
	_, err := l.out.Write(l.text.Bytes())
	return err
}

func (l *jsonList) end() error {
	_, _ = l.out.WriteString(map[bool]string{false: "[]\n", true: "\n]\n"}[l.some]) // an error stays
	return l.out.Flush()
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
