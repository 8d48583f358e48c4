package apps

import (
	"net"
	"testing"

	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestRoles sends what only routers, DHCP servers and trusted ports may send, from each
// endpoint of testdata/roles.yaml: 1 client, 2 server, 3 uplink.
func TestRoles(t *testing.T) {
	p, in := compileFile(t, "testdata/roles.yaml")
	sim := flowsim.New(p.Tables())
	const broadcast, toAllNodes, toServers = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "33:33:00:01:00:02"
	offer := func(src string) string { return "udp,nw_src=" + src + ",nw_dst=255.255.255.255,tp_src=67,tp_dst=68" }
	offer6 := func(src string) string {
		return "udp6,ipv6_src=" + src + ",ipv6_dst=fe80::ff:fe00:1,tp_src=547,tp_dst=546"
	}
	ra := func(src string) string {
		return "icmp6,ipv6_src=" + src + ",ipv6_dst=ff02::1,icmp_type=134,icmp_code=0"
	}
	for name, c := range map[string]struct {
		from    int
		to      string
		message string
		want    string
	}{
		"the router advertises":                              {2, toAllNodes, ra("fe80::ff:fe00:2"), "passes"},
		"it does so from its link-local address only":        {2, toAllNodes, ra("fd00:1::2"), "dropped"},
		"a client does not advertise":                        {1, toAllNodes, ra("fe80::ff:fe00:1"), "dropped"},
		"nor does a trusted port":                            {3, toAllNodes, ra("fe80::ff:fe00:3"), "dropped"},
		"a client does not redirect":                         {1, toAllNodes, "icmp6,ipv6_src=fe80::ff:fe00:1,ipv6_dst=ff02::1,icmp_type=137,icmp_code=0", "dropped"},
		"a client asks for routers":                          {1, toAllNodes, "icmp6,ipv6_src=fe80::ff:fe00:1,ipv6_dst=ff02::2,icmp_type=133,icmp_code=0", "passes"},
		"the DHCP server offers":                             {2, broadcast, offer("10.1.0.2"), "passes"},
		"it does so from its own address only":               {2, broadcast, offer("10.1.0.9"), "dropped"},
		"a client does not offer":                            {1, broadcast, offer("10.1.0.11"), "dropped"},
		"the DHCPv6 server offers":                           {2, "02:00:00:00:00:01", offer6("fe80::ff:fe00:2"), "passes"},
		"a client asks DHCPv6 servers":                       {1, toServers, "udp6,ipv6_src=fe80::ff:fe00:1,ipv6_dst=ff02::1:2,tp_src=546,tp_dst=547", "passes"},
		"a client does not send from a stranger's address":   {1, broadcast, "arp,arp_spa=10.1.0.77,arp_tpa=10.1.0.2,arp_op=1", "dropped"},
		"a trusted port sends from a stranger's address":     {3, broadcast, "arp,arp_spa=10.1.0.77,arp_tpa=10.1.0.2,arp_op=1", "passes"},
		"a trusted port is judged like any other afterwards": {3, "02:00:00:00:00:02", "tcp,nw_src=10.1.0.77,nw_dst=10.1.0.2,tp_src=1024,tp_dst=80", "dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ofproto.ParseMatch(c.message)
			if err != nil {
				t.Fatal(err)
			}
			e := in.Model.Tenants()[0].Endpoints[c.from-1]
			conds := append([]ofproto.Cond(m), ofproto.Is(ofproto.InPort, portOn(in, e.Port)), ofproto.IsMAC(ofproto.EthSrc, e.MAC), ofproto.IsMAC(ofproto.EthDst, hardware(t, c.to)))
			if got := outcome(sim.Send(flowsim.Of(conds...), &flowsim.Tracker{})); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func hardware(t *testing.T, s string) (mac [6]byte) {
	a, err := net.ParseMAC(s)
	if err != nil {
		t.Fatal(err)
	}
	copy(mac[:], a)
	return mac
}
