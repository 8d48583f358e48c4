package test

import (
	"strings"
	"testing"

	"weir/examples"
	"weir/test/ovstest"
)

// TestTheExampleOfNAT serves examples/nat.yaml: who leaves as whom, and who is reached by what.
func TestTheExampleOfNAT(t *testing.T) {
	model, err := examples.Files.ReadFile("nat.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := ovstest.New(t)
	web := n.Host("web-1", "02:00:00:00:00:11", []string{"10.1.0.11/24", "fd00:1::11/64"}, "10.1.0.1", "fd00:1::1")
	worker := n.Host("worker-1", "02:00:00:00:00:12", []string{"10.1.0.12/24", "fd00:1::12/64"}, "10.1.0.1", "fd00:1::1")
	out := n.Host("eth1", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"}, "203.0.113.2")
	n.Run(strings.Replace(string(model), "br-int", "br0", 1))
	for _, address := range []string{"203.0.113.1:80", "[2001:db8::1]:80"} {
		serve(t, out, address, "out")
		gets(t, web, address, "out")
		gets(t, worker, address, "out")
	}
	serve(t, web, "10.1.0.11:80", "web")
	serve(t, web, "[fd00:1::11]:443", "web")
	serve(t, worker, "10.1.0.12:22", "worker")
	serve(t, worker, "[fd00:1::12]:9004", "worker")
	gets(t, out, "203.0.113.20:80", "web")
	gets(t, worker, "203.0.113.20:80", "web")
	gets(t, out, "[2001:db8::20]:443", "web")
	gets(t, out, "203.0.113.10:2222", "worker")
	gets(t, out, "[2001:db8::10]:9004", "worker")
	timesOut(t, out, "203.0.113.20:22")
	timesOut(t, out, "203.0.113.10:22")
	timesOut(t, out, "10.1.0.11:80")

	as := map[string]string{}
	for _, c := range n.Weir.Connections("shop") {
		as[c.NAT+" "+c.Orig.Src+" > "+c.Orig.Dst] = c.Reply.Src + " > " + c.Reply.Dst
	}
	for connection, answers := range map[string]string{
		"shop/snat/out 10.1.0.12 > 203.0.113.1":              "203.0.113.1 > 203.0.113.10",
		"shop/snat/out fd00:1::12 > 2001:db8::1":             "2001:db8::1 > 2001:db8::10",
		"shop/floatingip/web 10.1.0.11 > 203.0.113.1":        "203.0.113.1 > 203.0.113.20",
		"shop/floatingip/web 203.0.113.1 > 203.0.113.20":     "10.1.0.11 > 203.0.113.1",
		"shop/floatingip/web-six 2001:db8::1 > 2001:db8::20": "fd00:1::11 > 2001:db8::1",
		"shop/portforward/shell 203.0.113.1 > 203.0.113.10":  "10.1.0.12 > 203.0.113.1",
		"shop/portforward/jobs 2001:db8::1 > 2001:db8::10":   "fd00:1::12 > 2001:db8::1",
	} {
		if as[connection] != answers {
			t.Errorf("%s is answered %q, want %q; of %v", connection, as[connection], answers, as)
		}
	}
}
