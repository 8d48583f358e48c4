package ofconn

import (
	"errors"
	"testing"

	"weir/internal/sandbox/sandboxtest"
	"weir/ofproto"
)

// rivals returns two sessions of two controllers with one switch.
func rivals(t *testing.T) (a, b *Conn) {
	t.Helper()
	box := sandboxtest.Rootless(t, "br")
	doors := []*Listener{listenOn(t, "ptcp:0:127.0.0.1", Config{}), listenOn(t, "ptcp:0:127.0.0.1", Config{})}
	must2(t)(box.Vsctl("set-controller", "br", "tcp:"+doors[0].Addr().String(), "tcp:"+doors[1].Addr().String()))
	var both []*Conn
	for _, l := range doors {
		c, err := l.Accept(t.Context())
		must(t, err)
		t.Cleanup(func() { c.Close() })
		both = append(both, c)
	}
	return both[0], both[1]
}

// take becomes the primary controller.
func take(t *testing.T, c *Conn, generation uint64) {
	t.Helper()
	r, err := c.Role(t.Context(), ofproto.RolePrimary, generation)
	if err != nil || r.Role != ofproto.RolePrimary || r.Generation != generation {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestWhoTakesTheRoleFencesTheOneThatHadIt(t *testing.T) {
	old, young := rivals(t)
	take(t, old, 1)
	flow := func(cookie uint64) ofproto.Plan {
		return ofproto.Plan{PutFlows: []ofproto.Flow{{Table: 4, Priority: uint16(cookie), Cookie: cookie}}}
	}
	must(t, old.Apply(t.Context(), flow(1)))

	late := flow(2) // is on its way when the role is taken
	s, forget := old.span(1, bundleControls)
	defer forget()
	open := &bundle{span: s, id: s.first, messages: messagesOf(late)}
	must(t, open.open(t.Context()))
	must(t, open.fill(t.Context(), 0))
	take(t, young, 2)
	if err := open.commit(t.Context()); !errors.Is(err, ofproto.OFPBRC_IS_SECONDARY) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("the commit of what was open: %v", err)
	}
	for name, err := range map[string]error{
		"a bundle":        old.Apply(t.Context(), flow(3)),
		"batches":         old.ApplyInBatches(t.Context(), flow(4)),
		"an older claim":  staleClaim(t, old),
		"a probe of ours": probeError(t, old),
	} {
		if !errors.Is(err, ofproto.OFPBRC_IS_SECONDARY) && !errors.Is(err, ofproto.OFPRRFC_STALE) {
			t.Errorf("%s of the one that was fenced: %v", name, err)
		}
	}
	must(t, young.Apply(t.Context(), flow(5)))
	have := tablesOf(t, old) // reading is free
	if len(have.Flows) != 2 || have.Flows[0].Cookie+have.Flows[1].Cookie != 1+5 {
		t.Errorf("there are %v", have.Flows)
	}
	if r, err := old.Role(t.Context(), ofproto.RoleNoChange, 0); err != nil || r.Role != ofproto.RoleSecondary {
		t.Errorf("the old one is %+v, %v", r, err)
	}
}

func staleClaim(t *testing.T, c *Conn) error {
	_, err := c.Role(t.Context(), ofproto.RolePrimary, 1)
	return err
}

func probeError(t *testing.T, c *Conn) error {
	_, err := c.Probe(t.Context())
	return err
}

func TestTheOneThatIsFencedIsTold(t *testing.T) {
	old, young := rivals(t)
	take(t, old, 1)
	must(t, old.Do(t.Context(), ofproto.NXSetAsync2{Masks: []ofproto.AsyncMask{{Type: 6, Mask: 7}, {Type: 7, Mask: 7}}}))
	take(t, young, 2)
	if s, ok := soon(t, old.Events()).(ofproto.RoleStatus); !ok || s.Role != ofproto.RoleSecondary || s.Generation != 2 {
		t.Errorf("%+v", s)
	}
}
