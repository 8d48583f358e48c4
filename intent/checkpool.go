package intent

import "fmt"

// maxPersistent bounds the addresses of an outside and a version of IP that persistent shares
// out: each is flows of its own, by which the sender's address chooses.
const maxPersistent = 256

// persistent checks that the senders of x can be shared out.
func (c *checker) persistent(x *SNAT, s snatSpec) {
	if x.Selection != SelectPersistent {
		return
	}
	for _, p := range x.Pools {
		if n := p.size(); n > maxPersistent {
			c.bad(s.selection.place(), fmt.Sprintf("take at most %d, or several SNATs with from", maxPersistent),
				"gives each host one address of %d, and %d can be shared out so", n, maxPersistent)
			return
		}
	}
}

// size returns how many addresses there are, as far as they can be counted.
func (p Pool) size() (n int) {
	for _, r := range p.Ranges {
		for a := r.Lo; a.IsValid() && r.Contains(a) && n <= maxPool; a = a.Next() {
			n++
		}
	}
	return n
}

// maxSNATs bounds the SNATs of a tenant: each has priorities of its own.
const maxSNATs = 10000

// fewEnough reports whether t may have one more SNAT.
func (c *checker) fewEnough(t *Tenant, s snatSpec) bool {
	if len(t.SNATs) == maxSNATs {
		c.bad(s.place, "a pool is one SNAT, with several addresses", "tenant %q has %d SNATs, and no more can be told apart", t.Name, maxSNATs)
	}
	return len(t.SNATs) < maxSNATs
}
