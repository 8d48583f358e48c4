package ofproto

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// sent returns the body of m in hexadecimal, or the error.
func sent(m Message, err error) string {
	if err != nil {
		return err.Error()
	}
	b, err := Append(nil, 0, m)
	if err != nil {
		return err.Error()
	}
	return hex.EncodeToString(b[HeaderLen:])
}

// zeroes is n bytes of zero in hexadecimal.
func zeroes(n int) string { return strings.Repeat("00", n) }

// encodeText is what weir ofp encode does.
func encodeText(kind, s string) ([]byte, error) {
	var m Message
	var err error
	switch kind {
	case "flow":
		m, err = ParseFlowMod(FlowAdd, s)
	case "group":
		m, err = ParseGroupMod(GroupAdd, s)
	case "meter":
		m, err = ParseMeterMod(MeterAdd, s)
	default:
		return nil, fmt.Errorf("there is no %s in OpenFlow 1.3", kind)
	}
	if err != nil {
		return nil, err
	}
	return Append(nil, 0, m)
}
