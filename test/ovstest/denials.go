package ovstest

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/reference"
	"weir/ofproto"
	"weir/store"
)

// What is counted as denied by a rule, or by a default, must have been sent: some packet of a host is such that
// the reference says that this rule denies it. So a drop that names the wrong rule fails the test that sees it.

// holdDenials fails the test if a rule or a default has denied something that nobody has sent.
func (n *Net) holdDenials(flows []ofproto.FlowStats) {
	n.T.Helper()
	denied, err := n.denied(flows)
	if err != nil || len(denied) == 0 {
		return // of a test that has ended the daemon's state
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

// guesses reports whether some packets of a protocol may have been judged without their ports: fragments, which the userspace
// datapath shows one by one.
func (n *Net) guesses(protocol uint8) bool {
	n.seen.mu.Lock()
	defer n.seen.mu.Unlock()
	for f := range n.seen.sent {
		if f.Piece != 0 && f.Protocol == protocol {
			return !n.Kernel()
		}
	}
	return false
}

// denied returns by whom packets were denied, as flows say.
func (n *Net) denied(flows []ofproto.FlowStats) (map[intent.ID]uint64, error) {
	numbers, err := n.numbers()
	if err != nil {
		return nil, err
	}
	all := map[intent.ID]uint64{}
	for _, f := range flows {
		tag, ours := pipeline.TagOf(f.Cookie)
		if id, known := numbers.Origin(tag); ours && known && f.Packets > 0 && denies(f.Flow) {
			all[id] += f.Packets
		}
	}
	return all, nil
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
func deniers(m *intent.Model, p reference.Frame) (all []intent.ID) {
	note := func(w reference.Way) {
		all = append(all, w.By, w.Audited)
		if w.Then != nil {
			all = append(all, w.Then.By, w.Then.Audited)
		}
	}
	for _, b := range m.Bridges() {
		r := reference.Router{Model: m, Bridge: b, Known: func(*intent.External, netip.Addr) bool { return true }}
		for _, x := range b.Externals {
			if x.Port == p.Port {
				routed(r, p.Packet, x, note)
				all = append(all, published(m, p.Packet)...)
			}
		}
		for _, t := range m.Tenants() {
			for _, e := range t.Endpoints {
				if e.IfaceID == p.Port || e.Port == p.Port {
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
