// Package quirk knows what versions of Open vSwitch get wrong, and what Weir does about it.
// It is one table: who has to know whether a version can be trusted with something asks it
// by the name of the quirk, and what is in force on the version that is connected is said
// to the operator, once.
package quirk

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Version is a version of Open vSwitch. The zero Version is not known: it has every quirk.
type Version struct{ Major, Minor, Patch int }

// Parse reads a version out of "3.1.0", "3.3.90-git" and the like.
func Parse(s string) (Version, error) {
	core, _, _ := strings.Cut(s, "-")
	var v Version
	parts := strings.Split(core, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, fmt.Errorf("%q is no version of Open vSwitch", s)
	}
	for i, to := range []*int{&v.Major, &v.Minor, &v.Patch}[:len(parts)] {
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("%q is no version of Open vSwitch", s)
		}
		*to = n
	}
	return v, nil
}

// String returns "3.1.0".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Compare orders versions.
func (v Version) Compare(w Version) int {
	return cmp.Or(v.branch().compare(w.branch()), cmp.Compare(v.Patch, w.Patch))
}

type branch struct{ major, minor int }

func (v Version) branch() branch { return branch{v.Major, v.Minor} }

func (b branch) compare(c branch) int {
	return cmp.Or(cmp.Compare(b.major, c.major), cmp.Compare(b.minor, c.minor))
}

// An ID names a quirk.
type ID string

// A Quirk is something that Open vSwitch does otherwise than it should.
type Quirk struct {
	ID        ID
	What      string    // it does, in one sentence, and what Weir does about it
	Fixed     []Version // the first version of each branch that does it right, oldest first; nil: none is known
	Userspace bool      // only the userspace datapath does it
}

// The quirks.
const (
	IdentityNAT    ID = "identity-nat"
	FlushICMPv6    ID = "flush-icmpv6"
	FlushByMark    ID = "flush-by-mark"
	FlushICMPType  ID = "flush-icmp-type"
	FlushPortZero  ID = "flush-port-zero"
	NoFlush        ID = "no-ct-flush"
	LimitDefault   ID = "limit-default"
	NoLimitTable   ID = "limit-not-in-database"
	FirstBackoff   ID = "first-backoff"
	InsertBucket   ID = "insert-bucket"
	ALGOnLookup    ID = "alg-on-lookup"
	FTPExtended    ID = "ftp-extended-ipv4"
	GroupTwice     ID = "group-used-twice"
	GroupInUse     ID = "group-in-failed-bundle"
	MonitorError   ID = "monitor-error"
	SixRounds      ID = "six-recirculations"
	LaterFragments ID = "later-fragments"
	SCTPPorts      ID = "sctp-ports"
	NATByHash      ID = "nat-by-hash"
	ICMPv6Quotes   ID = "icmpv6-quotes"
)

// All has every quirk that is known. Those without a version that fixes them were seen on
// 3.1.0; whether later versions have them has not been tried.
var All = []Quirk{
	{IdentityNAT, "a translation that changes nothing kills ovs-vswitchd when its 5-tuple comes again: none is ever asked for, and so a connection may fail while another has the same answers, which went to the endpoint by another of its addresses",
		versions("2.17.8", "3.0.5", "3.1.3", "3.2.3", "3.3.0"), true},
	{FlushICMPv6, "removing a connection by its addresses kills ovs-vswitchd if that is ICMPv6: such are never removed one by one",
		versions("2.17.10", "3.0.7", "3.1.5", "3.2.3", "3.3.1"), true},
	{FlushByMark, "removing connections by mark or label removes all: it is never asked for", versions("3.3.0"), false},
	{FlushICMPType, "removing a connection of ICMP by its addresses kills ovs-vswitchd if its type is none of a question or its answer: such are never removed one by one", nil, true},
	{FlushPortZero, "removing a connection by its addresses removes those with any port where it has a port of zero: such are never removed one by one", nil, false},
	{NoFlush, "single connections cannot be removed by OpenFlow: they are by the control socket, one by one", versions("3.1.0"), false},
	{LimitDefault, "a default limit of connections cannot be deleted: none is set", versions("3.3.0"), false},
	{NoLimitTable, "limits of connections are not in the database, and lost when ovs-vswitchd is started anew: they are set through its control socket, whenever a bridge connects", versions("3.3.0"), false},
	{FirstBackoff, "max_backoff is not heeded when a controller is new: it is written again, with controller_rate_limit, once the bridge is connected",
		versions("3.3.0"), false},
	{InsertBucket, "a bucket inserted into a group (OpenFlow 1.5) gets all of its traffic: groups are always written whole",
		versions("3.2.6"), false},
	{ALGOnLookup, "the helper of a protocol would have to be named at the lookup too, which it is not: alg: ftp and tftp work on ports 21 and 69 only", versions("3.3.0"), false},
	{FTPExtended, "the FTP helper does not read EPSV and EPRT over IPv4, with which data connections fail: PASV and PORT work, and all over IPv6", versions("3.7.0"), true},
	{GroupTwice, "deleting a group that one flow uses twice kills ovs-vswitchd: no flow does, and flows are deleted first", nil, false},
	{GroupInUse, "a bundle that deletes a group in use, and then fails, kills ovs-vswitchd: flows are deleted first", nil, false},
	{MonitorError, "the error about a flow monitor has a header of random bytes: it is known by its place among the answers", nil, false},
	{SixRounds, "a packet that is looked up a seventh time is dropped: no path has more than five", nil, true},
	{LaterFragments, "later fragments do not match ports: a large UDP packet that opens a connection to a forwarded port is lost, where not all of the address go to one endpoint", versions("3.5.0"), true},
	{SCTPPorts, "the connection tracker does not know the ports of SCTP, all of which is one connection between two hosts: they are forwarded as they are, to one endpoint, or not at all", versions("3.2.0"), true},
	{NATByHash, "selection: random of an SNAT chooses as hash does, by a hash of the connection and of a number that ovs-vswitchd has drawn", nil, true},
	{ICMPv6Quotes, "of an ICMPv6 error about a TCP segment to an address that stands for another one, the first bytes of the source that it quotes are changed, and who has sent the segment does not believe it: path MTU is not found over IPv6 to load balancers from where they are", nil, true},
}

// On reports whether a version has the quirk, on a datapath of that kind.
func (q Quirk) On(v Version, userspace bool) bool {
	if q.Userspace && !userspace {
		return false
	}
	for _, f := range q.Fixed {
		if f.branch() == v.branch() {
			return v.Compare(f) < 0
		}
	}
	return len(q.Fixed) == 0 || v.Compare(q.Fixed[len(q.Fixed)-1]) < 0
}

// InForce returns what is to be reckoned with.
func InForce(v Version, userspace bool) (some []Quirk) {
	for _, q := range All {
		if q.On(v, userspace) {
			some = append(some, q)
		}
	}
	return some
}

// Has reports whether a version has the quirk of that name.
func (v Version) Has(id ID, userspace bool) bool {
	return slices.ContainsFunc(All, func(q Quirk) bool { return q.ID == id && q.On(v, userspace) })
}

// versions returns versions that are written here.
func versions(texts ...string) (all []Version) {
	for _, t := range texts {
		v, err := Parse(t)
		if err != nil {
			panic(err)
		}
		all = append(all, v)
	}
	return all
}
