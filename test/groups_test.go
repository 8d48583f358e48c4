package test

import (
	"fmt"
	"strings"
	"testing"

	"weir/api"
)

// groupsModel is three hosts, of which h2 lets members of two groups in: endpoints at port 80,
// and addresses at six others.
func groupsModel(endpoints, cidrs string) string {
	rules := []string{"{name: web, direction: ingress, action: allow, from: {groups: [clients]}, protocol: tcp, ports: [80]}"}
	for port := 81; port <= 86; port++ {
		rules = append(rules, fmt.Sprintf("{name: p%d, direction: ingress, action: allow, from: {groups: [offices]}, protocol: tcp, ports: [%d]}", port, port))
	}
	return pairModel("allowDisruption: true") + endpoint("t", "h3", 3, "10.1.1.3") +
		"---\napiVersion: weir/v1\nkind: Group\nmetadata: {name: clients, tenant: t}\nspec: {endpoints: [" + endpoints + "]}\n" +
		"---\napiVersion: weir/v1\nkind: Group\nmetadata: {name: offices, tenant: t}\nspec: {cidrs: [" + cidrs + "]}\n" + forH2(rules...)
}

// TestGroupsOnTheWire lets members of groups come and go while others are connected.
func TestGroupsOnTheWire(t *testing.T) {
	n, h1, h2 := pair(t)
	h3 := n.Host("h3", mac(3), []string{"10.1.1.3/24"})
	w := n.Run(groupsModel("h1", "10.9.9.0/24"))
	for port := 80; port <= 86; port++ {
		echo(t, h2, fmt.Sprint("10.1.1.2:", port))
	}
	status := func() api.Status {
		s, err := w.Status()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := status()
	first := opened(t, h1, "10.1.1.2:80")
	timesOut(t, h3, "10.1.1.2:80")
	timesOut(t, h1, "10.1.1.2:81")

	w.Apply(groupsModel("h1, h3", "10.9.9.0/24"))
	joined := opened(t, h3, "10.1.1.2:80")
	w.Apply(groupsModel("h1, h3", "10.9.9.0/24, 10.1.1.1/32"))
	office := opened(t, h1, "10.1.1.2:86")
	timesOut(t, h3, "10.1.1.2:86")
	answered(t, first)
	after := status()
	if sent := after.Bridges[0].FlowModsSent - before.Bridges[0].FlowModsSent; sent != 2 || after.Tenants[0].Epoch != before.Tenants[0].Epoch {
		t.Errorf("%d flow-mods for an endpoint and a CIDR that join, want 1 each; epoch %d, and was %d", sent, after.Tenants[0].Epoch, before.Tenants[0].Epoch)
	}

	w.Apply(groupsModel("h3", "10.9.9.0/24"))
	gone(t, n, 86)
	silent(t, first)
	silent(t, office)
	answered(t, joined)
	if left := entriesTo(n.Entries(w.Zone("t")), 80); len(left) != 1 || !strings.HasPrefix(left[0].Orig.Src.String(), "10.1.1.3") {
		t.Errorf("connections to port 80 that are left: %+v", left)
	}
}
