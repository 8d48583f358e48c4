package ofproto

import "fmt"

// otherName returns the name of a message of another version of OpenFlow, as far as the
// type in the header says it, and whether it has no body. Open vSwitch knows these versions;
// here they are only found inside the error messages of peers that were refused.
func otherName(version, typ uint8) (name string, bodiless bool) {
	n, ok := openflow10Names[typ]
	if version > 1 && typ >= 15 {
		n, ok = openflow11Names[typ]
		ok = ok && version >= n.since
	}
	if !ok {
		return "", false
	}
	return "OFPT_" + n.name, n.bodiless
}

// An otherMessage is a message of another version.
type otherMessage struct {
	name     string
	bodiless bool
	since    uint8 // version on the wire
}

// openflow10Names are the messages of OpenFlow 1.0, but for statistics and experimenters.
// Up to 14 they are the same in later versions.
var openflow10Names = map[uint8]otherMessage{
	0: {name: "HELLO"}, 1: {name: "ERROR"}, 2: {name: "ECHO_REQUEST"}, 3: {name: "ECHO_REPLY"},
	5: {name: "FEATURES_REQUEST", bodiless: true}, 6: {name: "FEATURES_REPLY"},
	7: {name: "GET_CONFIG_REQUEST", bodiless: true}, 8: {name: "GET_CONFIG_REPLY"}, 9: {name: "SET_CONFIG"},
	10: {name: "PACKET_IN"}, 11: {name: "FLOW_REMOVED"}, 12: {name: "PORT_STATUS"}, 13: {name: "PACKET_OUT"}, 14: {name: "FLOW_MOD"},
	15: {name: "PORT_MOD"}, 18: {name: "BARRIER_REQUEST", bodiless: true}, 19: {name: "BARRIER_REPLY", bodiless: true},
	20: {name: "QUEUE_GET_CONFIG_REQUEST"}, 21: {name: "QUEUE_GET_CONFIG_REPLY"},
}

// openflow11Names are those of OpenFlow 1.1 and later from 15 on.
var openflow11Names = map[uint8]otherMessage{
	15: {name: "GROUP_MOD"}, 16: {name: "PORT_MOD"}, 17: {name: "TABLE_MOD"},
	20: {name: "BARRIER_REQUEST", bodiless: true}, 21: {name: "BARRIER_REPLY", bodiless: true},
	22: {name: "QUEUE_GET_CONFIG_REQUEST"}, 23: {name: "QUEUE_GET_CONFIG_REPLY"},
	24: {name: "ROLE_REQUEST", since: 3}, 25: {name: "ROLE_REPLY", since: 3},
	26: {name: "GET_ASYNC_REQUEST", bodiless: true, since: 4}, 27: {name: "GET_ASYNC_REPLY", since: 4}, 28: {name: "SET_ASYNC", since: 4},
	29: {name: "METER_MOD", since: 4}, 30: {name: "ROLE_STATUS", since: 5}, 31: {name: "TABLE_STATUS", since: 5},
	32: {name: "REQUESTFORWARD", since: 5}, 33: {name: "BUNDLE_CONTROL", since: 5}, 34: {name: "BUNDLE_ADD_MESSAGE", since: 5},
}

// isOther reports whether version is one of OpenFlow that is not spoken here, but by Open
// vSwitch.
func isOther(version uint8) bool { return version > 0 && version <= 6 && version != Version }

// otherVersion prints what can be said of a message of another version: one without a body
// whole; of other ones what is wrong with them, if that can be seen from outside.
func (p *printer) otherVersion(b []byte) error {
	version, typ := b[0], b[1]
	name, bodiless := otherName(version, typ)
	k, subtype, err := numberOf(b)
	switch {
	case err != nil && version > 1 || err != nil && typ == typeExperimenter:
		return err
	case k == onfMessage, k == niciraMessage && messageFormOf(k, subtype) == nil:
		return fmt.Errorf("version %d: %w", version, OFPBRC_BAD_SUBTYPE)
	case name == "" && typ > typeMultipartReply:
		return fmt.Errorf("version %d: %w", version, OFPBRC_BAD_TYPE)
	case bodiless && len(b) == HeaderLen:
		p.head(name, b)
		return nil
	case name != "" && bodiless != (len(b) == HeaderLen),
		typ == typeFeaturesReply && len(b) < 32,
		(typ == typeGetConfigReply || typ == typeSetConfig) && len(b) != 12:
		return fmt.Errorf("version %d: %w", version, OFPBRC_BAD_LEN)
	}
	return fmt.Errorf("%w %d, want %d", OFPBRC_BAD_VERSION, version, Version)
}

// versionError returns why messages of b's version are not read, or nil. Those that Open
// vSwitch does not know either are refused as it does.
func versionError(b []byte) error {
	version, typ := b[0], b[1]
	switch {
	case version == Version || version > 0 && typ <= typeEchoReply:
		return nil
	case isOther(version):
		return fmt.Errorf("%w %d, want %d", OFPBRC_BAD_VERSION, version, Version)
	}
	k, _, err := numberOf(b)
	switch {
	case err != nil:
		return err
	case k == openflowMessage || k == multipartAsk || k == multipartAnswer:
		return fmt.Errorf("version %d: %w", version, OFPBRC_BAD_TYPE)
	}
	return fmt.Errorf("version %d: %w", version, OFPBRC_BAD_SUBTYPE)
}
