package ofproto

import (
	"fmt"
	"slices"
	"strings"
)

func init() {
	onWire(niciraAction, 10, 32, false, readMultipath)
	onWire(niciraAction, 12, 32, true, func(d *decoder) Action { return d.bundle(false) })
	onWire(niciraAction, 13, 32, true, func(d *decoder) Action { return d.bundle(true) })

	inText("multipath", parseMultipath)
	inText("bundle", func(p *parser, kv pair) []Action { return parseBundle(p, kv, false) })
	inText("bundle_load", func(p *parser, kv pair) []Action { return parseBundle(p, kv, true) })
}

// hashFields are the sets of fields that a Bundle or a Multipath hashes, by their numbers.
var hashFields = []string{"eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3"}

// The algorithms by which a Bundle or a Multipath chooses, by their numbers.
var (
	bundleAlgorithms    = []string{"active_backup", "hrw"}
	multipathAlgorithms = []string{"modulo_n", "hash_threshold", "hrw", "iter_hash"}
)

// nameOf returns the name with a number.
func nameOf(names []string, n uint16) string {
	if int(n) < len(names) {
		return names[n]
	}
	return "<unknown>"
}

// oneOf reads one of the names, in any case.
func (p *parser) oneOf(t text, what string, names []string) uint16 {
	i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, t.s) })
	if i < 0 {
		p.bad(t, "%q is no %s: want %s", t.s, what, strings.Join(names, ", "))
		return 0
	}
	return uint16(i)
}

// token takes the next piece off t that none of the delimiters stand in, as C's strtok does.
func token(t *text, delimiters string) text {
	*t = t.from(len(t.s) - len(strings.TrimLeft(t.s, delimiters)))
	n := end(t.s, delimiters)
	piece := t.to(n)
	*t = t.from(min(n+1, len(t.s)))
	return piece
}

// end returns how far s goes until one of the delimiters.
func end(s, delimiters string) int {
	if i := strings.IndexAny(s, delimiters); i >= 0 {
		return i
	}
	return len(s)
}

// A Bundle sends the packet to one of several ports, or writes into Dst which one that would
// be (NXAST_BUNDLE, NXAST_BUNDLE_LOAD).
type Bundle struct {
	Fields    uint16 // NX_HASH_FIELDS_*
	Basis     uint16 // of the hash
	Algorithm uint16 // NX_BD_ALG_*: 0 the first port that is up, 1 the one of highest random weight
	Ports     []uint32
	Dst       Subfield // of at least 16 bits; if Field is zero: the packet is sent
}

func (a Bundle) same(o Action) bool {
	b, ok := o.(Bundle)
	return ok && a.Fields == b.Fields && a.Basis == b.Basis && a.Algorithm == b.Algorithm && a.Dst == b.Dst && slices.Equal(a.Ports, b.Ports)
}

// inPortHeader is the header NXM_OF_IN_PORT, which says what the members of a bundle are.
const inPortHeader = 0x00000002

func (a Bundle) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	subtype := uint16(12)
	if a.Dst.Field != 0 {
		subtype = 13
	}
	b = be.AppendUint16(appendNX(b, subtype, 0), a.Algorithm)
	b = be.AppendUint16(be.AppendUint16(b, a.Fields), a.Basis)
	b = be.AppendUint16(be.AppendUint32(b, inPortHeader), uint16(len(a.Ports)))
	if a.Dst.Field != 0 {
		b = a.Dst.Field.appendNXM(be.AppendUint16(b, a.Dst.ofsNbits()))
	} else {
		b = append(b, 0, 0, 0, 0, 0, 0)
	}
	b = append(b, 0, 0, 0, 0)
	for _, port := range a.Ports {
		b = be.AppendUint16(b, uint16(port))
	}
	b = pad8(b, start)
	return b, setLen(b, start, 2)
}

