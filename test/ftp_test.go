package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/conntrack"
	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// TestOF15FTPNeedsItsHelper downloads a file in each of the ways in which FTP opens data
// connections (RFC 959, RFC 2428), through a rule for port 21 with and without alg.
func TestOF15FTPNeedsItsHelper(t *testing.T) {
	for name, alg := range map[string]string{"with alg": ", alg: ftp", "without alg": ""} {
		t.Run(name, func(t *testing.T) {
			n := ovstest.New(t)
			h1 := n.Host("h1", mac(1), []string{"10.1.1.1/24", "fd00:1::1/64"})
			h2 := n.Host("h2", mac(2), []string{"10.1.1.2/24", "fd00:1::2/64"})
			n.Run(labModel("") + forH2("{name: ftp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: tcp, ports: [21]"+alg+"}"))
			for _, server := range []string{"10.1.1.2", "fd00:1::2"} {
				serveFTP(t, h2, server)
			}
			extended := knowsExtendedFTP(t, n)
			for _, c := range []struct {
				way, server string
				helped      bool // the helper understands it
			}{
				{"PASV", "10.1.1.2", true}, {"PORT", "10.1.1.2", true},
				{"EPSV", "10.1.1.2", extended}, {"EPRT", "10.1.1.2", extended},
				{"EPSV", "fd00:1::2", true}, {"EPRT", "fd00:1::2", true},
			} {
				t.Run(c.way+" to "+c.server, func(t *testing.T) { downloads(t, n, h1, c.way, c.server, alg != "", c.helped) })
			}
		})
	}
}

// knowsExtendedFTP reports whether weir status does not say that EPSV and EPRT fail over IPv4.
func knowsExtendedFTP(t *testing.T, n *ovstest.Net) bool {
	t.Helper()
	return !has(t, n, quirk.FTPExtended)
}

// downloads downloads the file, and looks at the connections that it has left.
func downloads(t *testing.T, n *ovstest.Net, h *sandbox.Host, way, server string, alg, helped bool) {
	zone := n.Weir.Zone("t")
	if _, err := n.Appctl("dpctl/flush-conntrack", fmt.Sprintf("zone=%d", zone)); err != nil {
		t.Fatal(err)
	}
	c := logIn(t, h, server)
	defer c.Close()
	got, err := c.download(h, way, server)
	if !alg || !helped {
		var timeout net.Error
		passive := strings.HasSuffix(way, "SV")
		if passive && (!errors.As(err, &timeout) || !timeout.Timeout()) || !passive && (err == nil || !strings.Contains(err.Error(), "425")) {
			t.Fatalf("%q, %v; want no data connection", got, err)
		}
		return
	}
	if err != nil || got != theFile {
		t.Fatalf("%q, %v", got, err)
	}
	var control, data []conntrack.Entry
	for _, e := range n.Entries(zone) {
		switch {
		case e.Orig.DstPort != 21:
			data = append(data, e)
		case int(e.Orig.SrcPort) == c.LocalAddr().(*net.TCPAddr).Port: // those before may still be closing
			control = append(control, e)
		}
	}
	if len(control) != 1 || control[0].Helper != "ftp" || len(data) != 1 {
		t.Errorf("control connections: %+v, data connections: %+v", control, data)
	}
	for _, c := range n.Weir.Connections("t") {
		if c.Ingress != "t/policy/h2/ftp" {
			t.Errorf("%s:%d -> %s:%d was let in by %q", c.Orig.Src, c.Orig.Sport, c.Orig.Dst, c.Orig.Dport, c.Ingress)
		}
	}
}

const theFile = "the file"

// serveFTP is an FTP server in a host, with one file and only the commands that open data
// connections.
func serveFTP(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	accept(t, h, net.JoinHostPort(address, "21"), func(c net.Conn) {
		s := ftpServer{h: h, control: c, open: func() (net.Conn, error) { return nil, errors.New("no PASV or PORT before") }}
		defer s.close()
		fmt.Fprint(c, "220 ready\r\n")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			verb, rest, _ := strings.Cut(lines.Text(), " ")
			fmt.Fprintf(c, "%s\r\n", s.answer(verb, rest))
		}
	})
}

// An ftpServer is one control connection.
type ftpServer struct {
	h       *sandbox.Host
	control net.Conn
	passive net.Listener             // of PASV and EPSV
	open    func() (net.Conn, error) // the data connection
}

func (s *ftpServer) close() {
	if s.passive != nil {
		s.passive.Close()
	}
}

func (s *ftpServer) answer(verb, rest string) string {
	switch verb {
	case "USER":
		return "230 logged in"
	case "PASV", "EPSV":
		port, err := s.listen()
		if err != nil {
			return "425 " + err.Error()
		}
		if verb == "EPSV" {
			return fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", port)
		}
		return "227 Entering Passive Mode (" + commas(s.control.LocalAddr(), port) + ")"
	case "PORT", "EPRT":
		s.open = func() (net.Conn, error) { return connect(s.h, activePeer(verb, rest)) }
		return "200 " + verb + " command successful"
	case "RETR":
		data, err := s.open()
		if err != nil {
			return "425 " + err.Error()
		}
		defer data.Close()
		io.WriteString(data, theFile)
		return "226 transfer complete"
	}
	return "502 not implemented"
}

