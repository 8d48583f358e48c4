package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
)

// What a scenario has become.
const (
	passed  = "passed"
	failed  = "FAILED"
	skipped = "skipped"
	missing = "MISSING" // its kind was run, and it was not
	notRun  = "not run" // nor was its kind
)

// worse orders them: of what is told twice the worse counts.
var worse = map[string]int{passed: 1, skipped: 2, failed: 3}

// An outcome is what has become of a scenario, and why if it was skipped.
type outcome struct{ state, why string }

var (
	begun = regexp.MustCompile(`^=== RUN +TestO([A-Z])([0-9]{2})\w*$`)
	ended = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): TestO([A-Z])([0-9]{2})\w* `)
	told  = regexp.MustCompile(`^scenario (O-[A-Z][0-9]{2}) \w+ (pass|fail|skip)\b[: ]*(.*)$`)
	noted = regexp.MustCompile(`^ +\w+\.go:[0-9]+: (.*)$`)
)

var states = map[string]string{"PASS": passed, "FAIL": failed, "SKIP": skipped, "pass": passed, "fail": failed, "skip": skipped}

// maxLine bounds a line of a log, in bytes; of a longer one no more is read.
const maxLine = 1 << 20

// collect reads what tests have printed. A scenario that has begun and not ended has failed: a
// panic, or a time that ran out.
func collect(r io.Reader, all map[string]outcome) error {
	c := collector{all: all, open: map[string]bool{}}
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		b, more, err := lines.ReadLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !more {
			c.line(textOf(b))
		}
	}
	for id := range c.open {
		c.put(id, outcome{state: failed, why: "it did not end"})
	}
	return nil
}

// textOf returns a line, out of what go test -json makes of it if it is that.
func textOf(line []byte) string {
	var event struct{ Output string }
	if len(line) > 0 && line[0] == '{' && json.Unmarshal(line, &event) == nil {
		return strings.TrimRight(event.Output, "\r\n")
	}
	return strings.TrimRight(string(line), "\r\n")
}

// A collector reads line by line.
type collector struct {
	all  map[string]outcome
	open map[string]bool // have begun, and not ended
	note string          // the last that a test has logged
}

func (c *collector) line(text string) {
	text = strings.TrimLeft(text, "\x16") // of -test.v=test2json
	if m := noted.FindStringSubmatch(text); m != nil {
		c.note = m[1]
	}
	if strings.HasPrefix(text, "=== RUN") {
		c.note = ""
	}
	if m := begun.FindStringSubmatch(text); m != nil {
		c.open["O-"+m[1]+m[2]] = true
	}
	if m := ended.FindStringSubmatch(text); m != nil {
		id, o := "O-"+m[2]+m[3], outcome{state: states[m[1]]}
		if o.state == skipped {
			o.why = c.note
		}
		delete(c.open, id)
		c.put(id, o)
	}
	if m := told.FindStringSubmatch(text); m != nil {
		c.put(m[1], outcome{states[m[2]], m[3]})
	}
}

func (c *collector) put(id string, o outcome) {
	if worse[o.state] >= worse[c.all[id].state] {
		c.all[id] = o
	}
}
