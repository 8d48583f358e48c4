package conntrack

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestANetworkNamespaceIsToldByAnybody asks, as a user who may trace nobody else's processes, which of root's are in
// the namespace that it is in itself.
func TestANetworkNamespaceIsToldByAnybody(t *testing.T) {
	const asked = "WEIR_TEST_PID"
	if pid := os.Getenv(asked); pid != "" {
		var n int
		if _, err := fmt.Sscan(pid, &n); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", n)); err == nil {
			t.Error("this user may trace root's processes: the test shows nothing")
		}
		same, err := inOurNetns(n)
		fmt.Println("same:", same, err)
		return
	}
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("not root")
		}
		t.Skip("skipped: not root")
	}
	for _, c := range []struct {
		name  string
		flags uintptr
		want  string
	}{
		{"beside us", 0, "same: true <nil>"},
		{"in another one", syscall.CLONE_NEWNET, "same: false <nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := exec.Command("cat") // until its input ends
			other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: c.flags, Pdeathsig: syscall.SIGKILL}
			in, err := other.StdinPipe()
			if err == nil {
				err = other.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer other.Wait()
			defer in.Close()

			us := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()[:len("TestANetworkNamespaceIsToldByAnybody")]+"$")
			us.Env = append(os.Environ(), fmt.Sprint(asked, "=", other.Process.Pid))
			us.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			out, err := us.CombinedOutput()
			if got, _, _ := strings.Cut(string(out), "\n"); err != nil || got != c.want {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
