package ofproto

import (
	"encoding/hex"
)

// answer is what parse-actions or parse-instructions of ovs-ofctl say: the error, or the
// text and the bytes that are written again.
func answer(kind string, b []byte, table Table) (text, again string, err error) {
	decode, encode := DecodeActions, AppendActions
	if kind == "instructions" {
		decode, encode = DecodeInstructions, AppendInstructions
	}
	actions, err := decode(b)
	if err == nil && kind == "instructions" {
		err = checkConsistent(nil, table, actions)
	}
	if err != nil {
		return "", "", err
	}
	out, err := encode(nil, actions)
	return Text(actions), hex.EncodeToString(out), err
}
