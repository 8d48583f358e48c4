package intent

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
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
spec: {subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.1}]}
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

// natFile says that a tenant translates to addresses of a few, which others may have as well.
func natFile(name string, draw *rand.Rand) string {
	at := func() string { return fmt.Sprintf("203.0.113.%d", 20+draw.IntN(6)) }
	return fmt.Sprintf(`---
apiVersion: weir/v1
kind: SNAT
metadata: {name: out, tenant: %[1]s}
spec: {addresses: [%[2]s], ports: %[3]s, shared: %[4]t}
---
apiVersion: weir/v1
kind: FloatingIP
metadata: {name: f, tenant: %[1]s}
spec: {address: %[5]s, endpoint: one}
---
apiVersion: weir/v1
kind: PortForward
metadata: {name: p, tenant: %[1]s}
spec: {address: %[6]s, port: %[7]d, protocol: tcp, to: {endpoint: one, port: 22}}
`, name, at(), []string{"preserve", "1024-2047", "2048-4095"}[draw.IntN(3)], draw.IntN(2) == 0, at(), at(), 2040+draw.IntN(20)) + balancerFile(name, draw)
}

// balancerFile says, one time of three, that a tenant has a load balancer, at an address that others
// may have as well, or with one of theirs as a backend.
func balancerFile(name string, draw *rand.Rand) string {
	if draw.IntN(3) > 0 {
		return ""
	}
	at := func() string { return fmt.Sprintf("203.0.113.%d", 25+draw.IntN(6)) }
	return fmt.Sprintf(`---
apiVersion: weir/v1
kind: LoadBalancer
metadata: {name: l, tenant: %s}
spec: {address: %s, ports: [{port: 2050, protocol: tcp}], backends: [{endpoint: one}, {address: %s}]}
`, name, at(), at())
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
	switch draw.IntN(26) {
	case 0:
		delete(d, file)
	case 1: // its lines shift
		d[file] = "# a comment\n" + d[file]
	case 2: // with another, in one file
		d["all.yaml"] = d[file] + strings.TrimPrefix(d["all.yaml"], "# a comment\n") // which would end d[file]
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
	case 9: // the outside is another, or goes
		d["bridge.yaml"] = strings.Replace(bridgeFile, "203.0.113.1}", []string{"203.0.113.2}", "203.0.113.22}", "203.0.113.25}"}[draw.IntN(3)], 1)
		if draw.IntN(4) == 0 {
			d["bridge.yaml"], _, _ = strings.Cut(bridgeFile, "spec:")
		}
	case 10, 12, 13, 14:
		d[file] = tenantFile(name, 5000+draw.IntN(40), draw.IntN(40), 80) + natFile(name, draw)
	case 15, 16, 17, 18, 19, 20, 21, 22, 23, 24: // one object, or two
		for range 1 + draw.IntN(2) {
			d[file] = editLeaf(d[file], name, draw)
		}
	case 11: // another change of the bridge, which is nothing to tenants
		d["bridge.yaml"] = strings.Replace(bridgeFile, "spec: {", "spec: {allowDisruption: true, ", 1)
	default:
		d[file] = tenantFile(name, 5000+draw.IntN(4), draw.IntN(4), 80+draw.IntN(2))
	}
}

var (
	floatingSays = regexp.MustCompile(`kind: FloatingIP\n.*\nspec: .*\n`)
	forwardSays  = regexp.MustCompile(`kind: PortForward\n.*\nspec: .*\n`)
	balancerSays = regexp.MustCompile(`---\napiVersion: weir/v1\nkind: LoadBalancer\n.*\nspec: .*\n`)
	rulesSay     = regexp.MustCompile(`ports: \[\d+\]}`)
)

// editLeaf changes one object that no other is made of, or takes it away.
func editLeaf(text, name string, draw *rand.Rand) string {
	outside := func() string { return fmt.Sprintf("203.0.113.%d", 20+draw.IntN(6)) }
	inside := func() string { return fmt.Sprintf("10.0.0.%d", 5+draw.IntN(4)) }
	either := []func() string{outside, inside}
	switch draw.IntN(6) {
	case 0:
		return floatingSays.ReplaceAllString(text, fmt.Sprintf("kind: FloatingIP\nmetadata: {name: f, tenant: %s}\nspec: {address: %s, endpoint: one}\n", name, outside()))
	case 1:
		return forwardSays.ReplaceAllString(text, fmt.Sprintf("kind: PortForward\nmetadata: {name: p, tenant: %s}\nspec: {address: %s, port: %d, protocol: tcp, to: {endpoint: one, port: 22}}\n", name, outside(), 80+draw.IntN(2)))
	case 2:
		return rulesSay.ReplaceAllString(text, fmt.Sprintf("ports: [%d]}", 80+draw.IntN(9)))
	case 3:
		return balancerSays.ReplaceAllString(text, "")
	}
	return text + fmt.Sprintf("---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: l%d, tenant: %s}\nspec: {address: %s, ports: [{port: %d, protocol: tcp}], backends: [{%s}]}\n",
		draw.IntN(4), name, either[draw.IntN(2)](), 80+draw.IntN(2), []string{"endpoint: one", "address: " + either[draw.IntN(2)]()}[draw.IntN(2)])
}

