package ovstest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"weir/api"
	"weir/intent"
	"weir/internal/reference"
)

// The judge holds what Weir says of the connections of a test against the reference: who let each be, and
// what translates it. A test gets that without asking, when it ends.
//
// A connection is not judged again when a model only lets more pass, so it may be as any model says that was in
// force since the test began.
type judge struct {
	models []*intent.Model // that were in force, each once
	texts  []string        // of models
	told   int             // connections that were right
}

// hear notes a model that comes into force. One that is refused never does.
func (d *Daemon) hear(model string) {
	if slices.Contains(d.judge.texts, model) { // a storm goes back and forth
		return
	}
	if m, err := intent.Read(intent.Source{Name: "model.yaml", Data: []byte(model)}); err == nil {
		d.judge.models, d.judge.texts = append(d.judge.models, m), append(d.judge.texts, model)
		d.n.seen.learn(m)
	}
}

// hold looks at all connections that there are.
func (n *Net) hold() {
	n.T.Helper()
	if n.Weir == nil || !n.Weir.runs() {
		return
	}
	s, err := n.Weir.Status()
	if err != nil { // a test of what is wrong with it
		return
	}
	if slices.ContainsFunc(s.Trackers, func(t api.Tracker) bool { return t.Fill.Connections > most }) {
		return // listing them takes longer than most tests
	}
	zones := map[string]uint16{}
	for _, t := range s.Tenants {
		zones[t.Name] = t.Zone
	}
	text, err := n.Weir.Tool("connections", "-o", "json")
	if err != nil {
		return
	}
	var all []api.Connection
	if err := decode(text, &all); err != nil {
		n.T.Error(err)
		return
	}
	wrong := 0
	for _, c := range all {
		if c.Zone != zones[c.Tenant] || !judged(c) || announced(c, all) {
			continue
		}
		if strings.Contains(c.NAT, "/portforward/") && n.guesses(numbers[c.Protocol]) {
			continue // whose port a later fragment is for it does not say
		}
		switch why, known := n.Weir.judge.wrong(c); {
		case why != "" && wrong < 10:
			wrong++
			n.T.Errorf("a connection does not say what let it be: %s", why)
		case why == "" && known:
			n.Weir.judge.told++
		}
	}
}

// judged reports whether a connection was admitted by policy. One that is not Weir's has no label, and what was
// stopped that of its past. What began with a datagram in fragments is without its rules, on the userspace
// datapath, until it is judged by a packet of a single frame.
func judged(c api.Connection) bool {
	inPieces := c.Epoch == 0 && c.Egress == "" && c.Ingress == ""
	return c.Label != "0x0" && !c.Blocked && !inPieces
}

// announced reports whether c has what let it be from a connection that has announced it. The kernel says so, and on the
// userspace datapath there is one with a helper between the same two.
func announced(c api.Connection, all []api.Connection) bool {
	const expected = 1 // IPS_EXPECTED
	if c.Status&expected != 0 {
		return true
	}
	return slices.ContainsFunc(all, func(p api.Connection) bool {
		same := p.Orig.Src == c.Orig.Src && p.Reply.Src == c.Reply.Src || p.Orig.Src == c.Reply.Src && p.Reply.Src == c.Orig.Src
		return p.Helper != "" && p.Zone == c.Zone && same && p.Egress == c.Egress && p.Ingress == c.Ingress && c.Helper == ""
	})
}

// wrong says what is wrong with what c says, and whether the reference knows.
func (j *judge) wrong(c api.Connection) (why string, known bool) {
	r, ok := remembered(c)
	if !ok {
		return "", false
	}
	for _, m := range slices.Backward(j.models) {
		t := m.Tenant(c.Tenant)
		if t == nil {
			continue
		}
		v, nat, ok := reference.Behind(m, t, r)
		if !ok {
			continue
		}
		known = true
		if says := (claim{c.Egress, c.Ingress, c.NAT}); says != (claim{string(v.Egress), string(v.Ingress), string(nat)}) {
			if why == "" {
				why = fmt.Sprintf("%s %s -> %s, answered by %s: it says %+v, and the reference %s by %q and %q, translated by %q", c.Protocol, c.Orig.From(), c.Orig.To(), c.Reply.From(), says, v.Result, v.Egress, v.Ingress, nat)
			}
			continue
		}
		return "", true
	}
	return why, known
}

// A claim is who lets a connection out, who lets it in, and what translates it.
type claim struct{ Egress, Ingress, NAT string }

var numbers = map[string]uint8{"icmp": reference.ICMP, "tcp": reference.TCP, "udp": reference.UDP, "icmpv6": reference.ICMPv6, "sctp": reference.SCTP}

// remembered is c as the reference is asked about it. Of SCTP without ports, on the userspace datapath, it is not.
func remembered(c api.Connection) (r reference.Remembered, ok bool) {
	number, named := numbers[c.Protocol]
	switch {
	case number == reference.SCTP && c.Orig.Dport == 0:
		return r, false
	case !named:
		n, err := strconv.ParseUint(c.Protocol, 10, 8)
		if err != nil {
			return r, false
		}
		number = uint8(n)
	}
	src, err1 := netip.ParseAddr(c.Orig.Src)
	dst, err2 := netip.ParseAddr(c.Orig.Dst)
	by, err3 := netip.ParseAddr(c.Reply.Src)
	to, err4 := netip.ParseAddr(c.Reply.Dst)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return r, false
	}
	opened := reference.Packet{Src: src, Dst: dst, Protocol: number, SrcPort: c.Orig.Sport, DstPort: c.Orig.Dport, Type: c.Orig.Type, Code: c.Orig.Code}
	return reference.Remembered{Opened: opened, AnsweredBy: by, AnswerPort: c.Reply.Sport, AnsweredTo: to}, true
}
