package reference_test

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"weir/intent"
	"weir/internal/reference"
)

func example(t *testing.T, name string) *intent.Model {
	t.Helper()
	data, err := os.ReadFile("../../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := intent.Read(intent.Source{Name: name, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAClassHasOneFate draws packets to and from addresses and ports around those of the examples: what may become of one
// may become of what stands for its class, and of nothing else.
func TestAClassHasOneFate(t *testing.T) {
	for _, name := range []string{"tenant.yaml", "nat.yaml", "balancer.yaml", "inside-outside.yaml", "firewall.yaml"} {
		m := example(t, name)
		var c reference.Classes
		c.Learn(m)
		dice := rand.New(rand.NewPCG(1, 2))
		few := map[reference.Packet]bool{}
		for range 3000 {
			f := drawn(m, dice)
			of := f
			of.Packet = c.Of(f.Packet)
			few[of.Packet] = true
			got, want := reference.FateOf(m, of), reference.FateOf(m, f)
			if got.Passes != want.Passes || got.Admits != want.Admits || !reflect.DeepEqual(got.Causes, want.Causes) {
				t.Fatalf("%s: %+v: %+v, and of its class, %+v: %+v", name, f, want, of.Packet, got)
			}
			if again := c.Of(of.Packet); again != of.Packet {
				t.Fatalf("%+v stands for its class, and %+v for that", of.Packet, again)
			}
		}
		t.Logf("%s: %d classes of 3000 packets", name, len(few))
	}
}

// drawn is a frame at or beside addresses that a model has.
func drawn(m *intent.Model, dice *rand.Rand) reference.Frame {
	var ports []string
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2001:db8:ffff::1"), netip.MustParseAddr("224.0.0.5")}
	numbers := []uint16{22, 80, 443, 1024, 2222, 5432, 40000}
	for _, b := range m.Bridges() {
		for _, x := range b.Externals {
			ports = append(ports, x.Port)
			for _, s := range x.Subnets {
				addrs = append(addrs, s.CIDR.Addr().Next())
			}
		}
	}
	for _, t := range m.Tenants() {
		for _, e := range t.Endpoints {
			ports, addrs = append(ports, e.IfaceID), append(addrs, e.IPs...)
		}
		for _, s := range t.SNATs {
			for _, p := range s.Pools {
				addrs = append(addrs, p.Ranges[0].Lo)
			}
		}
		for _, f := range t.FloatingIPs {
			addrs = append(addrs, f.Address)
		}
		for _, f := range t.PortForwards {
			addrs, numbers = append(addrs, f.Address), append(numbers, f.Ports.Lo, f.ToPorts.Hi)
		}
		for _, l := range t.LoadBalancers {
			addrs = append(addrs, l.Address)
		}
	}
	near := func(a netip.Addr) netip.Addr {
		for range dice.IntN(3) {
			a = a.Next()
		}
		return a
	}
	f := reference.Frame{Port: ports[dice.IntN(len(ports))], Router: dice.IntN(3) > 0, Opens: dice.IntN(2) == 0, Life: 3}
	f.Protocol = []uint8{reference.TCP, reference.UDP, reference.SCTP, 47}[dice.IntN(4)]
	f.Src = near(addrs[dice.IntN(len(addrs))])
	for f.Dst = near(addrs[dice.IntN(len(addrs))]); f.Dst.Is4() != f.Src.Is4(); {
		f.Dst = near(addrs[dice.IntN(len(addrs))])
	}
	if f.Protocol != 47 {
		f.SrcPort, f.DstPort = numbers[dice.IntN(len(numbers))]+uint16(dice.IntN(3)), numbers[dice.IntN(len(numbers))]+uint16(dice.IntN(3))
	}
	for _, t := range m.Tenants() {
		for _, e := range t.Endpoints {
			if e.IfaceID == f.Port || dice.IntN(4) == 0 && !f.Router {
				f.By = e.MAC
			}
			if !f.Router && dice.IntN(3) == 0 {
				f.For = e.MAC
			}
		}
	}
	return f
}