// listen waits for the client's data connection.
func (s *ftpServer) listen() (port int, err error) {
	s.close()
	host, _, _ := net.SplitHostPort(s.control.LocalAddr().String())
	if s.passive, err = s.h.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
		return 0, err
	}
	s.open = func() (net.Conn, error) {
		s.passive.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
		return s.passive.Accept()
	}
	return s.passive.Addr().(*net.TCPAddr).Port, nil
}

// connect opens a data connection, or says soon that it cannot.
func connect(h *sandbox.Host, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return h.Dial(ctx, "tcp", address)
}

// commas is an address and a port as PORT and PASV write them: 10,1,1,2,7,208.
func commas(host net.Addr, port int) string {
	return fmt.Sprintf("%s,%d,%d", strings.ReplaceAll(host.(*net.TCPAddr).IP.String(), ".", ","), port>>8, port&0xff)
}

// activePeer is the address in a PORT, or in an EPRT: |1|10.1.1.1|2000|.
func activePeer(verb, text string) string {
	if verb == "EPRT" {
		parts := strings.Split(text, "|")
		return net.JoinHostPort(parts[2], parts[3])
	}
	var ip [4]byte
	var high, low int
	fmt.Sscanf(text, "%d,%d,%d,%d,%d,%d", &ip[0], &ip[1], &ip[2], &ip[3], &high, &low)
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(high<<8|low)).String()
}

// An ftpClient is a control connection from its other end.
type ftpClient struct {
	net.Conn
	lines *bufio.Reader
}

// download fetches the file from an FTP server in a way: PASV, PORT, EPSV or EPRT.
func download(t *testing.T, h *sandbox.Host, way, server string) (string, error) {
	t.Helper()
	c := logIn(t, h, server)
	defer c.Close()
	return c.download(h, way, server)
}

func (c ftpClient) download(h *sandbox.Host, way, server string) (string, error) {
	if strings.HasSuffix(way, "SV") {
		return c.passive(h, way, server)
	}
	return c.active(h, way)
}

// logIn opens a control connection to an FTP server.
func logIn(t *testing.T, h *sandbox.Host, server string) ftpClient {
	t.Helper()
	conn, err := h.Dial(t.Context(), "tcp", net.JoinHostPort(server, "21"))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(ovstest.Patience))
	c := ftpClient{conn, bufio.NewReader(conn)}
	if _, err := c.lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := c.say("USER anonymous"); err != nil { // the kernel's helper does not read the first line
		t.Fatal(err)
	}
	return c
}

// say says a line and returns the answer; an error if the server refuses.
func (c ftpClient) say(line string) (string, error) {
	fmt.Fprintf(c, "%s\r\n", line)
	answer, err := c.lines.ReadString('\n')
	if err == nil && answer[0] > '2' {
		err = errors.New(answer)
	}
	return answer, err
}

// passive opens the data connection to where the server listens.
func (c ftpClient) passive(h *sandbox.Host, way, server string) (string, error) {
	port, err := c.announced(way)
	if err != nil {
		return "", err
	}
	data, err := connect(h, net.JoinHostPort(server, fmt.Sprint(port)))
	if err != nil {
		return "", err
	}
	defer data.Close()
	if _, err := c.say("RETR file"); err != nil {
		return "", err
	}
	return read(data)
}

// announced has the server announce where it listens.
func (c ftpClient) announced(way string) (port int, err error) {
	answer, err := c.say(way)
	if err != nil {
		return 0, err
	}
	_, inside, _ := strings.Cut(answer, "(")
	if way == "EPSV" {
		fmt.Sscanf(inside, "|||%d|)", &port)
		return port, nil
	}
	var high, low int
	numbers := strings.Split(strings.TrimRight(inside, ")\r\n"), ",")
	fmt.Sscan(numbers[4], &high)
	fmt.Sscan(numbers[5], &low)
	return high<<8 | low, nil
}

// active has the server open the data connection.
func (c ftpClient) active(h *sandbox.Host, way string) (string, error) {
	own := c.LocalAddr().(*net.TCPAddr)
	l, err := h.Listen("tcp", net.JoinHostPort(own.IP.String(), "0"))
	if err != nil {
		return "", err
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	where := "PORT " + commas(own, port)
	if way == "EPRT" {
		version := map[bool]int{true: 1, false: 2}[own.IP.To4() != nil]
		where = fmt.Sprintf("EPRT |%d|%s|%d|", version, own.IP, port)
	}
	for _, line := range []string{where, "RETR file"} {
		if _, err := c.say(line); err != nil {
			return "", err
		}
	}
	l.(*net.TCPListener).SetDeadline(time.Now().Add(ovstest.Patience))
	data, err := l.Accept()
	if err != nil {
		return "", err
	}
	defer data.Close()
	return read(data)
}

func read(c net.Conn) (string, error) {
	c.SetDeadline(time.Now().Add(ovstest.Patience))
	all, err := io.ReadAll(c)
	return string(all), err
}
