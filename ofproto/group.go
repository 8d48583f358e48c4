package ofproto

import (
	"fmt"
	"slices"
	"strings"
)

// GroupType is OFPGT_*.
type GroupType uint8

// The types of OpenFlow 1.3, A.3.4.2.
const (
	GroupAll          GroupType = iota // OFPGT_ALL: every bucket
	GroupSelect                        // OFPGT_SELECT: one bucket, by hash and weight
	GroupIndirect                      // OFPGT_INDIRECT: the one bucket
	GroupFastFailover                  // OFPGT_FF: the first live bucket
)

// A Group is one entry of the group table.
type Group struct {
	ID      uint32
	Type    GroupType
	Buckets []Bucket
}

// A Bucket is one list of actions of a Group.
type Bucket struct {
	Weight     uint16 // of a select group; elsewhere zero
	WatchPort  uint32 // zero: none (OFPP_ANY on the wire)
	WatchGroup uint32 // zero: none (OFPG_ANY on the wire)
	Actions    []Action
}

// Flags of a MeterConfig (OpenFlow 1.3, A.3.4.4).
const (
	MeterKilobits         uint16 = 1 // OFPMF_KBPS
	MeterPacketsPerSecond uint16 = 2 // OFPMF_PKTPS
	MeterBurst            uint16 = 4 // OFPMF_BURST
	MeterStats            uint16 = 8 // OFPMF_STATS
)

// MeterDrop is the type of a band that drops (OFPMBT_DROP).
const MeterDrop uint16 = 1

// A MeterConfig is one entry of the meter table.
type MeterConfig struct {
	ID    uint32
	Flags uint16 // OFPMF_*
	Bands []MeterBand
}

// A MeterBand is one band of a MeterConfig.
type MeterBand struct {
	Type  uint16 // OFPMBT_DROP (1), OFPMBT_DSCP_REMARK (2)
	Rate  uint32 // in kbit/s or packets/s, as Flags say
	Burst uint32
	Prec  uint8 // of OFPMBT_DSCP_REMARK
}

var groupTypeNames = []string{"all", "select", "indirect", "ff"}

// String returns t as ovs-ofctl prints it.
func (t GroupType) String() string {
	if int(t) < len(groupTypeNames) {
		return groupTypeNames[t]
	}
	return fmt.Sprintf("type%d", uint8(t))
}

// String returns g as ovs-ofctl dump-groups prints it, which is also what add-group
// takes.
func (g Group) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "group_id=%d,type=%v", g.ID, g.Type)
	for _, k := range g.Buckets {
		b.WriteString(",bucket=")
		if g.Type == GroupSelect && k.Weight != 1 {
			fmt.Fprintf(&b, "weight:%d,", k.Weight)
		}
		if k.WatchPort != 0 {
			fmt.Fprintf(&b, "watch_port:%d,", k.WatchPort)
		}
		if k.WatchGroup != 0 {
			fmt.Fprintf(&b, "watch_group:%d,", k.WatchGroup)
		}
		b.WriteString("actions=" + Text(k.Actions))
	}
	return b.String()
}

// Equal reports whether g and h would be the same entry in a switch.
func (g Group) Equal(h Group) bool {
	return g.ID == h.ID && g.Type == h.Type && slices.EqualFunc(g.Buckets, h.Buckets, func(a, b Bucket) bool {
		return a.Weight == b.Weight && a.WatchPort == b.WatchPort && a.WatchGroup == b.WatchGroup && equalActions(a.Actions, b.Actions)
	})
}

// Equal reports whether m and n would be the same entry in a switch.
func (m MeterConfig) Equal(n MeterConfig) bool {
	return m.ID == n.ID && m.Flags == n.Flags && slices.Equal(m.Bands, n.Bands)
}
