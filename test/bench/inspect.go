package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// inspected is what ovs-vswitchd is asked after a path of traffic, while the flows of that are still
// there.
var inspected = [][]string{{"dpif-netdev/pmd-stats-show"}, {"dpctl/dump-flows", "-m"}, {"dpctl/ct-stats-show"}, {"coverage/show"}}

// lookInto writes down what the datapath of a peer has done on a path, and its flows, if that was
// asked for. Of several rounds the last one stays.
func (t traffic) lookInto(f forwarding, part, path string) error {
	if t.inspect == "" {
		return nil
	}
	var b strings.Builder
	for _, args := range inspected {
		text, err := f.Appctl(args...)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "# %s\n%s\n", strings.Join(args, " "), text)
	}
	name := strings.NewReplacer(" ", "-", ",", "").Replace(part + " " + f.name() + " " + path)
	return os.WriteFile(filepath.Join(t.inspect, name+".txt"), []byte(b.String()), 0o600)
}
