package pipeline

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// A Connection is what a connection tracker remembers of a connection, as far as the
// pipeline has to do with it.
type Connection struct {
	Protocol uint8   // IP protocol
	Orig     CTTuple // as its first packet came
	Reply    CTTuple // as the answers come
	Zone     uint16
	Mark     uint32
	RuleOut  uint32 // tag of the rule or default that let it out; zero: not said
	RuleIn   uint32 // tag of the one that let it in
	Object   uint32 // tag of what translates it, or exempts it from that, or of the network that is reached as it is; zero: nothing
	AsItself bool   // to a backend outside, which sees its client's address
	Open     bool   // of TCP: both ends have opened it, and neither has closed it
	Opening  bool   // of TCP: one end has asked for it, and the other has not answered
	Over     bool   // of TCP: both ends have closed it, or one has reset it
}

// A CTTuple is one direction of a Connection. Ports are of protocols that have them, the
// other numbers of ICMP and ICMPv6.
type CTTuple struct {
	Src, Dst           netip.Addr
	SrcPort, DstPort   uint16
	ICMPID             uint16
	ICMPType, ICMPCode uint8
}

// Epoch is the epoch in which the connection was judged last.
func (c Connection) Epoch() uint8 { return uint8(c.Mark & MarkEpoch) }

// Blocked reports whether it was judged again, and stopped.
func (c Connection) Blocked() bool { return c.Mark&MarkBlocked != 0 }

// Kept reports whether it is to live on when the policy that admitted it is changed. What only
// an audit has let pass no policy has admitted.
func (c Connection) Kept() bool { return c.Mark&(MarkKeep|MarkAudited) == MarkKeep }

// Told reports whether its ends are told when it is stopped: they can be once they speak.
func (c Connection) Told() bool { return c.Protocol == ProtoTCP && c.Mark&MarkReset != 0 }

// Label is the part of the connection's label that says what translates it, and to which port.
func (c Connection) Label() (label ofproto.Bits) {
	binary.BigEndian.PutUint32(label[4:], c.Object)
	if c.AsItself {
		label[1] = leftAsItself.Value[1]
	}
	if c.Mark&MarkDNAT != 0 && c.Reply.SrcPort != c.Orig.DstPort {
		binary.BigEndian.PutUint16(label[2:], c.Reply.SrcPort)
	}
	return label
}

// Exempt reports whether it has left for the outside with the address that its sender has, or come
// from there for the address that its receiver has.
func (c Connection) Exempt() bool {
	return c.Object != 0 && c.Reply.Dst == c.Orig.Src && c.Reply.Src == c.Orig.Dst
}

// Flush is the message that has the tracker forget this connection and no other.
func (c Connection) Flush() ofproto.CTFlush {
	t := ofproto.CTTuple{Src: c.Orig.Src, Dst: c.Orig.Dst, SrcPort: c.Orig.SrcPort, DstPort: c.Orig.DstPort}
	if c.Protocol == ProtoICMP || c.Protocol == ProtoICMPv6 {
		t.SrcPort, t.ICMPType, t.ICMPCode = c.Orig.ICMPID, c.Orig.ICMPType, c.Orig.ICMPCode
		t.DstPort = uint16(t.ICMPCode)<<8 | uint16(t.ICMPType)
	}
	return ofproto.CTFlush{Proto: c.Protocol, Zone: c.Zone, HasZone: true, Original: t}
}

// Double reports whether both ends of it are translated: it is answered to a gateway.
func (c Connection) Double() bool { return c.Mark&MarkDouble != 0 }

// Flushes are the messages that have the tracker forget this connection, and the other half of
// it in another zone, if it has one. Its own entry goes first: what still finds that goes by the
// other.
func (c Connection) Flushes(h Halves) []ofproto.CTFlush {
	all, zone := []ofproto.CTFlush{c.Flush()}, h.of(c)
	if c.Outward() && !c.AsItself {
		return append(all, c.second().Flushes(h)...)
	}
	if zone == 0 {
		return all
	}
	other := c
	other.Zone, other.Orig = zone, c.Reply.answered()
	other.Orig.ICMPType, other.Orig.ICMPCode = c.Orig.ICMPType, c.Orig.ICMPCode
	return append(all, other.Flush())
}

