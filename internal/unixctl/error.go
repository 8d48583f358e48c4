package unixctl

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// An Error is what the daemon answers to a request that it does not carry out.
type Error struct{ Method, Text string }

// Error returns the daemon's words.
func (e *Error) Error() string { return e.Method + ": " + e.Text }

// Unknown reports whether the daemon has no command of that name: another version may have it.
func (e *Error) Unknown() bool { return strings.Contains(e.Text, "is not a valid command") }

// NoBridge reports whether the daemon has no bridge of the name that it was given: it may be about to make it.
func (e *Error) NoBridge() bool {
	return strings.Contains(e.Text, "nknown bridge") || strings.Contains(e.Text, "no such bridge")
}

// An Unreachable is a daemon that cannot be asked.
type Unreachable struct {
	Path string // what was tried: the control socket, or the file that would say which it is
	Why  string // as far as that can be told, and what to do
	Err  error
}

// Error says what was tried, why that failed and what to do.
func (u *Unreachable) Error() string { return fmt.Sprintf("%s: %v: %s", u.Path, u.Err, u.Why) }

// Unwrap returns what the system said.
func (u *Unreachable) Unwrap() error { return u.Err }

// unreachable says why path, a pid file or a control socket, leads nowhere.
func unreachable(path string, err error) error {
	u := &Unreachable{Path: path, Err: err}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		u.Err = errno // without the path, which is said already
	}
	switch socket := strings.HasSuffix(path, ".ctl"); {
	case errors.Is(err, fs.ErrPermission):
		u.Why = "run as root, or as the user of Open vSwitch"
	case socket && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)):
		u.Why = "the process that left its pid file is gone: start Open vSwitch again"
	case errors.Is(err, fs.ErrNotExist):
		u.Why = "it does not run, or keeps its files elsewhere (--rundir): start Open vSwitch"
	default:
		u.Why = "it cannot be asked"
	}
	return u
}
