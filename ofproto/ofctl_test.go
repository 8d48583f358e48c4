package ofproto

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// An ofctl is ovs-ofctl with a switch that listens to it, and keeps the one message that it
// was sent. It is for one goroutine.
type ofctl struct {
	path     string
	listener net.Listener
	took     chan []byte
}

// newOfctl starts a switch for ovs-ofctl, which ends with the test.
func newOfctl(t testing.TB) *ofctl {
	t.Helper()
	if _, err := exec.LookPath("ovs-ofctl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no ovs-ofctl: scripts/deps.sh installs it")
		}
		t.Skip("skipped: no ovs-ofctl (scripts/deps.sh installs it)")
	}
	dir, err := os.MkdirTemp("", "ofctl") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	o := &ofctl{path: dir + "/s", took: make(chan []byte, 1)}
	if o.listener, err = net.Listen("unix", o.path); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := o.listener.Accept()
			if err != nil {
				return
			}
			o.took <- converse(c)
		}
	}()
	t.Cleanup(func() {
		o.listener.Close()
		<-done
		os.RemoveAll(dir)
	})
	return o
}

// converse does what a switch has to until the peer has enough, and returns the first
// message with which it changed the tables.
func converse(c net.Conn) (change []byte) {
	defer c.Close()
	c.Write([]byte{Version, 0, 0, 8, 0, 0, 0, 0})
	header := make([]byte, HeaderLen)
	for {
		if _, err := io.ReadFull(c, header); err != nil {
			return change
		}
		m := make([]byte, max(HeaderLen, int(binary.BigEndian.Uint16(header[2:]))))
		copy(m, header)
		if _, err := io.ReadFull(c, m[HeaderLen:]); err != nil {
			return change
		}
		switch m[1] {
		case typeFlowMod, typeGroupMod, typeMeterMod:
			clear(m[4:8]) // the xid
			change = m
		case typeBarrierRequest:
			c.Write([]byte{Version, typeBarrierReply, 0, 8, m[4], m[5], m[6], m[7]})
		}
	}
}

var ofctlCode = regexp.MustCompile(`\(((OFP|NX)[A-Z]+_\w+)\)`)

// send returns the message that a command of ovs-ofctl sends for a text, with xid 0; or how
// it refuses to, and the error code if it names one.
func (o *ofctl) send(t testing.TB, text string, command ...string) (message []byte, refusal, code string) {
	t.Helper()
	args := append([]string{"-O", "OpenFlow13", "--no-names", "-t", "10"}, command...)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ovs-ofctl", append(args, "--", "unix:"+o.path, text)...)
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err == nil {
		return <-o.took, "", ""
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.HasPrefix(line, "ovs-ofctl: ") {
			refusal = strings.TrimSpace(line[len("ovs-ofctl: "):])
		}
	}
	if refusal == "" {
		t.Fatalf("ovs-ofctl: %v: %s: %s", err, text, &stderr)
	}
	select {
	case <-o.took: // it had begun to speak
	default:
	}
	if m := ofctlCode.FindStringSubmatch(refusal); m != nil {
		code = m[1]
	}
	return nil, refusal, code
}
