package quirk

import (
	"strings"
	"testing"
)

func TestOneConnectionIsForgottenBySafeMeansOnly(t *testing.T) {
	ports := Target{Protocol: tcp, SrcPort: 1, DstPort: 2}
	for name, c := range map[string]struct {
		version   string
		userspace bool
		target    Target
		want      Means // empty: none
		why       string
	}{
		"tcp by OpenFlow from 3.1 on":            {"3.1.0", true, ports, ByOpenFlow, ""},
		"tcp by the control socket before":       {"3.0.9", true, ports, ByControl, ""},
		"of the kernel, the same":                {"2.17.0", false, ports, ByControl, ""},
		"a version that is not known":            {"", true, ports, ByControl, ""},
		"no port at one end":                     {"3.7.1", true, Target{Protocol: udp, DstPort: 2}, "", "port of zero"},
		"no port at the other, of the kernel":    {"3.1.0", false, Target{Protocol: tcp, SrcPort: 2}, "", "port of zero"},
		"a protocol without ports":               {"3.1.0", true, Target{Protocol: 47}, ByOpenFlow, ""},
		"a protocol without ports of the kernel": {"3.1.0", false, Target{Protocol: 47}, "", "IP protocol 47"},
		"sctp of the kernel":                     {"3.7.0", false, Target{Protocol: sctp, SrcPort: 1, DstPort: 2}, "", "IP protocol 132"},
		"sctp of the userspace datapath":         {"3.1.0", true, Target{Protocol: sctp}, ByOpenFlow, ""},
		"sctp of it, once it knows ports":        {"3.2.0", true, Target{Protocol: sctp, SrcPort: 1, DstPort: 2}, ByOpenFlow, ""},
		"sctp of it with ports of zero":          {"3.2.0", true, Target{Protocol: sctp}, "", "port of zero"},
		"sctp with one port":                     {"3.1.0", true, Target{Protocol: sctp, SrcPort: 1}, "", "port of zero"},
		"a ping":                                 {"3.1.0", true, Target{Protocol: icmp, ICMPType: 8}, ByOpenFlow, ""},
		"a type without answers":                 {"3.7.1", true, Target{Protocol: icmp, ICMPType: 3}, "", "ICMP type 3 kills"},
		"a question for the mask, of the kernel": {"3.1.0", false, Target{Protocol: icmp, ICMPType: 17}, ByOpenFlow, ""},
		"icmpv6 before its fix":                  {"3.1.4", true, Target{Protocol: icmpv6, ICMPType: 128}, "", "flush-icmpv6"},
		"icmpv6 after it":                        {"3.1.5", true, Target{Protocol: icmpv6, ICMPType: 128}, ByOpenFlow, ""},
		"icmpv6 after it, without an answer":     {"3.1.5", true, Target{Protocol: icmpv6, ICMPType: 135}, "", "ICMP type 135 kills"},
		"icmpv6 of the kernel":                   {"3.1.0", false, Target{Protocol: icmpv6, ICMPType: 128}, ByOpenFlow, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := Parse(c.version)
			if err != nil && c.version != "" {
				t.Fatal(err)
			}
			got, err := Forget(InForce(v, c.userspace), c.userspace, c.target)
			if got != c.want || (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
