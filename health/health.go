// Package health finds out whether the backends of load balancers are well, by asking them.
//
// A Monitor asks: each backend at its own times, so that thousands are not asked at one
// moment, and says of each when it has become well and when it is not any more. How a backend
// is asked is a Prober's business: it is a TCP/IP stack with the gateways' addresses of one
// network, whose packets leave and arrive by whatever its owner has, and need no address, no
// route and no socket of the host.
//
// A backend that nobody has heard of is not well: the first good answer makes it so. One that
// has failed needs as many good answers in a row as its check says, and more of them each time
// that it has failed again soon after.
package health

import (
	"fmt"
	"net/netip"
	"time"

	"weir/intent"
)

// A Check is how one backend is asked.
type Check struct {
	Tenant  string         // whose it is: another one may have the same addresses
	Source  netip.Addr     // from which it is asked: its gateway's
	Backend netip.AddrPort // its address and the port; of ICMP port 0
	Health  intent.Health
}

// key is the same for checks that ask the same thing in the same way.
func (c Check) key() string {
	h := c.Health
	h.SlowStart, h.Port = 0, 0
	return fmt.Sprint(c.Tenant, c.Source, c.Backend, h)
}

// A Key says whose check it is. Several may have the same one: the backend is asked once.
type Key struct {
	Balancer intent.ID
	Backend  netip.AddrPort // of intent.Backend: its address, and its own port if it has one
}

// A Verdict is what has become of a backend.
type Verdict struct {
	Key
	Up  bool
	Why error     // what was wrong with its last answer, if it is not up
	At  time.Time // when it became so

	Load float64 // what it has said of its load, if that was asked for: 0 is idle, 1 all that it can
}

// interval, timeout, and so on are those of the check, where they make sense: what comes from
// a model does, and a zero Health is asked as one that says nothing.
func (c Check) interval() time.Duration {
	return max(time.Duration(c.Health.Interval), time.Millisecond)
}
func (c Check) timeout() time.Duration { return max(time.Duration(c.Health.Timeout), time.Millisecond) }
func (c Check) rise() int              { return max(int(c.Health.Rise), 1) }
func (c Check) fall() int              { return max(int(c.Health.Fall), 1) }
