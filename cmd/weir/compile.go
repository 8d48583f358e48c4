package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/apps"
	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/words"
	"weir/store"
)

// A compileFlags is how weir compile stands in for what a daemon would observe.
type compileFlags struct {
	path     string
	bridge   string
	ports    map[string]string
	datapath string
}

func compileCommand() *cobra.Command {
	var f compileFlags
	cmd := &cobra.Command{
		Use:   "compile -f FILE|DIR|-",
		Short: "print the flows of a bridge, without a bridge or a daemon",
		Long: `compile prints what Weir would put into a bridge as a file for ovs-ofctl bundle, with
the intent that each run of flows serves as a comment. Meters cannot be in a bundle: they
are comments, too, for ovs-ofctl add-meter. Numbers (zones, tags, groups) are given afresh:
a daemon's are others, and are kept.`,
		Args: cobra.NoArgs,
	}
	path := fileFlag(cmd)
	cmd.Flags().StringVar(&f.bridge, "bridge", "", "the bridge to compile (default: the only one)")
	cmd.Flags().StringToStringVar(&f.ports, "ports", nil, "OpenFlow ports by interface name or iface-id, NAME=OFPORT,... (default: every endpoint is there, numbered from 1)")
	cmd.Flags().StringVar(&f.datapath, "datapath", "netdev", "netdev (userspace) or system (kernel)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.path = *path
		return compile(cmd.OutOrStdout(), cmd.InOrStdin(), f)
	}
	return cmd
}

func compile(w io.Writer, stdin io.Reader, f compileFlags) error {
	if f.datapath != "netdev" && f.datapath != "system" {
		return fmt.Errorf("--datapath %s: must be netdev or system", f.datapath)
	}
	m, _, err := load(f.path, stdin)
	if err != nil {
		return err
	}
	bridge, err := theBridge(m, f.bridge)
	if err != nil {
		return err
	}
	ports, err := portsOf(m, bridge, f.ports)
	if err != nil {
		return err
	}
	numbers, err := store.Mem().Assign(store.Wants(pipeline.WantsOf(m)))
	if err != nil {
		return err
	}
	facts := pipeline.Facts{Ports: ports, Features: pipeline.Features{NDExtension: f.datapath == "netdev", SCTPPorts: f.datapath == "system", NullNAT: f.datapath == "system", LateNAT: f.datapath == "system", HashUDP: f.datapath == "system"}}
	p, err := apps.Compile(pipeline.Input{Bridge: bridge, Model: m, Facts: facts, Numbers: numbers})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, compileHeader(bridge, f, ports, p)+p.Text(numbers))
	return err
}

// compileHeader says in comments what the file is for and what it rests on.
func compileHeader(bridge string, f compileFlags, ports []pipeline.Port, p *pipeline.Program) string {
	var s strings.Builder
	flows, groups := p.Size()
	fmt.Fprintf(&s, "# bridge %s: %s, %s; %s of a packet at most\n", bridge, words.Count(flows, "flow", "flows"), words.Count(groups, "group", "groups"), words.Count(p.Rounds.N, "recirculation", "recirculations"))
	if len(p.Meters()) > 0 {
		fmt.Fprintf(&s, "# ovs-ofctl -O OpenFlow13 add-meter %s METER, for each add-meter below; then\n", bridge)
	}
	fmt.Fprintf(&s, "# ovs-ofctl -O OpenFlow13 bundle %s FILE\n", bridge)
	origin := "given"
	if len(f.ports) == 0 {
		origin = "assumed"
	}
	for _, port := range ports {
		fmt.Fprintf(&s, "# port %s, %s: %s\n", port.Name, origin, strconv.FormatUint(uint64(port.OFPort), 10))
	}
	for _, pending := range p.Pending() {
		fmt.Fprintf(&s, "# left out: %s: %s\n", pending.ID, pending.Why)
	}
	return s.String()
}

// theBridge returns the bridge of m with a name, or the only one if name is empty.
func theBridge(m *intent.Model, name string) (string, error) {
	var names []string
	for _, b := range m.Bridges() {
		names = append(names, b.Name)
	}
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("the model has no bridge")
	case name == "" && len(names) == 1:
		return names[0], nil
	case name == "":
		return "", fmt.Errorf("the model has %d bridges: choose with --bridge: %s", len(names), strings.Join(names, ", "))
	case !slices.Contains(names, name):
		return "", fmt.Errorf("the model has no bridge %q: it has %s", name, strings.Join(names, ", "))
	}
	return name, nil
}

// portsOf returns the ports that were given, by name; if none were, one for each
// endpoint on the bridge and each outside, numbered from 1 in the model's order.
func portsOf(m *intent.Model, bridge string, given map[string]string) ([]pipeline.Port, error) {
	if len(given) == 0 {
		return assumedPorts(m, bridge), nil
	}
	var ports []pipeline.Port
	for _, name := range slices.Sorted(maps.Keys(given)) {
		n, err := strconv.ParseUint(given[name], 0, 32)
		if err != nil || n == 0 || n >= 0xff00 {
			return nil, fmt.Errorf("--ports %s=%s: an OpenFlow port is a number from 1 to 65279", name, given[name])
		}
		ports = append(ports, pipeline.Port{Name: name, IfaceID: name, OFPort: uint32(n)})
	}
	return ports, nil
}

func assumedPorts(m *intent.Model, bridge string) []pipeline.Port {
	var ports []pipeline.Port
	for _, t := range m.Tenants() {
		for _, e := range t.Endpoints {
			if !slices.Contains(e.Network.Bridges, bridge) {
				continue
			}
			name := e.Port
			if name == "" {
				name = e.IfaceID
			}
			ports = append(ports, pipeline.Port{Name: name, IfaceID: e.IfaceID, OFPort: uint32(len(ports) + 1)})
		}
	}
	for _, b := range m.Bridges() {
		if b.Name != bridge {
			continue
		}
		for _, x := range b.Externals {
			ports = append(ports, pipeline.Port{Name: x.Port, OFPort: uint32(len(ports) + 1)})
		}
	}
	return ports
}
