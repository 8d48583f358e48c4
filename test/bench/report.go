package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// What is measured. The names are those of the table's rows.
const (
	aTopology    = "endpoints and networks programmed, ms"
	aRules       = "rules, from file to programmed, ms"
	aFlows       = "flows in all"
	aPerRule     = "flows per rule"
	aPerEndpoint = "flows per endpoint"
	aMemory      = "memory of the control plane, MiB"
	aPeak        = "the most memory it had meanwhile, MiB"
	bMemory      = "memory after all changes, MiB"
	cMods        = "most flow-mods for a member added"
	cFlows       = "flows of the group's policy"
	dSequential  = "connections/s, one after the other"
	dParallel    = "connections/s, 16 in parallel"
	dFailed      = "connections that failed"
	dCPU         = "CPU of ovs-vswitchd per connection, us"
	dStream      = "one stream, Mbit/s"
	dPasses      = "passes per packet of the stream"
	eUpcalls     = "upcalls per 1,000 new connections"
	eMegaflows   = "megaflows per 1,000 new connections"
	fLoad        = "floating IPs and pools, from file to programmed, ms"
	fAll         = "flows in all, with floating IPs and pools"
	fFlows       = "flows for them"
	fMemory      = "memory of the control plane with them, MiB"
	gAdded       = "a floating IP added"
	gRemoved     = "a floating IP removed"
	iLoad        = "load balancers, from file to programmed, ms"
	iOwnCPU      = "CPU of the control plane for them, ms"
	iSwitchCPU   = "CPU of ovs-vswitchd for them, ms"
	iAll         = "flows in all, with load balancers"
	iFlows       = "flows for them"
	iAdded       = "a backend added"
	iRemoved     = "a backend removed"
	iCPU         = "CPU of the control plane per change, ms"
)

// A report collects figures, and prints them as a table.
type report struct {
	peers []string // columns, ours first
	rows  []*row
	notes []string
}

// A row is one thing measured, some times with each peer.
type row struct {
	part, what string
	samples    map[string][]float64
}

func (r *report) row(part, what string) *row {
	for _, w := range r.rows {
		if w.part == part && w.what == what {
			return w
		}
	}
	w := &row{part, what, map[string][]float64{}}
	r.rows = append(r.rows, w)
	return w
}

func (r *report) add(part, what, peer string, v float64) {
	if !slices.Contains(r.peers, peer) {
		r.peers = append(r.peers, peer)
	}
	w := r.row(part, what)
	w.samples[peer] = append(w.samples[peer], v)
}

// note is a sentence under the table.
func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// last is the last sample of a figure.
func (r *report) last(part, what, peer string) float64 {
	s := r.row(part, what).samples[peer]
	if len(s) == 0 {
		return math.NaN()
	}
	return s[len(s)-1]
}

// quantiles adds the median and the 99th percentile of times in milliseconds.
func (r *report) quantiles(part, what, peer string, ms []float64) {
	if len(ms) == 0 { // that many changes were asked for
		return
	}
	ms = slices.Sorted(slices.Values(ms))
	r.add(part, what+", p50 ms", peer, quantile(ms, .5))
	r.add(part, what+", p99 ms", peer, quantile(ms, .99))
	if len(ms) < 100 {
		r.note("p99 of %s is the slowest of %d changes", peer, len(ms))
	}
}

// quantile is the smallest of sorted values that a share q of them does not exceed.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

func (w *row) median(peer string) float64 {
	return quantile(slices.Sorted(slices.Values(w.samples[peer])), .5)
}

// A goal is what the first peer has to reach.
type goal struct {
	part, what string
	text       string
	met        func(w *row) bool
}

// atMost is a goal in the row's own unit.
func atMost(part, what string, limit float64) goal {
	return goal{part, what, "at most " + figure(limit), func(w *row) bool { return w.median("Weir") <= limit }}
}

// times is a goal beside each OVN that was measured: our figure is at most (share < 1), or
// at least (share > 1), so many times theirs.
func times(part, what string, share float64) goal {
	word := "at most"
	if share > 1 {
		word = "at least"
	}
	return goal{part, what, fmt.Sprintf("%s %s of OVN", word, figure(share)), func(w *row) bool {
		for peer := range w.samples {
			limit := share * w.median(peer)
			if strings.HasPrefix(peer, "OVN") && (share < 1 && w.median("Weir") > limit || share > 1 && w.median("Weir") < limit) {
				return false
			}
		}
		return true
	}}
}

