package conntrack

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Text writes e as dpctl/dump-conntrack -m -s of Open vSwitch 3.1 and later does, and what that does
// not say last: what this version does not know.
func (e *Entry) Text() string {
	var b strings.Builder
	b.WriteString(e.Protocol.String())
	e.list(&b, "orig", e.Orig, e.CountOrig)
	e.list(&b, "reply", e.Reply, e.CountReply)
	e.moment(&b, "start", e.Start)
	e.moment(&b, "stop", e.Stop)
	fmt.Fprintf(&b, ",id=%d", e.ID)
	if e.Zone != 0 {
		fmt.Fprintf(&b, ",zone=%d", e.Zone)
	}
	fmt.Fprintf(&b, ",status=%v,timeout=%d", e.Status, e.Timeout)
	if e.Mark != 0 {
		fmt.Fprintf(&b, ",mark=%d", e.Mark)
	}
	if e.Label != (Label{}) {
		fmt.Fprintf(&b, ",labels=%v", e.Label)
	}
	e.protoinfo(&b)
	if e.Helper != "" {
		fmt.Fprintf(&b, ",helper=%s", e.Helper)
	}
	if e.Parent.Src.IsValid() {
		e.list(&b, "parent", e.Parent, Counters{})
	}
	for key, value := range e.Other.All() {
		fmt.Fprintf(&b, ",%s=%s", key, value)
	}
	return b.String()
}

func (e *Entry) list(b *strings.Builder, name string, t Tuple, c Counters) {
	fmt.Fprintf(b, ",%s=(src=%v,dst=%v", name, t.Src, t.Dst)
	if e.Protocol == ICMP || e.Protocol == ICMPv6 {
		fmt.Fprintf(b, ",id=%d,type=%d,code=%d", t.ICMPID, t.ICMPType, t.ICMPCode)
	} else {
		fmt.Fprintf(b, ",sport=%d,dport=%d", t.SrcPort, t.DstPort)
	}
	if c != (Counters{}) {
		fmt.Fprintf(b, ",packets=%d,bytes=%d", c.Packets, c.Bytes)
	}
	b.WriteByte(')')
}

func (e *Entry) moment(b *strings.Builder, name string, at int64) {
	if at != 0 {
		fmt.Fprintf(b, ",%s=%s", name, time.Unix(0, at).Format(timeLayout))
	}
}

func (e *Entry) protoinfo(b *strings.Builder) {
	switch {
	case e.Protocol == TCP && e.State != 0 && e.StateOrig|e.StateReply == 0: // as without -m
		fmt.Fprintf(b, ",protoinfo=(state=%v)", e.State)
	case e.Protocol == TCP && e.State != 0:
		fmt.Fprintf(b, ",protoinfo=(state_orig=%v,state_reply=%v", e.StateOrig, e.StateReply)
		if e.ScaleOrig|e.ScaleReply != 0 {
			fmt.Fprintf(b, ",wscale_orig=%d,wscale_reply=%d", e.ScaleOrig, e.ScaleReply)
		}
		fmt.Fprintf(b, ",flags_orig=%v,flags_reply=%v)", e.FlagsOrig, e.FlagsReply)
	case e.Protocol == SCTP && e.State != 0:
		fmt.Fprintf(b, ",protoinfo=(state=%v,vtag_orig=%d,vtag_reply=%d)", e.State, tagText(e.TagOrig), tagText(e.TagReply))
	}
}

// tagText is the number as which Open vSwitch writes a tag: its bytes in the machine's order.
func tagText(v uint32) uint32 {
	if littleEndian {
		return bits.ReverseBytes32(v)
	}
	return v
}
