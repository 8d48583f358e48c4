package intent

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tenantFile is a tenant that has the zone, a port and a rule as its numbers say.
func tenantFile(name string, zone, port, rule int) string {
	return fmt.Sprintf(`---
apiVersion: weir/v1
kind: Tenant
metadata: {name: %[1]s}
spec: {zone: %[2]d}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: %[1]s}
spec: {subnets: [{cidr: 10.0.0.0/24}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: one, tenant: %[1]s}
spec: {network: lan, bind: {port: p%[3]d}, mac: "02:00:00:00:00:01", ips: [10.0.0.5]}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: in, tenant: %[1]s}
spec:
  rules:
  - {name: web, direction: ingress, action: allow, protocol: tcp, ports: [%[4]d]}
`, name, zone, port, rule)
}

// A desk has files that are edited, well and badly.
type desk map[string]string

func (d desk) sources() (all []Source) {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		all = append(all, Source{name, []byte(d[name])})
	}
	return all
}

// edit changes something. Ports and zones are so few that tenants get in each other's way.
func (d desk) edit(draw *rand.Rand) {
	name := []string{"blue", "green", "red"}[draw.IntN(3)]
	file := name + ".yaml"
	switch draw.IntN(12) {
	case 0:
		delete(d, file)
	case 1: // its lines shift
		d[file] = "# a comment\n" + d[file]
	case 2: // with another, in one file
		d["all.yaml"] = d[file] + d["all.yaml"]
		delete(d, file)
	case 3:
		delete(d, "all.yaml")
	case 4:
		d[file] = strings.Replace(d[file], "action: allow", "action: alow", 1)
	case 5:
		d[file] = strings.Replace(d[file], "network: lan", "network: wan", 1)
	case 6:
		d["bridge.yaml"] = strings.Replace(d["bridge.yaml"], "br0", "br1", 1)
	case 7:
		d["bridge.yaml"] = bridgeFile
	case 8:
		d[file] = strings.Replace(d[file], "tenant: "+name, "tenant: nobody", 1)
	default:
		d[file] = tenantFile(name, 5000+draw.IntN(4), draw.IntN(4), 80+draw.IntN(2))
	}
}

const bridgeFile = "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n"

// TestAReaderReadsWhatAnotherWouldReadForTheFirstTime edits files again and again, and compares
// what a Reader makes of them with what is read from nothing: the models, and every mistake.
func TestAReaderReadsWhatAnotherWouldReadForTheFirstTime(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 4))
	good, same := 0, 0
	for range 60 {
		d := desk{"bridge.yaml": bridgeFile, "blue.yaml": tenantFile("blue", 5000, 0, 80), "green.yaml": tenantFile("green", 5001, 1, 80)}
		var r Reader
		var before *Model
		for range 30 {
			got, err := r.Read(d.sources()...)
			want, wantErr := Read(d.sources()...)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%v\n%v\nand read for the first time\n%v", d, err, wantErr)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%v\nmodels are not the same", d)
			}
			if got != nil && before != nil {
				good++
				same += unchanged(t, before, got)
			}
			if got != nil {
				before = got
			}
			d.edit(draw)
		}
	}
	if good < 300 || same < 300 {
		t.Errorf("only %d models were good, with %d tenants as before: the edits are too wild", good, same)
	}
}

// unchanged counts the tenants that are the same as before. Those that say the same have to
// be.
func unchanged(t *testing.T, before, now *Model) (n int) {
	for _, tenant := range now.Tenants() {
		if was := before.Tenant(tenant.Name); was == tenant {
			n++
		} else if reflect.DeepEqual(was, tenant) && slices.EqualFunc(before.bridges, now.bridges, sameSite) {
			t.Errorf("%s says the same, and is another", tenant.Name)
		}
	}
	return n
}

func TestATenantWhoseLinesShiftIsTheSameAtOtherPlaces(t *testing.T) {
	d := desk{"bridge.yaml": bridgeFile, "all.yaml": tenantFile("blue", 5000, 0, 80) + tenantFile("green", 5001, 1, 80)}
	var r Reader
	first, err := r.Read(d.sources()...)
	if err != nil {
		t.Fatal(err)
	}
	d["all.yaml"] = strings.Replace(d["all.yaml"], "  rules:\n", "  rules:\n  - {name: new, direction: ingress, action: deny}\n", 1)
	second, err := r.Read(d.sources()...)
	if err != nil {
		t.Fatal(err)
	}
	if second.Tenant("blue") == first.Tenant("blue") || second.Tenant("green") != first.Tenant("green") {
		t.Error("not blue alone has changed")
	}
	if was, is := first.Position("green/policy/in/web").Line, second.Position("green/policy/in/web").Line; is != was+1 {
		t.Errorf("line %d, and %d before", is, was)
	}
	if first.Position("green/policy/in/web") == second.Position("green/policy/in/web") {
		t.Error("a model has changed")
	}
	d["all.yaml"] += "---\nkind: Nothing\n"
	var ps Problems
	if _, err := r.Read(d.sources()...); !errors.As(err, &ps) || len(ps) == 0 {
		t.Errorf("%v", err)
	}
}
