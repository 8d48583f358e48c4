package health

import "weir/intent"

// packets is how many packets the answer to a check comes in, at most; those that are for load are
// answered as those of HTTP are.
func packets(c Check) float64 {
	switch c.Health.Type {
	case intent.CheckTCP, intent.CheckICMP:
		return 1
	case intent.CheckUDP:
		return 2
	}
	return 4
}

// Stretch has the checks of lists asked less often, each by the same factor, which it returns, so that answers to
// them come in perSecond packets at most. What would be more is lost, and backends that are well
// would be taken for such as are not. A factor of 1 changes nothing.
func Stretch(perSecond float64, lists ...map[Key]Check) (factor float64) {
	demand, counted := 0.0, map[string]bool{}
	for _, checks := range lists {
		for _, c := range checks {
			if k := c.key(); !counted[k] {
				counted[k] = true
				demand += packets(c) / c.interval().Seconds()
			}
		}
	}
	if demand <= perSecond {
		return 1
	}
	factor = demand / perSecond
	for _, checks := range lists {
		for k, c := range checks {
			c.Health.Interval = intent.Duration(float64(c.interval()) * factor)
			checks[k] = c
		}
	}
	return factor
}
