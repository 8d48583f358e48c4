package ofproto

import (
	"fmt"
	"math/bits"
)

// hello prints which versions are offered. Whatever is wrong in a hello, it is never
// refused: what is not understood is shown.
func (p *printer) hello(d *decoder, h head) {
	versions, _, understood := helloVersions(h.version, d.bytes(len(d.b)))
	p.text("\n version bitmap: ")
	for v := versions; v != 0; v &= v - 1 {
		if v != versions {
			p.text(", ")
		}
		p.f("0x%02x", bits.TrailingZeros32(v))
	}
	if !understood {
		p.text("\n unknown data in hello:\n")
		p.dump(h.whole)
	}
}

// helloVersions returns which versions a hello offers, whether a bitmap said so, and whether
// all of it was understood. A later bitmap stands for an earlier one; without one, all
// versions up to that of the header are meant.
func helloVersions(version uint8, b []byte) (versions uint32, said, understood bool) {
	versions = ^uint32(1)
	if version < 32 {
		versions = (1<<version - 1) << 1
	}
	understood = true
	for len(b) > 0 {
		n := 0
		if len(b) >= 4 {
			n = int(be.Uint16(b[2:]))
		}
		padded := (n + 7) &^ 7
		if n < 4 || padded > len(b) {
			return versions, said, false
		}
		v, ok := versionBitmap(b[:n])
		if understood = understood && ok; ok {
			versions, said = v, true
		}
		b = b[padded:]
	}
	return versions, said, understood
}

// versionBitmap reads a version bitmap, of which the first 32 bits count.
func versionBitmap(element []byte) (uint32, bool) {
	if be.Uint16(element) != 1 || len(element) < 8 || len(element)%4 != 0 {
		return 0, false
	}
	v := be.Uint32(element[4:]) &^ 1
	return v, v != 0
}

// error prints the name of an error and the message that failed. An error without a name
// is refused.
func (p *printer) error(d *decoder, h head) {
	code, data := d.wireError(h.version)
	if code == 0 {
		d.fail(OFPBRC_BAD_LEN)
		return
	}
	p.f(" %s\n", code)
	if code == OFPHFC_INCOMPATIBLE || code == OFPHFC_EPERM {
		p.printable(data)
		return
	}
	verbosity := p.verbosity
	p.verbosity = 1
	_ = p.whole(data) // that it was refused is what the error is about
	p.verbosity = verbosity
}

// printable prints text, and what cannot be printed by its octal number.
func (p *printer) printable(b []byte) {
	for _, c := range b {
		if c < 0x20 || c > 0x7e || c == '\\' || c == '"' {
			p.f("\\%03o", c)
		} else {
			p.out = append(p.out, c)
		}
	}
}

func (p *printer) echo(d *decoder, _ head) {
	payload := d.bytes(len(d.b))
	p.f(" %d bytes of payload\n", len(payload))
	if p.verbosity > 1 {
		p.dump(payload)
	}
}

var capabilityNames = []string{
	"FLOW_STATS", "TABLE_STATS", "PORT_STATS", "GROUP_STATS", "", "IP_REASM", "QUEUE_STATS", "", "PORT_BLOCKED",
}

// knownCapabilities are the ones that OpenFlow 1.3 has.
const knownCapabilities = FlowCounters | TableCounters | PortCounters | GroupCounters | ReassemblesIP | QueueCounters | BlocksLoopingPorts

func (p *printer) features(d *decoder, _ head) {
	f := d.features()
	p.f(" dpid:%016x\nn_tables:%d, n_buffers:%d", f.DatapathID, f.Tables, f.Buffers)
	if f.AuxiliaryID != 0 {
		p.uint(", auxiliary_id:", uint64(f.AuxiliaryID))
	}
	p.text("\ncapabilities: ")
	p.bits(uint32(f.Capabilities&knownCapabilities), capabilityNames, " ")
	p.text("\n")
}

var fragNames = [4]string{"normal", "drop", "reassemble", "nx-match"}

