package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// HostDevice is the name of a host's interface.
const HostDevice = "e0"

// HostConfig says what a host is.
type HostConfig struct {
	Name     string
	Bridge   string
	Port     string   // name of the interface on the bridge
	IfaceID  string   // external_ids:iface-id; empty: none
	OFPort   int      // wanted OpenFlow port; zero: any
	MAC      string   // of the host's interface
	IPs      []string // "10.1.0.11/24", "fd00:1::11/64"
	Gateways []string
	Added    func(*Host) error // called before its interface is up, and says anything; nil: nothing is
}

// A Host is a network namespace with one interface, whose other end is on a bridge.
type Host struct {
	HostConfig
	net *namespace
}

// AddHost adds a host and returns when its port is on the bridge.
func (s *Sandbox) AddHost(c HostConfig) (*Host, error) {
	if s.net == nil {
		return nil, errors.New("a dummy datapath has no hosts")
	}
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	h := &Host{c, n}
	s.hosts = append(s.hosts, h)
	if err := s.wire(h); err != nil {
		return nil, fmt.Errorf("host %s: %w", c.Name, err)
	}
	if c.Added != nil {
		if err := c.Added(h); err != nil {
			return nil, fmt.Errorf("host %s: %w", c.Name, err)
		}
	}
	if err := h.configure(); err != nil {
		return nil, fmt.Errorf("host %s: %w", c.Name, err)
	}
	return h, s.plug(c)
}

// wire makes the pair of interfaces.
func (s *Sandbox) wire(h *Host) error {
	nl, err := netlink.NewHandleAt(netns.NsHandle(s.net.fd), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	mac, err := net.ParseMAC(h.MAC)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = h.Port
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: HostDevice, PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(h.net.fd)}
	if err := nl.LinkAdd(veth); err != nil {
		return err
	}
	l, err := nl.LinkByName(h.Port)
	if err != nil {
		return err
	}
	return nl.LinkSetUp(l)
}

// Join makes a cable between two sandboxes: a port on a bridge of each, of the same name.
func (s *Sandbox) Join(bridge string, other *Sandbox, itsBridge, port string) error {
	if s.net == nil || other.net == nil {
		return errors.New("a dummy datapath has no cables")
	}
	nl, err := netlink.NewHandleAt(netns.NsHandle(s.net.fd), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	if err := nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: port, PeerNamespace: netlink.NsFd(other.net.fd)}); err != nil {
		return err
	}
	for _, end := range []struct {
		box    *Sandbox
		bridge string
	}{{s, bridge}, {other, itsBridge}} {
		if err := end.box.connect(end.bridge, port); err != nil {
			return err
		}
	}
	return nil
}