// bundle reads a bundle, or one that loads.
func (d *decoder) bundle(load bool) Action {
	a := Bundle{Algorithm: d.u16(), Fields: d.u16(), Basis: d.u16()}
	member, n := d.u32(), int(d.u16())
	bad := int(a.Fields) >= len(hashFields) || n > 2048 || int(a.Algorithm) >= len(bundleAlgorithms) || member != inPortHeader
	ofs, dst := d.u16(), *d
	reserved, zero := d.u32(), d.u32()
	bad = bad || zero != 0
	if load { // what was bad up to here is forgotten, if there is such a field
		a.Dst = subfield(dst.field32(), ofs)
		d.done(&dst)
		bad = a.Dst.Bits < 16
	} else if ofs != 0 || reserved != 0 {
		bad = true
	}
	if len(d.b) < 2*n {
		d.fail(OFPBAC_BAD_LEN)
	}
	if bad {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	if load {
		d.writable(a.Dst)
	}
	a.Ports = d.ports(n)
	return a
}

// ports reads n ports of OpenFlow 1.0.
func (d *decoder) ports(n int) (ports []uint32) {
	for range n {
		port := port32(d.u16())
		d.check(checkMember(port))
		if d.err != nil {
			return nil
		}
		ports = append(ports, port)
	}
	return ports
}

// checkMember refuses a port to which a bundle cannot send: to the controller it cannot.
// PortAny stands for none.
func checkMember(port uint32) ErrorCode {
	switch port {
	case PortAny:
		return 0
	case PortController:
		return OFPBAC_BAD_OUT_PORT
	}
	return checkPort(port)
}

func (a Bundle) check(p *packet) (code ErrorCode) {
	if a.Dst.Field != 0 {
		code = checkDst(a.Dst, p)
	}
	for _, port := range a.Ports {
		if code == 0 {
			code = checkMember(port)
		}
	}
	return code
}

// String returns the action as ovs-ofctl prints it.
func (a Bundle) String() string {
	name, dst := "bundle", ""
	if a.Dst.Field != 0 {
		name, dst = "bundle_load", a.Dst.String()+","
	}
	ports := make([]string, len(a.Ports))
	for i, port := range a.Ports {
		ports[i] = portText(port)
	}
	return fmt.Sprintf("%s(%s,%d,%s,ofport,%smembers:%s)", name, nameOf(hashFields, a.Fields), a.Basis,
		nameOf(bundleAlgorithms, a.Algorithm), dst, strings.Join(ports, ","))
}

// parseBundle reads "FIELDS,BASIS,ALGORITHM,ofport,[DST,]members:PORT,PORT".
func parseBundle(p *parser, kv pair, load bool) []Action {
	t := kv.value
	fields, basis, algorithm, kind := token(&t, ", "), token(&t, ", "), token(&t, ", "), token(&t, ", ")
	var dst text
	if load {
		dst = token(&t, ", ")
	}
	switch word := token(&t, ": "); {
	case word.s == "":
		p.bad(kv.value, "want %s(FIELDS,BASIS,ALGORITHM,ofport,...members:PORT,...)", kv.key.s)
	case !strings.EqualFold(word.s, "members") && !strings.EqualFold(word.s, "slaves"):
		p.bad(word, "want members:, not %q", word.s)
	}
	a := Bundle{Ports: p.members(&t), Basis: uint16(atoi(basis.s))}
	a.Fields = p.oneOf(fields, "set of fields to hash", hashFields)
	a.Algorithm = p.oneOf(algorithm, "algorithm", bundleAlgorithms)
	p.oneOf(kind, "kind of members", []string{"ofport"})
	if load {
		a.Dst = p.shortDestination(dst)
	}
	return []Action{a}
}

// members reads the ports of a bundle.
func (p *parser) members(t *text) (ports []uint32) {
	for p.err == nil && len(ports) < 2048 {
		port := token(t, ", []")
		if port.s == "" {
			break
		}
		ports = append(ports, p.port(port))
	}
	return ports
}

// shortDestination reads a part of a field that has a header of four bytes.
func (p *parser) shortDestination(t text) Subfield {
	s := p.subfield(t)
	if s.Field.hasLongHeader() {
		p.bad(t, "%v has an experimenter's header, for which there is no room here", s.Field)
	}
	return s
}

// A Multipath writes the number of one of Links links, which it chooses by a hash, into Dst
// (NXAST_MULTIPATH).
type Multipath struct {
	Fields    uint16 // NX_HASH_FIELDS_*
	Basis     uint16 // of the hash
	Algorithm uint16 // NX_MP_ALG_*
	Links     uint32 // 1 to 65536
	Arg       uint32 // of the algorithm
	Dst       Subfield
}

func (m Multipath) appendTo(b []byte) ([]byte, error) {
	b = be.AppendUint16(be.AppendUint16(appendNX(b, 10, 32), m.Fields), m.Basis)
	b = be.AppendUint16(append(b, 0, 0), m.Algorithm)
	b = be.AppendUint32(be.AppendUint16(b, uint16(m.Links-1)), m.Arg)
	return m.Dst.Field.appendNXM(be.AppendUint16(append(b, 0, 0), m.Dst.ofsNbits())), nil
}

func readMultipath(d *decoder) Action {
	m := Multipath{Fields: d.u16(), Basis: d.u16()}
	d.skip(2)
	m.Algorithm = d.u16()
	m.Links, m.Arg = uint32(d.u16())+1, d.u32()
	d.skip(2)
	ofs := d.u16()
	m.Dst = subfield(d.field32(), ofs)
	if int(m.Fields) >= len(hashFields) || int(m.Algorithm) >= len(multipathAlgorithms) || m.Links > 1<<min(m.Dst.Bits, 16) {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	d.writable(m.Dst)
	return m
}

// String returns the action as ovs-ofctl prints it.
func (m Multipath) String() string {
	return fmt.Sprintf("multipath(%s,%d,%s,%d,%d,%v)", nameOf(hashFields, m.Fields), m.Basis,
		nameOf(multipathAlgorithms, m.Algorithm), m.Links, m.Arg, m.Dst)
}

func (m Multipath) check(p *packet) ErrorCode { return checkDst(m.Dst, p) }

// parseMultipath reads "FIELDS,BASIS,ALGORITHM,LINKS,ARG,DST".
func parseMultipath(p *parser, kv pair) []Action {
	t := kv.value
	fields, basis, algorithm := token(&t, ", "), token(&t, ", "), token(&t, ", ")
	links, arg, dst := token(&t, ", "), token(&t, ", "), token(&t, ", ")
	if dst.s == "" {
		p.bad(kv.value, "want multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARG,FIELD)")
		return nil
	}
	m := Multipath{Basis: uint16(atoi(basis.s)), Arg: uint32(atoi(arg.s))}
	m.Fields = p.oneOf(fields, "set of fields to hash", hashFields)
	m.Algorithm = p.oneOf(algorithm, "algorithm", multipathAlgorithms)
	n := int32(atoi(links.s))
	if n < 1 || n > 65536 {
		p.bad(links, "want 1 to 65536 links")
	}
	m.Links, m.Dst = uint32(n), p.shortDestination(dst)
	if m.Dst.Bits < 16 && m.Links > 1<<m.Dst.Bits {
		p.bad(dst, "%v has fewer than %d values", m.Dst, n)
	}
	return []Action{m}
}

func (Bundle) notInSet()    {}
func (Multipath) notInSet() {}
