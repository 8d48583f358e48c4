package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"weir/internal/unixctl"
	"weir/quirk"
)

// Forget removes connections by the control socket, one by one; that one is not there is no error.
// Each has to be one that quirk.Forget has a means for: what would empty a zone, or kill
// ovs-vswitchd, is refused before anything is asked.
//
// dpctl/flush-conntrack makes it easy to lose more than was meant: 3.1 and later take a
// tuple that says nothing, or a port of zero, for any; versions before 3.1 take a tuple that they
// do not understand for none at all, and empty all zones. What is written here is a zone and
// a whole tuple, always.
func (d Datapath) Forget(ctx context.Context, some ...Key) error {
	v, err := d.version(ctx)
	if err != nil {
		return err
	}
	quirks := quirk.InForce(v, d.kind != Kernel)
	for _, k := range some {
		if err := k.forgettable(quirks, d.kind != Kernel); err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
	}
	for _, k := range some {
		_, err := d.ask(ctx, "dpctl/flush-conntrack", d.flushArgs(v, k.Zone, k.tuple())...)
		if err := forgotten(err); err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
	}
	return nil
}

// FlushZone removes all connections of a zone by the control socket. Zone zero, where all is that
// nobody has given a zone, is refused.
func (d Datapath) FlushZone(ctx context.Context, zone uint16) error {
	if zone == 0 {
		return errors.New("zone 0 is everybody's: it is never emptied")
	}
	v, err := d.version(ctx)
	if err != nil {
		return err
	}
	_, err = d.ask(ctx, "dpctl/flush-conntrack", d.flushArgs(v, zone)...)
	return err
}

// version asks ovs-vswitchd what it is: "ovs-vswitchd (Open vSwitch) 3.1.0".
func (d Datapath) version(ctx context.Context) (quirk.Version, error) {
	text, err := d.ask(ctx, "version")
	if err != nil {
		return quirk.Version{}, err
	}
	first, _, _ := strings.Cut(text, "\n")
	return quirk.Parse(first[strings.LastIndex(first, " ")+1:])
}

// flushArgs returns the arguments of dpctl/flush-conntrack. 3.1 and 3.2 take no name of a
// datapath, and refuse where there are several.
func (d Datapath) flushArgs(v quirk.Version, zone uint16, tuple ...string) []string {
	args := append([]string{fmt.Sprintf("zone=%d", zone)}, tuple...)
	if v.Compare(quirk.Version{Major: 3, Minor: 1}) >= 0 && v.Compare(quirk.Version{Major: 3, Minor: 3}) < 0 {
		return args
	}
	return append([]string{d.name()}, args...)
}

// forgotten is err, unless that says that there was nothing to forget.
func forgotten(err error) error {
	var e *unixctl.Error
	if errors.As(err, &e) && strings.Contains(e.Text, "No such file or directory") {
		return nil
	}
	return err
}

// forgettable is an error unless k can be removed, and nothing else with it.
func (k Key) forgettable(quirks []quirk.Quirk, userspace bool) error {
	_, err := quirk.Forget(quirks, userspace, quirk.Target{
		Protocol: uint8(k.Protocol), SrcPort: k.Orig.SrcPort, DstPort: k.Orig.DstPort, ICMPType: k.Orig.ICMPType,
	})
	switch {
	case err != nil:
		return err
	case k.Zone == 0:
		return errors.New("in zone 0, which is everybody's")
	case k.Protocol == 0 || !k.Orig.Src.IsValid() || !k.Orig.Dst.IsValid() || k.Orig.Src.Is4() != k.Orig.Dst.Is4():
		return errors.New("not a whole tuple: others would go with it")
	case k.Orig.Src.IsUnspecified() || k.Orig.Dst.IsUnspecified():
		return errors.New("an address of zeroes stands for any: others would go with it")
	}
	return nil
}

// tuple writes k as dpctl/flush-conntrack takes it. The protocol goes first: it decides what may
// follow.
func (k Key) tuple() string {
	src, dst := "ct_nw_src", "ct_nw_dst"
	if k.Orig.Src.Is6() {
		src, dst = "ct_ipv6_src", "ct_ipv6_dst"
	}
	text := fmt.Sprintf("ct_nw_proto=%d,%s=%v,%s=%v", uint8(k.Protocol), src, k.Orig.Src, dst, k.Orig.Dst)
	switch {
	case k.Protocol == ICMP || k.Protocol == ICMPv6:
		return text + fmt.Sprintf(",icmp_type=%d,icmp_code=%d,icmp_id=%d", k.Orig.ICMPType, k.Orig.ICMPCode, k.Orig.ICMPID)
	case k.Orig.SrcPort != 0:
		return text + fmt.Sprintf(",ct_tp_src=%d,ct_tp_dst=%d", k.Orig.SrcPort, k.Orig.DstPort)
	}
	return text
}

// String returns "tcp 10.0.0.1:1024 -> 10.0.0.2:80 in zone 5".
func (k Key) String() string {
	if k.Orig.SrcPort == 0 && k.Orig.DstPort == 0 {
		return fmt.Sprintf("%v %v -> %v in zone %d", k.Protocol, k.Orig.Src, k.Orig.Dst, k.Zone)
	}
	return fmt.Sprintf("%v %v -> %v in zone %d", k.Protocol, netip.AddrPortFrom(k.Orig.Src, k.Orig.SrcPort), netip.AddrPortFrom(k.Orig.Dst, k.Orig.DstPort), k.Zone)
}