var goals = []goal{
	times("a", aRules, .1),
	times("a", aFlows, .5),
	atMost("a", aPerRule, 1.1),
	atMost("a", aPerEndpoint, 8),
	times("a", aMemory, .25),
	times("a", aPeak, .25),
	atMost("b", "a rule added, p99 ms", 15),
	atMost("b", "a rule removed, p99 ms", 15),
	atMost("c", cMods, 4),
	atMost("c", "a member added, p99 ms", 15),
	times("d", dParallel, 1.3),
	atMost("d", dFailed, 0),
	atMost("d", dPasses, 2),
	atMost("e", eUpcalls, 10),
	times("f", fLoad, .1),
	atMost("g", gAdded+", p99 ms", 10),
	atMost("g", gRemoved+", p99 ms", 10),
	times("h", bySNAT+": "+hConnections, 1.3),
	times("h", fromOutside+": "+hConnections, 1.3),
	times("h", toOutside+": "+hConnections, 1.3),
	atMost("h", bySNAT+": "+hNew, 1),
	atMost("h", fromOutside+": "+hNew, 1),
	atMost("h", toOutside+": "+hNew, 1),
	atMost("h", ownTenant+": "+hNew, 1),
	atMost("h", bySNAT+": "+hEstablished, 1),
	atMost("h", fromOutside+": "+hEstablished, 1),
	atMost("h", toOutside+": "+hEstablished, 1),
	atMost("h", ownTenant+": "+hEstablished, 1),
	atMost("h", dFailed, 0),
	times("i", iLoad, .333),
	atMost("i", iAdded+", p99 ms", 10),
	atMost("i", iRemoved+", p99 ms", 10),
	times("i", iCPU, .1),
	times("j", iLoad, .1),
	times("k", byGroup+": "+hConnections, 1.3),
	times("k", byGroupOut+": "+hConnections, 1.3),
	times("k", bySlots+": "+hConnections, 1.3),
	times("k", bySlotsOut+": "+hConnections, 1.3),
	atMost("k", byGroup+": "+kUpcalls, 10),
	atMost("k", byGroupOut+": "+kUpcalls, 10),
	atMost("k", dFailed, 0),
	atMost("l", lExplain, 1000),
	atMost("l", lDenied, 1000),
	atMost("l", lBalanced, 1000),
	atMost("l", lFlows, 1000),
	atMost("l", lTable, 1000),
	atMost("l", lRules, 1000),
	atMost("l", lTenant, 1000),
	atMost("l", lTop, 1000),
}

// verdict is what a row was to reach, and whether it did.
func (w *row) verdict() string {
	for _, g := range goals {
		if g.part != w.part || g.what != w.what {
			continue
		}
		beside := strings.Contains(g.text, "OVN")
		switch {
		case len(w.samples["Weir"]) == 0, beside && len(w.samples["OVN"]) == 0:
			return g.text + ": not measured"
		case g.met(w):
			return g.text + ": met"
		}
		return g.text + ": MISSED"
	}
	return ""
}

// print prints the table as Markdown: medians, in brackets the extremes of several rounds,
// and how many times ours each peer's figure is.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "| | %s | goal |\n|---|%s---|\n", strings.Join(r.peers, " | "), strings.Repeat("---|", len(r.peers)))
	for _, row := range r.rows {
		fmt.Fprintf(w, "| (%s) %s |", row.part, row.what)
		for _, peer := range r.peers {
			fmt.Fprintf(w, " %s |", row.cell(peer, r.peers[0]))
		}
		fmt.Fprintf(w, " %s |\n", row.verdict())
	}
	slices.Sort(r.notes)
	for _, n := range slices.Compact(r.notes) {
		fmt.Fprintf(w, "\n%s.", n)
	}
	fmt.Fprintln(w)
}

func (w *row) cell(peer, ours string) string {
	s := w.samples[peer]
	if len(s) == 0 {
		return "-"
	}
	text := figure(w.median(peer))
	if len(s) > 1 && slices.Min(s) != slices.Max(s) {
		text += fmt.Sprintf(" [%s..%s]", figure(slices.Min(s)), figure(slices.Max(s)))
	}
	if mine := w.median(ours); peer != ours && mine > 0 {
		text += ", x" + figure(w.median(peer)/mine)
	}
	return text
}

// figure is a number with as many digits as are worth reading.
func figure(v float64) string {
	switch {
	case v == math.Trunc(v), v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
