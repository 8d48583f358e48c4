package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"weir/api"
	"weir/apps/pipeline"
	"weir/explain"
	"weir/intent"
	"weir/internal/unixctl"
	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// Explain says what becomes of a packet, by the flows that are installed.
func (d *desk) Explain(ctx context.Context, q api.Question) (api.Explanation, error) {
	numbers := d.numbers.Load()
	if numbers == nil {
		return api.Explanation{}, errStarting
	}
	scene := explain.Scene{Model: d.inForce.Load().Model, Numbers: numbers}
	asked, err := questionOf(q)
	if err != nil {
		return api.Explanation{}, asProblem(err)
	}
	sent, err := explain.Send(scene.Model, d.sites(), asked)
	if err != nil {
		return api.Explanation{}, asProblem(err)
	}
	x, err := d.explain(ctx, scene, sent)
	if err != nil {
		return api.Explanation{}, err
	}
	return explanationOf(scene, x), nil
}

// asProblem is a mistake of whoever asks.
func asProblem(err error) error {
	return &api.Problem{Status: http.StatusBadRequest, Detail: err.Error()}
}

func questionOf(q api.Question) (explain.Question, error) {
	asked, err := explain.ParseQuestion(q.Packet)
	if err != nil {
		return asked, err
	}
	asked.Tenant, asked.AsMAC, asked.ToMAC, asked.Fragment, asked.Established = q.Tenant, q.FromMAC, q.ToMAC, q.Fragment, q.Established
	if q.As != "" {
		if asked.As, err = netip.ParseAddr(q.As); err != nil {
			return asked, fmt.Errorf("--as %s: not an address", q.As)
		}
	}
	if q.Fragment != "" && q.Fragment != "first" && q.Fragment != "later" {
		return asked, fmt.Errorf("--fragment %s: must be first or later", q.Fragment)
	}
	return asked, nil
}

// sites are the bridges of the model that the databases have, with their ports.
func (d *desk) sites() (all []explain.Site) {
	for _, b := range d.inForce.Load().Model.Bridges() {
		if p, ok := d.at(b.Name); ok {
			all = append(all, explain.Site{Bridge: b.Name, Ports: portFacts(p.row.Ports)})
		}
	}
	return all
}

// explain asks ovs-vswitchd about a packet.
func (d *desk) explain(ctx context.Context, scene explain.Scene, s explain.Sent) (x *explain.Explanation, err error) {
	err = d.asking(ctx, s.Bridge, func(b *explain.Bridge) (err error) {
		x, err = scene.Explain(b, s)
		return err
	})
	return x, err
}

// asking has a bridge asked, by ovs-vswitchd's control socket and by a session of its own.
// Flows that change meanwhile have it asked once more, a few times.
func (d *desk) asking(ctx context.Context, bridge string, ask func(*explain.Bridge) error) error {
	for range 4 {
		if err := d.askOnce(ctx, bridge, ask); !errors.Is(err, explain.ErrMoved) {
			return err
		}
	}
	return d.askOnce(ctx, bridge, ask)
}

func (d *desk) askOnce(ctx context.Context, bridge string, ask func(*explain.Bridge) error) error {
	p, found := d.at(bridge)
	if !found {
		return errElsewhere(bridge)
	}
	ctl, err := unixctl.DialDaemon(ctx, p.host.rundir, "ovs-vswitchd")
	if err != nil {
		return err
	}
	defer ctl.Close()
	conn, err := d.management(ctx, bridge)
	if err != nil {
		return err
	}
	defer conn.Close()
	groups, _, err := conn.GroupsAndMeters(ctx)
	if err != nil {
		return err
	}
	return ask(askable(ctx, bridge, p.name, ctl, conn, groups))
}

// management opens an OpenFlow session of its own to a bridge, to read from: the socket that
// ovs-vswitchd keeps for each bridge.
func (d *desk) management(ctx context.Context, bridge string) (*ofconn.Conn, error) {
	p, found := d.at(bridge)
	if !found {
		return nil, errElsewhere(bridge)
	}
	conn, err := ofconn.Dial(ctx, p.management(), ofconn.Config{})
	if err != nil {
		return nil, fmt.Errorf("bridge %s cannot be asked: %w", bridge, err)
	}
	return conn, nil
}

