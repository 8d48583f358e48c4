package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/examples"
	"weir/internal/sandbox"
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

// TestTheExampleOfLoadBalancers serves examples/balancer.yaml: by each of its load balancers somebody is served, by whom it says.
func TestTheExampleOfLoadBalancers(t *testing.T) {
	model, err := examples.Files.ReadFile("balancer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := ovstest.New(t)
	hosts := map[string]*sandbox.Host{}
	for name, number := range map[string]int{"web-1": 11, "web-2": 12, "dns-1": 21, "dns-2": 22} {
		hosts[name] = n.Host(name, fmt.Sprintf("02:00:00:00:00:%d", number), []string{fmt.Sprintf("10.1.0.%d/24", number), fmt.Sprintf("fd00:1::%d/64", number)}, "10.1.0.1", "fd00:1::1")
	}
	for name, number := range map[string]int{"cache-1": 31, "cache-2": 32} {
		hosts[name] = n.Host(name, fmt.Sprintf("02:00:00:00:00:%d", number), []string{fmt.Sprintf("10.9.0.%d/24", number)})
		serve(t, hosts[name], fmt.Sprintf("10.9.0.%d:6379", number), name)
	}
	out := n.Host("eth1", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
	for i, name := range []string{"web-1", "web-2"} {
		accept(t, hosts[name], fmt.Sprintf("10.1.0.1%d:8080", 1+i), func(c net.Conn) {
			c.Read(make([]byte, 1000))
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		})
		serve(t, hosts[name], fmt.Sprintf("10.1.0.1%d:8443", 1+i), name)
		serve(t, hosts[name], fmt.Sprintf("[fd00:1::1%d]:8443", 1+i), name)
	}
	for i, name := range []string{"dns-1", "dns-2"} {
		answerUDP(t, hosts[name], fmt.Sprintf("10.1.0.2%d:53", 1+i), name)
	}
	n.Run(strings.Replace(string(model), "br-int", "br0", 1))
	for balancer, want := range map[string][]string{"shop": {"10.1.0.11 up 100", "10.1.0.12 up 50"}, "names": {"10.1.0.21 up 100", "10.1.0.22 up 100"}} {
		ovstest.Eventually(t, "backends of "+balancer, func() error {
			if got := states(n, "shop/loadbalancer/"+balancer); !slices.Equal(got, want) {
				return fmt.Errorf("%v, want %v", got, want)
			}
			return nil
		})
	}
	ovstest.Eventually(t, "an answer in both versions of IP", func() error { // the router finds who is outside
		_, err := fetch(out, "203.0.113.40:443", time.Second)
		_, err6 := fetch(out, "[2001:db8::40]:443", time.Second)
		return errors.Join(err, err6)
	})
	if by := served(t, out, "203.0.113.40:443", 200); len(by) != 2 || by["web-1"] <= by["web-2"] { // two thirds are five standard deviations from half
		t.Errorf("the shop is served by %v", by)
	}
	if by := served(t, out, "[2001:db8::40]:443", 5); len(by) != 1 {
		t.Errorf("the shop is served over IPv6 by %v", by)
	}
	if who := askUDP(t, hosts["web-1"], "10.1.0.53:53"); who != "dns-1" && who != "dns-2" {
		t.Errorf("names are told by %q", who)
	}
	if by := served(t, hosts["cache-1"], "10.9.0.100:6379", 20); len(by) != 2 {
		t.Errorf("a cache is served by %v", by)
	}
	timesOut(t, hosts["web-1"], "10.9.0.100:6379")
}
