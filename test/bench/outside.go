package main

import (
	"fmt"
	"slices"
	"strings"
)

// What is beyond the bridge: one link, with a host x on it that is also the next hop. Each
// tenant has a pool of addresses there for what it opens, and floating IPs for some of its
// endpoints.
const (
	outsidePort    = "out"
	outsideNet     = "172.16.0.0/16"
	outsideHost    = "172.16.0.100"
	outsideHostMAC = "02:00:00:00:09:09"
	routerAddress  = "172.16.255.254"
	routerMAC      = "02:00:00:ff:00:01"
	pools          = 10 // of each tenant
	poolSize       = 4
)

// A nat is how a tenant is translated: what no floating IP says by the pools.
type nat struct {
	pools    []pool
	floating []floating
}

// A pool is the addresses that a part of a network leaves as. OVN has only the first.
type pool struct {
	name      string
	from      string
	addresses []string
}

// A floating is one floating IP.
type floating struct {
	address  string
	endpoint endpoint
}

// natPolicy is n tenants behind an outside. Each has ten pools, as many floating IPs as it
// says, and one endpoint more, for which there is an address to spare. Each pool is for a tenth
// of the endpoints.
func natPolicy(n, floats int) policy {
	p := tenantPolicy(n, floats+1, 0)
	p.outside = true
	for i := range p.tenants {
		t := &p.tenants[i]
		t.number, t.gateway = i+1, fmt.Sprintf("10.0.%d.1", i+1)
		for j := range t.endpoints {
			t.endpoints[j].ip = fmt.Sprintf("10.0.%d.%d", i+1, j%pools*16+2+j/pools)
		}
		for j := range pools {
			t.nat.pools = append(t.nat.pools, poolOf(i+1, j))
		}
		for j, e := range t.endpoints[:floats] {
			t.nat.floating = append(t.nat.floating, floating{fmt.Sprintf("172.16.%d.%d", i+1, 1+j), e})
		}
	}
	return p
}

func poolOf(tenant, number int) pool {
	x := pool{name: fmt.Sprintf("out-%d", number), from: fmt.Sprintf("10.0.%d.%d/28", tenant, number*16)}
	for i := range poolSize {
		x.addresses = append(x.addresses, fmt.Sprintf("172.16.%d.%d", 100+tenant, 1+number*poolSize+i))
	}
	return x
}

// spare is a floating IP that t does not have yet.
func (t tenant) spare() floating {
	last := len(t.endpoints)
	return floating{fmt.Sprintf("172.16.%d.%d", t.number, last), t.endpoints[last-1]}
}

// all is x as a range of addresses, or as its one.
func (x pool) all() string {
	if len(x.addresses) == 1 {
		return x.addresses[0]
	}
	return x.addresses[0] + "-" + x.addresses[len(x.addresses)-1]
}

// natTrafficPolicy is two hosts behind an outside: what h1 opens leaves by the SNAT, h2 has a
// floating IP. Both may be reached from everywhere at the ports of the traffic.
func natTrafficPolicy() policy {
	p := natPolicy(1, 0)
	t := &p.tenants[0]
	t.endpoints = trafficPolicy().endpoints()
	for i := range t.endpoints {
		t.endpoints[i].groups = []string{"vm"}
	}
	t.subjects = "vm"
	for i, to := range []rule{{port: connectPort}, {port: probePort, protocol: "udp"}} {
		for j, cidr := range []string{t.subnet, outsideNet} {
			to.name, to.cidr = fmt.Sprintf("r%d-%d", i, j), cidr
			t.rules = append(t.rules, to)
		}
	}
	t.nat = nat{[]pool{{"out", t.subnet, []string{"172.16.101.1"}}}, []floating{{"172.16.1.2", t.endpoints[1]}}}
	return p
}

// withoutNAT is the same endpoints, before anything is translated.
func (p policy) withoutNAT() policy {
	p.tenants = slices.Clone(p.tenants)
	for i := range p.tenants {
		p.tenants[i].nat = nat{}
	}
	return p
}

// bridgeFile is what Weir is told of its bridge.
func (p policy) bridgeFile(name string) string {
	text := "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: " + name + "}\n"
	if p.outside {
		text += fmt.Sprintf("spec:\n  external:\n    network: public\n    port: %s\n    mac: %q\n"+
			"    subnets: [{cidr: %s, gateway: %s, address: %s}]\n    nextHops: [{address: %s, mac: %q}]\n",
			outsidePort, routerMAC, outsideNet, outsideHost, routerAddress, outsideHost, outsideHostMAC)
	}
	return text
}

// translates is what Weir is told of a tenant's addresses outside.
func (t tenant) translates() string {
	var b strings.Builder
	b.WriteString("# how it is translated\n")
	for _, x := range t.nat.pools {
		b.WriteString(object("SNAT", x.name, t.of(), fmt.Sprintf("  from: {cidrs: [%s]}\n  addresses: [%s]\n", x.from, x.all())))
	}
	for _, f := range t.nat.floating {
		b.WriteString(object("FloatingIP", f.endpoint.name+"-ip", t.of(), fmt.Sprintf("  address: %s\n  endpoint: %s\n", f.address, f.endpoint.name)))
	}
	return b.String()
}

// routerArgs make one router for all tenants, which is the least that OVN can do with, and its
// port outside, which is here.
func routerArgs(p policy) []string {
	if !p.outside {
		return nil
	}
	args := []string{"--", "lr-add", "r", "--", "ls-add", "outside",
		"--", "lrp-add", "r", "r-outside", routerMAC, routerAddress + "/16", "--", "lrp-set-gateway-chassis", "r-outside", "hv1",
		"--", "lr-route-add", "r", "0.0.0.0/0", outsideHost,
		"--", "lsp-add", "outside", "outside-net", "--", "lsp-set-type", "outside-net", "localnet",
		"--", "lsp-set-addresses", "outside-net", "unknown", "--", "lsp-set-options", "outside-net", "network_name=ext"}
	args = append(args, attachArgs("outside", "r-outside")...)
	for _, t := range p.tenants {
		port := "r-" + t.name
		args = append(args, "--", "lrp-add", "r", port, fmt.Sprintf("02:00:00:00:fe:%02x", t.number), t.gateway+"/24")
		args = append(args, attachArgs(t.name, port)...)
	}
	return args
}

// attachArgs connect a switch to a port of the router.
func attachArgs(to, port string) []string {
	name := to + "-router"
	return []string{"--", "lsp-add", to, name, "--", "lsp-set-type", name, "router",
		"--", "lsp-set-addresses", name, "router", "--", "lsp-set-options", name, "router-port=" + port}
}

// natArgs have OVN translate for a tenant.
func natArgs(t tenant) []string {
	var args []string
	for _, x := range t.nat.pools {
		args = append(args, "--", "lr-nat-add", "r", "snat", x.addresses[0], x.from)
	}
	for _, f := range t.nat.floating {
		args = append(args, "--", "lr-nat-add", "r", "dnat_and_snat", f.address, f.endpoint.ip)
	}
	return args
}
