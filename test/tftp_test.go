package test

import (
	"bytes"
	"net"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestTFTPAnswersFromAnotherPort asks for a file (RFC 1350): the server answers from a port
// of its own choice, which only the helper knows to belong to the question.
func TestTFTPAnswersFromAnotherPort(t *testing.T) {
	for name, alg := range map[string]string{"with alg": ", alg: tftp", "without alg": ""} {
		t.Run(name, func(t *testing.T) {
			n, h1, h2 := pair(t)
			w := n.Run(pairModel("") + forH2("{name: tftp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: udp, ports: [69]"+alg+"}"))
			serveTFTP(t, h2, "10.1.1.2")
			got := askTFTP(t, h1, "10.1.1.2:69")
			if got != (alg != "") {
				t.Fatalf("the file comes: %v", got)
			}
			want := map[bool]int{true: 2, false: 1}[got] // the question, and the answer
			if all := ovstest.Protocol(n.Entries(w.Zone("t")), "udp"); len(all) != want {
				t.Errorf("entries: %+v; want %d", all, want)
			}
			for _, c := range w.Connections("t") {
				if c.Ingress != "t/policy/h2/tftp" {
					t.Errorf("%s:%d -> %s:%d was let in by %q", c.Orig.Src, c.Orig.Sport, c.Orig.Dst, c.Orig.Dport, c.Ingress)
				}
			}
		})
	}
}

// The messages of TFTP: a file of one block.
var (
	tftpRead = []byte("\x00\x01file\x00octet\x00")
	tftpData = []byte("\x00\x03\x00\x01the file")
	tftpAck  = []byte("\x00\x04\x00\x01")
)

// serveTFTP answers each question from a port of its own, until the test ends.
func serveTFTP(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	asked := listenUDP(t, h, address+":69")
	answers := listenUDP(t, h, address+":0")
	go func() {
		buf := make([]byte, 512)
		for {
			_, from, err := asked.ReadFrom(buf)
			if err != nil {
				return
			}
			answers.WriteTo(tftpData, from)
		}
	}()
}

func listenUDP(t *testing.T, h *sandbox.Host, address string) net.PacketConn {
	t.Helper()
	c, err := h.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// askTFTP reports whether the file comes.
func askTFTP(t *testing.T, h *sandbox.Host, server string) bool {
	t.Helper()
	c := listenUDP(t, h, "10.1.1.1:0")
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo(tftpRead, to); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 512)
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	n, from, err := c.ReadFrom(buf)
	if err != nil {
		return false
	}
	c.WriteTo(tftpAck, from)
	return bytes.Equal(buf[:n], tftpData)
}
