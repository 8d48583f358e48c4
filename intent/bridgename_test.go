package intent

import (
	"strings"
	"testing"
)

// TestABridgeMayBeOfAHost reads names of bridges, with hosts and without.
func TestABridgeMayBeOfAHost(t *testing.T) {
	for name, good := range map[string]bool{
		"br0": true, "a/br0": true, "host-1.example/br-int": true,
		"/br0": false, "a/": false, "a/b/br0": false, "../br0": false, "a/..": false, ".": false, "a/" + strings.Repeat("x", maxName+1): false,
	} {
		m, err := Read(Source{Name: "m", Data: []byte(`{apiVersion: weir/v1, kind: Bridge, metadata: {name: "` + name + `"}}`)})
		switch {
		case good && (err != nil || m.Bridges()[0].Name != name):
			t.Errorf("%s: %v", name, err)
		case !good && (err == nil || !strings.Contains(err.Error(), "is no name of a bridge")):
			t.Errorf("%s: %v", name, err)
		}
	}
}
