package test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestOF14FragmentedPingThroughAStatefulZone pings with more than a frame holds: the tracker
// puts the fragments together, and sees one connection for each run.
func TestOF14FragmentedPingThroughAStatefulZone(t *testing.T) {
	n, h1, _ := pair(t)
	w := n.Run(pairModel("") + forH2("{name: ping, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: icmp}"))
	zone := w.Zone("t")
	for i, size := range []int{1600, 3200} {
		pingsWith(t, h1, "10.1.1.2", size, 3, 3)
		if all := ovstest.Protocol(n.Entries(zone), "icmp"); len(all) != i+1 {
			t.Errorf("%d entries after %d runs: %+v", len(all), i+1, all)
		}
	}
	if n.Kernel() {
		return // it counts fragments elsewhere
	}
	status, err := n.Appctl("dpctl/ipf-get-status")
	if err != nil {
		t.Fatal(err)
	}
	accepted, completed, expired := count(t, status, "v4 frags accepted"), count(t, status, "v4 frags completed"), count(t, status, "v4 frags expired")
	// There and back, three times, 1600 bytes in two and 3200 in three; and the two packets that
	// open a connection once more, to be committed.
	const looked = 2*3*(2+3) + (2 + 3)
	if accepted != looked || completed != looked || expired != 0 {
		t.Errorf("%d fragments accepted, %d completed, %d expired; want %d, all completed", accepted, completed, expired, looked)
	}
}

// pingsWith fails the test unless so many of n echo requests of a size are answered.
func pingsWith(t *testing.T, h *sandbox.Host, to string, size, n, want int) {
	t.Helper()
	out, err := h.Exec(context.Background(), "ping", "-n", "-c", strconv.Itoa(n), "-i", "0.2", "-W", "1", "-s", strconv.Itoa(size), to)
	if m := regexp.MustCompile(`(\d+) received`).FindStringSubmatch(out); m == nil || m[1] != strconv.Itoa(want) {
		t.Fatalf("%s pings %s with %d bytes: %v: %s", h.Name, to, size, err, out)
	}
}

// count reads a number out of a text: "NAME: 30".
func count(t *testing.T, text, name string) (number int) {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(name) + `: (\d+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %q in %q", name, text)
	}
	fmt.Sscan(m[1], &number)
	return number
}