// connect sets a port up, and puts it on a bridge.
func (s *Sandbox) connect(bridge, port string) error {
	nl, err := netlink.NewHandleAt(netns.NsHandle(s.net.fd), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	l, err := nl.LinkByName(port)
	if err == nil {
		err = nl.LinkSetUp(l)
	}
	if err != nil {
		return err
	}
	return s.plug(HostConfig{Bridge: bridge, Port: port})
}

// plug puts the port on the bridge, in one transaction.
func (s *Sandbox) plug(c HostConfig) error {
	args := []string{"add-port", c.Bridge, c.Port}
	if c.IfaceID != "" {
		args = append(args, "--", "set", "interface", c.Port, "external_ids:iface-id="+c.IfaceID)
	}
	if c.OFPort != 0 {
		args = append(args, "--", "set", "interface", c.Port, fmt.Sprintf("ofport_request=%d", c.OFPort))
	}
	_, err := s.Vsctl(args...)
	return err
}

// Unplug takes a host's port off the bridge; Plug puts it back.
func (s *Sandbox) Unplug(h *Host) error {
	_, err := s.Vsctl("del-port", h.Bridge, h.Port)
	return err
}

// Plug puts a host's port on the bridge again.
func (s *Sandbox) Plug(h *Host) error { return s.plug(h.HostConfig) }

// configure gives the interface its addresses. The kernel must not ask, announce or
// offload anything on its own: userspace connection tracking sees checksums that the
// device would have filled in as wrong.
func (h *Host) configure() error {
	err := h.Do(func() error {
		for _, setting := range []string{"accept_dad", "accept_ra", "router_solicitations"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+HostDevice+"/"+setting, []byte("0"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := h.Exec(context.Background(), "ethtool", "-K", HostDevice, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"); err != nil {
		return err
	}
	nl, err := netlink.NewHandleAt(netns.NsHandle(h.net.fd), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	lo, err := nl.LinkByName("lo")
	if err == nil {
		err = nl.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	dev, err := nl.LinkByName(HostDevice)
	if err != nil {
		return err
	}
	for _, ip := range h.IPs {
		a, err := netlink.ParseAddr(ip)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags |= unix.IFA_F_NODAD
		}
		if err := nl.AddrAdd(dev, a); err != nil {
			return fmt.Errorf("%s: %w", ip, err)
		}
	}
	if err := nl.LinkSetUp(dev); err != nil {
		return err
	}
	for _, g := range h.Gateways {
		if err := nl.RouteAdd(&netlink.Route{LinkIndex: dev.Attrs().Index, Gw: net.ParseIP(g)}); err != nil {
			return fmt.Errorf("gateway %s: %w", g, err)
		}
	}
	return nil
}

// Do runs f in the host: sockets that f makes stay there.
func (h *Host) Do(f func() error) error { return h.net.do(f) }

// Dial connects from the host.
func (h *Host) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	return h.DialFrom(ctx, nil, network, address)
}

// DialFrom connects from an address of the host. On a connection that says nothing there is
// nothing: also no segment that keeps it alive, which would have it judged again.
func (h *Host) DialFrom(ctx context.Context, local net.Addr, network, address string) (c net.Conn, err error) {
	err = h.net.visit(func() (err error) {
		d := net.Dialer{LocalAddr: local, KeepAlive: -1, FallbackDelay: -1} // a race of two would leave the thread
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen listens in the host. Nothing keeps its connections alive either.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.net.visit(func() (err error) {
		c := net.ListenConfig{KeepAlive: -1}
		l, err = c.Listen(context.Background(), network, address)
		return err
	})
	return l, err
}

// ListenPacket listens in the host for datagrams.
func (h *Host) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = h.net.visit(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Exec runs a program in the host and returns its output.
func (h *Host) Exec(ctx context.Context, name string, args ...string) (string, error) {
	var out []byte
	err := h.Do(func() (err error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		err = fmt.Errorf("%s: %s: %w: %s", h.Name, name, err, out)
	}
	return string(out), err
}

var received = regexp.MustCompile(`(\d+) received`)

// Ping sends n echo requests, a fifth of a second apart, and returns how many were
// answered, as soon as all are, or patience is over after the last one. That none was is no error.
func (h *Host) Ping(ctx context.Context, dst netip.Addr, n int, patience time.Duration) (int, error) {
	out, err := h.Exec(ctx, "ping", "-n", "-c", strconv.Itoa(n), "-i", "0.2", "-W", strconv.FormatFloat(patience.Seconds(), 'f', -1, 64), dst.String())
	m := received.FindStringSubmatch(out)
	if m == nil {
		return 0, err
	}
	return strconv.Atoi(m[1])
}

// A Wire is a raw socket on a host's interface. Incoming frames are kept until they are
// asked for.
type Wire struct {
	fd     int
	index  int
	frames chan []byte
	done   chan struct{}
}

// Wire opens the interface, past the host's own network stack, which still sees all.
func (h *Host) Wire() (w *Wire, err error) {
	w = &Wire{frames: make(chan []byte, 4096), done: make(chan struct{})}
	err = h.Do(func() (err error) {
		dev, err := net.InterfaceByName(HostDevice)
		if err != nil {
			return err
		}
		w.index = dev.Index
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL))); err != nil {
			return err
		}
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: w.index})
	})
	if err != nil {
		return nil, err
	}
	tick := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
		return nil, err
	}
	go w.read()
	return w, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (w *Wire) read() {
	defer close(w.frames)
	defer unix.Close(w.fd)
	buf := make([]byte, 1<<16)
	for {
		select {
		case <-w.done:
			return
		default:
		}
		n, from, err := unix.Recvfrom(w.fd, buf, 0)
		if err != nil {
			continue // the timeout, with which we look whether to end
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		select {
		case w.frames <- append([]byte(nil), buf[:n]...):
		default: // nobody looks
		}
	}
}

// Frames returns the incoming frames. It is closed after Close.
func (w *Wire) Frames() <-chan []byte { return w.frames }

// Send sends a frame.
func (w *Wire) Send(frame []byte) error {
	return unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index, Halen: 6})
}

// Close closes the socket.
func (w *Wire) Close() { close(w.done) }

// Link joins two hosts beside the bridge, by an interface of the same name in each. The MTU is
// that of h's end; the other's is that of Ethernet.
func (h *Host) Link(other *Host, device string, mtu int) error {
	nl, err := netlink.NewHandleAt(netns.NsHandle(h.net.fd), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = device, mtu
	if err := nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: device, PeerMTU: 1500, PeerNamespace: netlink.NsFd(other.net.fd)}); err != nil {
		return err
	}
	for _, args := range [][]string{{"ip", "link", "set", device, "up"}, {"ethtool", "-K", device, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"}} {
		for _, end := range []*Host{h, other} {
			if _, err := end.Exec(context.Background(), args[0], args[1:]...); err != nil {
				return err
			}
		}
	}
	return nil
}
