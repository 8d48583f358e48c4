package ofproto

import (
	"fmt"
	"strings"
)

func init() {
	onWire(openflow, 24, 8, false, func(d *decoder) Action { return DecTTL{} })
	onWire(niciraAction, 1, 16, false, readResubmitPort)
	onWire(niciraAction, 14, 16, false, func(d *decoder) Action { return d.resubmit(Resubmit{}) })
	onWire(niciraAction, 44, 16, false, func(d *decoder) Action { return d.resubmit(Resubmit{CT: true}) })
	onWire(niciraAction, 17, 16, false, func(*decoder) Action { return Exit{} })
	onWire(niciraAction, 19, 16, false, func(d *decoder) Action { return FinTimeout{d.u16(), d.u16()} })
	onWire(niciraAction, 34, 16, false, readConjunction)
	nestedOnWire(niciraAction, 42, 16, func(d *decoder) { d.skip(6) }, readClone)
	inText("resubmit", parseResubmit)
	inText("exit", func(*parser, pair) []Action { return []Action{Exit{}} })
	inText("fin_timeout", parseFinTimeout)
	inText("conjunction", parseConjunction)
	inText("clone", func(p *parser, kv pair) []Action { return []Action{Clone{p.nested(kv.value, inClone)}} })
}

// Resubmit looks the packet up again (NXAST_RESUBMIT_TABLE) and comes back.
type Resubmit struct {
	Port  uint16 // OpenFlow 1.0 port; PortInPort16 leaves it as it is
	Table Table  // NoTable: that in which the flow is
	CT    bool   // look up the addresses and ports of the connection (NXAST_RESUBMIT_TABLE_CT)

	short bool // on the wire without a table (NXAST_RESUBMIT)
}

func (r Resubmit) appendTo(b []byte) ([]byte, error) {
	subtype, table := byte(14), r.Table
	switch {
	case r.short && r.Table == NoTable:
		subtype, table = 1, 0
	case r.CT:
		subtype = 44
	}
	return append(b, 0xff, 0xff, 0, 16, 0, 0, 0x23, 0x20, 0, subtype, byte(r.Port>>8), byte(r.Port), byte(table), 0, 0, 0), nil
}

// readResubmitPort reads the oldest form, in which nothing counts but the port.
func readResubmitPort(d *decoder) Action {
	return Resubmit{Port: d.u16(), Table: NoTable, short: true}
}

func (d *decoder) resubmit(r Resubmit) Action {
	r.Port, r.Table = d.u16(), Table(d.u8())
	d.zero(3, OFPBAC_BAD_ARGUMENT)
	return r
}

// check refuses to look up the connection of packets that may have none.
func (r Resubmit) check(p *packet) ErrorCode {
	if r.CT && !p.tracked() {
		return OFPBAC_MATCH_INCONSISTENT
	}
	return 0
}

// String returns the action as ovs-ofctl prints it.
func (r Resubmit) String() string {
	port, table, ct := "", "", ""
	if r.Port != PortInPort16 {
		port = port16Text(r.Port)
	}
	if r.Table == NoTable && port != "" {
		return "resubmit:" + port
	}
	if r.Table != NoTable {
		table = fmt.Sprint(uint8(r.Table))
	}
	if r.CT {
		ct = ",ct"
	}
	return "resubmit(" + port + "," + table + ct + ")"
}

// port16Text is a port of OpenFlow 1.0 as ovs-ofctl prints it.
func port16Text(port uint16) string {
	if port >= 0xff00 {
		if name := portName(uint32(port) + portOffset); name != "" {
			return name
		}
	}
	return fmt.Sprint(port)
}

func parseResubmit(p *parser, kv pair) []Action {
	r := Resubmit{Port: PortInPort16, Table: NoTable}
	port, rest, _ := kv.value.cut(",")
	table, rest, _ := rest.cut(",")
	ct, _, _ := rest.cut(",")
	if port.s != "" {
		r.Port = uint16(p.port(port))
	}
	if table.s != "" {
		r.Table = p.table(table)
	}
	if r.CT = ct.s != ""; r.CT && ct.s != "ct" {
		p.bad(ct, "the third argument of resubmit can be ct only")
	}
	if r.Port == PortInPort16 && r.Table == NoTable {
		p.bad(kv.key, "resubmit needs a port or a table")
	}
	return []Action{r}
}

func (Exit) notInSet()        {}
func (FinTimeout) notInSet()  {}
func (Conjunction) notInSet() {}
func (Clone) notInSet()       {}

// Exit ends all processing of the packet, also that of the flows that resubmitted it
// (NXAST_EXIT).
type Exit struct{}

