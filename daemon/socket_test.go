package daemon

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestASocketOfAKilledProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("only its owner may open it: %v, %v", info.Mode(), err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestWhatIsInUseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	used := filepath.Join(dir, "used")
	l, err := net.Listen("unix", used)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct{ name, path, want string }{
		{"a socket that somebody listens on", used, "another process listens"},
		{"a file", write(t, dir, "file", ""), "is no socket"},
		{"a path that is too long", filepath.Join(dir, strings.Repeat("x", 108)), "at most 107 bytes"},
		{"a folder that is not there", filepath.Join(dir, "none", "s"), "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := listenUnix(c.path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestTheStateDirectoryBelongsToOneDaemon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	lock, err := lockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(dir); err == nil || !strings.Contains(err.Error(), "another weir serve (process ") {
		t.Errorf("the second daemon: %v", err)
	}
	ended := make(chan error, 1)
	time.AfterFunc(lockWait/10, func() { ended <- lock.Close() })
	again, err := lockState(dir) // waits for it
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
