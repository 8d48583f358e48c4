package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weir/intent"
	"weir/internal/modelfiles"
)

// asNobody runs f on a thread that is nobody to the file system, and has no capability but those.
func asNobody(t *testing.T, f func(), capabilities ...uint) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		for _, c := range capabilities {
			data[c/32].Effective |= 1 << (c % 32)
			data[c/32].Permitted |= 1 << (c % 32)
		}
		_, err := unix.SetfsgidRetGid(65534)
		if err == nil {
			_, err = unix.SetfsuidRetUid(65534)
		}
		if err == nil {
			err = unix.Capset(&header, &data[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsClosedIsSaid looks at sockets that are root's, as a user who is not, with other capabilities each time.
func TestWhatIsClosedIsSaid(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("not root")
		}
		t.Skip("skipped: not root")
	}
	dir, err := os.MkdirTemp("/tmp", "weir-rights-") // not t.TempDir, whose parents are closed
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ovs-vswitchd.pid", "7\n")
	if err := os.Chmod(filepath.Join(dir, "ovs-vswitchd.pid"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"db.sock", "ovs-vswitchd.7.ctl"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	d := &desk{hosts: []*Host{{target: "unix:" + filepath.Join(dir, "db.sock"), rundir: dir}}}
	d.inForce.Store(&modelfiles.Reading{Model: &intent.Model{}})
	const advice = ", for it is root's: give the daemon CAP_DAC_OVERRIDE, as weir.service does, or run it as the user of Open vSwitch"
	for _, c := range []struct {
		name         string
		capabilities []uint
		want         []string // how each begins
		netAdmin     bool
	}{
		{"nobody", nil, []string{"db.sock: the database cannot be read: closed to ", filepath.Base(dir) + ": no bridge can find its controller", "ovs-vswitchd.7.ctl: ovs-vswitchd cannot be asked"}, false},
		{"nobody who may open anything", []uint{unix.CAP_DAC_OVERRIDE}, nil, false},
		{"nobody with the capabilities of the unit", []uint{unix.CAP_DAC_OVERRIDE, unix.CAP_NET_ADMIN}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			asNobody(t, func() {
				missing := d.rights()
				if got := capable(unix.CAP_NET_ADMIN); len(missing) != len(c.want) || got != c.netAdmin {
					t.Errorf("%+v, CAP_NET_ADMIN: %v", missing, got)
					return
				}
				for i, r := range missing {
					line := fmt.Sprintf("%s: %s", filepath.Base(r.ID), r.Why)
					if !strings.HasPrefix(line, c.want[i]) || !strings.HasSuffix(line, advice) {
						t.Errorf("got %s\nwant %s ... %s", line, c.want[i], advice)
					}
				}
			}, c.capabilities...)
		})
	}
}
