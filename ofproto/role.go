package ofproto

// A Role is what a controller may do (OFPCR_ROLE_*).
type Role uint32

// The roles of OpenFlow 1.3, A.3.9.
const (
	RoleNoChange Role = iota // asks which one it is
	RoleEqual
	RolePrimary   // OFPCR_ROLE_MASTER: at most one controller
	RoleSecondary // OFPCR_ROLE_SLAVE: may only read
)

// NoGeneration is the generation id of a switch that has not been told one.
const NoGeneration uint64 = 1<<64 - 1

type (
	// RoleRequest asks for a role; RoleReply says which one it is (A.3.9).
	RoleRequest struct {
		Role       Role
		Generation uint64 // of who is primary; means nothing with RoleNoChange and RoleEqual
	}
	// RoleReply answers a RoleRequest.
	RoleReply struct {
		Role       Role
		Generation uint64 // or NoGeneration
	}
	// RoleStatus says that another controller, or the administrator, took the role
	// (OFPT_ROLE_STATUS of OpenFlow 1.4, ONF extension 191 for 1.3).
	RoleStatus struct {
		Role       Role
		Reason     uint8 // OFPCRR_*: 0 another became primary, 1 configuration, 2 experimenter
		Generation uint64
	}
	// NXRoleRequest is Open vSwitch's RoleRequest for OpenFlow 1.0 and 1.1, which it takes
	// in 1.3 too. It has no generation id.
	NXRoleRequest struct{ Role Role }
	// NXRoleReply answers an NXRoleRequest.
	NXRoleReply struct{ Role Role }
)

// Subtypes of experimenter messages about roles.
const (
	nxRoleRequest = 10
	nxRoleReply   = 11
	onfRoleStatus = 1911
)

func (RoleRequest) messageType() uint8   { return typeRoleRequest }
func (RoleReply) messageType() uint8     { return typeRoleReply }
func (RoleStatus) messageType() uint8    { return typeExperimenter }
func (NXRoleRequest) messageType() uint8 { return typeExperimenter }
func (NXRoleReply) messageType() uint8   { return typeExperimenter }

func (m RoleRequest) appendBody(b []byte) ([]byte, error) {
	return be.AppendUint64(append(be.AppendUint32(b, uint32(m.Role)), 0, 0, 0, 0), m.Generation), nil
}

func (m RoleReply) appendBody(b []byte) ([]byte, error) { return RoleRequest(m).appendBody(b) }

func (m RoleStatus) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, onf, onfRoleStatus)
	b = append(be.AppendUint32(b, uint32(m.Role)), m.Reason, 0, 0, 0)
	return be.AppendUint64(b, m.Generation), nil
}

func (m NXRoleRequest) appendBody(b []byte) ([]byte, error) {
	return appendNXRole(b, nxRoleRequest, m.Role), nil
}

func (m NXRoleReply) appendBody(b []byte) ([]byte, error) {
	return appendNXRole(b, nxRoleReply, m.Role), nil
}

// appendNXRole writes a role as the Nicira extension numbers it: from RoleEqual on.
func appendNXRole(b []byte, subtype uint32, r Role) []byte {
	return be.AppendUint32(appendExperimenter(b, nicira, subtype), uint32(r-RoleEqual))
}

// role reads a role, of which there are four.
func (d *decoder) role() Role {
	r := Role(d.u32())
	if r > RoleSecondary {
		d.refuse(OFPRRFC_BAD_ROLE)
	}
	return r
}

func (d *decoder) nxRole() Role {
	r := Role(d.u32()) + RoleEqual
	if r < RoleEqual || r > RoleSecondary {
		d.refuse(OFPRRFC_BAD_ROLE)
	}
	return r
}

func (d *decoder) roleRequest() RoleRequest {
	m := RoleRequest{Role: d.role()}
	d.skip(4)
	m.Generation = d.u64()
	return m
}

func (d *decoder) roleStatus() RoleStatus {
	m := RoleStatus{Role: d.role(), Reason: d.u8()}
	d.skip(3)
	m.Generation = d.u64()
	d.skip(len(d.b)) // properties
	return m
}

func init() {
	onMessage(openflowMessage, typeRoleRequest, messageForm{name: "ROLE_REQUEST", print: (*printer).roleRequest, least: 16,
		read: func(d *decoder, _ head) Message { return d.roleRequest() }})
	onMessage(openflowMessage, typeRoleReply, messageForm{name: "ROLE_REPLY", print: (*printer).roleReply, least: 16,
		read: func(d *decoder, _ head) Message { return RoleReply(d.roleRequest()) }})
	onMessage(onfMessage, onfRoleStatus, messageForm{name: "ROLE_STATUS", print: (*printer).roleStatus, least: 16, unit: 8,
		read: func(d *decoder, _ head) Message { return d.roleStatus() }})
	onMessage(niciraMessage, nxRoleRequest, messageForm{name: "ROLE_REQUEST", print: (*printer).nxRole, least: 4,
		read: func(d *decoder, _ head) Message { return NXRoleRequest{d.nxRole()} }})
	onMessage(niciraMessage, nxRoleReply, messageForm{name: "ROLE_REPLY", print: (*printer).nxRole, least: 4,
		read: func(d *decoder, _ head) Message { return NXRoleReply{d.nxRole()} }})
}
