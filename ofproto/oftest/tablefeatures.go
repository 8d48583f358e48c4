package oftest

import "weir/ofproto"

// tableFeatures says what the tables can do, which is all the same for all of them: anything.
// That cannot be changed here, for which the body of a request would be.
func tableFeatures(body []byte) ([][]byte, error) {
	if _, err := ofproto.DecodeTableFeatures(nil, body); err != nil {
		return nil, err
	}
	if len(body) > 0 {
		return nil, ofproto.OFPTFFC_EPERM
	}
	var tables []ofproto.TableFeatures
	for t := range internalTable {
		tables = append(tables, featuresOf(t))
	}
	return each(tables, func(t ofproto.TableFeatures) ([]byte, error) { return ofproto.AppendTableFeatures(nil, t) })
}

func featuresOf(t ofproto.Table) ofproto.TableFeatures {
	const (
		all          = ^uint64(0)
		maxEntries   = 1000000
		instructions = 0x7e // OFPIT_GOTO_TABLE to OFPIT_METER
		gotoTable    = 1 << 1
	)
	can := ofproto.InstructionFeatures{Instructions: instructions}
	for next := t + 1; next < internalTable; next++ {
		can.Next[next/64] |= 1 << (next % 64)
	}
	if t == internalTable-1 {
		can.Instructions &^= gotoTable
	}
	can.Write = ofproto.ActionFeatures{Actions: groupActions, Fields: ofproto.WritableFields()}
	can.Apply = can.Write
	return ofproto.TableFeatures{
		Table: t, MetadataMatch: all, MetadataWrite: all, MaxEntries: maxEntries, Flows: can, Miss: can,
		Match: ofproto.MatchableFields(), Mask: ofproto.MaskableFields(), Wildcard: ofproto.MatchableFields(),
	}
}
