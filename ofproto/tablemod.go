package ofproto

// TableMod configures a table (A.3.3). OpenFlow 1.3 has nothing to configure; Open vSwitch
// 3.1 takes it and does nothing.
type TableMod struct {
	Table  Table // AllTables: all
	Config uint32
}

func (TableMod) messageType() uint8 { return typeTableMod }

func (m TableMod) appendBody(b []byte) ([]byte, error) {
	return be.AppendUint32(append(b, byte(m.Table), 0, 0, 0), m.Config), nil
}

func (d *decoder) tableMod() (m TableMod) {
	m.Table = Table(d.u8())
	d.skip(3)
	m.Config = d.u32()
	return m
}

func init() {
	onMessage(openflowMessage, typeTableMod, messageForm{name: "TABLE_MOD", print: (*printer).tableMod, least: 8,
		read: func(d *decoder, _ head) Message { return d.tableMod() }})
}
