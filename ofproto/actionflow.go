package ofproto

import (
	"encoding/hex"
	"fmt"
	"strings"
)

func init() {
	onWire(openflow, 24, 8, false, func(d *decoder) Action { return DecTTL{} })
	onWire(niciraAction, 8, 16, true, func(d *decoder) Action { return Note(d.bytes(len(d.b))) })
	onWire(niciraAction, 14, 16, false, func(d *decoder) Action { return Resubmit{Port: d.u16(), Table: Table(d.u8())} })
	onWire(niciraAction, 34, 16, false, func(d *decoder) Action { return Conjunction{Clause: d.u8(), Of: d.u8(), ID: d.u32()} })
}

// Resubmit looks the packet up again (NXAST_RESUBMIT_TABLE) and comes back.
type Resubmit struct {
	Port  uint16 // OpenFlow 1.0 port; PortInPort16 leaves it as it is
	Table Table
}

func (r Resubmit) appendTo(b []byte) ([]byte, error) {
	b = be.AppendUint16(appendNX(b, 14, 16), r.Port)
	return append(b, byte(r.Table), 0, 0, 0), nil
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

// DecTTL decrements the TTL or hop limit (OFPAT_DEC_NW_TTL).
type DecTTL struct{}

func (DecTTL) appendTo(b []byte) ([]byte, error) {
	return append(b, 0, 24, 0, 8, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (DecTTL) String() string { return "dec_ttl" }

// Conjunction is a clause of a conjunctive match (NXAST_CONJUNCTION).
type Conjunction struct {
	ID     uint32
	Clause uint8 // from 0
	Of     uint8 // 2..64
}

func (Conjunction) notInSet() {}

func (c Conjunction) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(appendNX(b, 34, 16), c.Clause, c.Of), c.ID), nil
}

// String returns the action as ovs-ofctl prints it.
func (c Conjunction) String() string {
	return fmt.Sprintf("conjunction(%d,%d/%d)", c.ID, c.Clause+1, c.Of)
}

// A Note holds bytes that mean nothing to the switch (NXAST_NOTE). On the wire zeroes fill it
// up to 6, 14, 22, ... bytes.
type Note string

func (Note) notInSet() {}

func (n Note) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = append(appendNX(b, 8, 0), n...)
	for b = pad8(b, start); len(b)-start < 16; {
		b = append(b, 0)
	}
	return b, setLen(b, start, 2)
}

// String returns the action as ovs-ofctl prints it: "note:00.11.22".
func (n Note) String() string {
	var b strings.Builder
	b.WriteString("note:")
	for i := range len(n) {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(hex.EncodeToString([]byte{n[i]}))
	}
	return b.String()
}
