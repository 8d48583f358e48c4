package ofproto

// An openflow10Error is the type and the code of an error in OpenFlow 1.0.
type openflow10Error struct{ typ, code uint16 }

// openflow10Errors has the errors of OpenFlow 1.0, and niciraErrors10 those that Open
// vSwitch adds to it: with these a peer of that version refuses to speak another one.
var (
	openflow10Errors = map[openflow10Error]ErrorCode{
		{0, 0}: OFPHFC_INCOMPATIBLE, {0, 1}: OFPHFC_EPERM,
		{1, 0}: OFPBRC_BAD_VERSION, {1, 1}: OFPBRC_BAD_TYPE, {1, 2}: OFPBRC_BAD_STAT, {1, 3}: OFPBRC_BAD_VENDOR,
		{1, 4}: OFPBRC_BAD_SUBTYPE, {1, 5}: OFPBRC_EPERM, {1, 6}: OFPBRC_BAD_LEN, {1, 7}: OFPBRC_BUFFER_EMPTY,
		{1, 8}: OFPBRC_BUFFER_UNKNOWN,
		{2, 0}: OFPBAC_BAD_TYPE, {2, 1}: OFPBAC_BAD_LEN, {2, 2}: OFPBAC_BAD_VENDOR, {2, 3}: OFPBAC_BAD_VENDOR_TYPE,
		{2, 4}: OFPBAC_BAD_OUT_PORT, {2, 5}: OFPBAC_BAD_ARGUMENT, {2, 6}: OFPBAC_EPERM, {2, 7}: OFPBAC_TOO_MANY,
		{2, 8}: OFPBAC_BAD_QUEUE,
		{3, 0}: OFPFMFC_TABLE_FULL, {3, 1}: OFPFMFC_OVERLAP, {3, 2}: OFPFMFC_EPERM, {3, 3}: OFPFMFC_BAD_EMERG_TIMEOUT,
		{3, 4}: OFPFMFC_BAD_COMMAND, {3, 5}: OFPFMFC_UNSUPPORTED,
		{4, 0}: OFPPMFC_BAD_PORT, {4, 1}: OFPPMFC_BAD_HW_ADDR,
		{5, 0}: OFPQOFC_BAD_PORT, {5, 1}: OFPQOFC_BAD_QUEUE, {5, 2}: OFPQOFC_EPERM,
	}
	niciraErrors10 = map[openflow10Error]ErrorCode{
		{0, 263}: OFPBMC_BAD_FIELD,
		{1, 256}: NXBRC_NXM_INVALID, {1, 257}: NXBRC_NXM_BAD_TYPE, {1, 258}: OFPBMC_BAD_VALUE, {1, 259}: OFPBMC_BAD_MASK,
		{1, 260}: OFPBMC_BAD_PREREQ, {1, 261}: OFPBMC_DUP_FIELD, {1, 262}: OFPBMC_BAD_WILDCARDS,
		{1, 264}: NXBMC_CT_DATAPATH_SUPPORT, {1, 265}: NXBAC_CT_DATAPATH_SUPPORT, {1, 512}: OFPBRC_BAD_TABLE_ID,
		{1, 513}: OFPRRFC_BAD_ROLE, {1, 514}: OFPBRC_BAD_PORT, {1, 515}: NXBRC_MUST_BE_ZERO, {1, 516}: NXBRC_BAD_REASON,
		{1, 517}: OFPMOFC_MONITOR_EXISTS, {1, 518}: OFPMOFC_BAD_FLAGS, {1, 519}: OFPMOFC_UNKNOWN_MONITOR,
		{1, 520}: NXBRC_FM_BAD_EVENT, {1, 521}: NXBRC_UNENCODABLE_ERROR, {1, 522}: OFPBAC_MATCH_INCONSISTENT,
		{1, 523}: OFPBAC_BAD_SET_TYPE, {1, 524}: OFPBAC_BAD_SET_LEN, {1, 525}: OFPBAC_BAD_SET_ARGUMENT,
		{1, 527}: NXTTMFC_BAD_COMMAND, {1, 528}: NXTTMFC_BAD_OPT_LEN, {1, 529}: NXTTMFC_BAD_FIELD_IDX,
		{1, 530}: NXTTMFC_TABLE_FULL, {1, 531}: NXTTMFC_ALREADY_MAPPED, {1, 532}: NXTTMFC_DUP_ENTRY, {1, 533}: NXR_NOT_SUPPORTED,
		{1, 534}: NXR_STALE, {1, 535}: NXST_NOT_CONFIGURED, {1, 536}: NXFMFC_INVALID_TLV_FIELD, {1, 537}: NXTTMFC_INVALID_TLV_DEL,
		{2, 9}: OFPBAC_BAD_OUT_GROUP, {2, 256}: NXBAC_MUST_BE_ZERO, {2, 257}: OFPBIC_UNSUP_INST, {2, 526}: NXBAC_BAD_CONJUNCTION,
		{3, 258}: OFPFMFC_BAD_FLAGS,
		{5, 256}: NXFMFC_HARDWARE, {5, 257}: NXFMFC_BAD_TABLE_ID,
		{6, 0}: OFPGMFC_GROUP_EXISTS, {6, 1}: OFPGMFC_INVALID_GROUP, {6, 2}: OFPGMFC_WEIGHT_UNSUPPORTED,
		{6, 3}: OFPGMFC_OUT_OF_GROUPS, {6, 4}: OFPGMFC_OUT_OF_BUCKETS, {6, 5}: OFPGMFC_CHAINING_UNSUPPORTED,
		{6, 6}: OFPGMFC_WATCH_UNSUPPORTED, {6, 7}: OFPGMFC_LOOP, {6, 8}: OFPGMFC_UNKNOWN_GROUP, {6, 9}: OFPGMFC_CHAINED_GROUP,
		{6, 10}: OFPGMFC_BAD_TYPE, {6, 11}: OFPGMFC_BAD_COMMAND, {6, 12}: OFPGMFC_BAD_BUCKET, {6, 13}: OFPGMFC_BAD_WATCH,
		{6, 14}: OFPGMFC_EPERM, {6, 15}: OFPGMFC_UNKNOWN_BUCKET, {6, 16}: OFPGMFC_BUCKET_EXISTS,
		{13, 2}: OFPBPC_BAD_TYPE, {13, 3}: OFPBPC_BAD_LEN, {13, 4}: OFPBPC_BAD_VALUE,
		{14, 3}: OFPBPC_TOO_MANY, {14, 4}: OFPBPC_DUP_TYPE, {14, 5}: OFPBPC_BAD_EXPERIMENTER, {14, 6}: OFPBPC_BAD_EXP_TYPE,
		{14, 7}: OFPBPC_BAD_EXP_VALUE, {14, 8}: OFPBPC_EPERM,
	}
)

