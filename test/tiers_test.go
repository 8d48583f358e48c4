package test

import (
	"fmt"
	"testing"

	"weir/examples"
	"weir/test/ovstest"
)

// TestTiersAndPrioritiesAreTheOrderOfPolicies serves examples/tiers.yaml: what the shop opens
// to all stays closed for guests, whom the admin tier keeps out, and open for the scanner,
// who has a policy of a higher priority there; what nobody else decides, the baseline does.
func TestTiersAndPrioritiesAreTheOrderOfPolicies(t *testing.T) {
	model, err := examples.Files.ReadFile("tiers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := ovstest.New(t)
	scanner := n.Host("scanner", mac(1), []string{"10.1.1.1/24"})
	guest := n.Host("guest", mac(2), []string{"10.1.1.2/24"})
	shop := n.Host("shop", mac(3), []string{"10.1.1.3/24"})
	w := n.Run(string(model))
	serve(t, shop, "10.1.1.3:443", "shop")
	serve(t, shop, "10.1.1.3:80", "inside")
	serve(t, scanner, "10.1.1.1:80", "scanner")

	gets(t, scanner, "10.1.1.3:443", "shop")
	gets(t, scanner, "10.1.1.3:80", "inside")
	timesOut(t, guest, "10.1.1.3:443")
	timesOut(t, shop, "10.1.1.1:80")
	pings(t, shop, "10.1.1.1", 1, 1)
	pings(t, guest, "10.1.1.3", 1, 0)

	admitted := map[string]string{}
	for _, c := range w.Connections("site") {
		admitted[fmt.Sprintf("%s %s:%d", c.Protocol, c.Orig.Dst, c.Orig.Dport)] = c.Ingress
	}
	for connection, rule := range map[string]string{
		"tcp 10.1.1.3:443": "site/policy/scanner/anything",
		"icmp 10.1.1.1:0":  "site/policy/among-ourselves/ping",
	} {
		if admitted[connection] != rule {
			t.Errorf("%s was let in by %q, not by %s: %v", connection, admitted[connection], rule, admitted)
		}
	}
}
