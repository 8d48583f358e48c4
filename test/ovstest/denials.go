package ovstest

import (
	"context"
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/reference"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/store"
)

// What is counted as denied by a rule, or by a default, must have been sent: some packet of a host is such that
// the reference says that this rule denies it. So a drop that names the wrong rule fails the test that sees it.

// most is how many packets of different connections are kept in mind of a test. A storm has more: there
// nothing is said about what is denied.
const most = 20000

// A sighting is what hosts have sent.
type sighting struct {
	mu   sync.Mutex // the taps note, the test reads
	sent map[sent]bool
	full bool

	pieces bool // some of it in fragments
	taps   []*sandbox.Tap
}

// sent is a packet of a host.
type sent struct {
	host string
	reference.Packet
}

// watch notes what a host sends from now on.
func (s *sighting) watch(h *sandbox.Host) error {
	t, err := h.Tap(func(frame []byte) bool {
		p, ok := packetOf(frame)
		if !ok {
			return true
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sent == nil {
			s.sent = map[sent]bool{}
		}
		s.sent[sent{h.Name, p}] = true
		s.pieces = s.pieces || inPieces(frame)
		s.full = s.full || len(s.sent) >= most
		return !s.full
	})
	if err == nil {
		s.taps = append(s.taps, t)
	}
	return err
}

func (s *sighting) close() {
	for _, t := range s.taps {
		t.Close()
	}
	s.taps = nil
}

const ipv6Fragment = 44 // the fragment header (RFC 8200, 4.5)

// packetOf reads the addresses and ports of a frame. Behind other extension headers of IPv6 than a fragment's it does not look.
func packetOf(f []byte) (p reference.Packet, ok bool) {
	rest := []byte(nil)
	switch {
	case len(f) >= 34 && f[12] == 0x08 && f[13] == 0x00:
		p.Src, p.Dst, p.Protocol = netip.AddrFrom4([4]byte(f[26:30])), netip.AddrFrom4([4]byte(f[30:34])), f[23]
		if later := wire.BigEndian.Uint16(f[20:])&0x1fff != 0; !later {
			rest = f[min(len(f), 14+4*int(f[14]&15)):]
		}
	case len(f) >= 54 && f[12] == 0x86 && f[13] == 0xdd:
		p.Src, p.Dst, p.Protocol, rest = netip.AddrFrom16([16]byte(f[22:38])), netip.AddrFrom16([16]byte(f[38:54])), f[20], f[54:]
		if p.Protocol == ipv6Fragment && len(rest) >= 8 {
			later := wire.BigEndian.Uint16(rest[2:])&0xfff8 != 0
			if p.Protocol, rest = rest[0], rest[8:]; later {
				rest = nil
			}
		}
	default:
		return p, false
	}
	switch p.Protocol {
	case reference.ICMP, reference.ICMPv6:
		if len(rest) >= 2 {
			p.Type, p.Code = rest[0], rest[1]
		}
	case reference.TCP, reference.UDP, reference.SCTP:
		if len(rest) >= 4 {
			p.SrcPort, p.DstPort = wire.BigEndian.Uint16(rest), wire.BigEndian.Uint16(rest[2:])
		}
	}
	return p, true
}

// inPieces reports whether a frame of IP is a fragment.
func inPieces(f []byte) bool {
	if f[12] == 0x86 {
		return f[20] == ipv6Fragment
	}
	return wire.BigEndian.Uint16(f[20:])&0x3fff != 0
}

// holdDenials fails the test if a rule or a default has denied something that nobody has sent.
func (n *Net) holdDenials() {
	n.T.Helper()
	n.seen.close()
	if n.seen.full || n.guesses() || n.Weir == nil || n.Weir.ExpectRefusals || len(n.Weir.judge.models) == 0 {
		return
	}
	denied, err := n.denied()
	if err != nil || len(denied) == 0 {
		return // of a test that has ended ovs-vswitchd, or the daemon's state
	}
	by := map[intent.ID]bool{}
	for p := range n.seen.sent {
		for _, m := range n.Weir.judge.models {
			for _, id := range deniers(m, p) {
				by[id] = true
			}
		}
	}
	for id, packets := range denied {
		if !by[id] {
			n.T.Errorf("%d packets were counted as denied by %s, and the reference denies nothing so of what was sent", packets, id)
		}
	}
	n.Weir.judge.told += len(denied)
}

// guesses reports whether some of what was sent may have been judged without its ports: fragments, which the userspace
// datapath shows one by one.
func (n *Net) guesses() bool {
	n.seen.mu.Lock()
	defer n.seen.mu.Unlock()
	return n.seen.pieces && !n.Kernel()
}

// denied returns by whom packets were denied, as the flows say that there are.
func (n *Net) denied() (map[intent.ID]uint64, error) {
	numbers, err := n.numbers()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience) // that of the test has ended
	defer cancel()
	flows, err := n.flows(ctx)
	all := map[intent.ID]uint64{}
	for _, f := range flows {
		tag, ours := pipeline.TagOf(f.Cookie)
		if id, known := numbers.Origin(tag); ours && known && f.Packets > 0 && denies(f.Flow) {
			all[id] += f.Packets
		}
	}
	return all, err
}