// nxVendorError is the type of an error of an experimenter in OpenFlow 1.0 and 1.1, with
// code zero; the experimenter, the type and the code of the error follow.
const nxVendorError = 0xb0c2

// wireError reads an error of any version: its code, zero if it has no name, and the
// message that failed.
func (d *decoder) wireError(version uint8) (ErrorCode, []byte) {
	typ, code := d.u16(), d.u16()
	experimenter := uint32(0)
	switch {
	case typ == nxVendorError && code == 0:
		experimenter, typ, code = d.u32(), d.u16(), d.u16()
	case typ == typeErrorExperimenter:
		experimenter, typ, code = d.u32(), code, 0
	}
	failed := d.bytes(len(d.b))
	if d.err != nil {
		return 0, nil
	}
	return errorCodeOf(version, experimenter, typ, code), failed
}

// errorCodeOf returns the error of a version that has the given numbers, of which that of
// an experimenter has a type only, but for those of OpenFlow 1.0.
func errorCodeOf(version uint8, experimenter uint32, typ, code uint16) ErrorCode {
	switch {
	case version == 1 && experimenter == nicira:
		return niciraErrors10[openflow10Error{typ, code}]
	case version == 1 && experimenter == 0:
		return openflow10Errors[openflow10Error{typ, code}]
	case version == 1, experimenter != 0 && code != 0:
		return 0
	case experimenter != 0:
		typ, code = typeErrorExperimenter, typ
	}
	return errorCodes[errorWire{encodable: true, experimenter: experimenter, typ: typ, code: code}]
}
