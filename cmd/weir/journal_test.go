package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
)

func TestTheJournalIsToldNoTimes(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stream  string
		journal bool
	}{{fmt.Sprintf("%d:%d", s.Dev, s.Ino), true}, {fmt.Sprintf("%d:%d", s.Dev, s.Ino+1), false}, {"", false}} {
		t.Setenv("JOURNAL_STREAM", c.stream)
		log, said := logrus.New(), &strings.Builder{}
		log.SetFormatter(newFormatter(f))
		log.SetOutput(said)
		log.WithField("bridge", "br0").Warn("two\nlines")
		want := `<4>level=warning msg="two\nlines" bridge=br0` + "\n"
		if journal := said.String() == want; journal != c.journal {
			t.Errorf("%q: %q", c.stream, said)
		}
	}
}
