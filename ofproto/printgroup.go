package ofproto

import "strconv"

// groupCommandNames are the commands of a group-mod as they are printed.
var groupCommandNames = map[GroupCommand]string{
	GroupAdd: "ADD", GroupModify: "MOD", GroupDelete: "DEL", GroupAddOrMod: "ADD_OR_MOD",
	GroupInsertBucket: "INSERT_BUCKET", GroupRemoveBucket: "REMOVE_BUCKET",
}

func (p *printer) groupMod(d *decoder, _ head) {
	if m := d.groupMod(); d.err == nil {
		p.groupModText(m)
	}
}

func (p *printer) groupModText(m GroupMod) {
	p.text("\n " + groupCommandNames[m.Command] + " ")
	p.group(&m.Group, m.Command != GroupInsertBucket && m.Command != GroupRemoveBucket)
}

// group prints a group as dump-groups does. The commands about buckets say nothing of its
// type.
func (p *printer) group(g *Group, typed bool) {
	p.uint("group_id=", uint64(g.ID))
	if typed {
		p.text(",type=" + g.Type.String())
	}
	for i := range g.Buckets {
		p.bucket(&g.Buckets[i], g.Type)
	}
}

func (p *printer) bucket(k *Bucket, t GroupType) {
	p.text(",bucket=")
	usual := uint16(0)
	if t == GroupSelect {
		usual = 1
	}
	if k.Weight != usual {
		p.f("weight:%d,", k.Weight)
	}
	if k.WatchPort != 0 {
		p.port("watch_port:", swapAny(k.WatchPort))
		p.text(",")
	}
	if k.WatchGroup != 0 {
		p.f("watch_group:%d,", swapAny(k.WatchGroup))
	}
	p.actions("actions=", k.Actions)
}

// groupName is a group's number, or what it means.
func groupName(id uint32) string {
	switch id {
	case AllGroups:
		return "ALL"
	case AnyGroup:
		return "ANY"
	}
	return strconv.FormatUint(uint64(id), 10)
}

func (p *printer) groupRequest(d *decoder, _ head) { p.text(" group_id=" + groupName(d.u32())) }

// groupDescRequest prints a request that in later versions is for one group.
func (p *printer) groupDescRequest(_ *decoder, _ head) { p.text(" group_id=ALL") }

func (p *printer) groupDesc(d *decoder, _ head) {
	for d.more() {
		if g := d.groupDesc(); d.err == nil {
			p.text("\n ")
			p.group(&g, true)
		}
	}
}

func (p *printer) groupStats(d *decoder, _ head) {
	for d.more() {
		s := d.groupStats()
		if d.err != nil {
			p.text(" ***parse error***")
			return
		}
		p.f("\n group_id=%d,", s.Group)
		if s.DurationSec != unknownDuration {
			p.text("duration=")
			p.duration(s.DurationSec, s.DurationNsec)
			p.text(",")
		}
		p.f("ref_count=%d,packet_count=%d,byte_count=%d", s.References, s.Packets, s.Bytes)
		for i, c := range s.Buckets {
			if c.Packets != ^uint64(0) {
				p.f(",bucket%d:packet_count=%d,byte_count=%d", i, c.Packets, c.Bytes)
			}
		}
	}
}

var groupFeatureTypes = [...]string{"all", "select", "indirect", "fast failover"}

func (p *printer) groupFeatures(d *decoder, _ head) {
	f := d.groupFeatures()
	p.f("\n Group table:\n    Types:  0x%x\n    Capabilities:  0x%x\n", f.Types, f.Capabilities)
	for i, name := range groupFeatureTypes {
		if f.Types>>i&1 == 1 {
			p.f("    %s group:\n       max_groups=%s\n       actions: ", name, cHex(uint64(f.Max[i])))
			p.actionTypes(f.Actions[i])
			p.text("\n")
		}
	}
}

// namedActions are the types of actions of OpenFlow 1.3 that Open vSwitch knows, by name,
// in its own order.
var namedActions = []struct {
	bit  uint8
	name string
}{
	{0, "output"}, {22, "group"}, {25, "set_field"}, {18, "strip_vlan"}, {17, "push_vlan"}, {23, "mod_nw_ttl"}, {24, "dec_ttl"},
	{15, "set_mpls_ttl"}, {16, "dec_mpls_ttl"}, {19, "push_mpls"}, {20, "pop_mpls"}, {21, "set_queue"},
}

// actionTypes prints the types of actions that are set in v.
func (p *printer) actionTypes(v uint32) {
	start := len(p.out)
	for _, a := range namedActions {
		if v>>a.bit&1 == 1 {
			p.text(a.name + " ")
		}
	}
	if len(p.out) == start {
		p.text("<none>")
	}
	p.chomp(' ')
}

