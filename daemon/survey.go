package daemon

import (
	"cmp"
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/controller"
	"weir/drain"
	"weir/explain"
	"weir/intent"
	"weir/ofproto"
)

// surveyEvery is how often it is read what goes on, at most: those who ask in between are told the
// same. What takes long is read again after four times as long as it took.
const surveyEvery = 900 * time.Millisecond

// A surveyor reads what goes on for all who watch. He remembers of the connections which there were,
// eight bytes of each, to count those that come: trackers do not say how many there have been.
type surveyor struct {
	mu    sync.Mutex
	last  api.Top
	seed  maphash.Seed
	seen  map[uint64]struct{} // nil: nobody has looked yet
	begun map[intent.ID]uint64
}

// Top returns what goes on.
func (d *desk) Top(ctx context.Context) (api.Top, error) {
	s := &d.survey
	s.mu.Lock() // who waits for it gets what the one before has read
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return api.Top{}, err
	}
	rest := max(surveyEvery, time.Duration(4*s.last.Seconds*float64(time.Second)))
	if !s.last.At.IsZero() && time.Since(s.last.At) < rest {
		return s.last, nil
	}
	numbers, ctl := d.numbers.Load(), d.ctl.Load()
	if numbers == nil || ctl == nil {
		return api.Top{}, errStarting
	}
	began := time.Now()
	top, err := d.surveyNow(ctx, ctl.Status(), numbers)
	if err != nil {
		return api.Top{}, err
	}
	top.At = time.Now().UTC()
	top.Seconds = top.At.Sub(began).Seconds()
	s.last = top
	return top, nil
}

// A ground is what a survey goes through: the tenants of a model, by their zones.
type ground struct {
	model    *intent.Model
	numbers  pipeline.Numbers
	zones    []uint16
	tenants  map[uint16]*intent.Tenant
	services map[uint16]drain.Services
	owners   map[uint16]owners

	uses     map[uint32]use
	backends map[uint16]backendCounts
	count    map[uint16]int
	begun    map[uint16]uint64
	talkers  talkers
}

// surveyNow reads flows of policy, drops and, once, all connections.
func (d *desk) surveyNow(ctx context.Context, now *controller.Status, n pipeline.Numbers) (api.Top, error) {
	g := d.ground(n)
	status := d.Status()
	top := api.Top{Version: status.Version, Bridges: []api.TopBridge{}, Tenants: []api.TopTenant{}, Rules: []api.Rule{}, Balancers: []api.Balancer{}}
	for _, b := range status.Bridges {
		t := api.TopBridge{Name: b.Name, State: b.State(), Flows: b.Flows, Groups: b.Groups, Drift: b.Drift.Repairs, Error: b.Error, Drops: []api.DropCount{}}
		if _, there := now.Bridges[b.Name]; there {
			drops, err := d.surveyBridge(ctx, b.Name, g.uses)
			if t.Drops = drops; err != nil {
				t.Error = err.Error()
			}
		}
		top.Bridges = append(top.Bridges, t)
	}
	if err := d.surveyConnections(ctx, g); err != nil {
		return top, err
	}
	for _, t := range status.Tenants {
		top.Tenants = append(top.Tenants, api.TopTenant{Name: t.Name, Connections: g.count[t.Zone], Begun: g.begun[t.Zone], Limit: t.Limit, Metered: metered(status, t.Name)})
	}
	top.Rules = g.rules()
	deny(top.Tenants, top.Rules)
	for _, zone := range g.zones {
		if have := g.backends[zone]; len(have) > 0 {
			have.until(d.drainings())
			top.Balancers = append(top.Balancers, d.balancersOf(g.tenants[zone], have)...)
		}
	}
	top.Talkers = g.talkers.most(g)
	return top, nil
}

func (d *desk) ground(n pipeline.Numbers) *ground {
	g := &ground{
		model: d.inForce.Load().Model, numbers: n, tenants: map[uint16]*intent.Tenant{}, services: map[uint16]drain.Services{}, owners: map[uint16]owners{}, uses: map[uint32]use{},
		backends: map[uint16]backendCounts{}, count: map[uint16]int{}, begun: map[uint16]uint64{}, talkers: talkers{},
	}
	for _, t := range g.model.Tenants() {
		zone := n.Zone(t.ID())
		if zone == 0 {
			continue // no number yet, and so no connection
		}
		g.zones, g.tenants[zone], g.owners[zone] = append(g.zones, zone), t, ownersOf(t)
		if len(t.LoadBalancers) > 0 {
			g.services[zone], g.backends[zone] = d.services(t, n), backendsFor(t)
		}
	}
	return g
}