func (p *printer) config(d *decoder, _ head) {
	if c := d.config(); d.err == nil {
		p.f(" frags=%s miss_send_len=%d\n", fragNames[c.Flags&3], c.MissSendLen)
	}
}

func (p *printer) setConfig(d *decoder, h head) {
	if d.refuseFlags(); d.err == nil {
		p.config(d, h)
	}
}

var roleNames = [4]string{"nochange", "equal", "primary", "secondary"}

func (p *printer) role(r Role, generation uint64) {
	p.text(" role=" + roleNames[r])
	if generation != NoGeneration {
		p.uint(" generation_id=", generation)
	}
}

func (p *printer) roleRequest(d *decoder, _ head) {
	m := d.roleRequest()
	if m.Role == RoleNoChange { // asks only
		m.Generation = NoGeneration
	}
	if d.err == nil {
		p.role(m.Role, m.Generation)
	}
}

func (p *printer) roleReply(d *decoder, _ head) {
	if m := d.roleRequest(); d.err == nil {
		p.role(m.Role, m.Generation)
	}
}

func (p *printer) nxRole(d *decoder, _ head) {
	if r := d.nxRole(); d.err == nil {
		p.role(r, NoGeneration)
	}
}

func (p *printer) roleStatus(d *decoder, _ head) {
	m := d.roleStatus()
	if d.err != nil {
		return
	}
	p.role(m.Role, m.Generation)
	p.text(" reason=")
	if int(m.Reason) < len(roleReasons) {
		p.text(roleReasons[m.Reason])
	} else {
		p.text("(unknown)")
	}
}

var roleReasons = []string{"primary_request", "configuration_changed", "experimenter_data_changed"}

// asyncNames are the kinds of messages, and the reasons of each. A packet-in that matched
// nothing has one reason on the wire and more inside, which have no names.
var asyncNames = []struct {
	kind    string
	reasons []string
}{
	{"PACKET_IN", []string{"no_match", "action", "invalid_ttl"}},
	{"PORT_STATUS", []string{"add", "delete", "modify"}},
	{"FLOW_REMOVED", removedNames},
	{"ROLE_STATUS", roleReasons},
	{"TABLE_STATUS", []string{"", "", "", "vacancy_down", "vacancy_up"}},
	{"REQUESTFORWARD", []string{"group_mod_request", "meter_mod_request"}},
}

func (p *printer) asyncReasons(r AsyncReasons) {
	for i, v := range []uint32{r.PacketIn, r.PortStatus, r.FlowRemoved, r.RoleStatus, r.TableStatus, r.RequestForward} {
		p.f("%16s:", asyncNames[i].kind)
		for bit, name := range asyncNames[i].reasons {
			if v>>bit&1 == 1 {
				p.text(" " + name)
			}
		}
		if v == 0 {
			p.text(" (off)")
		}
		p.text("\n")
	}
}

func (p *printer) asyncConfig(c AsyncConfig) {
	p.text("\n primary:\n")
	p.asyncReasons(c.Primary)
	p.text("\n secondary:\n")
	p.asyncReasons(c.Secondary)
}

func (p *printer) async(d *decoder, _ head) { p.asyncConfig(d.async()) }

func (p *printer) asyncMasks(d *decoder, _ head) {
	m := d.asyncMasks()
	if d.err != nil {
		return
	}
	var c AsyncConfig
	for _, k := range m.Masks {
		c.Set(k)
	}
	p.asyncConfig(c)
}

var bundleTypes = []string{
	"OPEN_REQUEST", "OPEN_REPLY", "CLOSE_REQUEST", "CLOSE_REPLY", "COMMIT_REQUEST", "COMMIT_REPLY", "DISCARD_REQUEST", "DISCARD_REPLY",
}

func (p *printer) bundleControl(d *decoder, _ head) {
	m := d.bundleControl()
	p.f("\n bundle_id=%s type=", cHex(uint64(m.ID)))
	if int(m.Type) < len(bundleTypes) {
		p.text(bundleTypes[m.Type])
	}
	p.bundleFlags(m.Flags)
}

