package ofproto

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Print returns one message as ovs-ofctl ofp-print shows it (with verbosity 2), without the
// newline at the end, and the error with which Open vSwitch 3.1 refuses it, which has an
// ErrorCode. A message that is refused has a text too: what could be read, the name of the
// error, and the bytes. One whose header gives another length than it has is shown as such.
//
// Of OpenFlow versions other than 1.3 only the messages that are the same in all of them
// are read.
func Print(b []byte) (string, error) {
	p := printer{verbosity: 2}
	err := p.whole(b)
	return strings.TrimRight(string(p.out), "\n"), err
}

// Check returns the error with which Open vSwitch 3.1 refuses a whole message when it
// reads it, the bodies of multipart messages too; nil if it takes it. Whether a switch then
// does what the message asks for is another question.
func Check(b []byte) error {
	if len(b) < HeaderLen || int(be.Uint16(b[2:])) != len(b) {
		return fmt.Errorf("message of %d bytes: %w", len(b), OFPBRC_BAD_LEN)
	}
	if err := versionError(b); err != nil {
		return err
	}
	_, err := Print(b)
	return err
}

// A printer writes messages as Open vSwitch does.
type printer struct {
	out       []byte
	verbosity int // 2; 1 for the failed message in an error
}

func (p *printer) text(s string)                { p.out = append(p.out, s...) }
func (p *printer) f(format string, args ...any) { p.out = fmt.Appendf(p.out, format, args...) }
func (p *printer) uint(prefix string, v uint64) {
	p.out = strconv.AppendUint(append(p.out, prefix...), v, 10)
}
func (p *printer) last(c byte) bool             { return len(p.out) > 0 && p.out[len(p.out)-1] == c }
func (p *printer) port(prefix string, n uint32) { p.text(prefix + portText(n)) }
func (p *printer) actions(s string, a []Action) { p.text(s + Text(a)) }
func (p *printer) hex(prefix string, v uint64) {
	p.out = strconv.AppendUint(append(p.out, prefix...), v, 16)
}

// chomp takes c off the end.
func (p *printer) chomp(c byte) {
	if p.last(c) {
		p.out = p.out[:len(p.out)-1]
	}
}

// newline begins a new line, unless one has just begun.
func (p *printer) newline() {
	if len(p.out) > 0 && !p.last('\n') {
		p.out = append(p.out, '\n')
	}
}

// whole prints b, of which the header may be a lie.
func (p *printer) whole(b []byte) error {
	n := 0
	if len(b) >= HeaderLen {
		n = int(be.Uint16(b[2:]))
	}
	switch {
	case len(b) == 0:
		p.text("OpenFlow message is empty\n")
	case len(b) < HeaderLen:
		p.f("OpenFlow packet too short (only %d bytes):\n", len(b))
	case n > len(b):
		p.truncated(b)
		p.f("(***truncated to %d bytes from %d***)\n", len(b), n)
	case n < len(b):
		p.f("(***only uses %d bytes out of %d***)\n", n, len(b))
	default:
		return p.message(b)
	}
	p.dump(b)
	return nil
}

// truncated prints the head of a message whose end is missing, if its kind can be told.
func (p *printer) truncated(b []byte) {
	if isOther(b[0]) {
		if name, _ := otherName(b[0], b[1]); name != "" {
			p.head(name, b)
			p.text("\n")
		}
		return
	}
	if k, number, err := numberOf(b); err == nil && versionError(b) == nil {
		if f := messageFormOf(k, number); f != nil {
			p.head(f.name, b)
			p.text("\n")
		}
	}
}

// head prints the first line of a message.
func (p *printer) head(name string, b []byte) {
	p.text(name)
	switch v := b[0]; {
	case v == 1:
	case v <= 6 && v > 0:
		p.f(" (OF1.%d)", v-1)
	default:
		p.f(" (OF 0x%02x)", v)
	}
	p.f(" (xid=0x%x):", be.Uint32(b[4:]))
}

