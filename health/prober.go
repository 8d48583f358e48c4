package health

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"weir/intent"
)

// The ports from which backends are asked: those of which the highest six bits are set but the
// last two of them, so that a switch matches them with one mask. They are above those that
// hosts take by themselves.
const (
	FirstPort = 0xf000
	PortMask  = 0xfc00
	lastPort  = FirstPort | ^uint16(PortMask)&0xffff
)

// mtu is that of the stack: any link takes such packets, and what is asked is short.
const (
	mtu    = 1280
	queued = 512 // packets that wait to be sent
)

const nic tcpip.NICID = 1

// A Prober asks the backends in one network of one tenant. Its methods may be called by
// several goroutines.
type Prober struct {
	stack *stack.Stack
	link  *channel.Endpoint
	send  func(to netip.Addr, packet []byte)
	stop  context.CancelFunc
	done  chan struct{}
}

// NewProber returns a Prober that asks from the given addresses. What it sends is handed to
// send, one IP packet after the other, with who it is for; send may keep it.
func NewProber(addresses []netip.Addr, send func(to netip.Addr, packet []byte)) (*Prober, error) {
	p := &Prober{
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{})},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		}),
		link: channel.New(queued, mtu, ""),
		send: send,
		done: make(chan struct{}),
	}
	// A host hands over packets whose checksums its network card would have made.
	p.link.LinkEPCapabilities = stack.CapabilityRXChecksumOffload
	if err := p.configure(addresses); err != nil {
		p.stack.Destroy()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go p.sendAll(ctx)
	return p, nil
}

func (p *Prober) configure(addresses []netip.Addr) error {
	if err := p.stack.CreateNIC(nic, p.link); err != nil {
		return fmt.Errorf("prober: %v", err)
	}
	p.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	if err := p.stack.SetPortRange(FirstPort, lastPort); err != nil {
		return fmt.Errorf("prober: %v", err)
	}
	for _, a := range addresses {
		own := tcpip.ProtocolAddress{Protocol: familyOf(a), AddressWithPrefix: tcpip.AddrFromSlice(a.AsSlice()).WithPrefix()}
		if err := p.stack.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("prober: %s: %v", a, err)
		}
	}
	return nil
}

func familyOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// sendAll hands over what the stack sends, until ctx is done.
func (p *Prober) sendAll(ctx context.Context) {
	defer close(p.done)
	for {
		packet := p.link.ReadContext(ctx)
		if packet == nil {
			return
		}
		v := packet.ToView()
		packet.DecRef()
		if to, ok := destination(v.AsSlice()); ok {
			p.send(to, v.ToSlice())
		}
		v.Release()
	}
}

// destination returns whom an IP packet is for, unless that is many.
func destination(b []byte) (a netip.Addr, ok bool) {
	switch header.IPVersion(b) {
	case header.IPv4Version:
		a, ok = netip.AddrFromSlice(b[16:20])
	case header.IPv6Version:
		a, ok = netip.AddrFromSlice(b[24:40])
	}
	return a, ok && !a.IsMulticast()
}

// Receive takes an IP packet that has come for one of the Prober's addresses.
func (p *Prober) Receive(packet []byte) {
	protocol := tcpip.NetworkProtocolNumber(header.IPv4ProtocolNumber)
	if header.IPVersion(packet) == header.IPv6Version {
		protocol = header.IPv6ProtocolNumber
	}
	b := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	defer b.DecRef()
	p.link.InjectInbound(protocol, b)
}

// Close ends the Prober: nothing is sent after it returns.
func (p *Prober) Close() {
	p.stop()
	<-p.done
	p.link.Close()
	p.stack.Destroy()
}

// Ask asks a backend, and returns nil if it is well. The error is for people.
func (p *Prober) Ask(ctx context.Context, c Check) error {
	ask, known := map[intent.CheckType]func(context.Context, Check) error{
		intent.CheckTCP: p.askTCP, intent.CheckHTTP: p.askHTTP, intent.CheckUDP: p.askUDP, intent.CheckICMP: p.askICMP,
	}[c.Health.Type]
	if !known {
		return fmt.Errorf("nobody knows a check of type %q", c.Health.Type)
	}
	return p.why(ctx, c, ask(ctx, c))
}

// why says that there was no answer, where that is why something has failed.
func (p *Prober) why(ctx context.Context, c Check, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", c.timeout())
	}
	return err
}
