package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/internal/words"
	"weir/ofproto"
)

// A converter makes one line of another. It may return a text beside its error: what there
// is to say of bytes that are refused.
type converter func(line string) (string, error)

// ofpConverters are the verbs of weir ofp that take a kind, and their kinds.
var ofpConverters = []struct {
	verb, short string
	kinds       []string
	of          map[string]converter
}{
	{
		"encode", "read texts, print the messages that ovs-ofctl -O OpenFlow13 add-flow, add-group or add-meter would send",
		[]string{"flow", "group", "meter"},
		map[string]converter{"flow": encodeFlow, "group": encodeGroup, "meter": encodeMeter},
	},
	{
		"decode", "read parts of messages in hexadecimal, print their text; a match is its OXM fields without a header; TABLE, may stand before instructions",
		[]string{"match", "actions", "instructions"},
		map[string]converter{"match": decodeMatch, "actions": decodeActions, "instructions": decodeInstructions},
	},
}

func ofpCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ofp",
		Short: "OpenFlow 1.3 between bytes and the text of ovs-ofctl, line by line",
		Long: `ofp reads lines from standard input, and writes for each what it makes of it: bytes as
hexadecimal, texts in the syntax of ovs-ofctl(8). It accepts and refuses what Open
vSwitch 3.1 does. A line that is refused goes to standard error with its number and the
reason, which begins with the name of the OpenFlow error, or with PARSE_ERROR for a text
that cannot be sent; the lines after it are read all the same, and the exit code is 1.`,
	}
	asJSON := cmd.PersistentFlags().Bool("json", false, `print {"in":...,"out":...,"error":...} for each line`)
	cmd.AddCommand(&cobra.Command{
		Use:   "print",
		Short: "read whole messages in hexadecimal, print them as ovs-ofctl ofp-print does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return convertLines(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), *asJSON, printMessage)
		},
	})
	for _, c := range ofpConverters {
		cmd.AddCommand(&cobra.Command{
			Use:       c.verb + " " + strings.Join(c.kinds, "|"),
			Short:     c.short,
			Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
			ValidArgs: c.kinds,
			RunE: func(cmd *cobra.Command, args []string) error {
				return convertLines(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), *asJSON, c.of[args[0]])
			},
		})
	}
	return cmd
}

// A convertedLine is what --json prints of one line.
type convertedLine struct {
	In    string  `json:"in"`
	Out   *string `json:"out,omitempty"` // nil: there is none, which is not the empty text
	Error string  `json:"error,omitempty"`
}

// convertLines converts in line by line. Each line has its answer, an empty one as well: an
// empty match is a match.
func convertLines(in io.Reader, out, errs io.Writer, asJSON bool, convert converter) error {
	lines := bufio.NewReader(in)
	w := bufio.NewWriter(out)
	refused, n := 0, 0
	for {
		line, err := lines.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		if line == "" {
			break
		}
		n++
		c := convertLine(strings.TrimRight(line, "\r\n"), convert)
		if c.Error != "" {
			refused++
		}
		if err := printLine(w, errs, n, c, asJSON); err != nil {
			return err
		}
		if lines.Buffered() == 0 { // whoever asks line by line wants the answer now
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %s refused", refused, words.Count(n, "line was", "lines were"))
	}
	return nil
}

func convertLine(line string, convert converter) convertedLine {
	c := convertedLine{In: line}
	out, err := convert(line)
	if err != nil {
		c.Error = reason(err)
	}
	if err == nil || out != "" {
		c.Out = &out
	}
	return c
}

// reason begins with the name of the OpenFlow error if there is one.
func reason(err error) string {
	name := ""
	var code ofproto.ErrorCode
	var syntax *ofproto.SyntaxError
	switch {
	case errors.As(err, &code):
		name = code.Error()
	case errors.As(err, &syntax):
		name = "PARSE_ERROR"
	default:
		return err.Error()
	}
	where := strings.TrimSuffix(err.Error(), ": "+name)
	if where == name {
		return name
	}
	return name + ": " + where
}

func printLine(out, errs io.Writer, n int, c convertedLine, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		return e.Encode(c)
	}
	if c.Error != "" {
		fmt.Fprintf(errs, "line %d: %s\n", n, c.Error)
	}
	if c.Out == nil {
		return nil
	}
	_, err := fmt.Fprintln(out, strings.TrimSuffix(*c.Out, "\n"))
	return err
}

// unhex reads hexadecimal; blanks among the digits do not count.
func unhex(line string) ([]byte, error) {
	digits := strings.Join(strings.Fields(line), "")
	b, err := hex.DecodeString(digits)
	var bad hex.InvalidByteError
	switch {
	case errors.As(err, &bad):
		return nil, fmt.Errorf("column %d: %q is not a hexadecimal digit", 1+strings.IndexByte(line, byte(bad)), rune(bad))
	case err != nil:
		return nil, fmt.Errorf("the number of hexadecimal digits is odd: %d", len(digits))
	}
	return b, nil
}

func printMessage(line string) (string, error) {
	b, err := unhex(line)
	if err != nil {
		return "", err
	}
	return ofproto.Print(b)
}

func encodeFlow(line string) (string, error) {
	return encoded(ofproto.ParseFlowMod(ofproto.FlowAdd, line))
}

func encodeGroup(line string) (string, error) {
	return encoded(ofproto.ParseGroupMod(ofproto.GroupAdd, line))
}

func encodeMeter(line string) (string, error) {
	return encoded(ofproto.ParseMeterMod(ofproto.MeterAdd, line))
}

// encoded is the message in hexadecimal, with xid 0.
func encoded[M ofproto.Message](m M, err error) (string, error) {
	if err != nil {
		return "", err
	}
	b, err := ofproto.Append(nil, 0, m)
	return hex.EncodeToString(b), err
}

func decodeMatch(line string) (string, error) {
	b, err := unhex(line)
	if err != nil {
		return "", err
	}
	m, err := ofproto.DecodeMatch(b)
	if err != nil {
		return "", err
	}
	return m.String(), nil
}

func decodeActions(line string) (string, error) { return decoded(line, ofproto.DecodeActions) }

// decodeInstructions reads the instructions of a flow that matches all, of table 0 or of the
// one whose number stands before a comma: as ovs-ofctl parse-instructions does.
func decodeInstructions(line string) (string, error) {
	table := uint64(0)
	if number, rest, ok := strings.Cut(line, ","); ok {
		var err error
		if table, err = strconv.ParseUint(strings.TrimSpace(number), 10, 8); err != nil {
			return "", fmt.Errorf("%q is no table", number)
		}
		line = rest
	}
	return decoded(line, func(b []byte) ([]ofproto.Action, error) {
		actions, err := ofproto.DecodeInstructions(b)
		if err == nil {
			err = ofproto.CheckActions(nil, ofproto.Table(table), actions)
		}
		return actions, err
	})
}

func decoded(line string, decode func([]byte) ([]ofproto.Action, error)) (string, error) {
	b, err := unhex(line)
	if err != nil {
		return "", err
	}
	actions, err := decode(b)
	if err != nil {
		return "", err
	}
	return ofproto.Text(actions), nil
}
