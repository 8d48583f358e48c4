package ovstest

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Why a test has failed stands above thousands of lines about the switch then, of which a log may show the end. So its
// errors are said once more at its very end, each in a line that begins with FAILED. The testing package does not tell
// what a test has said; where the output is a file, as it is when tests are taken from a queue, it is read there.

// Sources are the files of the tests, by which what they note is told from what they complain about; nil: all that they say is a complaint.
var Sources fs.ReadFileFS

// What is said again: so many complaints, in so many bytes each.
const (
	repeated     = 8
	repeatedSize = 1000
)

// printed returns what the tests of this process have said, and "" where that is not kept in a file.
func printed() string {
	const output = "/proc/self/fd/1"
	if f, err := os.Stat(output); err != nil || !f.Mode().IsRegular() {
		return ""
	}
	text, err := os.ReadFile(output)
	if err != nil {
		return ""
	}
	return string(text)
}

// repeat says again what a test has complained about.
func (n *Net) repeat(complaints []string) {
	for _, c := range complaints[:min(len(complaints), repeated)] {
		n.T.Log("FAILED: " + c)
	}
	if more := len(complaints) - repeated; more > 0 {
		n.T.Logf("FAILED: and %d more", more)
	}
}

var complaint = regexp.MustCompile(`^ +(\S+\.go):(\d+): (.*)`)

// complaintsOf returns the errors in the output of a test, each as one line.
func complaintsOf(output, test string, sources fs.ReadFileFS) (all []string) {
	if i := strings.LastIndex(output, fmt.Sprintf("=== RUN   %s\n", test)); i >= 0 {
		output = output[i:]
	}
	noted := notesOf(sources)
	wanted := false // the lines that are read belong to an error
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		switch m := complaint.FindStringSubmatch(line); {
		case m != nil:
			if wanted = !notes(sources, m[1], m[2]) && !slices.ContainsFunc(noted, func(r *regexp.Regexp) bool { return r.MatchString(m[3]) }); wanted {
				all = append(all, fmt.Sprintf("%s:%s: %s", m[1], m[2], m[3]))
			}
		case !strings.HasPrefix(line, "        "):
			wanted = false
		case wanted:
			all[len(all)-1] += " | " + strings.TrimSpace(line)
		}
	}
	for i, c := range all {
		all[i] = c[:min(len(c), repeatedSize)]
	}
	return all
}

// format is what something is noted by: of a function that notes it for a test the line is not known, which is the test's.
var format = regexp.MustCompile(`\.Logf\("((?:[^"\\]|\\.)+)"`)

// notesOf returns what the formats by which tests note something become. Those that say little by themselves, as "%s", are left out.
func notesOf(sources fs.ReadFileFS) (all []*regexp.Regexp) {
	const little = 25 // bytes
	verb := regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)
	if sources == nil {
		return nil
	}
	files, err := fs.Glob(sources, "*.go")
	if err != nil {
		return nil
	}
	for _, name := range files {
		text, err := sources.ReadFile(name)
		if err != nil {
			continue
		}
		for _, m := range format.FindAllSubmatch(text, -1) {
			if parts := verb.Split(string(m[1]), -1); len(strings.Join(parts, "")) >= little {
				for i := range parts {
					parts[i] = regexp.QuoteMeta(parts[i])
				}
				all = append(all, regexp.MustCompile("^"+strings.Join(parts, ".*")+"$"))
			}
		}
	}
	return all
}

// notes reports whether what a line of a file says is no error.
func notes(sources fs.ReadFileFS, file, line string) bool {
	if sources == nil {
		return false
	}
	text, err := sources.ReadFile(file)
	if err != nil {
		return false
	}
	number, err := strconv.Atoi(line)
	if lines := strings.Split(string(text), "\n"); err == nil && number > 0 && number <= len(lines) {
		return strings.Contains(lines[number-1], ".Log(") || strings.Contains(lines[number-1], ".Logf(")
	}
	return false
}
