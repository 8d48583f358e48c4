// Package manual writes the manual page of a program from its commands, so that the page says
// what --help says. The descriptions are set as they were written: lines that are indented stay
// lines, all others are filled.
package manual

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A Page is what a page has besides its commands.
type Page struct {
	Version string
	Date    time.Time // the zero time: none is given
	Files   [][2]string
	SeeAlso []string // "ovs-vsctl(8)"
}

// Write writes the page of a program, for section 1, in the macros of man(7). Hidden commands
// and flags are left out.
func (p Page) Write(w io.Writer, root *cobra.Command) error {
	var b bytes.Buffer
	date := ""
	if !p.Date.IsZero() {
		date = p.Date.UTC().Format(time.DateOnly)
	}
	fmt.Fprintf(&b, ".TH %s 1 %q %q %q\n", strings.ToUpper(root.Name()), date, root.Name()+" "+p.Version, "User Commands")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", root.Name(), escaped(root.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I COMMAND\n[\n.I FLAGS\n]\n", root.Name())
	b.WriteString(".SH DESCRIPTION\n")
	describe(&b, root.Long)
	b.WriteString(".SH COMMANDS\n")
	commands(&b, root)
	p.end(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func (p Page) end(b *bytes.Buffer) {
	if len(p.Files) > 0 {
		b.WriteString(".SH FILES\n")
	}
	for _, f := range p.Files {
		fmt.Fprintf(b, ".TP\n.I %s\n%s\n", escaped(f[0]), line(f[1]))
	}
	if len(p.SeeAlso) > 0 {
		b.WriteString(".SH SEE ALSO\n")
	}
	for i, s := range p.SeeAlso {
		name, section, _ := strings.Cut(s, "(")
		comma := ","
		if i == len(p.SeeAlso)-1 {
			comma = ""
		}
		fmt.Fprintf(b, ".BR %s (%s%s\n", escaped(name), section, comma)
	}
}

// commands writes the commands below one, each before its own.
func commands(b *bytes.Buffer, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" || c.Name() == "completion" { // those that cobra adds
			continue
		}
		fmt.Fprintf(b, ".SS \"%s\"\n", escaped(usage(c)))
		text := c.Long
		if text == "" {
			text = c.Short
		}
		describe(b, text)
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { flag(b, f) })
		commands(b, c)
	}
}

// usage is the line of a command without "[flags]", which says nothing.
func usage(c *cobra.Command) string {
	return strings.TrimSuffix(c.UseLine(), " [flags]")
}

func flag(b *bytes.Buffer, f *pflag.Flag) {
	if f.Hidden || f.Name == "help" {
		return
	}
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	value, text := pflag.UnquoteUsage(f)
	fmt.Fprintf(b, ".TP\n.BR \"%s\"", escaped(name))
	if value != "" {
		fmt.Fprintf(b, " \" \\fI%s\\fP\"", escaped(value))
	}
	if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" && d != "0s" {
		text += " (default: " + d + ")"
	}
	fmt.Fprintf(b, "\n%s\n", line(text))
}

// describe writes paragraphs. In each, lines that begin with two spaces or a tab stay as they are.
func describe(b *bytes.Buffer, text string) {
	kept := false
	for l := range strings.Lines(strings.TrimSpace(text)) {
		l = strings.TrimRight(l, "\n")
		asIs := strings.HasPrefix(l, "  ") || strings.HasPrefix(l, "\t")
		switch {
		case l == "":
			kept = end(b, kept)
			b.WriteString(".PP\n")
			continue
		case asIs && !kept:
			b.WriteString(".RS 4\n.nf\n")
			kept = true
		case !asIs && kept:
			kept = end(b, kept)
		}
		if asIs {
			l = strings.TrimPrefix(l, "  ")
		}
		b.WriteString(line(l) + "\n")
	}
	end(b, kept)
}

// end ends lines that stay as they are.
func end(b *bytes.Buffer, kept bool) bool {
	if kept {
		b.WriteString(".fi\n.RE\n")
	}
	return false
}

// line is a line of text that is no request to troff.
func line(s string) string {
	s = escaped(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// escaped writes what troff reads otherwise: the backslash, and the signs that it would set as
// others, which nobody could copy into a shell.
func escaped(s string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", "\\(ga", `^`, `\(ha`, `~`, `\(ti`).Replace(s)
}
