package frame

import (
	"bytes"
	"net/netip"
)

// Types of neighbour discovery, and its option with the MAC address that a message is about: of
// its sender in a solicitation, of the target in an advertisement (RFC 4861, 4.3, 4.4 and 4.6.1).
const (
	solicitationType  = 135
	advertisementType = 136
	sourceMAC         = 1
	targetMAC         = 2
	ndLen             = 32 // of a message with that option
	ndTarget          = 8
	ndOption          = 24
)

// Flags of a neighbour advertisement (RFC 4861, 4.4).
const (
	AnswerFlags      uint32 = 0xe0000000 // of a router, to one that has asked, in place of what that knew
	UnsolicitedFlags uint32 = 0xa0000000 // ... to all, who have not
)

const arpLen = 28

var broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ARPRequest returns the frame with which a station asks all on the link who has an IPv4 address
// (RFC 826).
func ARPRequest(from [6]byte, sender, target netip.Addr) []byte {
	f := bytes.NewBuffer(make([]byte, 0, ethLen+arpLen))
	f.Write(broadcast[:])
	f.Write(from[:])
	f.Write([]byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1})
	f.Write(from[:])
	f.Write(sender.AsSlice())
	f.Write(make([]byte, 6))
	f.Write(target.AsSlice())
	return f.Bytes()
}

// A Discovery is a message of neighbour discovery: who says it to whom, and which address it is
// about.
type Discovery struct {
	Link
	Src, Dst, Target netip.Addr
}

// Solicitation returns the frame that asks for the target's MAC address (RFC 4861, 4.3).
func (d Discovery) Solicitation() []byte { return d.message(solicitationType, 0, sourceMAC) }

// Advertisement returns the frame that says that the target is the sender's (RFC 4861, 4.4).
func (d Discovery) Advertisement(flags uint32) []byte {
	return d.message(advertisementType, flags, targetMAC)
}

func (d Discovery) message(typ byte, flags uint32, option byte) []byte {
	f := make([]byte, ethLen+ipv6Len+ndLen)
	copy(f, d.To[:])
	copy(f[6:], d.From[:])
	be.PutUint16(f[12:], typeIPv6)
	ip := f[ethLen:]
	ip[0], ip[5], ip[6], ip[7] = 6<<4, ndLen, icmpv6, 255
	copy(ip[8:], d.Src.AsSlice())
	copy(ip[24:], d.Dst.AsSlice())
	nd := ip[ipv6Len:]
	nd[0] = typ
	be.PutUint32(nd[4:], flags)
	copy(nd[ndTarget:], d.Target.AsSlice())
	nd[ndOption], nd[ndOption+1] = option, 1 // in units of 8 bytes
	copy(nd[ndOption+2:], d.From[:])
	be.PutUint16(nd[2:], ^sum(uint32(sum(ndLen+icmpv6, ip[8:ipv6Len])), nd))
	return f
}

// Solicited reads a neighbour solicitation. It returns false if the frame is none, or has
// extension headers.
func Solicited(f []byte) (d Discovery, ok bool) {
	const target = ethLen + ipv6Len + ndTarget
	if len(f) < target+16 || be.Uint16(f[12:]) != typeIPv6 || f[ethLen+6] != icmpv6 || f[ethLen+ipv6Len] != solicitationType {
		return d, false
	}
	address := func(at int) netip.Addr { return netip.AddrFrom16([16]byte(f[at:])) }
	return Discovery{
		Link: Link{From: [6]byte(f[6:]), To: [6]byte(f)},
		Src:  address(ethLen + 8), Dst: address(ethLen + 24), Target: address(target),
	}, true
}

// Answer returns the advertisement that answers a solicitation: its target is at mac.
func (d Discovery) Answer(mac [6]byte) []byte {
	a := Discovery{Link: Link{From: mac, To: d.From}, Src: d.Target, Dst: d.Src, Target: d.Target}
	return a.Advertisement(AnswerFlags)
}
