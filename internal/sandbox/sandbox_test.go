package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func need(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ovs-vswitchd"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no ovs-vswitchd: scripts/deps.sh installs it")
		}
		t.Skip("skipped: no ovs-vswitchd")
	}
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		<-tick.C
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	need(t)
	s, err := Start(t.Context(), Config{Dummy: true})
	if err != nil {
		t.Fatal(err)
	}
	pids := []int{s.vswitch.pid, s.db.pid}
	if err := s.AddBridge("br"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d is there", pid)
		}
	}
	if _, err := os.Stat(s.RunDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", s.RunDir(), err)
	}
}

// TestNothingOutlivesAKill starts a process that has a sandbox, and kills it (kill -9): the
// daemons and a child of the test die with it, and the next sandbox removes its files.
func TestNothingOutlivesAKill(t *testing.T) {
	need(t)
	if os.Getenv("WEIR_SANDBOX_HOLDER") != "" {
		s, err := Start(t.Context(), Config{Dummy: true})
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command("sleep", "1000")
		if err := s.StartChild(child); err != nil {
			t.Fatal(err)
		}
		fmt.Println("holding", s.vswitch.pid, s.db.pid, child.Process.Pid, s.RunDir())
		select {}
	}
	holder := exec.Command(os.Args[0], "-test.run", "^TestNothingOutlivesAKill$")
	holder.Env = append(os.Environ(), "WEIR_SANDBOX_HOLDER=1")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	var vswitchd, db, child int
	var dir string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), "holding %d %d %d %s", &vswitchd, &db, &child, &dir); n == 4 {
			break
		}
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.Wait() // it was killed
	if dir == "" {
		t.Fatal("the holder did not get so far")
	}
	eventually(t, "a child outlives its sandbox", func() bool { return gone(vswitchd) && gone(db) && gone(child) })
	s, err := Start(t.Context(), Config{Dummy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", dir, err)
	}
}

func TestHostsTalkThroughABridge(t *testing.T) {
	if os.Getenv("WEIR_INTEGRATION") == "" {
		t.Skip("real traffic: run it with make integration")
	}
	s, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddBridge("br"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ofctl("add-flow", "unix:"+filepath.Join(s.RunDir(), "br.mgmt"), "actions=NORMAL"); err != nil {
		t.Fatal(err)
	}
	var hosts []*Host
	for i := range 2 {
		name := fmt.Sprintf("h%d", i+1)
		h, err := s.AddHost(HostConfig{Name: name, Bridge: "br", Port: name, MAC: fmt.Sprintf("02:00:00:00:00:0%d", i+1), IPs: []string{fmt.Sprintf("10.0.0.%d/24", i+1)}})
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	if n, err := hosts[0].Ping(t.Context(), netip.MustParseAddr("10.0.0.2"), 2, 10*time.Second); n != 2 || err != nil {
		t.Errorf("%d of 2 answered, %v", n, err)
	}
	if links, err := exec.Command("ip", "-br", "link").Output(); err != nil || strings.Contains(string(links), "h1@") {
		t.Errorf("a port of the bridge is in the host's namespace: %s, %v", links, err)
	}
}
