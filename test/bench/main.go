// Command bench measures Weir beside OVN, and beside a bare bridge, on one machine and in
// one run. Each peer has an Open vSwitch of its own with the same settings, and each is
// driven as an operator drives it. They take turns, so that a busy machine slows all alike
// and their ratios stay true.
//
// Everything a peer is made of dies with this program, however it ends; its files are
// removed at the end, or by the next run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options is what the command line says.
type options struct {
	weir       string // path of the program
	parts      string
	rounds     int
	times      int // single changes of Weir
	peerTimes  int // single changes of OVN
	long       time.Duration
	inspect    string // folder for what the datapath has after each path of traffic; empty: it is not written down
	sizes      sizes
	ovn, tuned bool
}

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "traffic-") {
		exit(role(os.Args[1:]))
	}
	var o options
	flag.StringVar(&o.weir, "weir", "weir", "the program to measure")
	flag.StringVar(&o.parts, "parts", "abcdefghijkl", "what to measure: a load, b one rule, c one member, d and e traffic, f and g floating IPs, h translated traffic, i and j load balancers, k balanced traffic, l what a daemon that has all of it is asked")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each peer loads the policy and carries the traffic")
	flag.IntVar(&o.times, "times", 200, "single changes of Weir")
	flag.IntVar(&o.peerTimes, "peer-times", 20, "single changes of OVN, which take much longer")
	flag.DurationVar(&o.long, "long", 5*time.Second, "how long each kind of traffic lasts")
	flag.StringVar(&o.inspect, "inspect", "", "a folder to write down what the datapath has done, and its flows, after each path of h and k")
	flag.IntVar(&o.sizes.tenants, "tenants", 100, "tenants")
	flag.IntVar(&o.sizes.endpoints, "endpoints", 10, "endpoints of each tenant")
	flag.IntVar(&o.sizes.rules, "rules", 100, "rules of each tenant")
	flag.IntVar(&o.sizes.groupRules, "group-rules", 1000, "rules that use one group")
	flag.IntVar(&o.sizes.members, "members", 50, "members of that group")
	flag.IntVar(&o.sizes.routed, "routed", 10, "tenants that are translated")
	flag.IntVar(&o.sizes.floating, "floating", 100, "floating IPs of each of them")
	flag.IntVar(&o.sizes.balancers, "balancers", 1000, "load balancers of ten backends each, and ten times as many")
	flag.BoolVar(&o.ovn, "ovn", true, "measure OVN, where it is installed")
	flag.BoolVar(&o.tuned, "tuned", true, "measure OVN with --n-threads=4 and ovn-monitor-all as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := bench(ctx, o)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench measures all parts, and prints what there is even if one of them fails.
func bench(ctx context.Context, o options) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("not root: namespaces cannot be made")
	}
	r := &report{}
	if tool := missingOVN(); o.ovn && tool != "" {
		o.ovn = false
		r.note("OVN is not measured: %s is not installed (scripts/deps.sh ovn installs it)", tool)
	}
	if err := roomForArguments(); err != nil {
		return err
	}
	err := o.measure(ctx, r)
	r.print(os.Stdout)
	return err
}