const bridgeFile = "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\nspec: {external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}]}}\n"

// allCompiled lets everything be said until the test is over.
func allCompiled(t testing.TB) {
	was := uncompiled
	uncompiled = nil
	t.Cleanup(func() { uncompiled = was })
}

// TestAReaderReadsWhatAnotherWouldReadForTheFirstTime edits files again and again, and compares
// what a Reader makes of them with what is read from nothing: the models, and every mistake.
func TestAReaderReadsWhatAnotherWouldReadForTheFirstTime(t *testing.T) {
	allCompiled(t)
	draw := rand.New(rand.NewPCG(3, 4))
	good, same, translating, leaves := 0, 0, 0, 0
	for range 60 {
		d := desk{"bridge.yaml": bridgeFile, "blue.yaml": tenantFile("blue", 5000, 0, 80), "green.yaml": tenantFile("green", 5001, 1, 80)}
		var r Reader
		var before *Model
		var well desk // as it was when all was right
		for range 30 {
			e := r.edit(d.sources())
			got, err := r.Read(d.sources()...)
			if got != nil && before != nil {
				leaves += onlyLeaves(e)
			}
			want, wantErr := Read(d.sources()...)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%v\n%v\nand read for the first time\n%v", d, err, wantErr)
			}
			if err == nil {
				if why := unlike(got, want); why != "" {
					t.Fatalf("%v\nmodels are not the same: %s", d, why)
				}
			}
			if got != nil && before != nil {
				good++
				same += unchanged(t, before, got)
				translating += translatingTenants(got)
			}
			if got != nil {
				before, well = got, maps.Clone(d)
			} else if draw.IntN(2) == 0 {
				maps.Copy(d, well)
			}
			d.edit(draw)
		}
	}
	if good < 300 || same < 300 || translating < 100 || leaves < 100 {
		t.Errorf("only %d models were good, with %d tenants as before, %d with NAT, and %d of which only leaves were others: the edits are too wild", good, same, translating, leaves)
	}
}

// onlyLeaves counts the tenants of which only leaves have changed.
func onlyLeaves(e *edition) (n int) {
	if e == nil {
		return 0
	}
	for _, x := range e.changes {
		if areLeaves(x.gone) && areLeaves(x.come) {
			n++
		}
	}
	return n
}

// unlike says in what one model differs from another, or nothing.
func unlike(got, want *Model) string {
	if !reflect.DeepEqual(got.bridges, want.bridges) {
		return "other bridges"
	}
	if !reflect.DeepEqual(got.tenants, want.tenants) {
		return "other tenants"
	}
	if !slices.Equal(got.IDs(), want.IDs()) {
		return "other ids"
	}
	for _, id := range want.IDs() {
		if got.Position(id) != want.Position(id) {
			return fmt.Sprint(id, " is at ", got.Position(id), ", and should be at ", want.Position(id))
		}
	}
	return ""
}

func translatingTenants(m *Model) (n int) {
	for _, t := range m.Tenants() {
		if len(t.SNATs) > 0 {
			n++
		}
	}
	return n
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
	allCompiled(t)
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

func TestATenantOfWhichOneThingChangesIsAnother(t *testing.T) {
	allCompiled(t)
	for what, c := range map[string][2]string{
		"an SNAT":         {snatBy("blue", "s", "addresses: [203.0.113.20]"), snatBy("blue", "s", "addresses: [203.0.113.21]")},
		"a floating IP":   {floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one"), floatingBy("blue", "f", "address: 203.0.113.21, endpoint: one")},
		"a port forward":  {forwardBy("blue", "p", "address: 203.0.113.20, port: 22, protocol: tcp, to: {endpoint: one}"), forwardBy("blue", "p", "address: 203.0.113.20, port: 22, protocol: udp, to: {endpoint: one}")},
		"SNATs from none": {"", snatBy("blue", "s", "addresses: [203.0.113.20]")},
	} {
		t.Run(what, func(t *testing.T) {
			d := desk{"bridge.yaml": bridgeFile, "all.yaml": tenantFile("blue", 5000, 0, 80) + c[0] + tenantFile("green", 5001, 1, 80)}
			var r Reader
			first, err := r.Read(d.sources()...)
			if err != nil {
				t.Fatal(err)
			}
			d["all.yaml"] = tenantFile("blue", 5000, 0, 80) + c[1] + tenantFile("green", 5001, 1, 80)
			second, err := r.Read(d.sources()...)
			if err != nil {
				t.Fatal(err)
			}
			if first.Tenant("blue") == second.Tenant("blue") || first.Tenant("green") != second.Tenant("green") {
				t.Error("not blue alone is another")
			}
		})
	}
}
