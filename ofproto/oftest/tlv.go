package oftest

import (
	"reflect"

	"weir/ofproto"
)

// Limits of the table of tunnel options.
const (
	tlvFields = 64  // tun_metadata0 and so on
	tlvSpace  = 256 // bytes of options in all
)

// tlvMod maps options of tunnels to tun_metadata fields, or takes that back.
func (s *Switch) tlvMod(m ofproto.TLVTableMod) error {
	switch m.Command {
	case ofproto.TLVAdd:
		return s.addTLVs(m.Maps)
	case ofproto.TLVClear:
		return s.removeTLVs(func(ofproto.TLVMap) bool { return true })
	}
	gone := map[uint16]bool{}
	for _, k := range m.Maps {
		gone[k.Index] = true
	}
	return s.removeTLVs(func(k ofproto.TLVMap) bool { return gone[k.Index] })
}

// addTLVs adds mappings, all of them or none.
func (s *Switch) addTLVs(maps []ofproto.TLVMap) error {
	next := s.tlvs
	for _, k := range maps {
		if next[k.Index] != nil {
			return ofproto.NXTTMFC_ALREADY_MAPPED
		}
		space := int(k.Len)
		for _, o := range next {
			if o != nil && o.Class == k.Class && o.Type == k.Type {
				return ofproto.NXTTMFC_DUP_ENTRY
			}
			if o != nil {
				space += int(o.Len)
			}
		}
		if space > tlvSpace {
			return ofproto.NXTTMFC_TABLE_FULL
		}
		next[k.Index] = &k
	}
	s.tlvs = next
	return nil
}

// removeTLVs removes the mappings for which is holds. None that a flow uses may go.
func (s *Switch) removeTLVs(is func(ofproto.TLVMap) bool) error {
	used := map[ofproto.Field]bool{}
	for _, f := range s.tables.flows {
		for field := range tunFields(f.Flow) {
			used[field] = true
		}
	}
	next := s.tlvs
	for i, k := range next {
		if k == nil || !is(*k) {
			continue
		}
		if used[ofproto.TunMetadata0+ofproto.Field(i)] {
			return ofproto.NXTTMFC_INVALID_TLV_DEL
		}
		next[i] = nil
	}
	s.tlvs = next
	return nil
}

func (s *Switch) tlvReply() ofproto.TLVTableReply {
	r := ofproto.TLVTableReply{MaxSpace: tlvSpace, MaxFields: tlvFields}
	for _, k := range s.tlvs {
		if k != nil {
			r.Maps = append(r.Maps, *k)
		}
	}
	return r
}

// checkTLVs refuses a flow that uses a tun_metadata field that is not mapped.
func (s *Switch) checkTLVs(f ofproto.Flow) error {
	for field := range tunFields(f) {
		if s.tlvs[field-ofproto.TunMetadata0] == nil {
			return ofproto.NXFMFC_INVALID_TLV_FIELD
		}
	}
	return nil
}

// tunFields returns the tun_metadata fields that a flow uses.
func tunFields(f ofproto.Flow) map[ofproto.Field]bool {
	used := map[ofproto.Field]bool{}
	for _, c := range f.Match {
		note(used, c.Field)
	}
	for _, a := range f.Actions {
		noteAll(used, reflect.ValueOf(a))
	}
	return used
}

func note(used map[ofproto.Field]bool, f ofproto.Field) {
	if f >= ofproto.TunMetadata0 && f <= ofproto.TunMetadata63 {
		used[f] = true
	}
}

var fieldType = reflect.TypeFor[ofproto.Field]()

// noteAll looks for fields wherever an action has them.
func noteAll(used map[ofproto.Field]bool, v reflect.Value) {
	switch {
	case v.IsValid() && v.Type() == fieldType:
		note(used, ofproto.Field(v.Uint()))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			noteAll(used, v.Field(i))
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		for i := range v.Len() {
			noteAll(used, v.Index(i))
		}
	case v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer:
		noteAll(used, v.Elem())
	}
}
