package ovsdb

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
)

// watch returns a function that waits until a snapshot is as wanted.
func watch(t *testing.T, target string) func(what string, wanted func(Snapshot) bool) Snapshot {
	ctx, cancel := context.WithCancel(t.Context())
	snapshots := make(chan Snapshot, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, Database{Target: target}, func(s Snapshot) { snapshots <- s })
	}()
	t.Cleanup(func() { cancel(); <-done })
	var s Snapshot // the last one: a change that changes nothing makes no other
	return func(what string, wanted func(Snapshot) bool) Snapshot {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for !wanted(s) {
			select {
			case s = <-snapshots:
			case <-deadline:
				t.Fatalf("%s: the last snapshot is %+v", what, s)
			}
		}
		return s
	}
}

// database starts a database with a bridge, and returns how to follow and to change it.
func database(t *testing.T) (*sandbox.Sandbox, func(string, func(Snapshot) bool) Snapshot, *Client) {
	t.Helper()
	box := sandboxtest.Rootless(t, "br")
	c, err := Open(t.Context(), Database{Target: box.DB()})
	if err != nil {
		t.Fatal(err)
	}
	return box, watch(t, box.DB()), c
}

func vsctl(t *testing.T, box *sandbox.Sandbox, args ...string) string {
	t.Helper()
	out, err := box.Vsctl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPortsComeAndGo(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	until := watch(t, box.DB())
	port := func(s Snapshot) *Port {
		i := slices.IndexFunc(s.Bridges["br"].Ports, func(p Port) bool { return p.Name == "p1" })
		if i < 0 {
			return nil
		}
		return &s.Bridges["br"].Ports[i]
	}
	until("bridge", func(s Snapshot) bool { return s.Connected && s.Bridges["br"].DatapathID != "" && port(s) == nil })
	vsctl(t, box, "add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=7", "external_ids:iface-id=vm1")
	until("port", func(s Snapshot) bool { p := port(s); return p != nil && p.OFPort == 7 && p.IfaceID == "vm1" })
	vsctl(t, box, "set", "interface", "p1", "ofport_request=9", "external_ids:iface-id=vm2")
	until("another number", func(s Snapshot) bool { p := port(s); return p != nil && p.OFPort == 9 && p.IfaceID == "vm2" })
	vsctl(t, box, "del-port", "p1")
	until("no port", func(s Snapshot) bool { return s.Connected && port(s) == nil })
}

// columns is all that Attach may change, as the database has it.
func columns(t *testing.T, box *sandbox.Sandbox) string {
	return vsctl(t, box, "--columns=protocols,fail_mode,external_ids", "list", "bridge", "br") + "\n" +
		vsctl(t, box, "--columns=target,max_backoff,inactivity_probe,connection_mode,external_ids", "list", "controller")
}

func TestDetachGivesBackWhatAttachTook(t *testing.T) {
	for name, before := range map[string][]string{
		"a bridge with nothing": {"--", "remove", "bridge", "br", "fail_mode", "secure"},
		"a bridge with controllers, protocols and a fail mode": {"set-controller", "br", "tcp:127.0.0.1:1", "--", "set", "bridge", "br", "protocols=OpenFlow10,OpenFlow14",
			"fail_mode=standalone", "external_ids:mine=yes", "--", "set", "controller", "br", "max_backoff=2000", "connection_mode=out-of-band", "external_ids:a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			box := sandboxtest.Rootless(t, "br")
			vsctl(t, box, before...)
			was := columns(t, box)
			c, err := Open(t.Context(), Database{Target: box.DB()})
			if err != nil {
				t.Fatal(err)
			}
			until := watch(t, box.DB())
			for i, target := range []string{"unix:" + box.RunDir() + "/br.controller", "tcp:127.0.0.1:2", "tcp:127.0.0.1:2"} {
				if _, err := c.Attach(t.Context(), "br", target); err != nil {
					t.Fatal(i, err)
				}
				until(fmt.Sprint("attached ", i), func(s Snapshot) bool {
					b := s.Bridges["br"]
					return len(b.Controllers) == 1 && b.Controllers[0].Target == target && b.FailMode == "secure" && slices.Contains(b.Protocols, "OpenFlow13")
				})
			}
			if err := c.SetExternalIDs(t.Context(), "br", map[string]string{"weir-zone-blue": "4096"}, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.SetExternalIDs(t.Context(), "br", map[string]string{"weir-zone-blue": "4097"}, []string{"weir-zone-red"}); err != nil {
				t.Fatal(err)
			}
			if ids := vsctl(t, box, "get", "bridge", "br", "external_ids:weir-zone-blue"); ids != `"4097"` {
				t.Errorf("the zone is %s", ids)
			}
			if err := c.Detach(t.Context(), "br"); err != nil {
				t.Fatal(err)
			}
			if is := columns(t, box); is != was {
				t.Errorf("it was\n%s\nand is\n%s", was, is)
			}
		})
	}
}

func TestABridgeThatIsNotThere(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	c, err := Open(t.Context(), Database{Target: box.DB()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attach(t.Context(), "br9", "tcp:127.0.0.1:2"); err == nil || !strings.Contains(err.Error(), "br9") {
		t.Error(err)
	}
}

func TestADatabaseThatComesLater(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	away := box.RunDir() + "/later.sock"
	until := watch(t, "unix:"+away)
	until("away", func(s Snapshot) bool { return !s.Connected })
	if err := os.Symlink(box.RunDir()+"/db.sock", away); err != nil {
		t.Fatal(err)
	}
	until("there", func(s Snapshot) bool { return s.Connected && s.Bridges["br"].Name == "br" })
}

func TestFeatures(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	f, err := Features(t.Context(), box.RunDir(), "br")
	if err != nil || f["IPv6 ND Extension"] != "Yes" || f["CT state"] != "Yes" {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := Features(t.Context(), box.RunDir(), "br9"); err == nil {
		t.Error("a bridge that is not there has features")
	}
}

func TestADatabaseThatDoesNotAnswerIsGivenUp(t *testing.T) {
	socket := t.TempDir() + "/db.sock"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close() // it says nothing until then
		}
	}()
	watch(t, "unix:"+socket)("why it is not reached", func(s Snapshot) bool {
		return s.Err != nil && strings.Contains(s.Err.Error(), "deadline exceeded")
	})
}
