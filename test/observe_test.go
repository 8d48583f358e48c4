package test

import (
	"encoding/json"
	"fmt"

	"slices"
	"strings"
	"testing"
	"time"

	"weir/api"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/test/ovstest"
)

// observed returns weir observe.
func observed(t *testing.T, w *ovstest.Daemon, args ...string) (all []api.Observation) {
	t.Helper()
	text, err := w.Tool(append([]string{"observe", "-o", "json"}, args...)...)
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// reports waits until so many reports of a rule have come, and returns them.
func reports(t *testing.T, w *ovstest.Daemon, rule string, n int) (some []api.Observation) {
	t.Helper()
	ovstest.Eventually(t, "reports of "+rule, func() error {
		all := observed(t, w, "-t", "t")
		some = slices.DeleteFunc(slices.Clone(all), func(o api.Observation) bool { return o.Rule != rule })
		if len(some) < n {
			return fmt.Errorf("%d of %d: %+v", len(some), n, all)
		}
		return nil
	})
	return some
}

// TestWhatRulesReportIsObserved has each kind of verdict reported, once for each connection.
func TestWhatRulesReportIsObserved(t *testing.T) {
	n, h1, h2 := dual(t)
	model := func(spec string) string {
		return dualModel(spec, forH2(
			"{name: web, direction: ingress, action: allow, protocol: tcp, ports: [80], log: new}",
			"{name: silent, direction: ingress, action: allow, protocol: tcp, ports: [81]}",
			"{name: no, direction: ingress, action: deny, protocol: udp, ports: [7], log: new}",
			"{name: refused, direction: ingress, action: reject, protocol: tcp, ports: [443], log: new}"))
	}
	w := n.Run(model(""))
	echo(t, h2, "10.1.1.2:80")
	echo(t, h2, "[fd00::2]:80")
	echo(t, h2, "10.1.1.2:81")
	talk(t, h1, "10.1.1.2:80")
	talk(t, h1, "[fd00::2]:80")
	talk(t, h1, "10.1.1.2:81")
	shout(t, h1, "10.1.1.2:7")
	refusedTCP(t, h1, "10.1.1.2:443")

	web := reports(t, w, "t/policy/h2/web", 2)
	if o := web[0]; len(web) != 2 || o.Verdict != "allowed" || o.Protocol != "tcp" || o.Src != "10.1.1.1" || o.Target() != "10.1.1.2:80" || o.Sport == 0 ||
		o.From != "t/endpoint/h1" || o.To != "t/endpoint/h2" || o.Egress != "t/default/egress" || o.Bridge != "br0" || o.Why != "" || time.Since(o.At) > time.Minute {
		t.Errorf("%+v", web)
	}
	if o := web[1]; o.Target() != "[fd00::2]:80" {
		t.Errorf("%+v", o)
	}
	if o := reports(t, w, "t/policy/h2/no", 1)[0]; o.Verdict != "denied" || o.Why != "denied by a rule" || o.Dport != 7 {
		t.Errorf("%+v", o)
	}
	if o := reports(t, w, "t/policy/h2/refused", 1)[0]; o.Verdict != "rejected" {
		t.Errorf("%+v", o)
	}
	if all := observed(t, w); len(all) != 4 {
		t.Errorf("%d reports: %+v", len(all), all)
	}
	if all := observed(t, w, "--verdict", "denied"); len(all) != 1 {
		t.Errorf("%d that were denied", len(all))
	}

	w.Apply(model("mode: audit"))
	shout(t, h1, "10.1.1.2:7")
	if o := reports(t, w, "t/policy/h2/no", 2)[1]; o.Verdict != "audited" {
		t.Errorf("%+v", o)
	}
	text, err := w.Tool("observe")
	if err != nil || !strings.HasPrefix(text, "TIME") || !strings.Contains(text, "rejected  t       tcp") {
		t.Errorf("%s, %v", text, err)
	}
}

// shout sends one datagram to where nobody hears it.
func shout(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
}

// TestReportsHoldNothingUp sends 1,000 datagrams, each a connection, through a rule that
// samples: all arrive, and few are reported. The meter is deleted behind the daemon's back
// meanwhile, and then there still are few.
func TestReportsHoldNothingUp(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2("{name: udp, direction: ingress, action: allow, protocol: udp, log: sampled}"))
	for _, round := range []string{"at first", "after its meter was deleted and repaired"} {
		before := len(observed(t, w))
		arrivals(t, h1, h2, "10.1.1.2", 500, 500, allOf(500))
		reports(t, w, "t/policy/h2/udp", before+1)
		got := len(observed(t, w)) - before
		t.Logf("%s: %d of 500 connections in a second are reported", round, got)
		if got > 30 {
			t.Errorf("%s: %d reports in a second or two; 5 a second are let pass", round, got)
		}
		session := n.Session()
		if err := session.Do(t.Context(), ofproto.MeterMod{Command: 2, Meter: ofproto.MeterConfig{ID: sampling(t, session)}}); err != nil {
			t.Fatal(err)
		}
		ovstest.Eventually(t, "the meter is there again", func() error {
			if s, err := w.Status(); err != nil || s.Bridges[0].Drift.Repairs == 0 {
				return fmt.Errorf("not repaired yet, %v", err)
			}
			return nil
		})
	}
}

// sampling returns the number of the meter that lets 5 packets a second pass.
func sampling(t *testing.T, c *ofconn.Conn) uint32 {
	t.Helper()
	have, err := c.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range have.Meters {
		if m.Bands[0].Rate == 5 {
			return m.ID
		}
	}
	t.Fatal("no meter samples")
	return 0
}
