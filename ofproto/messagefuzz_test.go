package ofproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// addMessages gives a fuzz target the vectors, messages of all kinds, and the killers.
func addMessages(f *testing.F) {
	for _, file := range []string{"messages_of13.jsonl", "flowmods_of13.jsonl"} {
		for _, v := range vectors(f, file) {
			f.Add(v.bytes(f))
		}
	}
	for _, b := range sampleMessages(f) {
		f.Add(b)
	}
	for _, k := range messageKillers {
		b, _ := hex.DecodeString(strings.ReplaceAll(k.hex, " ", ""))
		f.Add(b)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	addMessages(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range []func([]byte) (uint32, Message, error){Decode, DecodeStrict} {
			xid, m, err := decode(b)
			if err != nil {
				continue
			}
			again, err := Append(nil, xid, m)
			if err != nil {
				continue // longer than a message may be, once padding is put in
			}
			_, m, err = decode(again)
			if err != nil {
				t.Fatalf("what was written cannot be read: %v\n%x\n%x", err, b, again)
			}
			if third, err := Append(nil, xid, m); err != nil || !bytes.Equal(again, third) {
				t.Fatalf("reading and writing does not settle: %v\n%x\n%x\n%x", err, b, again, third)
			}
		}
	})
}

func FuzzPrint(f *testing.F) {
	addMessages(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Print(b)
		if s == "" {
			t.Fatalf("%x has no text: %v", b, err)
		}
		var code ErrorCode
		if err != nil && !errors.As(err, &code) {
			t.Fatalf("%x: an error without a code: %v", b, err)
		}
		if err == nil && len(s) > 4096+256*len(b) {
			t.Fatalf("%d bytes are printed as %d", len(b), len(s))
		}
		if _, _, strict := DecodeStrict(b); strict != nil && Check(b) == nil && !laxer(b) {
			t.Fatalf("%x is taken, and refused: %v", b, strict)
		}
	})
}

// laxer reports whether b is looked at less closely when it is printed than by a switch: a
// message in a bundle, and a Resume.
func laxer(b []byte) bool {
	if len(b) <= 16 || b[1] != typeExperimenter {
		return false
	}
	subtype := be.Uint32(b[12:])
	return subtype == onfBundleAdd || subtype == nxResume
}

func FuzzDecodeBodies(f *testing.F) {
	for _, b := range sampleMessages(f) {
		if b[1] == typeMultipartReply {
			f.Add(b[16:])
		}
	}
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkBody(t, b, DecodeFlowStats, AppendFlowStats)
		checkBody(t, b, DecodeGroupDesc, AppendGroupDesc)
		checkBody(t, b, DecodeGroupStats, AppendGroupStats)
		checkBody(t, b, DecodeMeterConfig, AppendMeterConfig)
		checkBody(t, b, DecodeMeterStats, AppendMeterStats)
		checkBody(t, b, DecodeTableFeatures, AppendTableFeatures)
		checkBody(t, b, DecodeTableStats, sure(AppendTableStats))
		checkBody(t, b, DecodePortStats, sure(AppendPortStats))
		checkBody(t, b, DecodeQueueStats, sure(AppendQueueStats))
		checkBody(t, b, DecodePortDescs, sure(AppendPortDesc))
		DecodeIPFIXStats(nil, b)
		DecodeFlowQuery(b)
		DecodeDesc(b)
		DecodeAggregate(b)
		DecodeGroupFeatures(b)
		DecodeMeterFeatures(b)
	})
}

// sure makes of an append that cannot fail one that could.
func sure[T any](put func([]byte, T) []byte) func([]byte, T) ([]byte, error) {
	return func(b []byte, v T) ([]byte, error) { return put(b, v), nil }
}

// checkBody fails if what is read of b, once written, is read otherwise.
func checkBody[T any](t *testing.T, b []byte, decode func([]T, []byte) ([]T, error), put func([]byte, T) ([]byte, error)) {
	t.Helper()
	write := func(all []T) (b []byte, err error) {
		for _, v := range all {
			if b, err = put(b, v); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	all, err := decode(nil, b)
	if err != nil {
		return
	}
	again, err := write(all)
	if err != nil {
		return // too long, once padding is put in
	}
	if all, err = decode(nil, again); err != nil {
		t.Fatalf("what was written cannot be read: %v\n%x\n%x", err, b, again)
	}
	if third, err := write(all); err != nil || !bytes.Equal(again, third) {
		t.Fatalf("reading and writing does not settle: %v\n%x\n%x\n%x", err, b, again, third)
	}
}
