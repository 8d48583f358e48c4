package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"weir/api"
	"weir/test/ovstest"
)

// TestExpectationsAreListed announces a data connection of FTP that is opened only afterwards. The kernel's datapath
// says that it is waited for, and by which connection; the userspace datapath does so from Open vSwitch 3.3
// on, and where it does not that is said.
func TestExpectationsAreListed(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.1/24"})
	h2 := n.Host("h2", mac(2), []string{"10.1.1.2/24"})
	n.Run(labModel("") + forH2("{name: ftp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: tcp, ports: [21], alg: ftp}"))
	serveFTP(t, h2, "10.1.1.2")
	client := logIn(t, h1, "10.1.1.2")
	defer client.Close()
	port, err := client.announced("PASV")
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.Weir.Tool("conntrack", "expectations", "-o", "json")
	if _, why := n.Appctl("dpctl/dump-conntrack-exp"); !n.Kernel() && why != nil {
		if err == nil || !strings.Contains(err.Error(), "from version 3.3 on") {
			t.Errorf("%s%v; want to be told why nothing is known", out, err)
		}
		return
	}
	var all []api.Expected
	if err != nil || json.Unmarshal([]byte(out), &all) != nil || len(all) != 1 || len(all[0].Expectations) != 1 {
		t.Fatalf("%s%v; want one expectation", out, err)
	}
	e := all[0].Expectations[0]
	parent := n.Weir.Connections("t")[0]
	if e.Tenant != "t" || e.Ref != parent.Ref || e.Orig.Dst != "10.1.1.2" || int(e.Orig.Dport) != port || e.Parent.Sport != parent.Orig.Sport || e.Zones[0] != parent.Zone {
		t.Errorf("%+v; want port %d, announced by %+v", e, port, parent)
	}
	for format, want := range map[string]string{
		"table": fmt.Sprintf("10.1.1.2:%d", port), "wide": parent.Ref, "yaml": fmt.Sprintf("dport: %d", port), "name": fmt.Sprintf("/tcp/10.1.1.1:*-10.1.1.2:%d", port),
	} {
		if out, err := n.Weir.Tool("conntrack", "expectations", "-o", format); err != nil || !strings.Contains(out, want) {
			t.Errorf("-o %s: %s%v; want %s", format, out, err, want)
		}
	}
	if data, err := connect(h1, fmt.Sprintf("10.1.1.2:%d", port)); err != nil {
		t.Errorf("the data connection: %v", err)
	} else {
		data.Close()
	}
	left := 0
	if text, err := n.Appctl("dpctl/dump-conntrack-exp"); !n.Kernel() && err == nil {
		left = strings.Count(text, "tcp,") // the userspace datapath goes on waiting until the connection that has announced it ends
	}
	if out, err := n.Weir.Tool("conntrack", "expectations", "-o", "name"); err != nil || strings.Count(out, "/tcp/") != left {
		t.Errorf("%s%v; want %d: it has come", out, err, left)
	}
}