// meter prints a meter's number, or what it means.
func (p *printer) meter(prefix string, id uint32) {
	switch {
	case id <= MaxMeter:
		p.uint(prefix, uint64(id))
	case id == MeterSlowpath:
		p.text(prefix + "slowpath")
	case id == MeterController:
		p.text(prefix + "controller")
	case id == AllMeters:
		p.text(prefix + "all")
	default:
		p.text(prefix + "unknown")
	}
}

var meterFlagNames = [...]string{"kbps ", "pktps ", "burst ", "stats "}

func (p *printer) meterConfig(m *MeterConfig) {
	p.meter("meter=", m.ID)
	p.text(" ")
	for i, name := range meterFlagNames {
		if m.Flags>>i&1 == 1 {
			p.text(name)
		}
	}
	if rest := m.Flags >> len(meterFlagNames) << len(meterFlagNames); rest != 0 {
		p.f("flags:0x%x ", rest)
	}
	p.text("bands=")
	for _, k := range m.Bands {
		p.text("\ntype=" + bandTypeName(k.Type))
		p.uint(" rate=", uint64(k.Rate))
		if m.Flags&MeterBurst != 0 {
			p.uint(" burst_size=", uint64(k.Burst))
		}
		if k.Type == MeterDSCPRemark {
			p.uint(" prec_level=", uint64(k.Prec))
		}
	}
	p.text("\n")
}

func (p *printer) meterMod(d *decoder, _ head) {
	if m := d.meterMod(); d.err == nil {
		p.meterModText(m)
	}
}

func (p *printer) meterModText(m MeterMod) {
	p.text([...]string{" ADD ", " MOD ", " DEL "}[m.Command])
	p.meterConfig(&m.Meter)
}

func (p *printer) meterRequest(d *decoder, _ head) { p.meter(" meter=", d.u32()) }

func (p *printer) meterConfigs(d *decoder, _ head) {
	for d.more() {
		if m := d.meterConfig(); d.err == nil {
			p.text("\n")
			p.meterConfig(&m)
		}
	}
}

func (p *printer) meterStats(d *decoder, _ head) {
	for d.more() {
		s := d.meterStats()
		if d.err != nil {
			return
		}
		p.meter("\nmeter:", s.Meter)
		p.f(" flow_count:%d packet_in_count:%d byte_in_count:%d duration:", s.Flows, s.Packets, s.Bytes)
		p.duration(s.DurationSec, s.DurationNsec)
		p.text(" bands:\n")
		for i, c := range s.Bands {
			p.f("%d: packet_count:%d byte_count:%d\n", i, c.Packets, c.Bytes)
		}
	}
}

func (p *printer) meterFeatures(d *decoder, _ head) {
	f := d.meterFeatures()
	p.f("\nmax_meter:%d max_bands:%d max_color:%d\nband_types: ", f.Max, f.MaxBands, f.MaxColor)
	p.bits(f.Bands, []string{"", "drop", "dscp_remark"}, " ")
	p.text("\ncapabilities: ")
	p.bits(f.Capabilities, []string{"kbps", "pktps", "burst", "stats"}, " ")
	p.text("\n")
}

func (p *printer) desc(d *decoder, _ head) {
	p.text("\n")
	for _, k := range []struct {
		name string
		size int
	}{{"Manufacturer", 256}, {"Hardware", 256}, {"Software", 256}, {"Serial Num", 32}, {"DP Description", 256}} {
		p.f("%s: %s\n", k.name, text0(d.bytes(k.size), k.size))
	}
}

func (p *printer) aggregate(d *decoder, _ head) {
	a := d.aggregate()
	p.f(" packet_count=%d byte_count=%d flow_count=%d", a.Packets, a.Bytes, a.Flows)
}

func (p *printer) ipfixBridge(d *decoder, _ head) {
	s := d.ipfixStats()
	p.text("\n  bridge ipfix: ")
	p.ipfix(&s, "                ")
}

func (p *printer) ipfixFlow(d *decoder, _ head) {
	p.f(" %d ids\n", len(d.b)/88)
	for d.more() {
		s := d.ipfixStats()
		p.f("  id %3d: ", s.Collector)
		p.ipfix(&s, "          ")
	}
}

func (p *printer) ipfix(s *IPFIXStats, indent string) {
	p.counter("flows=", s.Flows, ", ")
	p.counter("current flows=", s.CurrentFlows, ", ")
	p.counter("sampled pkts=", s.Packets, ", ")
	p.counter("ipv4 ok=", s.IPv4, ", ")
	p.counter("ipv6 ok=", s.IPv6, ", ")
	p.counter("tx pkts=", s.TxPackets, "\n"+indent)
	p.counter("pkts errs=", s.Errors, ", ")
	p.counter("ipv4 errs=", s.IPv4Errors, ", ")
	p.counter("ipv6 errs=", s.IPv6Errors, ", ")
	p.counter("tx errs=", s.TxErrors, "\n")
}
