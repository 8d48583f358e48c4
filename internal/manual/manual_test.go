package manual

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestAPageSaysWhatTheCommandsSay(t *testing.T) {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "prog", Short: "does it", Long: "Prog does it.\n\n.dots and 'quotes'\n  kept  as-is\nfilled \\ again"}
	list := &cobra.Command{Use: "list [TERMS]", Short: "lists", Run: run}
	list.Flags().StringP("output", "o", "table", "table or `FORMAT`")
	list.Flags().Bool("secret", false, "no")
	_ = list.Flags().MarkHidden("secret")
	root.AddCommand(list, &cobra.Command{Use: "hidden", Hidden: true, Run: run})
	var b strings.Builder
	page := Page{Version: "1", Date: time.Unix(0, 0), Files: [][2]string{{"/etc/prog", "Its file."}}, SeeAlso: []string{"a(1)", "b-c(8)"}}
	if err := page.Write(&b, root); err != nil {
		t.Fatal(err)
	}
	want := `.TH PROG 1 "1970-01-01" "prog 1" "User Commands"
.SH NAME
prog \- does it
.SH SYNOPSIS
.B prog
.I COMMAND
[
.I FLAGS
]
.SH DESCRIPTION
Prog does it.
.PP
\&.dots and \(aqquotes\(aq
.RS 4
.nf
kept  as\-is
.fi
.RE
filled \e again
.SH COMMANDS
.SS "prog list [TERMS]"
lists
.TP
.BR "\-o, \-\-output" " \fIFORMAT\fP"
table or FORMAT (default: table)
.SH FILES
.TP
.I /etc/prog
Its file.
.SH SEE ALSO
.BR a (1),
.BR b\-c (8)
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}
