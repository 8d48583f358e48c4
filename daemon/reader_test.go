package daemon

import (
	"context"
	"iter"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weir/conntrack"
	"weir/internal/sandbox/sandboxtest"
)

// TestWhatMayNotBeReadFromTheKernelIsReadThroughOpenVSwitch reads with and without CAP_NET_ADMIN.
func TestWhatMayNotBeReadFromTheKernelIsReadThroughOpenVSwitch(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("not root: there is no right to give up")
		}
		t.Skip("skipped: there is no right to give up")
	}
	box := sandboxtest.Rootless(t, "br")
	kinds := []string{conntrack.Kernel}
	r := newReader(box.RunDir(), func() []string { return kinds })
	through, asked := 0, ""
	r.through = func(kind string) conntrack.Source { return sourceFunc(func() { through++; asked += kind + " " }) }
	read := func() {
		t.Helper()
		for e, err := range r.Entries(t.Context(), conntrack.Filter{Zone: 65000}) {
			t.Errorf("%v, %v", e, err)
		}
	}
	read()
	if why := r.kernel.Load(); why != nil || through != 0 {
		t.Fatalf("with all rights it is read through Open vSwitch: %v", *why)
	}
	without(t, unix.CAP_NET_ADMIN, read)
	why := r.kernel.Load()
	if why == nil || !strings.Contains(*why, "CAP_NET_ADMIN") || through != 1 {
		t.Fatalf("%v; %d readings went through Open vSwitch, want 1", why, through)
	}
	read()
	if r.kernel.Load() != nil || through != 1 {
		t.Error("the right is back, and it is not used")
	}
	for _, c := range []struct {
		kinds []string
		want  string
	}{{nil, " "}, {[]string{"netdev"}, "netdev "}, {[]string{conntrack.Kernel, "netdev"}, "netdev "}, {[]string{"netdev", "dummy"}, "netdev dummy "}} {
		kinds, asked = c.kinds, ""
		if read(); asked != c.want {
			t.Errorf("%q: what was read through Open vSwitch is %q, want %q", c.kinds, asked, c.want)
		}
	}
}

// TestNobodyIsThereToBeRead has neither way lead to a table.
func TestNobodyIsThereToBeRead(t *testing.T) {
	r := newReader(t.TempDir(), func() []string { return []string{conntrack.Kernel} })
	var got []error
	for _, err := range r.Entries(t.Context(), conntrack.Filter{}) {
		got = append(got, err)
	}
	if len(got) != 1 || got[0] == nil || r.kernel.Load() == nil {
		t.Errorf("%v", got)
	}
}

// without runs f on a thread without a right, which ends with it.
func without(t *testing.T, capability int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- func() error {
			head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var data [2]unix.CapUserData
			if err := unix.Capget(&head, &data[0]); err != nil {
				return err
			}
			data[capability/32].Effective &^= 1 << (capability % 32)
			if err := unix.Capset(&head, &data[0]); err != nil {
				return err
			}
			f()
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// sourceFunc is a source that has nothing, and notes that it was asked.
type sourceFunc func()

func (f sourceFunc) Entries(context.Context, conntrack.Filter) iter.Seq2[conntrack.Entry, error] {
	f()
	return func(func(conntrack.Entry, error) bool) {}
}
