package apps

import (
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestPlain sends from and to an endpoint without addresses, of testdata/plain.yaml: db is
// 1, the appliance 2.
func TestPlain(t *testing.T) {
	p, in := compileFile(t, "testdata/plain.yaml")
	sim := flowsim.New(p.Tables())
	const toDB, toAppliance, router, broadcast, group = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:77:65:69:72:01", "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"
	tcp := func(src, dst, port string) string {
		return "tcp,nw_src=" + src + ",nw_dst=" + dst + ",nw_ttl=64,tp_src=1024,tp_dst=" + port
	}
	arp := func(spa, sha string) string {
		return "arp,arp_op=1,arp_tpa=10.1.0.11,arp_spa=" + spa + ",arp_sha=" + sha
	}
	na := func(target string) string {
		return "icmp6,ipv6_src=fe80::9,ipv6_dst=ff02::1,icmp_type=136,icmp_code=0,nd_target=" + target
	}
	ns := func(src, option string) string {
		return "icmp6,ipv6_src=" + src + ",ipv6_dst=ff02::1,icmp_type=135,icmp_code=0,nd_target=fd00:1::11,nd_sll=" + option
	}
	for name, c := range map[string]struct {
		from    int
		to      string
		message string
		want    string
	}{
		"it is known by its port as a source":               {2, toDB, tcp("10.1.0.77", "10.1.0.11", "5432"), "passes, committed"},
		"from any address":                                  {2, toDB, tcp("192.0.2.9", "10.1.0.11", "5432"), "passes, committed"},
		"it is judged":                                      {2, toDB, tcp("10.1.0.77", "10.1.0.11", "22"), "dropped"},
		"it is known by its MAC address as a destination":   {1, toAppliance, tcp("10.1.0.11", "10.1.0.77", "22"), "passes, committed"},
		"there it is judged":                                {1, toAppliance, tcp("10.1.0.11", "10.1.0.77", "80"), "dropped"},
		"it does not send from an endpoint's address":       {2, toDB, tcp("10.1.0.11", "10.1.0.11", "5432"), "dropped"},
		"nor from the gateway's":                            {2, toDB, tcp("10.1.0.1", "10.1.0.11", "5432"), "dropped"},
		"nor is sent what is for an endpoint":               {1, toAppliance, tcp("10.1.0.11", "10.1.0.11", "22"), "dropped"},
		"its ARP passes":                                    {2, broadcast, arp("10.1.0.77", toAppliance), "passes"},
		"with its own MAC address only":                     {2, broadcast, arp("10.1.0.77", toDB), "dropped"},
		"and not with an endpoint's address":                {2, broadcast, arp("10.1.0.11", toAppliance), "dropped"},
		"nor with the gateway's":                            {2, broadcast, arp("10.1.0.1", toAppliance), "dropped"},
		"it advertises itself":                              {2, group, na("fd00:1::77"), "passes"},
		"but not an endpoint":                               {2, group, na("fd00:1::11"), "dropped"},
		"nor a gateway":                                     {2, group, na("fd00:1::1"), "dropped"},
		"it solicits":                                       {2, group, ns("fd00:1::77", toAppliance), "passes"},
		"without an option if it has no address":            {2, group, ns("::", "00:00:00:00:00:00"), "passes"},
		"not from an endpoint's address":                    {2, group, ns("fd00:1::11", toAppliance), "dropped"},
		"nor with another's MAC address":                    {2, group, ns("fd00:1::77", toDB), "dropped"},
		"what a stateless rule lets out is judged there":    {1, toAppliance, "udp,nw_src=10.1.0.11,nw_dst=10.1.0.77,tp_src=514,tp_dst=514", "dropped"},
		"nobody is routed to it":                            {1, router, tcp("10.1.0.11", "10.1.0.77", "22"), "dropped"},
		"an endpoint with addresses still has only its own": {1, toAppliance, tcp("10.1.0.77", "10.1.0.78", "22"), "dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ofproto.ParseMatch(c.message)
			if err != nil {
				t.Fatal(err)
			}
			e := in.Model.Tenants()[0].Endpoints[map[int]int{1: 1, 2: 0}[c.from]]
			conds := append([]ofproto.Cond(m), ofproto.Is(ofproto.InPort, portOn(in, e.Port)), ofproto.IsMAC(ofproto.EthSrc, e.MAC), ofproto.IsMAC(ofproto.EthDst, hardware(t, c.to)))
			if got := outcome(sim.Send(flowsim.Of(conds...), &flowsim.Tracker{})); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestWhatIsRefusedKeepsItsAddress has the switch refuse db: what the appliance
// says with the address of an endpoint, or of the gateway, still goes nowhere.
func TestWhatIsRefusedKeepsItsAddress(t *testing.T) {
	_, in := compileFile(t, "testdata/plain.yaml")
	tenant := in.Model.Tenants()[0]
	appliance, db := tenant.Endpoints[0], tenant.Endpoints[1]
	in.Refused = map[intent.ID]bool{db.ID(): true}
	p, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"10.1.0.77": false, "10.1.0.11": true, "10.1.0.1": true} {
		m, err := ofproto.ParseMatch("arp,arp_op=1,arp_tpa=10.1.0.12,arp_spa=" + address + ",arp_sha=02:00:00:00:00:02")
		if err != nil {
			t.Fatal(err)
		}
		conds := append([]ofproto.Cond(m), ofproto.Is(ofproto.InPort, portOn(in, appliance.Port)), ofproto.IsMAC(ofproto.EthSrc, appliance.MAC), ofproto.IsMAC(ofproto.EthDst, hardware(t, "ff:ff:ff:ff:ff:ff")))
		steps := flowsim.New(p.Tables()).Send(flowsim.Of(conds...), &flowsim.Tracker{}).Steps
		if got := pipeline.Reason(steps[len(steps)-1].Regs[11]) == pipeline.Spoofed; got != want {
			t.Errorf("ARP from %s is dropped as spoofed: %v, want %v", address, got, want)
		}
	}
}
