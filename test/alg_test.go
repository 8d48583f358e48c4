package test

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestFTPOpensTheDataConnectionsThatItAnnounces serves a rule for port 21 with alg: ftp. A
// data connection announced by PASV passes, and is admitted by the same rule; the same port
// that nobody has announced does not, nor one that a rule without alg let be announced.
func TestFTPOpensTheDataConnectionsThatItAnnounces(t *testing.T) {
	for name, c := range map[string]struct {
		more   string
		passes bool
	}{
		"with alg":    {", alg: ftp", true},
		"without alg": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			n, h1, h2 := pair(t)
			w := n.Run(pairModel("") + forH2("{name: ftp, direction: ingress, action: allow, protocol: tcp, ports: [21]"+c.more+"}"))
			serve(t, h2, "10.1.1.2:2000", "data")
			announceFTP(t, h2, "10.1.1.2:21", "227 Entering Passive Mode (10,1,1,2,7,208)\r\n") // 7*256 + 208 = 2000
			timesOut(t, h1, "10.1.1.2:2000")

			control := askFTP(t, h1, "10.1.1.2:21")
			defer control.Close()
			if !c.passes {
				timesOut(t, h1, "10.1.1.2:2000")
				return
			}
			gets(t, h1, "10.1.1.2:2000", "data")
			for _, e := range w.Connections("t") {
				if e.Ingress != "t/policy/h2/ftp" {
					t.Errorf("port %d was let in by %q", e.Orig.Dport, e.Ingress)
				}
			}
		})
	}
}

// announceFTP greets whoever connects, and answers each line with an announcement.
func announceFTP(t *testing.T, h *sandbox.Host, address, announcement string) {
	t.Helper()
	accept(t, h, address, func(c net.Conn) {
		fmt.Fprint(c, "220 ready\r\n")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			fmt.Fprint(c, announcement)
		}
	})
}

// askFTP connects, says PASV and reads the answer.
func askFTP(t *testing.T, h *sandbox.Host, address string) net.Conn {
	t.Helper()
	c, err := h.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(ovstest.Patience))
	r := bufio.NewReader(c)
	for _, line := range []string{"", "PASV\r\n"} {
		fmt.Fprint(c, line)
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
