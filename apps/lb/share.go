package lb

import "slices"

// Open vSwitch chooses the bucket of a group by some bits of a hash: as many values as the sum of
// the weights is of the least, rounded up to a power of two, and 16 at least. Above 256 values it
// asks ovs-vswitchd about each connection. So weights are made fit: shares of as many values as are
// needed.
const (
	fewest = 16
	most   = 256
)

// near is how far from what it should be, of that, a share may be if more values could mend it.
const near = 0.02

// sharesOf returns how many values of the hash each backend gets: one at least, if it has a weight at all. Of
// numbers of values that come near enough the least is taken, for each value is a flow of the datapath
// for each client. It says whether one of the buckets has to be two, one with a weight of
// one, so that there are as many values as shares.
func sharesOf(weights []uint16) (shares []uint16, split bool) {
	for n := fewest; ; n *= 2 {
		shares = shared(weights, n)
		if n == most || isNear(weights, shares, n) {
			return shares, values(shares) < n
		}
	}
}

// values is how many values of its hash Open vSwitch takes for weights.
func values(weights []uint16) int {
	sum, least := 0, 0
	for _, w := range weights {
		sum += int(w)
		if w > 0 && (least == 0 || int(w) < least) {
			least = int(w)
		}
	}
	n := fewest
	for least > 0 && n*least < sum {
		n *= 2
	}
	return n
}

// shared shares n out: whole numbers, the rest to those that lack most of one.
func shared(weights []uint16, n int) []uint16 {
	sum, shares := 0, make([]uint16, len(weights))
	for _, w := range weights {
		sum += int(w)
	}
	type lack struct{ of, much int }
	var lacks []lack
	left := n
	for i, w := range weights {
		if w == 0 {
			continue
		}
		exact := int(w) * n
		shares[i] = uint16(max(1, exact/sum))
		left -= int(shares[i])
		lacks = append(lacks, lack{i, exact - int(shares[i])*sum})
	}
	for ; left > 0 && len(lacks) > 0; left-- {
		i := slices.IndexFunc(lacks, func(l lack) bool {
			return l.much == slices.MaxFunc(lacks, func(a, b lack) int { return a.much - b.much }).much
		})
		shares[lacks[i].of]++
		lacks[i].much -= sum
	}
	for ; left < 0; left++ { // those who have one at least have taken too many
		i := slices.IndexFunc(shares, func(s uint16) bool { return s == slices.Max(shares) })
		if shares[i] == 1 {
			break
		}
		shares[i]--
	}
	return shares
}

// isNear reports whether each share is near to what it should be.
func isNear(weights, shares []uint16, n int) bool {
	sum, all := 0.0, 0
	for i, w := range weights {
		sum += float64(w)
		all += int(shares[i])
	}
	for i, w := range weights {
		should := float64(w) / sum
		if is := float64(shares[i]) / float64(n); w > 0 && (is-should > near*should || should-is > near*should) {
			return false
		}
	}
	return all == n
}
