package test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// spreadBackends is how many backends there are, all of one host.
const spreadBackends = 10

// A spreading is a load balancer and what its backends should get.
type spreading struct {
	address, algorithm string
	port               int // of the clients
	weights            []int
	// What a share may be off because slots are whole, or drawn: with rendezvous hashing a backend has as
	// many slots as come to it.
	drawn float64
}

var (
	alike   = []int{100, 100, 100, 100, 100, 100, 100, 100, 100, 100}
	unlike  = []int{100, 100, 200, 200, 300, 50, 50, 100, 100, 300}
	spreads = []spreading{
		{"203.0.113.51", "hash", 20000, alike, 0}, {"203.0.113.61", "hash", 20100, unlike, 0},
		{"203.0.113.52", "consistent", 20200, alike, 0}, {"203.0.113.62", "consistent", 20300, unlike, 0},
		{"203.0.113.53", "sourceIP", 20400, alike, 0.25}, {"203.0.113.63", "sourceIP", 20500, unlike, 0.25},
	}
)

// spreadModel has the load balancers with so many of the backends.
func spreadModel(backends int) string {
	ips := make([]string, spreadBackends)
	for i := range ips {
		ips[i] = backendIP(i)
	}
	var b strings.Builder
	for i, s := range spreads {
		var list []string
		for j := range backends {
			list = append(list, fmt.Sprintf("{endpoint: h2, ip: %s, weight: %d}", ips[j], s.weights[j]))
		}
		b.WriteString(balancer(fmt.Sprint("lb", i), fmt.Sprintf("address: %s, ports: [{port: 80, protocol: tcp}], algorithm: %s, backends: [%s]", s.address, s.algorithm, strings.Join(list, ", "))))
	}
	return natBridge + tenant("t", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("t", "h2", 2, strings.Join(ips, ", ")) +
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}") + b.String()
}

func backendIP(number int) string { return fmt.Sprintf("10.1.1.%d", 11+number) }

// clientsOf is how many clients there are, each with an address of its own. The guest that has the
// kernel's datapath is slow: 800 give the backend with the least weight 27, where chi-square wants 5, and weights that are not
// heeded make it 360. That a share of a tenth be seen as 15 % is 4.7 standard deviations away.
func clientsOf(n *ovstest.Net) int {
	if n.Kernel() {
		return 800
	}
	return 6000
}

// spread returns which backend answers each of some clients, who connect from the same ports each time. To
// another load balancer they connect from others: to a backend's host, which knows the last connection from
// a port for a minute, they are those of one client.
func spread(t *testing.T, n *ovstest.Net, out *sandbox.Host, s spreading) (by []string) {
	t.Helper()
	if _, err := n.Appctl("dpctl/flush-conntrack"); err != nil {
		t.Fatal(err)
	}
	by = make([]string, clientsOf(n))
	var next, failed atomic.Int64
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(by); i = int(next.Add(1)) - 1 {
				page, err := ask(out, fmt.Sprintf("198.51.%d.%d", i/250, 1+i%250), s.port+i%7, s.address+":80")
				if by[i] = page; err != nil && failed.Add(1) == 1 {
					t.Errorf("%s: client %d: %v", s.address, i, err)
				}
			}
		})
	}
	clients.Wait()
	if failed.Load() > 0 {
		t.Fatalf("%s: %d of %d connections failed", s.address, failed.Load(), len(by))
	}
	return by
}

// ask fetches a page from an address and a port.
func ask(h *sandbox.Host, ip string, port int, address string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ovstest.Patience)
	defer cancel()
	c, err := h.DialFrom(ctx, &net.TCPAddr{IP: net.ParseIP(ip), Port: port}, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	page, err := io.ReadAll(c)
	return string(page), err
}

// counted is how many clients each backend has.
func counted(by []string) map[string]int {
	counts := map[string]int{}
	for _, b := range by {
		counts[b]++
	}
	return counts
}

// chiSquare is how far counts are from what weights say, but for what each may be off, in squares of what chance alone
// makes of them.
func (s spreading) chiSquare(counts map[string]int, all int) (sum float64) {
	total := 0
	for _, w := range s.weights {
		total += w
	}
	for i, w := range s.weights {
		want := float64(all*w) / float64(total)
		off := float64(counts[backendIP(i)]) - want
		off = max(max(off, -off)-s.drawn*want, 0)
		sum += off * off / want
	}
	return sum
}

// rare is what chi-square with nine degrees of freedom exceeds by chance once in ten thousand times. Shares are
// whole numbers of slots, which is a part of it.
const rare = 33.7

// TestLoadIsSpreadAsWeightsSay has thousands of clients (clientsOf) connect by each algorithm, with equal weights and with others,
// and then once more when one of ten backends has left.
func TestLoadIsSpreadAsWeightsSay(t *testing.T) {
	n := ovstest.New(t)
	ips := make([]string, spreadBackends)
	for i := range ips {
		ips[i] = backendIP(i) + "/24"
	}
	h2 := n.Host("h2", mac(2), ips, "10.1.1.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	if _, err := out.Exec(t.Context(), "ip", "route", "add", "local", "198.51.0.0/16", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	n.Run(spreadModel(spreadBackends))
	for i := range spreadBackends {
		serve(t, h2, backendIP(i)+":80", backendIP(i))
	}
	before := map[string][]string{}
	for _, s := range spreads {
		by := spread(t, n, out, s)
		counts := counted(by)
		before[s.address] = by
		x := s.chiSquare(counts, len(by))
		if t.Logf("%-10s %v: chi-square %.1f, %v", s.algorithm, s.weights, x, inOrderOf(counts)); x > rare {
			t.Errorf("%s with weights %v: chi-square is %.1f", s.algorithm, s.weights, x)
		}
		if len(counts) != spreadBackends { // of few clients chi-square may not tell
			t.Errorf("%s with weights %v: %d backends have clients", s.algorithm, s.weights, len(counts))
		}
	}
	n.Weir.Apply(spreadModel(spreadBackends - 1))
	if _, err := n.Appctl("revalidator/wait"); err != nil { // a datapath may go by what it knew for a moment
		t.Fatal(err)
	}
	gone := backendIP(spreadBackends - 1)
	for _, s := range spreads {
		if s.algorithm == "hash" || s.weights[0] != s.weights[9] {
			continue // it moves as many as have others than before
		}
		moved, had := 0, 0
		for i, b := range spread(t, n, out, s) {
			switch was := before[s.address][i]; {
			case b == gone:
				t.Fatalf("%s: a client gets to a backend that has left", s.algorithm)
			case was == gone:
				had++
			case was != b:
				moved++
			}
		}
		all := len(before[s.address])
		t.Logf("%-10s %v: of %d clients %d had the backend that left, and %d others moved", s.algorithm, s.weights, all, had, moved)
		if s.algorithm == "sourceIP" && moved > 0 {
			t.Errorf("%s: %d clients moved whose backend is still there", s.algorithm, moved)
		}
		if share := float64(had+moved) / float64(all); share >= .15 {
			t.Errorf("%s: %.1f %% of the clients moved", s.algorithm, 100*share)
		}
	}
}

// inOrderOf are the counts by backend.
func inOrderOf(counts map[string]int) (all []int) {
	for _, b := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, counts[b])
	}
	return all
}
