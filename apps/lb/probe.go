package lb

import "weir/apps/pipeline"

// The ports from which backends are asked how they are (package health).
const (
	probesFrom = 0xf000
	probesMask = 0xfc00
)

// answers has the answers of backends sent to who asks how they are.
func answers(b *pipeline.Builder, t *pipeline.TenantSite, l *pipeline.BalancerSite) {
	if l.Asked != nil {
		b.Answered(t, *l.Asked, probesFrom, probesMask)
	}
}