// measure measures all parts with all peers. One that fails is left out from then on, and
// the others go on.
func (o options) measure(ctx context.Context, r *report) error {
	f := &field{peers: o.peers()}
	loads := o.rounds
	if o.has("b") {
		loads-- // it loads the policy as well
	}
	for range loads {
		if o.has("a") {
			f.turns("loads the policy", peer.compiles, func(p peer) error { return o.load(ctx, r, p) })
		}
	}
	if o.has("b") {
		progress("all load the policy, and change one rule at a time")
		f.drop(o.contend(ctx, edits{o, r}, f.who(peer.compiles)))
	}
	if o.has("c") {
		progress("all change one member at a time")
		f.drop(o.contend(ctx, members{o, r}, f.who(peer.compiles)))
	}
	if o.has("fg") {
		progress("all translate addresses, and change one floating IP at a time")
		f.drop(o.contend(ctx, floats{o, r}, f.who(peer.translates)))
	}
	for part, number := range map[string]int{"i": o.sizes.balancers, "j": 10 * o.sizes.balancers} {
		if o.has(part) {
			progress("all balance load by %d load balancers, and change one backend at a time", number)
			f.drop(o.contend(ctx, balances{o, r, part, number}, f.who(peer.translates)))
		}
	}
	if o.has("l") {
		progress("Weir is asked, with all rules and load balancers")
		if err := o.asks(ctx, r); err != nil {
			f.errs = append(f.errs, err)
		}
	}
	for range o.rounds {
		if o.has("de") {
			f.turns("carries traffic", peer.carries, func(p peer) error {
				return traffic{report: r, long: o.long, inspect: o.inspect, start: p.traffic}.run(ctx)
			})
		}
		if o.has("h") {
			f.turns("translates traffic", peer.carries, func(p peer) error {
				return translated{traffic{report: r, long: o.long, inspect: o.inspect, start: p.traffic}}.run(ctx)
			})
		}
		if o.has("k") {
			f.turns("balances traffic", peer.carries, func(p peer) error {
				return balanced{traffic{report: r, long: o.long, inspect: o.inspect, start: p.traffic}}.run(ctx)
			})
		}
	}
	return errors.Join(append(f.errs, ctx.Err())...)
}

// has reports whether one of some parts is to be measured.
func (o options) has(parts string) bool { return strings.ContainsAny(o.parts, parts) }

// A field is the peers that have not failed.
type field struct {
	peers []peer
	errs  []error
}

func (f *field) who(is func(peer) bool) (some []peer) {
	for _, p := range f.peers {
		if is(p) {
			some = append(some, p)
		}
	}
	return some
}

// turns lets those peers take a turn, one after the other.
func (f *field) turns(what string, who func(peer) bool, do func(peer) error) {
	wrong := map[string]error{}
	for _, p := range f.who(who) {
		progress("%s %s", p.title, what)
		wrong[p.title] = do(p)
	}
	f.drop(wrong)
}

// drop leaves out those with whom something went wrong.
func (f *field) drop(wrong map[string]error) {
	f.peers = slices.DeleteFunc(f.peers, func(p peer) bool {
		err := wrong[p.title]
		if err != nil {
			f.errs = append(f.errs, fmt.Errorf("%s: %w", p.title, err))
		}
		return err != nil
	})
}

// A peer is how a column of the table is made.
type peer struct {
	title   string
	times   int
	compile func(context.Context) (controlled, error) // nil: it compiles nothing
	traffic func(context.Context) (forwarding, error) // nil: it forwards as another does
}

func (o options) peers() []peer {
	all := []peer{{"Weir", o.times,
		func(ctx context.Context) (controlled, error) { return startWeir(ctx, o.weir, true) },
		func(ctx context.Context) (forwarding, error) { return startWeir(ctx, o.weir, false) }}}
	if o.ovn {
		all = append(all, o.ovnPeer("OVN", false))
	}
	if o.ovn && o.tuned {
		tuned := o.ovnPeer("OVN tuned", true)
		tuned.traffic = nil // what is tuned is not the datapath
		all = append(all, tuned)
	}
	return append(all, peer{"NORMAL", 0, nil, startBare})
}

func (o options) ovnPeer(title string, tuned bool) peer {
	return peer{title, o.peerTimes,
		func(ctx context.Context) (controlled, error) { return startOVN(ctx, tuned, true) },
		func(ctx context.Context) (forwarding, error) { return startOVN(ctx, tuned, false) }}
}

func (p peer) compiles() bool { return p.compile != nil }

// translates leaves out what is tuned: that helps with ACLs alone.
func (p peer) translates() bool { return p.compiles() && p.carries() }

func (p peer) carries() bool { return p.traffic != nil }

// progress says what is going on, apart from the table.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
