package ofproto

import "strconv"

// A Field is one packet, register or connection-tracking field that a flow can
// match on or set. Zero is no field. ovs-fields(7) says what each of them is.
type Field uint8

// The fields of Open vSwitch 3.1, in the order of a canonical Match, which is the one
// in which Open vSwitch writes them.
const (
	PacketType Field = iota + 1
	DPHash
	RecircID
	ConjID
	InPort
	ActsetOutput
	EthSrc
	EthDst
	EthType
	VLANTCI
	MPLSTC
	MPLSBoS
	MPLSTTL
	MPLSLabel
	IPv4Src
	IPv4Dst
	IPv6Src
	IPv6Dst
	IPFrag
	IPDSCP
	IPECN
	IPTTL
	IPv6Label
	IPProto
	TCPSrc
	TCPDst
	TCPFlags
	UDPSrc
	UDPDst
	SCTPSrc
	SCTPDst
	ICMPv4Type
	ICMPv4Code
	ICMPv6Type
	ICMPv6Code
	NDReserved
	NDTarget
	NDOptionsType
	NDSLL
	NDTLL
	ARPOp
	ARPSPA
	ARPTPA
	ARPSHA
	ARPTHA
	TunID
	TunFlags
	TunSrc
	TunDst
	TunIPv6Src
	TunIPv6Dst
	TunGBPID
	TunGBPFlags
	TunMetadata0
	TunMetadata1
	TunMetadata2
	TunMetadata3
	TunMetadata4
	TunMetadata5
	TunMetadata6
	TunMetadata7
	TunMetadata8
	TunMetadata9
	TunMetadata10
	TunMetadata11
	TunMetadata12
	TunMetadata13
	TunMetadata14
	TunMetadata15
	TunMetadata16
	TunMetadata17
	TunMetadata18
	TunMetadata19
	TunMetadata20
	TunMetadata21
	TunMetadata22
	TunMetadata23
	TunMetadata24
	TunMetadata25
	TunMetadata26
	TunMetadata27
	TunMetadata28
	TunMetadata29
	TunMetadata30
	TunMetadata31
	TunMetadata32
	TunMetadata33
	TunMetadata34
	TunMetadata35
	TunMetadata36
	TunMetadata37
	TunMetadata38
	TunMetadata39
	TunMetadata40
	TunMetadata41
	TunMetadata42
	TunMetadata43
	TunMetadata44
	TunMetadata45
	TunMetadata46
	TunMetadata47
	TunMetadata48
	TunMetadata49
	TunMetadata50
	TunMetadata51
	TunMetadata52
	TunMetadata53
	TunMetadata54
	TunMetadata55
	TunMetadata56
	TunMetadata57
	TunMetadata58
	TunMetadata59
	TunMetadata60
	TunMetadata61
	TunMetadata62
	TunMetadata63
	TunERSPANIdx
	TunERSPANVer
	TunERSPANDir
	TunERSPANHWID
	TunGTPUFlags
	TunGTPUMsgType
	NSHFlags
	NSHTTL
	NSHMDType
	NSHNP
	NSHSPI
	NSHSI
	NSHC1
	NSHC2
	NSHC3
	NSHC4
	Reg0
	Reg1
	Reg2
	Reg3
	Reg4
	Reg5
	Reg6
	Reg7
	Reg8
	Reg9
	Reg10
	Reg11
	Reg12
	Reg13
	Reg14
	Reg15
	PktMark
	CTState
	CTZone
	CTMark
	CTLabel
	CTNwSrc
	CTIPv6Src
	CTNwDst
	CTIPv6Dst
	CTNwProto
	CTTpSrc
	CTTpDst
	Metadata

	// These have no place of their own in a match: each is another way to say some of the above.
	InPort16
	VLANVID
	VLANPCP
	DLVLAN
	DLVLANPCP
	IPTOS
	XReg0
	XReg1
	XReg2
	XReg3
	XReg4
	XReg5
	XReg6
	XReg7
	XXReg0
	XXReg1
	XXReg2
	XXReg3

	// These have names, but no form on the wire: no match and no action can have them.
	TunTTL
	TunTOS
	SKBPriority

	numFields
)

// format says how a field's value is written in text.
type format uint8

const (
	decimal format = iota
	hexadecimal
	ipv4
	ipv6
	mac
	ctState
	port   // of OpenFlow 1.1 and later: 32 bits
	port16 // of OpenFlow 1.0
	frag
	tcpFlags
	tunFlags
	packetType
)

// prereq says what else a match has to ask for before it may ask for a field.
type prereq uint8

const (
	always prereq = iota
	isEthernet
	isARP // or RARP
	isVLAN
	isIPv4
	isIPv6
	isIP // either
	isMPLS
	isNSH
	isCT // ct_state has +trk
	isTCP
	isUDP
	isSCTP
	isICMPv4
	isICMPv6
	isND
	isNDSolicit
	isNDAdvert
)

// access says what may be done with a field.
type access uint8

const (
	maskable access = 1 << iota // it may be matched in part
	writable                    // actions may write it
)

