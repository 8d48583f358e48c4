package ofproto

// An ErrorCode is one error of OpenFlow, or of its Nicira and ONF extensions, by the
// name that Open vSwitch 3.1 gives it. It satisfies error, so that what a switch refused,
// and what a decoder here refuses, can both be asked for with errors.Is:
//
//	errors.Is(err, ofproto.OFPFMFC_TABLE_FULL)
//
// Zero is no error code. The names are those of the specification, as golang.org/x/sys
// writes those of C.
type ErrorCode uint8

// The error codes, by what they are about: HFC hello, BRC request, BAC action, BIC
// instruction, BMC match, FMFC flow-mod, GMFC group-mod, PMFC port-mod, TMFC table-mod,
// QOFC queue, SCFC switch configuration, RRFC role, MMFC meter-mod, TFFC table features,
// BPC property, ACFC asynchronous configuration, BFC bundle, MOFC flow monitor, TTMFC TLV
// table, NXR resume.
const (
	OFPHFC_INCOMPATIBLE ErrorCode = iota + 1
	OFPHFC_EPERM

	OFPBRC_BAD_VERSION
	OFPBRC_BAD_TYPE
	OFPBRC_BAD_STAT
	OFPBRC_BAD_VENDOR
	OFPBRC_BAD_SUBTYPE
	OFPBRC_EPERM
	OFPBRC_BAD_LEN
	OFPBRC_BUFFER_EMPTY
	OFPBRC_BUFFER_UNKNOWN
	OFPBRC_BAD_TABLE_ID
	OFPBRC_IS_SECONDARY
	OFPBRC_BAD_PORT
	OFPBRC_BAD_PACKET
	OFPBRC_MULTIPART_BUFFER_OVERFLOW
	OFPBRC_MULTIPART_REQUEST_TIMEOUT
	OFPBRC_MULTIPART_REPLY_TIMEOUT
	OFPBRC_MULTIPART_BAD_SCHED
	OFPBRC_PIPELINE_FIELDS_ONLY
	OFPBRC_UNKNOWN

	NXBRC_NXM_INVALID
	NXBRC_NXM_BAD_TYPE
	NXBRC_MUST_BE_ZERO
	NXBRC_BAD_REASON
	NXBRC_FM_BAD_EVENT
	NXBRC_UNENCODABLE_ERROR

	OFPBAC_BAD_TYPE
	OFPBAC_BAD_LEN
	OFPBAC_BAD_VENDOR
	OFPBAC_BAD_VENDOR_TYPE
	OFPBAC_BAD_OUT_PORT
	OFPBAC_BAD_ARGUMENT
	OFPBAC_EPERM
	OFPBAC_TOO_MANY
	OFPBAC_BAD_QUEUE
	OFPBAC_BAD_OUT_GROUP
	OFPBAC_MATCH_INCONSISTENT
	OFPBAC_UNSUPPORTED_ORDER
	OFPBAC_BAD_TAG
	OFPBAC_BAD_SET_TYPE
	OFPBAC_BAD_SET_LEN
	OFPBAC_BAD_SET_ARGUMENT
	OFPBAC_BAD_SET_MASK
	OFPBAC_BAD_METER

	NXBAC_MUST_BE_ZERO
	NXBAC_BAD_CONJUNCTION
	NXBAC_BAD_HEADER_TYPE
	NXBAC_UNKNOWN_ED_PROP
	NXBAC_BAD_ED_PROP
	NXBAC_CT_DATAPATH_SUPPORT

	OFPBIC_UNKNOWN_INST
	OFPBIC_UNSUP_INST
	OFPBIC_BAD_TABLE_ID
	OFPBIC_UNSUP_METADATA
	OFPBIC_UNSUP_METADATA_MASK
	OFPBIC_BAD_EXPERIMENTER
	OFPBIC_BAD_EXP_TYPE
	OFPBIC_BAD_LEN
	OFPBIC_EPERM
	OFPBIC_DUP_INST

	OFPBMC_BAD_TYPE
	OFPBMC_BAD_LEN
	OFPBMC_BAD_TAG
	OFPBMC_BAD_DL_ADDR_MASK
	OFPBMC_BAD_NW_ADDR_MASK
	OFPBMC_BAD_WILDCARDS
	OFPBMC_BAD_FIELD
	OFPBMC_BAD_VALUE
	OFPBMC_BAD_MASK
	OFPBMC_BAD_PREREQ
	OFPBMC_DUP_FIELD
	OFPBMC_EPERM

	NXBMC_CT_DATAPATH_SUPPORT

	OFPFMFC_UNKNOWN
	OFPFMFC_TABLE_FULL
	OFPFMFC_BAD_TABLE_ID
	OFPFMFC_OVERLAP
	OFPFMFC_EPERM
	OFPFMFC_BAD_TIMEOUT
	OFPFMFC_BAD_EMERG_TIMEOUT
	OFPFMFC_BAD_COMMAND
	OFPFMFC_BAD_FLAGS
	OFPFMFC_CANT_SYNC
	OFPFMFC_BAD_PRIORITY
	OFPFMFC_IS_SYNC
	OFPFMFC_UNSUPPORTED

	NXFMFC_HARDWARE
	NXFMFC_BAD_TABLE_ID
	NXFMFC_INVALID_TLV_FIELD

	OFPGMFC_GROUP_EXISTS
	OFPGMFC_INVALID_GROUP
	OFPGMFC_WEIGHT_UNSUPPORTED
	OFPGMFC_OUT_OF_GROUPS
	OFPGMFC_OUT_OF_BUCKETS
	OFPGMFC_CHAINING_UNSUPPORTED
	OFPGMFC_WATCH_UNSUPPORTED
	OFPGMFC_LOOP
	OFPGMFC_UNKNOWN_GROUP
	OFPGMFC_CHAINED_GROUP
	OFPGMFC_BAD_TYPE
	OFPGMFC_BAD_COMMAND
	OFPGMFC_BAD_BUCKET
	OFPGMFC_BAD_WATCH
	OFPGMFC_EPERM
	OFPGMFC_UNKNOWN_BUCKET
	OFPGMFC_BUCKET_EXISTS

	OFPPMFC_BAD_PORT
	OFPPMFC_BAD_HW_ADDR
	OFPPMFC_BAD_CONFIG
	OFPPMFC_BAD_ADVERTISE
	OFPPMFC_EPERM

	OFPTMFC_BAD_TABLE
	OFPTMFC_BAD_CONFIG
	OFPTMFC_EPERM

	OFPQOFC_BAD_PORT
	OFPQOFC_BAD_QUEUE
	OFPQOFC_EPERM

	NXQOFC_QUEUE_ERROR

	OFPSCFC_BAD_FLAGS
	OFPSCFC_BAD_LEN
	OFPSCFC_EPERM

	OFPRRFC_STALE
	OFPRRFC_UNSUP
	OFPRRFC_BAD_ROLE
	OFPRRFC_ID_UNSUP
	OFPRRFC_ID_IN_USE

	OFPMMFC_UNKNOWN
	OFPMMFC_METER_EXISTS
	OFPMMFC_INVALID_METER
	OFPMMFC_UNKNOWN_METER
	OFPMMFC_BAD_COMMAND
	OFPMMFC_BAD_FLAGS
	OFPMMFC_BAD_RATE
	OFPMMFC_BAD_BURST
	OFPMMFC_BAD_BAND
	OFPMMFC_BAD_BAND_VALUE
	OFPMMFC_OUT_OF_METERS
	OFPMMFC_OUT_OF_BANDS

	OFPTFFC_BAD_TABLE
	OFPTFFC_BAD_METADATA
	OFPTFFC_EPERM
	OFPTFFC_BAD_CAPA
	OFPTFFC_BAD_MAX_ENT
	OFPTFFC_BAD_FEATURES
	OFPTFFC_BAD_COMMAND
	OFPTFFC_TOO_MANY

	NXTFFC_DUP_TABLE

	OFPBPC_BAD_TYPE
	OFPBPC_BAD_LEN
	OFPBPC_BAD_VALUE
	OFPBPC_TOO_MANY
	OFPBPC_DUP_TYPE
	OFPBPC_BAD_EXPERIMENTER
	OFPBPC_BAD_EXP_TYPE
	OFPBPC_BAD_EXP_VALUE
	OFPBPC_EPERM

	OFPACFC_INVALID
	OFPACFC_UNSUPPORTED
	OFPACFC_EPERM

	OFPBFC_UNKNOWN
	OFPBFC_EPERM
	OFPBFC_BAD_ID
	OFPBFC_BUNDLE_EXIST
	OFPBFC_BUNDLE_CLOSED
	OFPBFC_OUT_OF_BUNDLES
	OFPBFC_BAD_TYPE
	OFPBFC_BAD_FLAGS
	OFPBFC_MSG_BAD_LEN
	OFPBFC_MSG_BAD_XID
	OFPBFC_MSG_UNSUP
	OFPBFC_MSG_CONFLICT
	OFPBFC_MSG_TOO_MANY
	OFPBFC_MSG_FAILED
	OFPBFC_TIMEOUT
	OFPBFC_BUNDLE_IN_PROGRESS
	OFPBFC_SCHED_NOT_SUPPORTED
	OFPBFC_SCHED_FUTURE
	OFPBFC_SCHED_PAST
	OFPBFC_BAD_VERSION

	OFPMOFC_UNKNOWN
	OFPMOFC_MONITOR_EXISTS
	OFPMOFC_INVALID_MONITOR
	OFPMOFC_UNKNOWN_MONITOR
	OFPMOFC_BAD_COMMAND
	OFPMOFC_BAD_FLAGS
	OFPMOFC_BAD_TABLE_ID
	OFPMOFC_BAD_OUT

	NXTTMFC_BAD_COMMAND
	NXTTMFC_BAD_OPT_LEN
	NXTTMFC_BAD_FIELD_IDX
	NXTTMFC_TABLE_FULL
	NXTTMFC_ALREADY_MAPPED
	NXTTMFC_DUP_ENTRY
	NXTTMFC_INVALID_TLV_DEL

	NXR_NOT_SUPPORTED
	NXR_STALE

	NXST_NOT_CONFIGURED

	numErrorCodes
)