func (Exit) appendTo(b []byte) ([]byte, error) {
	return append(appendNX(b, 17, 16), 0, 0, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (Exit) String() string { return "exit" }

// FinTimeout changes the timeouts of the flow when a TCP connection ends (NXAST_FIN_TIMEOUT).
type FinTimeout struct{ Idle, Hard uint16 } // in seconds; zero: stays as it is

func (f FinTimeout) appendTo(b []byte) ([]byte, error) {
	b = be.AppendUint16(be.AppendUint16(appendNX(b, 19, 16), f.Idle), f.Hard)
	return append(b, 0, 0), nil
}

// check notes that the packets have to be TCP.
func (f FinTimeout) check(p *packet) ErrorCode {
	if p.proto != 6 {
		p.inconsistent = true
	}
	return 0
}

// String returns the action as ovs-ofctl prints it.
func (f FinTimeout) String() string {
	var s []string
	if f.Idle != 0 {
		s = append(s, fmt.Sprintf("idle_timeout=%d", f.Idle))
	}
	if f.Hard != 0 {
		s = append(s, fmt.Sprintf("hard_timeout=%d", f.Hard))
	}
	return "fin_timeout(" + strings.Join(s, ",") + ")"
}

func parseFinTimeout(p *parser, kv pair) []Action {
	var f FinTimeout
	for arg, ok := p.next(&kv.value); ok && p.err == nil; arg, ok = p.next(&kv.value) {
		switch arg.key.s {
		case "idle_timeout":
			f.Idle = uint16(p.uint(arg.value, 16))
		case "hard_timeout":
			f.Hard = uint16(p.uint(arg.value, 16))
		default:
			p.bad(arg.key, "fin_timeout has no argument %q: want idle_timeout or hard_timeout", arg.key.s)
		}
	}
	return []Action{f}
}

// DecTTL decrements the TTL or hop limit (OFPAT_DEC_NW_TTL).
type DecTTL struct{}

func (DecTTL) appendTo(b []byte) ([]byte, error) {
	return append(b, 0, 24, 0, 8, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (DecTTL) String() string { return "dec_ttl" }

// Conjunction is a clause of a conjunctive match (NXAST_CONJUNCTION). No other action but
// Note can stand beside it.
type Conjunction struct {
	ID     uint32
	Clause uint8 // from 0
	Of     uint8 // 2..64
}

func (c Conjunction) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(appendNX(b, 34, 16), c.Clause, c.Of), c.ID), nil
}

func readConjunction(d *decoder) Action {
	c := Conjunction{Clause: d.u8(), Of: d.u8(), ID: d.u32()}
	if c.Of < 2 || c.Of > 64 || c.Clause >= c.Of {
		d.fail(NXBAC_BAD_CONJUNCTION)
	}
	return c
}

// String returns the action as ovs-ofctl prints it.
func (c Conjunction) String() string {
	return fmt.Sprintf("conjunction(%d,%d/%d)", c.ID, c.Clause+1, c.Of)
}

func parseConjunction(p *parser, kv pair) []Action {
	s := scan{kv.value, true}
	id := uint32(s.uint(0))
	s.blanks()
	s.byte(',')
	clause := uint8(s.uint(10))
	s.blanks()
	s.byte('/')
	of := uint8(s.uint(10))
	s.blanks()
	switch {
	case !s.ok || s.s != "":
		p.bad(kv.value, "want conjunction(ID,CLAUSE/CLAUSES)")
	case of < 2 || of > 64:
		p.bad(kv.value, "a conjunction has 2 to 64 clauses, not %d", of)
	case clause < 1 || clause > of:
		p.bad(kv.value, "want a clause from 1 to %d, not %d", of, clause)
	}
	return []Action{Conjunction{id, clause - 1, of}}
}

// Clone does actions with a copy of the packet (NXAST_CLONE): they do not change what comes
// after it.
type Clone struct{ Actions []Action }

func (c Clone) same(o Action) bool {
	d, ok := o.(Clone)
	return ok && equalActions(c.Actions, d.Actions)
}

func (c Clone) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b, err := appendActions(appendClone(b), c.Actions)
	if err != nil {
		return b, err
	}
	return b, setLen(b, start, 2)
}

// appendClone appends the beginning of a clone.
func appendClone(b []byte) []byte {
	return append(b, 0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20, 0, 42, 0, 0, 0, 0, 0, 0)
}

func readClone(d *decoder, list []Action) Action {
	d.unread(6)
	d.verify(list, onlyApply, notNested)
	return Clone{list}
}

func (c Clone) check(p *packet) ErrorCode { return p.checkNested(c.Actions) }

// String returns the action as ovs-ofctl prints it.
func (c Clone) String() string { return string(appendText(nil, []Action{c})) }
