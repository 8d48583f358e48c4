package ofproto

import "encoding/hex"

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
