package main

import (
	"strings"
	"testing"
)

// TestWhatAHostLacksIsSaid starts hosts that lack something: each says what, and what to do.
func TestWhatAHostLacksIsSaid(t *testing.T) {
	need(t)
	for _, c := range []struct {
		name string
		args []string // of docker run
		want []string
	}{
		{"no NET_ADMIN", []string{"--cap-drop", "NET_ADMIN", "--device", "/dev/net/tun"}, []string{"lacks NET_ADMIN", "--cap-add NET_ADMIN"}},
		{"no NET_RAW", []string{"--cap-drop", "NET_RAW", "--cap-add", "NET_ADMIN", "--device", "/dev/net/tun"}, []string{"lacks NET_RAW", "--cap-add NET_RAW"}},
		{"not root's other powers", []string{"--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--device", "/dev/net/tun"}, []string{"lacks CHOWN", "--cap-add CHOWN"}},
		{"no /dev/net/tun", []string{"--cap-drop", "MKNOD", "--cap-add", "NET_ADMIN"}, []string{"there is no /dev/net/tun", "--device /dev/net/tun", "10:200 rwm"}},
		{"not root", []string{"--user", "weir", "--cap-add", "NET_ADMIN"}, []string{"lacks NET_ADMIN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := docker(append(append([]string{"run", "--rm", "--network", "none"}, c.args...), "weir-ovs:local")...)
			if err == nil {
				t.Errorf("it has started: %s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q: %s", want, out)
				}
			}
		})
	}
}
