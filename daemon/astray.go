package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"weir/controller"
	"weir/intent"
	"weir/ovsdb"
)

// astray returns what the database says of a bridge that is not as Attach leaves it.
func astray(b ovsdb.Bridge, target string) (wrong []controller.Drift) {
	add := func(what, was, is string) {
		change := "changed"
		if is == "" {
			change = "deleted"
		}
		wrong = append(wrong, controller.Drift{What: what, Change: change, Was: was, Is: is})
	}
	if is := targets(b); is != target {
		add("controller", target, is)
	}
	if b.FailMode != "secure" {
		add("failMode", "secure", b.FailMode)
	}
	if !slices.Contains(b.Protocols, "OpenFlow13") {
		add("protocols", "OpenFlow13", strings.Join(b.Protocols, ","))
	}
	return wrong
}

// targets returns the controllers of a bridge.
func targets(b ovsdb.Bridge) string {
	var all []string
	for _, c := range b.Controllers {
		all = append(all, c.Target)
	}
	return strings.Join(all, ",")
}

// reattach makes the database say what it should. If the bridge was ours already somebody has
// changed it, and that is told; whoever changes it again at once makes it take longer. wrong
// is what is known to be otherwise, and may be out of date.
func (k *keeper) reattach(ctx context.Context, bridge string, s *site, target string, wrong []controller.Drift) error {
	s.truce = s.fights.Due(things(wrong))
	if wait := time.Until(s.truce); wait > 0 {
		return fmt.Errorf("somebody sets %s of %s again as soon as it is repaired, to %q: it is repaired again in %v",
			wrong[0].What, bridge, wrong[0].Is, wait.Round(100*time.Millisecond))
	}
	began := time.Now()
	was, err := s.at.db.Attach(ctx, s.name, target)
	if err != nil || was == nil {
		return err
	}
	k.log.WithFields(logrus.Fields{"bridge": bridge, "controller": target}).Info("attached")
	if !s.attached {
		return nil
	}
	return k.repaired(ctx, bridge, s, astray(*was, target), began)
}

// repaired tells of what somebody had changed.
func (k *keeper) repaired(ctx context.Context, bridge string, s *site, wrong []controller.Drift, began time.Time) error {
	for _, what := range s.fights.Repaired(things(wrong), began) {
		k.log.WithField("bridge", bridge).WithField("what", what).Warn("somebody changes this again as soon as it is repaired: from now on it is repaired less and less often, down to every 10 s")
	}
	for i := range wrong {
		wrong[i].At, wrong[i].After, wrong[i].Intent = began, time.Since(began), intent.ID("bridge/"+bridge)
	}
	return k.ctl.Drifted(ctx, bridge, wrong...)
}

// things are what was changed.
func things(wrong []controller.Drift) (all []string) {
	for _, d := range wrong {
		all = append(all, d.What)
	}
	return all
}