// askable is a bridge as an explanation asks it, by its name on its host. What is asked twice is answered once.
func askable(ctx context.Context, bridge, name string, ctl *unixctl.Conn, conn *ofconn.Conn, groups []ofproto.Group) *explain.Bridge {
	type key struct {
		table  ofproto.Table
		cookie uint64
	}
	known := map[key][]ofproto.FlowStats{}
	return &explain.Bridge{
		Name: bridge, Groups: groups,
		Trace: func(packet, actions string) (string, error) {
			if actions == "" {
				return ctl.Call(ctx, "ofproto/trace", name, packet)
			}
			return ctl.Call(ctx, "ofproto/trace-packet-out", name, packet, actions)
		},
		Flows: func(t ofproto.Table, cookie uint64) (some []ofproto.FlowStats, err error) {
			k := key{t, cookie}
			if some, ok := known[k]; ok {
				return some, nil
			}
			some, err = conn.FlowStatsOf(ctx, ofproto.FlowQuery{Table: t, Cookie: cookie, CookieMask: ^uint64(0)})
			known[k] = some
			return some, err
		},
	}
}

// explanationOf is an explanation as it is told.
func explanationOf(c explain.Scene, x *explain.Explanation) api.Explanation {
	v := api.Explanation{
		Packet: x.Sent.Question.Text, Verdict: string(x.Verdict), By: intentOf(c.Model, x.By), Bridge: x.Sent.Bridge,
		Table: pipeline.TableNames[x.At], Packets: x.Packets, Zone: x.Zone, State: x.State, From: x.Sent.Src.String(),
		Egress: intentOf(c.Model, x.Egress), Ingress: intentOf(c.Model, x.Ingress), To: string(x.To), OFPort: x.Port,
		Target: intentOf(c.Model, x.Target), SNAT: intentOf(c.Model, x.SNAT), Src: addressText(x.Src), Dst: addressText(x.Dst),
		Assumptions: append([]string{}, x.Assumed...), Steps: []api.FlowStep{},
	}
	if x.Sent.From != nil {
		v.From = string(x.Sent.From.ID())
	}
	if x.Sent.Tenant != nil {
		v.Tenant = x.Sent.Tenant.Name
	}
	if x.Reason != 0 {
		v.Reason = pipeline.Reasons[x.Reason]
	}
	if n := x.Nearest; n != nil {
		v.Nearest = &api.Nearest{Rule: *intentOf(c.Model, n.Rule), Lacks: []api.Lack{}, Before: intentOf(c.Model, n.Before), Text: n.String()}
		for _, l := range n.Lacks {
			v.Nearest.Lacks = append(v.Nearest.Lacks, api.Lack{Want: l.Want, Is: l.Is})
		}
	}
	for _, o := range x.Others {
		v.Backends = append(v.Backends, api.AtOther{Backend: addressText(o.Backend), To: string(o.To), Verdict: string(o.Verdict), By: string(o.By)})
	}
	for _, s := range x.Steps {
		v.Steps = append(v.Steps, stepOf(c, s))
	}
	return v
}

func stepOf(c explain.Scene, s explain.Step) api.FlowStep {
	f := s.Flow
	v := api.FlowStep{
		Pass: s.Pass, Table: pipeline.TableNames[s.Table], Number: uint8(s.Table), Priority: f.Priority, Match: f.Match.String(),
		Cookie: fmt.Sprintf("0x%x", f.Cookie), Packets: f.Packets, Actions: append([]string{}, s.Actions...), Bucket: s.Bucket, Missed: !s.Hit,
		Intent: originOf(f.Flow, c.Numbers),
	}
	if v.Intent != "" {
		v.At = placeText(explain.PlaceOf(c.Model, intent.ID(v.Intent)))
	}
	return v
}

// intentOf says where an intent is written; nil is no intent.
func intentOf(m *intent.Model, id intent.ID) *api.Intent {
	if id == "" {
		return nil
	}
	return &api.Intent{ID: string(id), At: placeText(explain.PlaceOf(m, id)), Description: explain.DescriptionOf(m, id)}
}

func placeText(at intent.Position) string {
	if at.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", at.File, at.Line)
}

// addressText is an address, with its port if it has one.
func addressText(a netip.AddrPort) string {
	switch {
	case !a.Addr().IsValid():
		return ""
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}