// denies reports whether a flow of a rule or a default denies.
func denies(f ofproto.Flow) bool {
	if f.Table != pipeline.PolOut && f.Table != pipeline.PolIn {
		return false
	}
	return slices.ContainsFunc(f.Actions, func(a ofproto.Action) bool {
		set, is := a.(ofproto.SetField)
		return is && set.Field == pipeline.RegReason && slices.Contains([]pipeline.Reason{pipeline.DeniedByRule, pipeline.DeniedByDefault, pipeline.RejectedByRule}, pipeline.Reason(set.Value.Uint64()))
	})
}

// numbers reads a copy of the daemon's numbers.
func (n *Net) numbers() (*store.Snapshot, error) {
	dir := n.T.TempDir()
	for _, name := range []string{"numbers.json", "numbers.journal"} {
		from, err := os.Open(filepath.Join(n.dir, "state", name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer from.Close()
		to, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		defer to.Close()
		if _, err := io.Copy(to, from); err != nil {
			return nil, err
		}
	}
	s, err := store.Open(filepath.Join(dir, "numbers.json"), nil)
	if err != nil {
		return nil, fmt.Errorf("the daemon's numbers: %w", err)
	}
	return s.Preview(store.Wants{})
}

// deniers returns who may deny a packet, if it begins a connection: by whichever way it goes. One that may send
// as anybody is denied as anybody.
func deniers(m *intent.Model, p sent) (all []intent.ID) {
	note := func(w reference.Way) {
		all = append(all, w.By, w.Audited)
		if w.Then != nil {
			all = append(all, w.Then.By, w.Then.Audited)
		}
	}
	for _, b := range m.Bridges() {
		r := reference.Router{Model: m, Bridge: b, Known: func(*intent.External, netip.Addr) bool { return true }}
		for _, x := range b.Externals {
			if x.Port == p.host {
				routed(r, p.Packet, x, note)
				all = append(all, published(m, p.Packet)...)
			}
		}
		for _, t := range m.Tenants() {
			for _, e := range t.Endpoints {
				if e.IfaceID == p.host || e.Port == p.host {
					p.From = e
					if e.Trusted {
						all = append(all, t.DefaultID(intent.Ingress), t.DefaultID(intent.Egress))
					}
					all = append(all, switched(m, t, p.Packet)...)
					routed(r, p.Packet, nil, note)
				}
			}
		}
	}
	return all
}

// routed asks what the router does with p, whichever backend it would choose.
func routed(r reference.Router, p reference.Packet, x *intent.External, note func(reference.Way)) {
	note(r.Forward(p, x, reference.New))
	for _, b := range r.Backends(p, x) {
		r.Backend = b
		note(r.Forward(p, x, reference.New))
	}
}

// published returns who denies p, from outside, to an address that is an endpoint's own.
func published(m *intent.Model, p reference.Packet) (all []intent.ID) {
	for _, t := range m.Tenants() {
		v, _, known := reference.Behind(m, t, reference.Remembered{Opened: p, AnsweredBy: p.Dst, AnswerPort: p.DstPort, AnsweredTo: p.Src})
		if known {
			all = append(all, v.By)
		}
	}
	return all
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// switched returns who denies p to those of t who may have its address.
func switched(m *intent.Model, t *intent.Tenant, p reference.Packet) (all []intent.ID) {
	for _, to := range t.Endpoints {
		if reference.MayBe(t, to, p.Dst) || p.Dst.IsMulticast() || p.Dst == broadcast {
			p.To = to
			v := reference.Judge(m, p, reference.New)
			all = append(all, v.By)
		}
	}
	return all
}
