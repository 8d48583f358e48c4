package daemon

import (
	"fmt"
	"strings"
	"testing"

	"weir/ovsdb"
)

func TestWhatTheDatabaseSaysOtherwiseIsNamed(t *testing.T) {
	const target = "unix:/run/br0.controller"
	ours := ovsdb.Controller{Target: target}
	for name, c := range map[string]struct {
		bridge ovsdb.Bridge
		want   string
	}{
		"nothing":              {ovsdb.Bridge{FailMode: "secure", Protocols: []string{"OpenFlow10", "OpenFlow13"}, Controllers: []ovsdb.Controller{ours}}, ""},
		"another controller":   {ovsdb.Bridge{FailMode: "secure", Protocols: []string{"OpenFlow13"}, Controllers: []ovsdb.Controller{{Target: "tcp:1.2.3.4"}}}, "controller changed: unix:/run/br0.controller -> tcp:1.2.3.4"},
		"one more controller":  {ovsdb.Bridge{FailMode: "secure", Protocols: []string{"OpenFlow13"}, Controllers: []ovsdb.Controller{{Target: "tcp:1.2.3.4"}, ours}}, "controller changed: unix:/run/br0.controller -> tcp:1.2.3.4,unix:/run/br0.controller"},
		"no controller":        {ovsdb.Bridge{FailMode: "secure", Protocols: []string{"OpenFlow13"}}, "controller deleted: unix:/run/br0.controller -> "},
		"fail_mode, protocols": {ovsdb.Bridge{FailMode: "standalone", Controllers: []ovsdb.Controller{ours}}, "failMode changed: secure -> standalone; protocols deleted: OpenFlow13 -> "},
	} {
		var all []string
		for _, d := range astray(c.bridge, target) {
			all = append(all, fmt.Sprintf("%s %s: %s -> %s", d.What, d.Change, d.Was, d.Is))
		}
		if got := strings.Join(all, "; "); got != c.want {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}