// errorWire is an error code's name, and how OpenFlow 1.3 has it on the wire.
type errorWire struct {
	name         string
	encodable    bool   // OpenFlow 1.3 has a number for it
	experimenter uint32 // zero: OpenFlow's own
	typ, code    uint16
}

var errorTable = [numErrorCodes]errorWire{
	OFPHFC_INCOMPATIBLE:              {"OFPHFC_INCOMPATIBLE", true, 0, 0, 0},
	OFPHFC_EPERM:                     {"OFPHFC_EPERM", true, 0, 0, 1},
	OFPBRC_BAD_VERSION:               {"OFPBRC_BAD_VERSION", true, 0, 1, 0},
	OFPBRC_BAD_TYPE:                  {"OFPBRC_BAD_TYPE", true, 0, 1, 1},
	OFPBRC_BAD_STAT:                  {"OFPBRC_BAD_STAT", true, 0, 1, 2},
	OFPBRC_BAD_VENDOR:                {"OFPBRC_BAD_VENDOR", true, 0, 1, 3},
	OFPBRC_BAD_SUBTYPE:               {"OFPBRC_BAD_SUBTYPE", true, 0, 1, 4},
	OFPBRC_EPERM:                     {"OFPBRC_EPERM", true, 0, 1, 5},
	OFPBRC_BAD_LEN:                   {"OFPBRC_BAD_LEN", true, 0, 1, 6},
	OFPBRC_BUFFER_EMPTY:              {"OFPBRC_BUFFER_EMPTY", true, 0, 1, 7},
	OFPBRC_BUFFER_UNKNOWN:            {"OFPBRC_BUFFER_UNKNOWN", true, 0, 1, 8},
	OFPBRC_BAD_TABLE_ID:              {"OFPBRC_BAD_TABLE_ID", true, 0, 1, 9},
	OFPBRC_IS_SECONDARY:              {"OFPBRC_IS_SECONDARY", true, 0, 1, 10},
	OFPBRC_BAD_PORT:                  {"OFPBRC_BAD_PORT", true, 0, 1, 11},
	OFPBRC_BAD_PACKET:                {"OFPBRC_BAD_PACKET", true, 0, 1, 12},
	OFPBRC_MULTIPART_BUFFER_OVERFLOW: {"OFPBRC_MULTIPART_BUFFER_OVERFLOW", true, 0, 1, 13},
	OFPBRC_MULTIPART_REQUEST_TIMEOUT: {"OFPBRC_MULTIPART_REQUEST_TIMEOUT", true, onf, 0xffff, 2640},
	OFPBRC_MULTIPART_REPLY_TIMEOUT:   {"OFPBRC_MULTIPART_REPLY_TIMEOUT", true, onf, 0xffff, 2641},
	OFPBRC_MULTIPART_BAD_SCHED:       {name: "OFPBRC_MULTIPART_BAD_SCHED"},
	OFPBRC_PIPELINE_FIELDS_ONLY:      {name: "OFPBRC_PIPELINE_FIELDS_ONLY"},
	OFPBRC_UNKNOWN:                   {name: "OFPBRC_UNKNOWN"},
	NXBRC_NXM_INVALID:                {"NXBRC_NXM_INVALID", true, nicira, 0xffff, 2},
	NXBRC_NXM_BAD_TYPE:               {"NXBRC_NXM_BAD_TYPE", true, nicira, 0xffff, 3},
	NXBRC_MUST_BE_ZERO:               {"NXBRC_MUST_BE_ZERO", true, nicira, 0xffff, 4},
	NXBRC_BAD_REASON:                 {"NXBRC_BAD_REASON", true, nicira, 0xffff, 5},
	NXBRC_FM_BAD_EVENT:               {"NXBRC_FM_BAD_EVENT", true, nicira, 0xffff, 9},
	NXBRC_UNENCODABLE_ERROR:          {"NXBRC_UNENCODABLE_ERROR", true, nicira, 0xffff, 10},
	OFPBAC_BAD_TYPE:                  {"OFPBAC_BAD_TYPE", true, 0, 2, 0},
	OFPBAC_BAD_LEN:                   {"OFPBAC_BAD_LEN", true, 0, 2, 1},
	OFPBAC_BAD_VENDOR:                {"OFPBAC_BAD_VENDOR", true, 0, 2, 2},
	OFPBAC_BAD_VENDOR_TYPE:           {"OFPBAC_BAD_VENDOR_TYPE", true, 0, 2, 3},
	OFPBAC_BAD_OUT_PORT:              {"OFPBAC_BAD_OUT_PORT", true, 0, 2, 4},
	OFPBAC_BAD_ARGUMENT:              {"OFPBAC_BAD_ARGUMENT", true, 0, 2, 5},
	OFPBAC_EPERM:                     {"OFPBAC_EPERM", true, 0, 2, 6},
	OFPBAC_TOO_MANY:                  {"OFPBAC_TOO_MANY", true, 0, 2, 7},
	OFPBAC_BAD_QUEUE:                 {"OFPBAC_BAD_QUEUE", true, 0, 2, 8},
	OFPBAC_BAD_OUT_GROUP:             {"OFPBAC_BAD_OUT_GROUP", true, 0, 2, 9},
	OFPBAC_MATCH_INCONSISTENT:        {"OFPBAC_MATCH_INCONSISTENT", true, 0, 2, 10},
	OFPBAC_UNSUPPORTED_ORDER:         {"OFPBAC_UNSUPPORTED_ORDER", true, 0, 2, 11},
	OFPBAC_BAD_TAG:                   {"OFPBAC_BAD_TAG", true, 0, 2, 12},
	OFPBAC_BAD_SET_TYPE:              {"OFPBAC_BAD_SET_TYPE", true, 0, 2, 13},
	OFPBAC_BAD_SET_LEN:               {"OFPBAC_BAD_SET_LEN", true, 0, 2, 14},
	OFPBAC_BAD_SET_ARGUMENT:          {"OFPBAC_BAD_SET_ARGUMENT", true, 0, 2, 15},
	OFPBAC_BAD_SET_MASK:              {"OFPBAC_BAD_SET_MASK", true, onf, 0xffff, 4250},
	OFPBAC_BAD_METER:                 {name: "OFPBAC_BAD_METER"},
	NXBAC_MUST_BE_ZERO:               {"NXBAC_MUST_BE_ZERO", true, nicira, 0xffff, 11},
	NXBAC_BAD_CONJUNCTION:            {"NXBAC_BAD_CONJUNCTION", true, nicira, 0xffff, 15},
	NXBAC_BAD_HEADER_TYPE:            {"NXBAC_BAD_HEADER_TYPE", true, nicira, 0xffff, 39},
	NXBAC_UNKNOWN_ED_PROP:            {"NXBAC_UNKNOWN_ED_PROP", true, nicira, 0xffff, 40},
	NXBAC_BAD_ED_PROP:                {"NXBAC_BAD_ED_PROP", true, nicira, 0xffff, 41},
	NXBAC_CT_DATAPATH_SUPPORT:        {"NXBAC_CT_DATAPATH_SUPPORT", true, nicira, 0xffff, 42},
	OFPBIC_UNKNOWN_INST:              {"OFPBIC_UNKNOWN_INST", true, 0, 3, 0},
	OFPBIC_UNSUP_INST:                {"OFPBIC_UNSUP_INST", true, 0, 3, 1},
	OFPBIC_BAD_TABLE_ID:              {"OFPBIC_BAD_TABLE_ID", true, 0, 3, 2},
	OFPBIC_UNSUP_METADATA:            {"OFPBIC_UNSUP_METADATA", true, 0, 3, 3},
	OFPBIC_UNSUP_METADATA_MASK:       {"OFPBIC_UNSUP_METADATA_MASK", true, 0, 3, 4},
	OFPBIC_BAD_EXPERIMENTER:          {"OFPBIC_BAD_EXPERIMENTER", true, 0, 3, 5},
	OFPBIC_BAD_EXP_TYPE:              {"OFPBIC_BAD_EXP_TYPE", true, 0, 3, 6},
	OFPBIC_BAD_LEN:                   {"OFPBIC_BAD_LEN", true, 0, 3, 7},
	OFPBIC_EPERM:                     {"OFPBIC_EPERM", true, 0, 3, 8},
	OFPBIC_DUP_INST:                  {"OFPBIC_DUP_INST", true, onf, 0xffff, 2600},
	OFPBMC_BAD_TYPE:                  {"OFPBMC_BAD_TYPE", true, 0, 4, 0},
	OFPBMC_BAD_LEN:                   {"OFPBMC_BAD_LEN", true, 0, 4, 1},
	OFPBMC_BAD_TAG:                   {"OFPBMC_BAD_TAG", true, 0, 4, 2},
	OFPBMC_BAD_DL_ADDR_MASK:          {"OFPBMC_BAD_DL_ADDR_MASK", true, 0, 4, 3},
	OFPBMC_BAD_NW_ADDR_MASK:          {"OFPBMC_BAD_NW_ADDR_MASK", true, 0, 4, 4},
	OFPBMC_BAD_WILDCARDS:             {"OFPBMC_BAD_WILDCARDS", true, 0, 4, 5},
	OFPBMC_BAD_FIELD:                 {"OFPBMC_BAD_FIELD", true, 0, 4, 6},
	OFPBMC_BAD_VALUE:                 {"OFPBMC_BAD_VALUE", true, 0, 4, 7},
	OFPBMC_BAD_MASK:                  {"OFPBMC_BAD_MASK", true, 0, 4, 8},
	OFPBMC_BAD_PREREQ:                {"OFPBMC_BAD_PREREQ", true, 0, 4, 9},
	OFPBMC_DUP_FIELD:                 {"OFPBMC_DUP_FIELD", true, 0, 4, 10},
	OFPBMC_EPERM:                     {"OFPBMC_EPERM", true, 0, 4, 11},
	NXBMC_CT_DATAPATH_SUPPORT:        {"NXBMC_CT_DATAPATH_SUPPORT", true, nicira, 0xffff, 43},
	OFPFMFC_UNKNOWN:                  {"OFPFMFC_UNKNOWN", true, 0, 5, 0},
	OFPFMFC_TABLE_FULL:               {"OFPFMFC_TABLE_FULL", true, 0, 5, 1},
	OFPFMFC_BAD_TABLE_ID:             {"OFPFMFC_BAD_TABLE_ID", true, 0, 5, 2},
	OFPFMFC_OVERLAP:                  {"OFPFMFC_OVERLAP", true, 0, 5, 3},
	OFPFMFC_EPERM:                    {"OFPFMFC_EPERM", true, 0, 5, 4},
	OFPFMFC_BAD_TIMEOUT:              {"OFPFMFC_BAD_TIMEOUT", true, 0, 5, 5},
	OFPFMFC_BAD_EMERG_TIMEOUT:        {name: "OFPFMFC_BAD_EMERG_TIMEOUT"},
	OFPFMFC_BAD_COMMAND:              {"OFPFMFC_BAD_COMMAND", true, 0, 5, 6},
	OFPFMFC_BAD_FLAGS:                {"OFPFMFC_BAD_FLAGS", true, 0, 5, 7},
	OFPFMFC_CANT_SYNC:                {name: "OFPFMFC_CANT_SYNC"},
	OFPFMFC_BAD_PRIORITY:             {"OFPFMFC_BAD_PRIORITY", true, onf, 0xffff, 2360},
	OFPFMFC_IS_SYNC:                  {name: "OFPFMFC_IS_SYNC"},
	OFPFMFC_UNSUPPORTED:              {name: "OFPFMFC_UNSUPPORTED"},
	NXFMFC_HARDWARE:                  {"NXFMFC_HARDWARE", true, nicira, 0xffff, 12},
	NXFMFC_BAD_TABLE_ID:              {"NXFMFC_BAD_TABLE_ID", true, nicira, 0xffff, 13},
	NXFMFC_INVALID_TLV_FIELD:         {"NXFMFC_INVALID_TLV_FIELD", true, nicira, 0xffff, 37},
	OFPGMFC_GROUP_EXISTS:             {"OFPGMFC_GROUP_EXISTS", true, 0, 6, 0},
	OFPGMFC_INVALID_GROUP:            {"OFPGMFC_INVALID_GROUP", true, 0, 6, 1},
	OFPGMFC_WEIGHT_UNSUPPORTED:       {"OFPGMFC_WEIGHT_UNSUPPORTED", true, 0, 6, 2},
	OFPGMFC_OUT_OF_GROUPS:            {"OFPGMFC_OUT_OF_GROUPS", true, 0, 6, 3},
	OFPGMFC_OUT_OF_BUCKETS:           {"OFPGMFC_OUT_OF_BUCKETS", true, 0, 6, 4},
	OFPGMFC_CHAINING_UNSUPPORTED:     {"OFPGMFC_CHAINING_UNSUPPORTED", true, 0, 6, 5},
	OFPGMFC_WATCH_UNSUPPORTED:        {"OFPGMFC_WATCH_UNSUPPORTED", true, 0, 6, 6},
	OFPGMFC_LOOP:                     {"OFPGMFC_LOOP", true, 0, 6, 7},
	OFPGMFC_UNKNOWN_GROUP:            {"OFPGMFC_UNKNOWN_GROUP", true, 0, 6, 8},
	OFPGMFC_CHAINED_GROUP:            {"OFPGMFC_CHAINED_GROUP", true, 0, 6, 9},
	OFPGMFC_BAD_TYPE:                 {"OFPGMFC_BAD_TYPE", true, 0, 6, 10},
	OFPGMFC_BAD_COMMAND:              {"OFPGMFC_BAD_COMMAND", true, 0, 6, 11},
	OFPGMFC_BAD_BUCKET:               {"OFPGMFC_BAD_BUCKET", true, 0, 6, 12},
	OFPGMFC_BAD_WATCH:                {"OFPGMFC_BAD_WATCH", true, 0, 6, 13},
	OFPGMFC_EPERM:                    {"OFPGMFC_EPERM", true, 0, 6, 14},
	OFPGMFC_UNKNOWN_BUCKET:           {name: "OFPGMFC_UNKNOWN_BUCKET"},
	OFPGMFC_BUCKET_EXISTS:            {name: "OFPGMFC_BUCKET_EXISTS"},
	OFPPMFC_BAD_PORT:                 {"OFPPMFC_BAD_PORT", true, 0, 7, 0},
	OFPPMFC_BAD_HW_ADDR:              {"OFPPMFC_BAD_HW_ADDR", true, 0, 7, 1},
	OFPPMFC_BAD_CONFIG:               {"OFPPMFC_BAD_CONFIG", true, 0, 7, 2},
	OFPPMFC_BAD_ADVERTISE:            {"OFPPMFC_BAD_ADVERTISE", true, 0, 7, 3},
	OFPPMFC_EPERM:                    {"OFPPMFC_EPERM", true, 0, 7, 4},
	OFPTMFC_BAD_TABLE:                {"OFPTMFC_BAD_TABLE", true, 0, 8, 0},
	OFPTMFC_BAD_CONFIG:               {"OFPTMFC_BAD_CONFIG", true, 0, 8, 1},
	OFPTMFC_EPERM:                    {"OFPTMFC_EPERM", true, 0, 8, 2},
	OFPQOFC_BAD_PORT:                 {"OFPQOFC_BAD_PORT", true, 0, 9, 0},
	OFPQOFC_BAD_QUEUE:                {"OFPQOFC_BAD_QUEUE", true, 0, 9, 1},
	OFPQOFC_EPERM:                    {"OFPQOFC_EPERM", true, 0, 9, 2},
	NXQOFC_QUEUE_ERROR:               {name: "NXQOFC_QUEUE_ERROR"},
	OFPSCFC_BAD_FLAGS:                {"OFPSCFC_BAD_FLAGS", true, 0, 10, 0},
	OFPSCFC_BAD_LEN:                  {"OFPSCFC_BAD_LEN", true, 0, 10, 1},
	OFPSCFC_EPERM:                    {"OFPSCFC_EPERM", true, 0, 10, 2},
	OFPRRFC_STALE:                    {"OFPRRFC_STALE", true, 0, 11, 0},
	OFPRRFC_UNSUP:                    {"OFPRRFC_UNSUP", true, 0, 11, 1},
	OFPRRFC_BAD_ROLE:                 {"OFPRRFC_BAD_ROLE", true, 0, 11, 2},
	OFPRRFC_ID_UNSUP:                 {name: "OFPRRFC_ID_UNSUP"},
	OFPRRFC_ID_IN_USE:                {name: "OFPRRFC_ID_IN_USE"},
	OFPMMFC_UNKNOWN:                  {"OFPMMFC_UNKNOWN", true, 0, 12, 0},
	OFPMMFC_METER_EXISTS:             {"OFPMMFC_METER_EXISTS", true, 0, 12, 1},
	OFPMMFC_INVALID_METER:            {"OFPMMFC_INVALID_METER", true, 0, 12, 2},
	OFPMMFC_UNKNOWN_METER:            {"OFPMMFC_UNKNOWN_METER", true, 0, 12, 3},
	OFPMMFC_BAD_COMMAND:              {"OFPMMFC_BAD_COMMAND", true, 0, 12, 4},
	OFPMMFC_BAD_FLAGS:                {"OFPMMFC_BAD_FLAGS", true, 0, 12, 5},
	OFPMMFC_BAD_RATE:                 {"OFPMMFC_BAD_RATE", true, 0, 12, 6},
	OFPMMFC_BAD_BURST:                {"OFPMMFC_BAD_BURST", true, 0, 12, 7},
	OFPMMFC_BAD_BAND:                 {"OFPMMFC_BAD_BAND", true, 0, 12, 8},
	OFPMMFC_BAD_BAND_VALUE:           {"OFPMMFC_BAD_BAND_VALUE", true, 0, 12, 9},
	OFPMMFC_OUT_OF_METERS:            {"OFPMMFC_OUT_OF_METERS", true, 0, 12, 10},
	OFPMMFC_OUT_OF_BANDS:             {"OFPMMFC_OUT_OF_BANDS", true, 0, 12, 11},
	OFPTFFC_BAD_TABLE:                {"OFPTFFC_BAD_TABLE", true, 0, 13, 0},
	OFPTFFC_BAD_METADATA:             {"OFPTFFC_BAD_METADATA", true, 0, 13, 1},
	OFPTFFC_EPERM:                    {"OFPTFFC_EPERM", true, 0, 13, 5},
	OFPTFFC_BAD_CAPA:                 {name: "OFPTFFC_BAD_CAPA"},
	OFPTFFC_BAD_MAX_ENT:              {name: "OFPTFFC_BAD_MAX_ENT"},
	OFPTFFC_BAD_FEATURES:             {name: "OFPTFFC_BAD_FEATURES"},
	OFPTFFC_BAD_COMMAND:              {name: "OFPTFFC_BAD_COMMAND"},
	OFPTFFC_TOO_MANY:                 {name: "OFPTFFC_TOO_MANY"},
	NXTFFC_DUP_TABLE:                 {"NXTFFC_DUP_TABLE", true, nicira, 0xffff, 44},
	OFPBPC_BAD_TYPE:                  {"OFPBPC_BAD_TYPE", true, 0, 13, 2},
	OFPBPC_BAD_LEN:                   {"OFPBPC_BAD_LEN", true, 0, 13, 3},
	OFPBPC_BAD_VALUE:                 {"OFPBPC_BAD_VALUE", true, 0, 13, 4},
	OFPBPC_TOO_MANY:                  {"OFPBPC_TOO_MANY", true, onf, 0xffff, 4443},
	OFPBPC_DUP_TYPE:                  {"OFPBPC_DUP_TYPE", true, onf, 0xffff, 4444},
	OFPBPC_BAD_EXPERIMENTER:          {"OFPBPC_BAD_EXPERIMENTER", true, onf, 0xffff, 4445},
	OFPBPC_BAD_EXP_TYPE:              {"OFPBPC_BAD_EXP_TYPE", true, onf, 0xffff, 4446},
	OFPBPC_BAD_EXP_VALUE:             {"OFPBPC_BAD_EXP_VALUE", true, onf, 0xffff, 4447},
	OFPBPC_EPERM:                     {"OFPBPC_EPERM", true, onf, 0xffff, 4448},
	OFPACFC_INVALID:                  {"OFPACFC_INVALID", true, onf, 0xffff, 2370},
	OFPACFC_UNSUPPORTED:              {"OFPACFC_UNSUPPORTED", true, onf, 0xffff, 2371},
	OFPACFC_EPERM:                    {"OFPACFC_EPERM", true, onf, 0xffff, 2372},
	OFPBFC_UNKNOWN:                   {"OFPBFC_UNKNOWN", true, onf, 0xffff, 2300},
	OFPBFC_EPERM:                     {"OFPBFC_EPERM", true, onf, 0xffff, 2301},
	OFPBFC_BAD_ID:                    {"OFPBFC_BAD_ID", true, onf, 0xffff, 2302},
	OFPBFC_BUNDLE_EXIST:              {"OFPBFC_BUNDLE_EXIST", true, onf, 0xffff, 2303},
	OFPBFC_BUNDLE_CLOSED:             {"OFPBFC_BUNDLE_CLOSED", true, onf, 0xffff, 2304},
	OFPBFC_OUT_OF_BUNDLES:            {"OFPBFC_OUT_OF_BUNDLES", true, onf, 0xffff, 2305},
	OFPBFC_BAD_TYPE:                  {"OFPBFC_BAD_TYPE", true, onf, 0xffff, 2306},
	OFPBFC_BAD_FLAGS:                 {"OFPBFC_BAD_FLAGS", true, onf, 0xffff, 2307},
	OFPBFC_MSG_BAD_LEN:               {"OFPBFC_MSG_BAD_LEN", true, onf, 0xffff, 2308},
	OFPBFC_MSG_BAD_XID:               {"OFPBFC_MSG_BAD_XID", true, onf, 0xffff, 2309},
	OFPBFC_MSG_UNSUP:                 {"OFPBFC_MSG_UNSUP", true, onf, 0xffff, 2310},
	OFPBFC_MSG_CONFLICT:              {"OFPBFC_MSG_CONFLICT", true, onf, 0xffff, 2311},
	OFPBFC_MSG_TOO_MANY:              {"OFPBFC_MSG_TOO_MANY", true, onf, 0xffff, 2312},
	OFPBFC_MSG_FAILED:                {"OFPBFC_MSG_FAILED", true, onf, 0xffff, 2313},
	OFPBFC_TIMEOUT:                   {"OFPBFC_TIMEOUT", true, onf, 0xffff, 2314},
	OFPBFC_BUNDLE_IN_PROGRESS:        {"OFPBFC_BUNDLE_IN_PROGRESS", true, onf, 0xffff, 2315},
	OFPBFC_SCHED_NOT_SUPPORTED:       {name: "OFPBFC_SCHED_NOT_SUPPORTED"},
	OFPBFC_SCHED_FUTURE:              {name: "OFPBFC_SCHED_FUTURE"},
	OFPBFC_SCHED_PAST:                {name: "OFPBFC_SCHED_PAST"},
	OFPBFC_BAD_VERSION:               {name: "OFPBFC_BAD_VERSION"},
	OFPMOFC_UNKNOWN:                  {name: "OFPMOFC_UNKNOWN"},
	OFPMOFC_MONITOR_EXISTS:           {"OFPMOFC_MONITOR_EXISTS", true, nicira, 0xffff, 6},
	OFPMOFC_INVALID_MONITOR:          {name: "OFPMOFC_INVALID_MONITOR"},
	OFPMOFC_UNKNOWN_MONITOR:          {"OFPMOFC_UNKNOWN_MONITOR", true, nicira, 0xffff, 8},
	OFPMOFC_BAD_COMMAND:              {name: "OFPMOFC_BAD_COMMAND"},
	OFPMOFC_BAD_FLAGS:                {"OFPMOFC_BAD_FLAGS", true, nicira, 0xffff, 7},
	OFPMOFC_BAD_TABLE_ID:             {name: "OFPMOFC_BAD_TABLE_ID"},
	OFPMOFC_BAD_OUT:                  {name: "OFPMOFC_BAD_OUT"},
	NXTTMFC_BAD_COMMAND:              {"NXTTMFC_BAD_COMMAND", true, nicira, 0xffff, 16},
	NXTTMFC_BAD_OPT_LEN:              {"NXTTMFC_BAD_OPT_LEN", true, nicira, 0xffff, 17},
	NXTTMFC_BAD_FIELD_IDX:            {"NXTTMFC_BAD_FIELD_IDX", true, nicira, 0xffff, 18},
	NXTTMFC_TABLE_FULL:               {"NXTTMFC_TABLE_FULL", true, nicira, 0xffff, 19},
	NXTTMFC_ALREADY_MAPPED:           {"NXTTMFC_ALREADY_MAPPED", true, nicira, 0xffff, 20},
	NXTTMFC_DUP_ENTRY:                {"NXTTMFC_DUP_ENTRY", true, nicira, 0xffff, 21},
	NXTTMFC_INVALID_TLV_DEL:          {"NXTTMFC_INVALID_TLV_DEL", true, nicira, 0xffff, 38},
	NXR_NOT_SUPPORTED:                {"NXR_NOT_SUPPORTED", true, nicira, 0xffff, 34},
	NXR_STALE:                        {"NXR_STALE", true, nicira, 0xffff, 35},
	NXST_NOT_CONFIGURED:              {"NXST_NOT_CONFIGURED", true, nicira, 0xffff, 36},
}

// errorCodes finds an error code by its numbers. Of two that share them the first is meant.
var errorCodes = func() map[errorWire]ErrorCode {
	m := make(map[errorWire]ErrorCode, numErrorCodes)
	for c := numErrorCodes - 1; c > 0; c-- {
		w := errorTable[c]
		if w.encodable {
			m[errorWire{encodable: true, experimenter: w.experimenter, typ: w.typ, code: w.code}] = c
		}
	}
	return m
}()

// Error returns the name: "OFPFMFC_TABLE_FULL".
func (c ErrorCode) Error() string {
	if c == 0 || c >= numErrorCodes {
		return "no error code"
	}
	return errorTable[c].name
}
