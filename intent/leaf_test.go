package intent

import (
	"fmt"
	"testing"
)

// oneBackend is a load balancer at an address, with one backend.
func oneBackend(name, address, backend string) string {
	return fmt.Sprintf("---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: %s, tenant: blue}\nspec: {address: %s, ports: [{port: 80, protocol: tcp}], backends: [{%s}]}\n", name, address, backend)
}

// TestALeafThatChangesIsCheckedAlone changes one object, and looks whether what is known of its
// tenant was used, and is what would have been read for the first time.
func TestALeafThatChangesIsCheckedAlone(t *testing.T) {
	allCompiled(t)
	for name, c := range map[string]struct {
		before, after string
		wrong, whole  bool
	}{
		"a floating IP has another address":     {before: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one"), after: floatingBy("blue", "f", "address: 203.0.113.21, endpoint: one")},
		"a floating IP comes":                   {after: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one")},
		"a floating IP goes":                    {before: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one")},
		"a second floating IP of an address":    {before: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one"), after: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one") + floatingBy("blue", "g", "address: 203.0.113.21, endpoint: one"), wrong: true},
		"an address of another tenant":          {after: floatingBy("blue", "f", "address: 203.0.113.30, endpoint: one"), wrong: true},
		"a floating IP by a name that is there": {before: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one"), after: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one") + floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one"), wrong: true},
		"a floating IP of nobody":               {after: floatingBy("blue", "f", "address: 203.0.113.20, endpoint: two"), wrong: true},
		"a port forward has another port":       {before: forwardBy("blue", "p", "address: 203.0.113.20, port: 22, protocol: tcp, to: {endpoint: one}"), after: forwardBy("blue", "p", "address: 203.0.113.20, port: 23, protocol: tcp, to: {endpoint: one}")},
		"a load balancer has another backend":   {before: oneBackend("l", "10.0.0.8", "address: 10.0.0.9"), after: oneBackend("l", "10.0.0.8", "endpoint: one")},
		"a load balancer is the backend of another one": {
			before: oneBackend("l", "10.0.0.8", "address: 10.0.0.9"), after: oneBackend("l", "10.0.0.8", "address: 10.0.0.9") + oneBackend("m", "10.0.0.9", "endpoint: one"), wrong: true},
		"a backend is another load balancer": {
			before: oneBackend("l", "10.0.0.8", "address: 10.0.0.9") + oneBackend("m", "10.0.0.7", "endpoint: one"),
			after:  oneBackend("l", "10.0.0.8", "address: 10.0.0.7") + oneBackend("m", "10.0.0.7", "endpoint: one"), wrong: true},
		"a floating IP at the address of a backend outside": {
			before: oneBackend("l", "10.0.0.8", "address: 203.0.113.20"), after: oneBackend("l", "10.0.0.8", "address: 203.0.113.20") + floatingBy("blue", "f", "address: 203.0.113.20, endpoint: one"), wrong: true},
		"an SNAT comes, by which others go": {after: snatBy("blue", "s", "addresses: [203.0.113.20]"), whole: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := desk{"bridge.yaml": bridgeFile, "all.yaml": tenantFile("green", 5001, 1, 80) + floatingBy("green", "f", "address: 203.0.113.30, endpoint: one") + tenantFile("blue", 5000, 0, 80)}
			before := d["all.yaml"]
			var r Reader
			for i, more := range []string{c.before, c.after, c.before, c.after} {
				var known *checker
				if i > 0 {
					known = r.kept["blue"].checker
				}
				d["all.yaml"] = before + more
				got, err := r.Read(d.sources()...)
				want, wantErr := Read(d.sources()...)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || (err != nil) != (c.wrong && i%2 == 1) {
					t.Fatalf("%v; want %v", err, wantErr)
				}
				if err == nil {
					if why := unlike(got, want); why != "" {
						t.Fatal(why)
					}
				}
				if i > 0 && !c.wrong && (r.kept["blue"].checker == known) == c.whole {
					t.Errorf("the whole tenant is checked again: %v", !c.whole)
				}
			}
		})
	}
}
