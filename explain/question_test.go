package explain

import (
	"errors"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
)

const askedModel = `
apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec: {external: {network: public, port: up, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}]}}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: t}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: t}
spec: {subnets: [{cidr: 10.1.1.0/24, gateway: 10.1.1.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web-1, tenant: t, labels: {tier: web}}
spec: {network: lan, bind: {ifaceID: web-1}, mac: "02:00:00:00:00:01", ips: [10.1.1.11]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: db-1, tenant: t, labels: {tier: db}}
spec: {network: lan, bind: {ifaceID: db-1}, mac: "02:00:00:00:00:02", ips: [10.1.1.12]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: plain, tenant: t}
spec: {network: lan, bind: {ifaceID: plain}, mac: "02:00:00:00:00:03"}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: u}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: u}
spec: {subnets: [{cidr: 10.1.1.0/24}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web-1, tenant: u}
spec: {network: lan, bind: {ifaceID: other}, mac: "02:00:00:00:00:04", ips: [10.1.1.11]}
`

func asked(t testing.TB) (*intent.Model, []Site) {
	t.Helper()
	m, err := intent.Read(intent.Source{Name: "m.yaml", Data: []byte(askedModel)})
	if err != nil {
		t.Fatal(err)
	}
	return m, []Site{{"br0", []pipeline.Port{{Name: "a", IfaceID: "web-1", OFPort: 1}, {Name: "b", IfaceID: "db-1", OFPort: 2}, {Name: "c", IfaceID: "plain", OFPort: 3}, {Name: "up", OFPort: 4}}}}
}

func TestQuestionsBecomePackets(t *testing.T) {
	m, sites := asked(t)
	for text, want := range map[string]string{
		"tcp t/web-1 -> db-1:5432":           "tcp,in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.1.1.11,nw_dst=10.1.1.12,nw_ttl=64,tcp_src=40000,tcp_dst=5432,tcp_flags=syn",
		"udp  db-1:7   8.8.8.8:53":           "udp,in_port=2,dl_src=02:00:00:00:00:02,dl_dst=02:77:65:69:72:01,nw_src=10.1.1.12,nw_dst=8.8.8.8,nw_ttl=64,udp_src=7,udp_dst=53",
		"icmp db-1 -> 10.1.1.1":              "icmp,in_port=2,dl_src=02:00:00:00:00:02,dl_dst=02:77:65:69:72:01,nw_src=10.1.1.12,nw_dst=10.1.1.1,nw_ttl=64,icmp_type=8,icmp_code=0",
		"icmp:3/4 db-1 -> 10.1.1.1":          "icmp,in_port=2,dl_src=02:00:00:00:00:02,dl_dst=02:77:65:69:72:01,nw_src=10.1.1.12,nw_dst=10.1.1.1,nw_ttl=64,icmp_type=3,icmp_code=4",
		"89 10.1.1.12 -> 10.1.1.99":          "ip,in_port=2,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:ff:ff:fe,nw_src=10.1.1.12,nw_dst=10.1.1.99,nw_proto=89,nw_ttl=64",
		"tcp outside -> 203.0.113.9:80":      "tcp,in_port=4,dl_src=02:00:00:ff:ff:fd",
		"tcp outside/1.2.3.4 203.0.113.9:80": "nw_src=1.2.3.4,nw_dst=203.0.113.9",
		"tcp outside/1.2.3.4:99 1.2.3.5:80":  "tcp_src=99,tcp_dst=80",
		"sctp db-1 -> t/web-1:9":             "sctp_src=40000,sctp_dst=9",
	} {
		q, err := ParseQuestion(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		s, err := Send(m, sites, q)
		if got := s.packet.String(); err != nil || !containsAll(got, want) {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

// containsAll reports whether a packet has all fields of another one.
func containsAll(packet, fields string) bool {
	for f := range strings.SplitSeq(fields, ",") {
		if !strings.Contains(","+packet+",", ","+f+",") {
			return false
		}
	}
	return true
}

func TestMistakesInQuestionsShowTheirPlace(t *testing.T) {
	m, sites := asked(t)
	for text, want := range map[string]string{
		"":                               "it says no protocol, no source and no target",
		"tcp db-1":                       "it says no target\n    tcp db-1\n            ^",
		"tcp web-1 -":                    "the shell has taken the > of the arrow",
		"tcp db-1 -> web-1:80 now":       `"now" is one word too many`,
		"tpc db-1 -> db-1:80":            "\"tpc\" is no protocol\n    tpc db-1 -> db-1:80\n    ^^^",
		"tcp:3 db-1 -> db-1:80":          "tcp has no types",
		"icmp:x db-1 -> db-1":            `"x" is no type of icmp`,
		"tcp db-1 -> db-1:http":          `"http" is no port`,
		"tcp db-1 -> :80":                "neither a name nor an address",
		"tcp db-1 -> outside/1.2.3.4:80": "only a source says outside/",
		"tcp bd-1 -> db-1:80":            "there is no endpoint \"bd-1\"\n    tcp bd-1 -> db-1:80\n        ^^^^\n    did you mean \"db-1\"?",
		"tcp db-1 -> bd-1:80":            "did you mean \"db-1\"?",
		"tcp web-1 -> db-1:80":           "2 are meant by \"web-1\"\n    tcp web-1 -> db-1:80\n        ^^^^^\n    say which: t/web-1, u/web-1",
		"tcp 10.1.1.11 -> db-1:80":       `2 are meant by "10.1.1.11"`,
		"tcp 10.1.1.77 -> db-1:80":       "no endpoint has 10.1.1.77",
		"tcp db-1 -> t/web-1":            "it says no port",
		"icmp db-1 -> t/web-1:80":        "the protocol has no ports",
		"tcp db-1 -> [fd00::1]:80":       "has no address of the family",
		"icmpv6 db-1 -> 10.1.1.1":        "10.1.1.1 has no such protocol",
		"tcp plain -> db-1:80":           "it is a plain port: say with --as",
		"tcp u/web-1 -> 10.1.1.9:1":      "is at no bridge that is connected",
		"tcp outside/x -> db-1:80":       "neither a name nor an address",
	} {
		q, err := ParseQuestion(text)
		if err == nil {
			_, err = Send(m, sites, q)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func FuzzParseQuestion(f *testing.F) {
	for _, s := range []string{"tcp a -> b:80", "icmp:3/4 t/a -> [fd00::1]", "udp outside/1.2.3.4:5 b", "89 a b", "tcp a - b", "\t ->"} {
		f.Add(s)
	}
	m, sites := asked(f)
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuestion(text)
		var mistake *Mistake
		if err != nil {
			if !errors.As(err, &mistake) || mistake.At < 0 || mistake.At > len(text) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if s, err := Send(m, sites, q); err == nil && (s.Port == 0 || !s.Src.IsValid() || s.Src.Is4() != s.Dst.Is4()) {
			t.Errorf("%q is sent as %s", text, s.packet.String())
		}
	})
}