// surveyBridge reads the flows of policy of a bridge into uses, and what it has dropped.
func (d *desk) surveyBridge(ctx context.Context, bridge string, uses map[uint32]use) ([]api.DropCount, error) {
	drops := []api.DropCount{}
	conn, err := d.management(ctx, bridge)
	if err != nil {
		return drops, err
	}
	defer conn.Close()
	flows, hits, err := d.policyFlowsOver(ctx, conn, bridge)
	if err != nil {
		return drops, err
	}
	noteUses(uses, flows, hits)
	dropped, err := conn.FlowStatsOf(ctx, ofproto.FlowQuery{Table: pipeline.Drop, Cookie: pipeline.Owner, CookieMask: ^uint64(0xffffffff)})
	by := map[pipeline.Reason]uint64{}
	for _, f := range dropped {
		if r := pipeline.CountedBy(f.Flow); r != pipeline.NoReason && f.Packets > 0 {
			by[r] += f.Packets
		}
	}
	for r, packets := range by {
		drops = append(drops, api.DropCount{Reason: pipeline.Reasons[r], Packets: packets})
	}
	slices.SortFunc(drops, func(a, b api.DropCount) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Reason, b.Reason))
	})
	return drops, err
}

// surveyConnections goes through all connections once, and counts them for all that has to do with them.
func (d *desk) surveyConnections(ctx context.Context, g *ground) error {
	s := &d.survey
	first := s.seen == nil
	if first {
		s.seed, s.begun = maphash.MakeSeed(), map[intent.ID]uint64{}
	}
	seen, begun := make(map[uint64]struct{}, len(s.seen)), map[intent.ID]uint64{}
	err := d.entriesIn(ctx, g.zones, func(e conntrack.Entry) {
		key := maphash.Comparable(s.seed, connectionKey{e.Host, e.Zone, e.Protocol, e.Orig})
		if _, known := s.seen[key]; !known && !first {
			begun[g.tenants[e.Zone].ID()]++
		}
		seen[key] = struct{}{}
		g.note(e)
	})
	if api.AsFarAsReached(err) != nil {
		return err
	}
	if err != nil { // what is on other hosts has not come when it is seen again
		maps.Copy(seen, s.seen)
	}
	s.seen = seen // not before all are read: else some would be counted twice
	for id, n := range begun {
		s.begun[id] += n
	}
	for zone, t := range g.tenants {
		g.begun[zone] = s.begun[t.ID()]
	}
	return nil
}

// A connectionKey tells a connection from all others that there are.
type connectionKey struct {
	host     string
	zone     uint16
	protocol conntrack.Protocol
	orig     conntrack.Tuple
}

// note counts a connection.
func (g *ground) note(e conntrack.Entry) {
	c := trackedOf(e)
	g.count[e.Zone]++
	admit(g.uses, c)
	if have := g.backends[e.Zone]; have != nil {
		have.count(g.services[e.Zone], c)
	}
	g.talkers.note(g, e, c)
}

// rules returns the rules of all tenants, with how much they are used.
func (g *ground) rules() []api.Rule {
	list := []api.Rule{}
	for _, t := range g.model.Tenants() {
		for _, r := range rulesOf(t) {
			r.At = placeText(explain.PlaceOf(g.model, intent.ID(r.ID)))
			g.uses[g.numbers.Tag(intent.ID(r.ID))].of(&r)
			list = append(list, r)
		}
	}
	return list
}

// deny counts for each tenant what its rules have stopped.
func deny(tenants []api.TopTenant, rules []api.Rule) {
	at := map[string]*api.TopTenant{}
	for i := range tenants {
		at[tenants[i].Name] = &tenants[i]
	}
	for _, r := range rules {
		if t := at[r.Tenant]; t != nil && (r.Action == string(intent.Deny) || r.Action == string(intent.Reject)) {
			t.Denied += r.Hits
		}
	}
}

// metered is how many packets of a tenant were over its rates of new connections.
func metered(s api.Status, tenant string) (n uint64) {
	for _, b := range s.Bridges {
		for _, m := range b.Meters {
			if api.LastPart(m.ID) == "newPerSecond" && strings.HasPrefix(m.ID, tenant+"/") {
				n += m.Dropped
			}
		}
	}
	return n
}