// Classes of OXM headers (OpenFlow 1.3, A.2.3.2).
const (
	classNXM0         = 0x0000 // Nicira, the fields of OpenFlow 1.0
	classNXM1         = 0x0001 // Nicira
	classERIC         = 0x1000 // ND extensions
	classBasic        = 0x8000 // OpenFlow basic
	classPktReg       = 0x8001 // packet registers of OpenFlow 1.5
	classExperimenter = 0xffff // four bytes of experimenter follow the header
)

// Experimenters.
const (
	nicira = 0x00002320
	onf    = 0x4f4e4600
	nsh    = 0x005ad650
)

// header is the class and number of a field on the wire, and its experimenter if the
// class is classExperimenter.
type header struct {
	class        uint16
	num          uint8
	experimenter uint32
}

// A code is one header of a field with its name, as in load and move.
type code struct {
	header
	name string
}

// fieldInfo is all that the codec and the printer know about a field.
type fieldInfo struct {
	name   string // in set_field and ovs-fields(7)
	alias  string // another name that ovs-ofctl takes
	bits   uint16 // that it uses, the lowest of its bytes
	bytes  int
	format format
	needs  prereq
	access access
	codes  []code // the first is how it is sent in a match; all are understood
}

// oxm returns the header with which f is sent in a match and in set_field; zero if it has none.
func (i *fieldInfo) oxm() header {
	if len(i.codes) == 0 {
		return header{}
	}
	return i.codes[0].header
}

// nxm returns the header, and its name, with which load, move and ct name the field:
// Nicira's if there is one.
func (i *fieldInfo) nxm() code {
	for _, c := range i.codes {
		if c.class == classNXM0 || c.class == classNXM1 {
			return c
		}
	}
	if len(i.codes) == 0 {
		return code{name: i.name}
	}
	return i.codes[0]
}

// Rows of byRow, by class and experimenter.
const (
	rowNXM0 = iota
	rowNXM1
	rowERIC
	rowBasic
	rowPktReg
	rowNicira
	rowONF
	rowNSH
	numRows
)

// byRow has the fields by row and number of their headers, for where time counts.
var byRow = func() (fields [numRows][128]Field) {
	for h, f := range byHeader {
		row, _ := h.row()
		fields[row][h.num] = f
	}
	return fields
}()

// row returns the row of h in byRow.
func (h header) row() (row int, ok bool) {
	switch h.class {
	case classNXM0:
		return rowNXM0, true
	case classNXM1:
		return rowNXM1, true
	case classBasic:
		return rowBasic, true
	case classERIC:
		return rowERIC, true
	case classPktReg:
		return rowPktReg, true
	case classExperimenter:
		switch h.experimenter {
		case nicira:
			return rowNicira, true
		case onf:
			return rowONF, true
		case nsh:
			return rowNSH, true
		}
	}
	return 0, false
}

// field returns the field that h stands for; zero if there is none.
func (h header) field() Field {
	if row, ok := h.row(); ok && h.num < 128 {
		return byRow[row][h.num]
	}
	return 0
}

// info has what is known of each field.
var info = allRows()

// byName finds a field by any name that ovs-ofctl takes: "eth_src", "dl_src",
// "NXM_OF_ETH_SRC", "OXM_OF_ETH_SRC"; byHeader finds it by a header.
var byName, byHeader = indexed()

func indexed() (names map[string]Field, headers map[header]Field) {
	names, headers = map[string]Field{}, map[header]Field{}
	for f := Field(1); f < numFields; f++ {
		i := &info[f]
		names[i.name] = f
		if i.alias != "" {
			names[i.alias] = f
		}
		for _, c := range i.codes {
			headers[c.header] = f
			names[c.name] = f
		}
	}
	return names, headers
}

// allRows returns fieldRows with the rows that differ by a number only.
func allRows() [numFields]fieldInfo {
	const all = maskable | writable
	rows := fieldRows
	numbered := func(first Field, count uint8, name string, bits uint16, class uint16, num uint8, headers string) {
		for i := range count {
			n := strconv.Itoa(int(i))
			rows[first+Field(i)] = fieldInfo{name + n, "", bits, int(bits / 8), hexadecimal, always, all, []code{{header{class, num + i, 0}, headers + n}}}
		}
	}
	numbered(Reg0, 16, "reg", 32, classNXM1, 0, "NXM_NX_REG")
	numbered(XReg0, 8, "xreg", 64, classPktReg, 0, "OXM_OF_PKT_REG")
	numbered(XXReg0, 4, "xxreg", 128, classNXM1, 111, "NXM_NX_XXREG")
	numbered(TunMetadata0, 64, "tun_metadata", 992, classNXM1, 40, "NXM_NX_TUN_METADATA")
	return rows
}

// String returns the field's name as ovs-fields(7) has it: "reg0", "eth_src".
func (f Field) String() string {
	if f == 0 || f >= numFields {
		return "field?"
	}
	return info[f].name
}

// Whole returns all of f as a Subfield.
func (f Field) Whole() Subfield { return Subfield{f, 0, f.width()} }

// width returns how many bits of its bytes a field uses.
func (f Field) width() uint16 { return info[f].bits }

// Range returns bits lo to hi of f, both included, as in reg5[0..15].
func (f Field) Range(lo, hi uint16) Subfield { return Subfield{f, lo, hi - lo + 1} }
