package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/conntrack"
	"weir/intent"
)

// Expected returns what the helpers of the trackers wait for, in zones of Weir. What is not known of
// one tracker does not hide what another one says.
func (d *desk) Expected(ctx context.Context) ([]api.Expected, error) {
	ctl := d.ctl.Load()
	trackers, known := d.trackers()
	if ctl == nil || !known {
		return nil, errStarting
	}
	ids := map[uint16]intent.ID{}
	for id, zone := range givenZones(ctl.Status()) {
		ids[zone] = id
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
func expectations(ctx context.Context, h *host, kind string, ids map[uint16]intent.ID) (some []api.Expectation, err error) {
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
func kernelExpectations(ctx context.Context, h *host, ids map[uint16]intent.ID) (some []api.Expectation, err error) {
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

func expectationsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "expectations",
		Short: "what the helpers of the trackers wait for: connections that others have announced",
		Long: `expectations lists the connections that helpers have heard announced in others, of FTP for data, and that have
not come yet. What the datapath does not say is left out, and so is whose they are where several tenants
have a connection with the same addresses and ports and the kernel does not say which of them it was.`,
		Args: cobra.NoArgs,
	}
	socket, format, watch := socketFlag(cmd), outputFlag(cmd), watchFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := newClient(*socket)
		return show(cmd, *format, *watch, func(ctx context.Context) (listing, error) {
			var all []api.Expected
			if err := c.get(ctx, "/v1/conntrack/expectations", nil, &all); err != nil {
				return listing{}, err
			}
			return expectedListing(all), unknown(all)
		})
	}
	return cmd
}

// unknown is an error if no tracker says what it waits for.
func unknown(all []api.Expected) (err error) {
	for _, x := range all {
		if x.Error == "" || len(x.Expectations) > 0 {
			return nil
		}
		err = errors.Join(err, fmt.Errorf("%s: %s", onHost(x.Host, x.Datapath), x.Error))
	}
	return err
}

func expectedListing(all []api.Expected) listing {
	l := listing{value: all, table: func(w io.Writer, wide bool) { expectedTable(w, all, wide) }}
	for _, x := range all {
		for _, e := range x.Expectations {
			l.names = append(l.names, fmt.Sprintf("%s/%s/%s/%s-%s", onHost(x.Host, x.Datapath), placesText(e.Zones), e.Protocol, anyEnd(e.Orig.Src, e.Orig.Sport), anyEnd(e.Orig.Dst, e.Orig.Dport)))
		}
	}
	return l
}

func expectedTable(w io.Writer, all []api.Expected, wide bool) {
	head := []any{"DATAPATH", "TENANT", "PROTOCOL", "FROM", "TO", "HELPER", "EXPIRES", "ANNOUNCED BY"}
	if wide {
		head = append(head, "ZONE", "ID")
	}
	row(w, head...)
	for _, x := range all {
		for _, e := range x.Expectations {
			expires := ""
			if e.Expires > 0 {
				expires = fmt.Sprintf("%ds", e.Expires)
			}
			cells := []any{onHost(x.Host, x.Datapath), e.Tenant, e.Protocol, anyEnd(e.Orig.Src, e.Orig.Sport), anyEnd(e.Orig.Dst, e.Orig.Dport), e.Helper, expires, e.Parent.From() + " -> " + e.Parent.To()}
			if wide {
				cells = append(cells, placesText(e.Zones), e.Ref)
			}
			row(w, cells...)
		}
	}
	for _, x := range all {
		if x.Error != "" {
			fmt.Fprintf(w, "\n%s: %s\n", onHost(x.Host, x.Datapath), x.Error)
		}
	}
}

// anyEnd is an end of a connection that is expected: "10.1.1.2:*".
func anyEnd(address string, port uint16) string {
	if address == "" {
		address = "*"
	} else if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	if port == 0 {
		return address + ":*"
	}
	return address + ":" + strconv.Itoa(int(port))
}

// placesText is "4096", or "4096 or 4097" where it may be either.
func placesText(zones []uint16) string {
	texts := make([]string, len(zones))
	for i, z := range zones {
		texts[i] = strconv.Itoa(int(z))
	}
	return strings.Join(texts, " or ")
}
