package lb

import (
	"testing"

	"weir/health"
)

func TestAnswersComeToThePortsThatAreAskedFrom(t *testing.T) {
	if probesFrom != health.FirstPort || probesMask != health.PortMask {
		t.Errorf("answers to %#x/%#x are sent on, and questions come from %#x/%#x", probesFrom, probesMask, health.FirstPort, health.PortMask)
	}
}
