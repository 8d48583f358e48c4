package intent

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A message is a type of ICMP message with the codes that have a name.
type message struct {
	number uint8
	codes  map[string]uint8
}

// messages are the types that have a name, by protocol (IANA, ICMP and ICMPv6
// parameters). Those of neighbour discovery and multicast listeners are there to be told
// from what is misspelt: no rule judges them.
var messages = map[Protocol]map[string]message{
	ICMP: {
		"echo-reply": {0, nil},
		"destination-unreachable": {3, map[string]uint8{
			"network-unreachable": 0, "host-unreachable": 1, "protocol-unreachable": 2, "port-unreachable": 3,
			"fragmentation-needed": 4, "source-route-failed": 5, "network-unknown": 6, "host-unknown": 7,
			"network-prohibited": 9, "host-prohibited": 10, "communication-prohibited": 13,
		}},
		"source-quench":        {4, nil},
		"redirect":             {5, map[string]uint8{"network-redirect": 0, "host-redirect": 1}},
		"echo-request":         {8, nil},
		"router-advertisement": {9, nil}, "router-solicitation": {10, nil},
		"time-exceeded":     {11, map[string]uint8{"ttl-exceeded": 0, "reassembly-timeout": 1}},
		"parameter-problem": {12, map[string]uint8{"bad-header": 0, "missing-option": 1, "bad-length": 2}},
		"timestamp-request": {13, nil}, "timestamp-reply": {14, nil},
		"information-request": {15, nil}, "information-reply": {16, nil},
		"address-mask-request": {17, nil}, "address-mask-reply": {18, nil},
	},
	ICMPv6: {
		"destination-unreachable": {1, map[string]uint8{
			"no-route": 0, "communication-prohibited": 1, "beyond-scope": 2, "address-unreachable": 3,
			"port-unreachable": 4, "failed-policy": 5, "reject-route": 6,
		}},
		"packet-too-big":    {2, nil},
		"time-exceeded":     {3, map[string]uint8{"hop-limit-exceeded": 0, "reassembly-timeout": 1}},
		"parameter-problem": {4, map[string]uint8{"bad-header": 0, "unknown-header-type": 1, "unknown-option": 2}},
		"echo-request":      {128, nil}, "echo-reply": {129, nil},
		"listener-query": {130, nil}, "listener-report": {131, nil}, "listener-done": {132, nil},
		"router-solicitation": {133, nil}, "router-advertisement": {134, nil},
		"neighbour-solicitation": {135, nil}, "neighbour-advertisement": {136, nil},
		"redirect": {137, nil}, "listener-report-v2": {143, nil},
	},
}

// typeNamed returns the type of a name or a number, or says why there is none.
func typeNamed(name string, p Protocol, known map[string]message) (m message, why, hint string) {
	if m, ok := known[name]; ok {
		return m, "", ""
	}
	if isNumber(name) {
		number, err := strconv.ParseUint(name, 10, 8)
		if err != nil {
			return m, name + " is no type: types go up to 255", ""
		}
		return messageOf(known, uint8(number)), "", ""
	}
	for other, types := range messages {
		if _, ok := types[name]; ok {
			return m, fmt.Sprintf("%s is a type of %s, and the rule's protocol is %s", name, other, p), ""
		}
	}
	return m, fmt.Sprintf("%q is no type of %s: want a number, or one of %s", name, p, strings.Join(slices.Sorted(maps.Keys(known)), ", ")), meant(name, maps.Keys(known))
}

// messageOf returns the message of a number, with the codes that are known of it.
func messageOf(known map[string]message, number uint8) message {
	for _, m := range known {
		if m.number == number {
			return m
		}
	}
	return message{number: number}
}

// code returns the code of a name or a number.
func (m message) code(s string) (uint8, bool) {
	if c, ok := m.codes[s]; ok {
		return c, true
	}
	v, err := strconv.ParseUint(s, 10, 8)
	return uint8(v), err == nil
}

// knownCodes says which codes m has.
func (m message) knownCodes() string {
	if len(m.codes) == 0 {
		return ": want a number up to 255"
	}
	return ": want a number up to 255, or one of " + strings.Join(slices.Sorted(maps.Keys(m.codes)), ", ")
}

// isDiscovery reports whether an ICMPv6 type is one of neighbour discovery or of
// multicast listeners (RFC 4861, 2710, 3810). These are judged port by port.
func isDiscovery(t uint8) bool { return t >= 130 && t <= 137 || t == 143 }
