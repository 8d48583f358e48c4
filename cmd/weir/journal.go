package main

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/sirupsen/logrus"
)

// A journalFormatter writes lines for the journal, which gives each its time: without ours, and with how grave they
// are before them, so that journalctl --priority can choose (sd-daemon(3)).
type journalFormatter struct{ logrus.TextFormatter }

// newFormatter returns how text is logged to w.
func newFormatter(w io.Writer) logrus.Formatter {
	if journaled(w) {
		return &journalFormatter{logrus.TextFormatter{DisableColors: true, DisableTimestamp: true}}
	}
	return &logrus.TextFormatter{FullTimestamp: true}
}

// journaled reports whether w is the journal: whoever was started by systemd may write to another place (systemd.exec(5), JOURNAL_STREAM).
func journaled(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}

// Format puts the priority of syslog(3) before a line.
func (f *journalFormatter) Format(e *logrus.Entry) ([]byte, error) {
	line, err := f.TextFormatter.Format(e)
	return append(fmt.Appendf(nil, "<%d>", priority(e.Level)), line...), err
}

// priority is a level as syslog(3) has it.
func priority(l logrus.Level) int {
	switch l {
	case logrus.PanicLevel, logrus.FatalLevel:
		return 2
	case logrus.ErrorLevel:
		return 3
	case logrus.WarnLevel:
		return 4
	case logrus.InfoLevel:
		return 6
	}
	return 7
}
