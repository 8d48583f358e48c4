package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/api"
	"weir/conntrack"
	"weir/intent"
)

// Expected returns what the helpers of the trackers wait for, in zones of Weir. What is not known of
// one tracker does not hide what another one says.
func (d *desk) Expected(ctx context.Context) ([]api.Expected, error) {
	trackers, ids, err := d.zonesTracked()
	if err != nil {
		return nil, err
	}
	all := []api.Expected{}
	for _, t := range trackers {
		x := api.Expected{Host: t.host.name, Datapath: t.Kind, Expectations: []api.Expectation{}}
		some, err := expectations(ctx, t.host, t.Kind, ids)
		if err != nil {
			x.Error = err.Error()
		}
		x.Expectations = append(x.Expectations, some...)
		all = append(all, x)
	}
	return all, nil
}

// expectations returns those of one datapath that are in some zones.
func expectations(ctx context.Context, h *Host, kind string, ids map[uint16]intent.ID) (some []api.Expectation, err error) {
	if err := h.asked(ctx); err != nil {
		return nil, err
	}
	if kind == conntrack.Kernel {
		return kernelExpectations(ctx, h, ids)
	}
	all, err := conntrack.NewDatapath(h.rundir, kind).Expectations(ctx, 0)
	if errors.Is(err, conntrack.ErrUnsupported) {
		return nil, fmt.Errorf("what helpers wait for is not known: ovs-vswitchd says it of the userspace datapath from version 3.3 on (%w)", err)
	}
	for _, e := range all {
		if _, ours := ids[e.Zone]; ours {
			parent := conntrack.Entry{Zone: e.Zone, Protocol: e.Protocol, Orig: e.Parent}
			some = append(some, expectationOf(e, []conntrack.Entry{parent}, ids))
		}
	}
	return some, err
}

// kernelExpectations reads those of the kernel's datapath, and who has announced them: the kernel
// does not say in which zones they are.
func kernelExpectations(ctx context.Context, h *Host, ids map[uint16]intent.ID) (some []api.Expectation, err error) {
	source, err := conntrack.NetlinkOf(h.rundir)
	if err != nil {
		return nil, err
	}
	var all []conntrack.Expectation
	parents := map[conntrack.Tuple][]conntrack.Entry{}
	for e, why := range source.Expectations(ctx) {
		if why != nil {
			err = why
			continue
		}
		all, parents[e.Parent] = append(all, e), nil
	}
	if len(all) == 0 {
		return nil, err
	}
	for e, why := range source.Entries(ctx, conntrack.Filter{}) {
		if why != nil {
			err = errors.Join(err, why)
			continue
		}
		_, ours := ids[e.Zone]
		if found, announces := parents[e.Orig]; announces && ours && e.Helper != "" {
			parents[e.Orig] = append(found, e)
		}
	}
	for _, e := range all {
		if of := parents[e.Parent]; len(of) > 0 { // else it is nobody's whom we know
			some = append(some, expectationOf(e, of, ids))
		}
	}
	return some, err
}

// expectationOf says what is expected by one of some parents.
func expectationOf(e conntrack.Expectation, parents []conntrack.Entry, ids map[uint16]intent.ID) api.Expectation {
	x := api.Expectation{Protocol: e.Protocol.String(), Orig: openTuple(e), Parent: tupleOf(e.Parent), Helper: e.Helper, Expires: e.Timeout}
	for _, p := range parents {
		x.Zones = append(x.Zones, p.Zone)
		if x.Helper == "" {
			x.Helper = p.Helper
		}
	}
	slices.Sort(x.Zones)
	if len(parents) == 1 {
		x.Tenant, _, _ = strings.Cut(string(ids[x.Zones[0]]), "/")
		x.Ref = refOf(parents[0])
	}
	return x
}

// openTuple is how an expected connection will be opened. What may be anything is left out.
func openTuple(e conntrack.Expectation) api.Tuple {
	t := api.Tuple{Sport: e.Tuple.SrcPort, Dport: e.Tuple.DstPort}
	if e.Tuple.Src.IsValid() && !e.Tuple.Src.IsUnspecified() {
		t.Src = e.Tuple.Src.String()
	}
	if e.Tuple.Dst.IsValid() && !e.Tuple.Dst.IsUnspecified() {
		t.Dst = e.Tuple.Dst.String()
	}
	return t
}
