package test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"weir/api"
	"weir/test/ovstest"
)

// shown is the verbs that show something, and what a table of theirs has at least. ID stands for the id of a
// connection, OBSERVATION for that of a report. The last one ends what the others show.
var shown = []struct {
	verb, table string
	nothing     bool // there may be nothing to name
}{
	{verb: "status", table: "BRIDGE"},
	{verb: "balancers", table: "10.1.1.100 tcp/80"},
	{verb: "connections", table: "LET IN BY"},
	{verb: "connections --top 3", table: "10.1.1.1"},
	{verb: "connections --by-address", table: "ADDRESS", nothing: true},
	{verb: "connections kill -t t --all --plan", table: "would be forgotten"},
	{verb: "explain tcp h1 h2:81", table: "ALLOWED"},
	{verb: "explain connection ID", table: "let in by"},
	{verb: "explain observation OBSERVATION", table: "was denied"},
	{verb: "observe", table: "VERDICT"},
	{verb: "observe --explain", table: "nearest allow"},
	{verb: "flows", table: "POL_IN"},
	{verb: "flows --offload", table: "IN THE WAY"},
	{verb: "get rules", table: "policy/h2/no"},
	{verb: "top", table: "TENANT"},
	{verb: "conntrack", table: "DATAPATH"},
	{verb: "conntrack stats", table: "PROTOCOLS"},
	{verb: "conntrack zones", table: "ZONE"},
	{verb: "conntrack limits", table: "all zones"},
	{verb: "plan -f MODEL", nothing: true},
	{verb: "connections -t t dport=81 --kill", table: "forgotten", nothing: true},
}

// TestEveryFormatSaysTheSame has each verb show what there is in each format: json and yaml are the same value, names are one in
// each line, and a table has what it is for. Selectors that make no sense have a caret under the place, whatever asks.
func TestEveryFormatSaysTheSame(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2("{name: in, direction: ingress, action: allow, protocol: tcp, ports: [81]}",
		"{name: no, direction: ingress, action: deny, protocol: udp, ports: [7], log: new}") +
		balancer("web", "address: 10.1.1.100, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h2}]"))
	echo(t, h2, "10.1.1.2:81")
	opened(t, h1, "10.1.1.2:81")
	shout(t, h1, "10.1.1.2:7")
	o := reports(t, w, "t/policy/h2/no", 1)[0]
	ovstest.Eventually(t, "what is read now and then has been read", func() error {
		s, err := w.Status()
		if err == nil && len(s.Bridges[0].Meters) == 0 {
			err = fmt.Errorf("no meters")
		}
		return err
	})
	for _, c := range shown {
		args := strings.Fields(c.verb)
		for i := range args {
			switch args[i] {
			case "ID":
				args[i] = w.Connections("t")[0].Ref
			case "OBSERVATION":
				args[i] = o.Ref
			case "MODEL":
				args[i] = w.Model()
			}
		}
		t.Run(c.verb, func(t *testing.T) { formatsOf(t, w, args, c.table, c.nothing) })
	}
	for _, verb := range []string{"connections src=h9", "connections -w src=h9", "connections --top 3 src=h9", "connections --by-address src=h9", "connections -t t src=h9 --kill",
		"connections kill -t t src=h9", "explain tcp h9 h2:81"} {
		out, err := w.Tool(strings.Fields(verb)...)
		if err == nil || !strings.Contains(err.Error(), "^") || !strings.Contains(err.Error(), "h9") {
			t.Errorf("weir %s: %s%v; want the place", verb, out, err)
		}
	}
	if _, err := w.Tool("explain", "observation", o.Ref+"0"); err == nil || !strings.Contains(err.Error(), "the last one is "+o.Ref) {
		t.Errorf("an observation that there is not: %v", err)
	}
}

// formatsOf runs a verb with each format.
func formatsOf(t *testing.T, w *ovstest.Daemon, args []string, table string, nothing bool) {
	said := map[string]string{}
	for _, format := range []string{"table", "wide", "json", "yaml", "name"} {
		out, _, err := w.Plan(append(args, "-o", format)...)
		if err != nil {
			t.Fatal(err)
		}
		said[format] = out
	}
	for _, format := range []string{"table", "wide"} {
		if !strings.Contains(said[format], table) {
			t.Errorf("-o %s has no %q:\n%s", format, table, said[format])
		}
	}
	var j, y any
	if err := json.Unmarshal([]byte(said["json"]), &j); err != nil {
		t.Errorf("-o json: %v\n%s", err, said["json"])
	}
	if err := yaml.Unmarshal([]byte(said["yaml"]), &y); err != nil {
		t.Errorf("-o yaml: %v\n%s", err, said["yaml"])
	}
	if js, ys := shapeOf(j), shapeOf(y); !reflect.DeepEqual(js, ys) {
		t.Errorf("-o json and -o yaml have other names:\n%v\n%v", js, ys)
	}
	names := strings.Split(strings.TrimSuffix(said["name"], "\n"), "\n")
	for _, name := range names {
		if name == "" && !nothing || strings.Contains(name, "  ") {
			t.Errorf("-o name says %q:\n%s", name, said["name"])
		}
	}
}

// shapeOf is a value without what passes with time: its names, nested.
func shapeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		shape := map[string]any{}
		for k, e := range v {
			shape[k] = shapeOf(e)
		}
		return shape
	case []any:
		if len(v) == 0 {
			return []any{}
		}
		return []any{shapeOf(v[0])}
	}
	return nil
}

// TestAnObservationIsExplained has rules report what they stop, and says more of each report: as it was, and as it would be now.
func TestAnObservationIsExplained(t *testing.T) {
	n, h1, _ := pair(t)
	rules := func(action string) string {
		return pairModel("") + forH2("{name: udp, direction: ingress, action: "+action+", protocol: udp, ports: [7], log: new}")
	}
	w := n.Run(rules("deny"))
	shout(t, h1, "10.1.1.2:7")
	o := reports(t, w, "t/policy/h2/udp", 1)[0]
	x := tool[api.ObservationExplanation](t, w, "explain", "observation", o.Ref)
	if x.Observation.Ref != o.Ref || x.Ingress == nil || x.Ingress.ID != "t/policy/h2/udp" || !strings.Contains(x.Ingress.At, "model.yaml:") || x.Error != "" || !x.Same || x.Now.Verdict != "denied" {
		t.Errorf("%+v", x)
	}
	text, err := w.Tool("explain", "observation", o.Ref)
	if err != nil || !strings.Contains(text, "was denied") || !strings.Contains(text, "now it would be the same, by the same rules") {
		t.Errorf("%s%v", text, err)
	}
	w.Apply(rules("allow"))
	x = tool[api.ObservationExplanation](t, w, "explain", "observation", o.Ref)
	if x.Same || x.Now == nil || x.Now.Verdict != "allowed" || x.Observation.Verdict != "denied" {
		t.Errorf("when it is allowed: %+v", x)
	}
	w.Stop()
	w.Start()
	w.Programmed(1)
	if _, err := w.Tool("explain", "observation", o.Ref); err == nil || !strings.Contains(err.Error(), "since the daemon began") {
		t.Errorf("of the daemon before: %v", err)
	}
}