// Halves says where the other halves of a tenant's connections are.
type Halves struct {
	source  uint16                // the zone of source translations
	aliases map[netip.Addr]uint16 // the zones of addresses that it shares
}

// HalvesOf returns this as some models have it. One that is nil is none.
func HalvesOf(n Numbers, tenant intent.ID, models ...*intent.Model) Halves {
	h := Halves{n.Zone(tenant + SourceZone), map[netip.Addr]uint16{}}
	for _, m := range models {
		if m == nil {
			continue
		}
		if t := m.Tenant(string(tenant)); t != nil {
			sharedBy(t, func(p intent.Pool, r intent.AddrRange) {
				zone := sharedZone(p.Bridge, p.External, r)
				h.aliases[aliasOf(n.Group(aliasID(tenant, zone)), r.Lo.Is4())] = n.Zone(zone)
			})
		}
	}
	return h
}

// Alias reports whether an address is an alias of the tenant.
func (h Halves) Alias(a netip.Addr) bool { return h.aliases[a] != 0 }

// Shared returns the zones of the addresses that the tenant shares, in order.
func (h Halves) Shared() []uint16 {
	zones := slices.Sorted(maps.Values(h.aliases))
	return slices.DeleteFunc(slices.Compact(zones), func(zone uint16) bool { return zone == 0 })
}

// of returns the zone of the other half of c, or zero. Who reaches itself has one if that is
// in a subnet without a gateway; to forget what is not there is no error.
func (h Halves) of(c Connection) uint16 {
	if c.Double() && !c.Second() || c.Mark&MarkBalanced != 0 && c.Orig.Src == c.Reply.Src {
		return h.source
	}
	return h.aliases[c.Reply.Dst]
}

// answered returns the other direction of t.
func (t CTTuple) answered() CTTuple {
	t.Src, t.Dst, t.SrcPort, t.DstPort = t.Dst, t.Src, t.DstPort, t.SrcPort
	return t
}

var protocolNames = map[uint8]string{ProtoICMP: "icmp", ProtoTCP: "tcp", ProtoUDP: "udp", ProtoICMPv6: "icmpv6"}

// String returns "tcp 10.1.0.11:40000 -> 10.1.0.12:80".
func (c Connection) String() string {
	name := protocolNames[c.Protocol]
	if name == "" {
		name = fmt.Sprint("protocol ", c.Protocol)
	}
	if c.Orig.SrcPort == 0 && c.Orig.DstPort == 0 {
		return fmt.Sprintf("%s %v -> %v", name, c.Orig.Src, c.Orig.Dst)
	}
	return fmt.Sprintf("%s %v -> %v", name, netip.AddrPortFrom(c.Orig.Src, c.Orig.SrcPort), netip.AddrPortFrom(c.Orig.Dst, c.Orig.DstPort))
}

// RulesOf reads the tags of the rules that admitted a connection out of its label, the
// highest byte first. They are zero in a label that is not one of Weir's.
func RulesOf(label [16]byte, mark uint32) (out, in uint32) {
	if mark&MarkCommitted == 0 || label[0] != LabelLayout {
		return 0, 0
	}
	return binary.BigEndian.Uint32(label[12:]), binary.BigEndian.Uint32(label[8:])
}

// ObjectOf reads the tag of what translates a connection out of its label.
func ObjectOf(label [16]byte, mark uint32) uint32 {
	if mark&MarkCommitted == 0 || label[0] != LabelLayout {
		return 0
	}
	return binary.BigEndian.Uint32(label[4:])
}

// AsItselfOf reads out of a connection's label whether a backend outside sees its client's address.
func AsItselfOf(label [16]byte, mark uint32) bool {
	return mark&halfBits == markOutward && label[0] == LabelLayout && label[1]&leftAsItself.Value[1] != 0
}

// A Ruling says what the policy of a program makes of a connection that there is.
type Ruling uint8

// The rulings.
const (
	Unclear  Ruling = iota // it depends on more than is known of the connection
	Admitted               // it would be admitted
	Denied                 // it would not, nor would its answers
	Answers                // it would not, but its answers would be taken for another connection that is
	Unmapped               // what translated it is gone: not even a policy that keeps its connections keeps it
)
