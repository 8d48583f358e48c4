package ofproto

import (
	"fmt"
	"strings"
)

// Text returns actions in the syntax of ovs-ofctl; an empty list is "drop".
func Text(actions []Action) string {
	if len(actions) == 0 {
		return "drop"
	}
	s := make([]string, len(actions))
	for i, a := range actions {
		s[i] = a.String()
	}
	return strings.Join(s, ",")
}

// String returns s as in move and load: "NXM_NX_REG5[0..15]".
func (s Subfield) String() string {
	name := info[s.Field].nxm
	switch {
	case s == s.Field.Whole():
		return name + "[]"
	case s.Bits == 1:
		return fmt.Sprintf("%s[%d]", name, s.Offset)
	}
	return fmt.Sprintf("%s[%d..%d]", name, s.Offset, s.Offset+s.Bits-1)
}

// String returns the action as ovs-ofctl prints it.
func (o Output) String() string {
	switch {
	case o.Port == PortController:
		return fmt.Sprintf("CONTROLLER:%d", o.MaxLen)
	case portNames[o.Port] != "":
		return portNames[o.Port]
	}
	return "output:" + portText(o.Port)
}

// String returns the action as ovs-ofctl prints it.
func (g ToGroup) String() string { return fmt.Sprintf("group:%d", uint32(g)) }

// String returns the action as ovs-ofctl prints it.
func (g GotoTable) String() string { return fmt.Sprintf("goto_table:%d", uint8(g)) }

// String returns the action as ovs-ofctl prints it.
func (s SetField) String() string {
	return "set_field:" + valueText(s.Value, &info[s.Field]) + "->" + s.Field.String()
}

// String returns the action as ovs-ofctl prints it.
func (l Load) String() string { return fmt.Sprintf("load:%s->%v", hexText(Uint(l.Value)), l.Dst) }

// String returns the action as ovs-ofctl prints it.
func (m Move) String() string { return fmt.Sprintf("move:%v->%v", m.Src, m.Dst) }

// String returns the action as ovs-ofctl prints it.
func (CTClear) String() string { return "ct_clear" }

// String returns the action as ovs-ofctl prints it.
func (DecTTL) String() string { return "dec_ttl" }

// String returns the action as ovs-ofctl prints it.
func (m Meter) String() string { return fmt.Sprintf("meter:%d", uint32(m)) }

// String returns the action as ovs-ofctl prints it.
func (c Conjunction) String() string {
	return fmt.Sprintf("conjunction(%d,%d/%d)", c.ID, c.Clause+1, c.Of)
}

// String returns the action as ovs-ofctl prints it.
func (r Resubmit) String() string {
	if r.Port == PortInPort16 {
		return fmt.Sprintf("resubmit(,%d)", r.Table)
	}
	if r.Table == NoTable { // the table that the packet is in
		return fmt.Sprintf("resubmit:%d", r.Port)
	}
	return fmt.Sprintf("resubmit(%d,%d)", r.Port, r.Table)
}

// String returns the bytes of the instruction: ovs-ofctl has no syntax for it.
func (r RawInstruction) String() string { return fmt.Sprintf("instruction:%x", string(r)) }

// String returns the bytes of the action: ovs-ofctl has no syntax for it.
func (r Raw) String() string { return fmt.Sprintf("raw:%x", string(r)) }

// String returns the action as ovs-ofctl prints it.
func (c ConnTrack) String() string {
	var s []string
	if c.Commit {
		s = append(s, "commit")
	}
	if c.Force {
		s = append(s, "force")
	}
	if c.Table != NoTable {
		s = append(s, fmt.Sprintf("table=%d", c.Table))
	}
	switch {
	case c.ZoneIn.Bits != 0:
		s = append(s, "zone="+c.ZoneIn.String())
	case c.Zone != 0:
		s = append(s, fmt.Sprintf("zone=%d", c.Zone))
	}
	if c.NAT != nil {
		s = append(s, c.NAT.text())
	}
	if len(c.Exec) > 0 {
		s = append(s, "exec("+Text(c.Exec)+")")
	}
	switch c.ALG {
	case 0:
	case 21:
		s = append(s, "alg=ftp")
	case 69:
		s = append(s, "alg=tftp")
	default:
		s = append(s, fmt.Sprintf("alg=%d", c.ALG))
	}
	return "ct(" + strings.Join(s, ",") + ")"
}

// text is "nat" or "nat(...)".
func (n NAT) text() string {
	if !n.Src && !n.Dst {
		return "nat"
	}
	s := "src"
	if n.Dst {
		s = "dst"
	}
	if n.AddrMin.IsValid() || n.PortMin != 0 {
		s += "=" + n.addrs() + n.ports()
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{n.Persistent, "persistent"}, {n.Hash, "hash"}, {n.Random, "random"}} {
		if f.set {
			s += "," + f.name
		}
	}
	return "nat(" + s + ")"
}

// addrs writes an IPv6 address in brackets if ports follow.
func (n NAT) addrs() string {
	if !n.AddrMin.IsValid() {
		return ""
	}
	format := "%v"
	if n.AddrMin.Is6() && n.PortMin != 0 {
		format = "[%v]"
	}
	s := fmt.Sprintf(format, n.AddrMin)
	if n.AddrMax.IsValid() && n.AddrMax != n.AddrMin {
		s += "-" + fmt.Sprintf(format, n.AddrMax)
	}
	return s
}

func (n NAT) ports() string {
	switch {
	case n.PortMin == 0:
		return ""
	case n.PortMax == 0 || n.PortMax == n.PortMin:
		return fmt.Sprintf(":%d", n.PortMin)
	}
	return fmt.Sprintf(":%d-%d", n.PortMin, n.PortMax)
}
