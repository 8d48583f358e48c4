package unixctl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// An answer reads {"id":1,"result":"...","error":null} and gives the text of the result,
// with its escapes undone, without ever holding all of it.
type answer struct {
	ctx          context.Context
	method, path string
	r            *bufio.Reader // of at least 12 bytes: a pair of surrogates
	stop         func() bool
	state        answerState
	failed       strings.Builder // the text of the error
	isError      bool
	err          error
}

type answerState int

const (
	before answerState = iota
	inResult
	after
)

// longestError bounds what is kept of an error's text, in bytes.
const longestError = 1 << 16

// Read implements io.Reader.
func (a *answer) Read(p []byte) (n int, err error) {
	for a.err == nil && a.state != inResult {
		a.err = a.advance()
	}
	if a.err == nil {
		var end bool
		if n, end, err = a.text(p); end {
			a.state = after
		} else if err != nil {
			a.err = a.broken(err)
		}
	}
	if a.err != nil && n == 0 {
		a.stop()
		return 0, a.err
	}
	return n, nil
}

func (a *answer) broken(err error) error {
	if a.ctx.Err() != nil {
		return fmt.Errorf("%s has not answered %s: %w", a.path, a.method, a.ctx.Err())
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: answer is cut: %w", a.method, err)
}

// advance reads up to the next text: the result, or the error, or the end.
func (a *answer) advance() error {
	key, err := a.key()
	if err != nil {
		return err
	}
	switch key {
	case "result":
		text, err := a.isText()
		if text {
			a.state = inResult
		}
		return err
	case "error":
		if a.isError, err = a.isText(); a.isError && err == nil {
			err = a.readError()
		}
		return err
	case "":
		if a.isError {
			return &Error{a.method, strings.TrimSpace(a.failed.String())}
		}
		return io.EOF
	}
	return a.skipValue()
}

func (a *answer) readError() error {
	var part [512]byte
	for {
		n, end, err := a.text(part[:])
		if a.failed.Len() < longestError {
			a.failed.Write(part[:n])
		}
		if err != nil {
			return a.broken(err)
		}
		if end {
			return nil
		}
	}
}

// key reads up to and with the colon after the next key; "" is the end of the object.
func (a *answer) key() (string, error) {
	for {
		b, err := a.r.ReadByte()
		if err != nil {
			return "", a.broken(err)
		}
		switch b {
		case '}':
			return "", nil
		case '"':
			s, err := a.r.ReadSlice('"')
			if err != nil {
				return "", a.broken(err)
			}
			key := string(s[:len(s)-1])
			if _, err = a.r.ReadSlice(':'); err != nil {
				return "", a.broken(err)
			}
			return key, nil
		}
	}
}

// isText reports whether the value is a string, having read its quote, or null, having
// read that.
func (a *answer) isText() (bool, error) {
	for {
		b, err := a.r.ReadByte()
		if err != nil {
			return false, a.broken(err)
		}
		switch b {
		case ' ', '\n', '\t', '\r':
		case '"':
			return true, nil
		default:
			return false, a.skipValue()
		}
	}
}

// skipValue reads a number, or the rest of a null, up to what ends it.
func (a *answer) skipValue() error {
	for {
		b, err := a.r.ReadByte()
		if err != nil {
			return a.broken(err)
		}
		if b == ',' {
			return nil
		}
		if b == '}' {
			return a.r.UnreadByte()
		}
	}
}

// text reads some of a string with its escapes undone; end is its closing quote. It gives what
// there is, and waits only for the first byte. What is between escapes, which is most of an
// answer, is copied as a whole.
func (a *answer) text(p []byte) (n int, end bool, err error) {
	for n+utf8.UTFMax <= len(p) {
		if n > 0 && a.r.Buffered() < len(`\ud83d\ude00`) {
			return n, false, nil
		}
		if _, err := a.r.Peek(1); err != nil {
			return n, false, err
		}
		have, _ := a.r.Peek(a.r.Buffered()) // they are there
		run := have[:min(len(have), len(p)-n)]
		if i := bytes.IndexByte(run, '\\'); i >= 0 {
			run = run[:i]
		}
		if i := bytes.IndexByte(run, '"'); i >= 0 {
			run = run[:i]
		}
		n += copy(p[n:], run)
		more := len(run) < len(have)
		var next byte
		if more {
			next = have[len(run)]
		}
		if _, err := a.r.Discard(len(run)); err != nil {
			return n, false, err
		}
		switch {
		case next == '"' && more:
			_, err := a.r.Discard(1)
			return n, true, err
		case next == '\\' && n+utf8.UTFMax <= len(p):
			size, err := a.escape(p[n:])
			if n += size; err != nil {
				return n, false, err
			}
		}
	}
	return n, false, nil
}

// escape undoes the escape that comes, into p.
func (a *answer) escape(p []byte) (int, error) {
	head, err := a.r.Peek(2)
	if err != nil {
		return 0, err
	}
	if i := strings.IndexByte(`"\/bfnrt`, head[1]); i >= 0 {
		p[0] = "\"\\/\b\f\n\r\t"[i]
		_, err = a.r.Discard(2)
		return 1, err
	}
	r, err := a.unicode()
	if err != nil {
		return 0, err
	}
	if utf16.IsSurrogate(r) {
		if low, second := a.unicode(); second == nil {
			r = utf16.DecodeRune(r, low)
		} else { // half of a pair stands for nothing
			r = utf8.RuneError
		}
	}
	return utf8.EncodeRune(p, r), nil
}

// unicode reads the four hexadecimal digits behind a \u (RFC 8259, 7).
func (a *answer) unicode() (rune, error) {
	b, err := a.r.Peek(6)
	if len(b) > 1 && (b[0] != '\\' || b[1] != 'u') {
		return 0, fmt.Errorf("escape %q", b[:2])
	}
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseUint(string(b[2:]), 16, 16)
	if err != nil {
		return 0, fmt.Errorf("escape %q", b)
	}
	_, err = a.r.Discard(6)
	return rune(v), err
}