// message prints a message that is as long as it says.
func (p *printer) message(b []byte) error {
	err := p.known(b)
	if err != nil {
		p.f("***decode error: %s***\n", codeOf(err))
		p.newline()
		p.dump(b)
	}
	p.newline()
	return err
}

// known prints a message of which the header is well.
func (p *printer) known(b []byte) error {
	if isOther(b[0]) && b[1] > typeEchoReply {
		return p.otherVersion(b)
	}
	if err := versionError(b); err != nil {
		return err
	}
	f, k, err := form(b)
	if err != nil {
		return err
	}
	p.head(f.name, b)
	return p.body(f, k, b)
}

// body prints what stands behind the header.
func (p *printer) body(f *messageForm, k kind, b []byte) error {
	d := decoder{b: b[headerLens[k]:], off: headerLens[k], what: "message", short: OFPBRC_BAD_LEN, strict: true}
	h := head{version: b[0], xid: be.Uint32(b[4:]), whole: b}
	start := len(p.out)
	if k >= multipartAsk {
		h.flags = be.Uint16(b[10:])
		p.multipartFlags(h.flags)
	}
	if f.print != nil {
		f.print(p, &d, h)
	}
	if d.err == nil {
		p.chomp(' ')
		return nil
	}
	if len(p.out) > start {
		p.chomp(' ')
		p.newline()
	} else {
		p.text(" ")
	}
	return d.err
}

func (p *printer) multipartFlags(flags uint16) {
	if flags == 0 {
		return
	}
	p.text(" flags=")
	if flags&more != 0 {
		p.text("[more]")
	}
	if flags &^= more; flags != 0 {
		p.f("[***unknown flags 0x%04x***]", flags)
	}
}

// codeOf returns the ErrorCode of a decoder's error.
func codeOf(err error) ErrorCode {
	var code ErrorCode
	if errors.As(err, &code) {
		return code
	}
	return OFPBRC_BAD_LEN // the only thing that has no name of its own
}

// dump prints b in hexadecimal and as text.
func (p *printer) dump(b []byte) {
	for at := 0; at < len(b); at += 16 {
		line := b[at:min(at+16, len(b))]
		p.f("%08x  ", at)
		for i := range 16 {
			switch {
			case i >= len(line):
				p.text("   ")
			case i == 7:
				p.f("%02x-", line[i])
			default:
				p.f("%02x ", line[i])
			}
		}
		p.text("|")
		for i := range 16 {
			switch {
			case i >= len(line):
				p.text(" ")
			case line[i] >= 32 && line[i] < 127:
				p.out = append(p.out, line[i])
			default:
				p.text(".")
			}
		}
		p.text("|\n")
	}
}

// bits prints the names of the bits that are set, by their number, and the rest as one
// number.
func (p *printer) bits(v uint32, names []string, separator string) {
	if v == 0 {
		p.text("0")
		return
	}
	between := ""
	for i, name := range names {
		if v>>i&1 == 1 && name != "" {
			p.text(between + name)
			between = separator
			v &^= 1 << i
		}
	}
	if v != 0 {
		p.f("%s0x%x", between, v)
	}
}

// duration prints seconds with as many decimals as say something, but three if that is
// enough.
func (p *printer) duration(sec, nsec uint32) {
	p.uint("", uint64(sec))
	switch {
	case nsec == 0:
	case nsec%1000000 == 0:
		p.f(".%03d", nsec/1000000)
	default:
		p.text("." + strings.TrimRight(fmt.Sprintf("%09d", nsec), "0"))
	}
	p.text("s")
}

// counter prints a counter that may not be known, and what follows.
func (p *printer) counter(name string, v uint64, after string) {
	p.text(name)
	if v == ^uint64(0) {
		p.text("?")
	} else {
		p.uint("", v)
	}
	p.text(after)
}

// match prints a match with its priority.
func (p *printer) match(m Match, priority uint16) {
	start := len(p.out)
	if priority != defaultPriority {
		p.uint("priority=", uint64(priority))
		p.text(",")
	}
	p.text(m.String())
	if len(p.out) > start {
		p.chomp(',')
	}
}