func (p *printer) bundleFlags(f BundleFlags) {
	p.text(" flags=")
	p.bits(uint32(f), []string{"atomic", "ordered"}, " ")
}

// cHex is a number as C's %#x has it: a zero has no prefix.
func cHex(v uint64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", v)
}

// bundleAdd prints the message in a bundle. What is wrong in it is not the bundle's error.
func (p *printer) bundleAdd(d *decoder, h head) {
	id := d.u32()
	d.skip(2)
	flags := BundleFlags(d.u16())
	inner := d.member(h)
	if d.err != nil {
		return
	}
	p.f("\n bundle_id=%s", cHex(uint64(id)))
	p.bundleFlags(flags)
	p.text("\n")
	_ = p.message(inner) // is refused when the switch looks into it
}

func (p *printer) tlvMaps(maps []TLVMap) {
	p.text(" mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------")
	for _, m := range maps {
		p.f("\n %6s  %4s  %6d  tun_metadata%d", cHex(uint64(m.Class)), cHex(uint64(m.Type)), m.Len, m.Index)
	}
}

func (p *printer) tlvTableMod(d *decoder, _ head) {
	m := d.tlvTableMod()
	if d.err != nil {
		return
	}
	p.text("\n " + [...]string{"ADD", "DEL", "CLEAR"}[m.Command])
	if m.Command != TLVClear {
		p.tlvMaps(m.Maps)
	}
}

func (p *printer) tlvTableReply(d *decoder, _ head) {
	m := d.tlvTableReply()
	if d.err != nil {
		return
	}
	allocated := 0
	for _, k := range m.Maps {
		allocated += int(k.Len)
	}
	p.f("\n max option space=%d max fields=%d\n allocated option space=%d\n\n", m.MaxSpace, m.MaxFields, allocated)
	p.tlvMaps(m.Maps)
}

func (p *printer) ctFlush(d *decoder, _ head) {
	m, family := d.ctFlush()
	if d.err != nil {
		return
	}
	p.f(" zone=%d '", m.Zone)
	p.ctTuple(m.Original, m.Proto, family)
	p.f(",ct_nw_proto=%d' '", m.Proto)
	p.ctTuple(m.Reply, m.Proto, family)
	p.text("'")
}

func (p *printer) ctTuple(t CTTuple, proto uint8, family ctFamily) {
	src, dst := "ct_ipv6_src=", ",ct_ipv6_dst="
	if family == ctIPv4 {
		src, dst = "ct_nw_src=", ",ct_nw_dst="
	}
	p.text(src + addrOrUnset(t.Src, "::") + dst + addrOrUnset(t.Dst, "::"))
	if isICMP(proto) {
		p.f(",icmp_id=%d,icmp_type=%d,icmp_code=%d", t.SrcPort, uint8(t.DstPort), t.DstPort>>8)
	} else {
		p.f(",ct_tp_src=%d,ct_tp_dst=%d", t.SrcPort, t.DstPort)
	}
}

func (p *printer) requestForward(d *decoder, _ head) {
	b := d.forwarded()
	if d.err != nil {
		return
	}
	inner := d.sub(0, "request", OFPBRC_BAD_LEN)
	inner.b = b[HeaderLen:]
	if b[1] == typeGroupMod {
		if m := inner.groupMod(); inner.err == nil {
			p.text(" reason=group_mod")
			p.groupModText(m)
		}
	} else {
		if m := inner.meterMod(); inner.err == nil {
			p.text(" reason=meter_mod")
			p.meterModText(m)
		}
	}
	d.done(&inner)
}

func (p *printer) flowModTableID(d *decoder, _ head) {
	p.text([...]string{" disable", " enable"}[flag(d.u8() != 0, 1)])
}

func (p *printer) flowMonitorCancel(d *decoder, _ head) { p.uint(" id=", uint64(d.u32())) }

func (p *printer) controllerID(d *decoder, _ head) {
	d.skip(6)
	p.uint(" id=", uint64(d.u16()))
}

func (p *printer) ctFlushZone(d *decoder, _ head) {
	d.skip(6)
	p.uint(" zone_id=", uint64(d.u16()))
}
