package ofproto

import (
	"encoding/hex"
	"errors"
	"testing"
)

// An oddList is a list of actions or instructions, and what Open vSwitch 3.1 says of it.
type oddList struct {
	name  string
	hex   string
	table Table // in which the instructions are
	text  string
	again string // the bytes that are written again, if they are others; "-" stands for none
	err   ErrorCode
}

var oddLists = []oddList{
	{name: "a ct without anything", hex: "ffff00180000232000230000000000000000ff0000000000", text: "ct()"},
	{name: "a ct keeps flags that nobody knows", hex: "ffff00180000232000230101000000000000ff0000000000", text: "ct(commit)"},
	{name: "a ct with pad bytes that are not zero", hex: "ffff00180000232000230001000000000000ff0102030000", text: "ct(commit)", again: "ffff00180000232000230001000000000000ff0000000000"},
	{name: "a ct that forces needs to commit", hex: "ffff00180000232000230002000000000000ff0000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a ct in the zone that a register says", hex: "ffff0018000023200023000100010004000fff0000000000", text: "ct(commit,zone=NXM_NX_REG0[0..15])"},
	{name: "a ct in a zone of 15 bits", hex: "ffff0018000023200023000100010004000eff0000000000", err: OFPBAC_BAD_SET_LEN},
	{name: "a ct in a zone beyond its register", hex: "ffff0018000023200023000100010004044fff0000000000", err: OFPBAC_BAD_SET_LEN},
	{name: "a ct in the zone of no field", hex: "ffff001800002320002300010001fe04000fff0000000000", err: OFPBAC_BAD_SET_TYPE},
	{name: "a ct in the zone of the header of a mask", hex: "ffff0018000023200023000100010108000fff0000000000", text: "ct(commit,zone=NXM_NX_REG0[0..15])", again: "ffff0018000023200023000100010004000fff0000000000"},
	{name: "a ct in the zone of a tunnel option of another length", hex: "ffff0018000023200023000100015004000fff0000000000", text: "ct(commit,zone=NXM_NX_TUN_METADATA0[0..15])", again: "ffff001800002320002300010001507c000fff0000000000"},
	{name: "a ct in the zone of a field of an experimenter", hex: "ffff00180000232000230001ffff0c08000fff0000000000", err: OFPBAC_BAD_SET_TYPE},
	{name: "a ct with an ALG that nobody knows", hex: "ffff00180000232000230001000000000000ff0000000007", text: "ct(commit,alg=7)"},
	{name: "a ct that commits and sets the mark", hex: "ffff00280000232000230001000000000000ff0000000000001900100001d6040000000500000000", text: "ct(commit,exec(set_field:0x5->ct_mark))"},
	{name: "a ct that sets the mark without committing", hex: "ffff00280000232000230000000000000000ff0000000000001900100001d6040000000500000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a ct that sets a register", hex: "ffff00280000232000230001000000000000ff000000000000190010000100040000000500000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a ct that outputs", hex: "ffff00280000232000230001000000000000ff000000000000000010000000010000000000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a ct in a ct", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000230001000000000000ff0000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a ct with a note in it", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200008001122334455", err: OFPBAC_BAD_ARGUMENT},
	{name: "a ct with a conjunction in it, which Open vSwitch does not look at", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200022000200000007", text: "ct(commit,exec(conjunction(7,1/2)))"},
	{name: "a ct with a conjunction beside what it sets", hex: "ffff00380000232000230001000000000000ff0000000000001900100001d6040000000500000000ffff0010000023200022000200000007", err: NXBAC_BAD_CONJUNCTION},
	{name: "a ct with a conjunction beside its nat", hex: "ffff00380000232000230001000000000000ff0000000000ffff0010000023200024000000000000ffff0010000023200022000200000007", err: NXBAC_BAD_CONJUNCTION},
	{name: "a ct with a conjunction that does not commit", hex: "ffff00280000232000230000000000000000ff0000000000ffff0010000023200022000200000007", err: OFPBAC_BAD_ARGUMENT},
	{name: "a ct that writes metadata", hex: "ffff00380000232000230001000000000000ff0000000000ffff00200000232000160000000000000000000000000001ffffffffffffffff", err: OFPBAC_BAD_ARGUMENT},
	{name: "a plain nat needs no commit", hex: "ffff00280000232000230000000000000000ff0000000000ffff0010000023200024000000000000", text: "ct(nat)"},
	{name: "a nat of the source needs a commit", hex: "ffff00280000232000230000000000000000ff0000000000ffff0010000023200024000000010000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat that comes second is printed inside exec", hex: "ffff00400000232000230001000000000000ff0000000000001900100001d6040000000500000000ffff00180000232000240000000100010a00000100000000", text: "ct(commit,exec(set_field:0x5->ct_mark,nat(src=10.0.0.1)))"},
	{name: "two nats: the second is printed inside exec", hex: "ffff00380000232000230001000000000000ff0000000000ffff0010000023200024000000000000ffff0010000023200024000000020000", text: "ct(commit,nat,exec(nat(dst)))"},
	{name: "a nat of source and destination", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200024000000030000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat with hash and random", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200024000000190000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat with a flag that nobody knows", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200024000000210000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat without a range prints no persistent", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200024000000050000", text: "ct(commit,nat(src))"},
	{name: "a nat that has a range, but neither source nor destination", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000000010a00000100000000", text: "ct(commit,nat)"},
	{name: "a nat with pad bytes that are not zero", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200024010200000000", text: "ct(commit,nat)", again: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200024000000000000"},
	{name: "a nat with a part of the range that nobody knows", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100410a00000100000000", text: "ct(commit,nat(src=10.0.0.1))", again: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100010a00000100000000"},
	{name: "a nat with something behind it", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100010a000001deadbeef", text: "ct(commit,nat(src=10.0.0.1))", again: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100010a00000100000000"},
	{name: "a nat to an address of zero", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100010000000000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to a last address of zero", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100030a00000100000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to a range that ends before it begins", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100030a0000020a000001", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to a range of one address", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100030a0000010a000001", text: "ct(commit,nat(src=10.0.0.1))"},
	{name: "a nat with the last address only", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100020a00000100000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to addresses of both families", hex: "ffff00400000232000230001000000000000ff0000000000ffff00280000232000240000000100050a00000120010db800000000000000000000000100000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to an address that is not there", hex: "ffff00280000232000230001000000000000ff0000000000ffff0010000023200024000000010001", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to an IPv6 address that looks like an IPv4 one", hex: "ffff00380000232000230001000000000000ff0000000000ffff002000002320002400000001000400000000000000000000000001020304", text: "ct(commit,nat(src=::1.2.3.4))"},
	{name: "a nat to an IPv6 address and a port", hex: "ffff00400000232000230001000000000000ff0000000000ffff002800002320002400000001001420010db80000000000000000000000010050000000000000", text: "ct(commit,nat(src=[2001:db8::1]:80))"},
	{name: "a nat to ports without an address", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100100050000000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to a port of zero", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100110a00000100000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to a last port alone", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100210a00000100500000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat to ports that end before they begin", hex: "ffff00300000232000230001000000000000ff0000000000ffff00180000232000240000000100310a00000100500040", err: OFPBAC_BAD_ARGUMENT},
	{name: "a nat outside of a ct", hex: "ffff0010000023200024000000000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a nat in a clone", hex: "ffff002000002320002a000000000000ffff0010000023200024000000000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "ct_mark set outside of a ct", hex: "001900100001d6040000000500000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "ct_mark moved outside of a ct", hex: "ffff0018000023200006002000000000000100040001d604", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a ct_clear with something in its pad bytes", hex: "ffff001000002320002b000000000001", text: "ct_clear", again: "ffff001000002320002b000000000000"},
	{name: "a resubmit of the oldest form", hex: "ffff0010000023200001000500000000", text: "resubmit:5"},
	{name: "a resubmit of the oldest form does not read behind the port", hex: "ffff00100000232000010005ff112233", text: "resubmit:5", again: "ffff0010000023200001000500000000"},
	{name: "a resubmit of the oldest form to the port that it came from", hex: "ffff0010000023200001fff800000000", text: "resubmit(,)"},
	{name: "a resubmit to the table it came from", hex: "ffff001000002320000efff8ff000000", text: "resubmit(,)"},
	{name: "a resubmit with a table and pad bytes that are not zero", hex: "ffff001000002320000e000103000001", err: OFPBAC_BAD_ARGUMENT},
	{name: "a resubmit to a reserved port of OpenFlow 1.0", hex: "ffff001000002320000efffe03000000", text: "resubmit(LOCAL,3)"},
	{name: "a resubmit to a port between the reserved ones", hex: "ffff001000002320000eff0103000000", text: "resubmit(65281,3)"},
	{name: "a resubmit with the tuple of the connection", hex: "ffff001000002320002cfff803000000", text: "resubmit(,3,ct)"},
	{name: "a resubmit with the tuple, to another port in the same table", hex: "ffff001000002320002c0005ff000000", text: "resubmit:5"},
	{name: "a conjunction of one clause", hex: "ffff0010000023200022000100000007", err: NXBAC_BAD_CONJUNCTION},
	{name: "a conjunction of 65 clauses", hex: "ffff0010000023200022004100000007", err: NXBAC_BAD_CONJUNCTION},
	{name: "a conjunction of 64 clauses", hex: "ffff00100000232000223f4000000007", text: "conjunction(7,64/64)"},
	{name: "a clause that the conjunction does not have", hex: "ffff0010000023200022020200000007", err: NXBAC_BAD_CONJUNCTION},
	{name: "a conjunction beside an output", hex: "ffff001000002320002200020000000700000010000000010000000000000000", err: NXBAC_BAD_CONJUNCTION},
	{name: "an output before a conjunction", hex: "00000010000000010000000000000000ffff0010000023200022000200000007", err: NXBAC_BAD_CONJUNCTION},
	{name: "a conjunction beside notes", hex: "ffff0010000023200008001122334455ffff0010000023200022000200000007ffff0010000023200008001122334455", text: "note:00.11.22.33.44.55,conjunction(7,1/2),note:00.11.22.33.44.55"},
	{name: "a note of 6 bytes", hex: "ffff0010000023200008001122334455", text: "note:00.11.22.33.44.55"},
	{name: "a note of 14 zeroes", hex: "ffff00180000232000080000000000000000000000000000", text: "note:00.00.00.00.00.00.00.00.00.00.00.00.00.00"},
	{name: "a fin_timeout without timeouts", hex: "ffff0010000023200013000000000000", text: "fin_timeout()"},
	{name: "a fin_timeout with pad bytes that are not zero", hex: "ffff0010000023200013000100020003", text: "fin_timeout(idle_timeout=1,hard_timeout=2)", again: "ffff0010000023200013000100020000"},
	{name: "a sample of no packets", hex: "ffff001800002320001d0000000000010000000100000001", err: OFPBAC_BAD_ARGUMENT},
	{name: "a sample", hex: "ffff001800002320001d0001000000010000000200000003", text: "sample(probability=1,collector_set_id=1,obs_domain_id=2,obs_point_id=3)"},
	{name: "a sample with a port", hex: "ffff002000002320002600010000000100000002000000030004000000000000", text: "sample(probability=1,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=4)"},
	{name: "a sample of the form with a port, with none", hex: "ffff00200000232000260001000000010000000200000003ffff000000000000", text: "sample(probability=1,collector_set_id=1,obs_domain_id=2,obs_point_id=3)"},
	{name: "a sample of the form with a port does not read behind it", hex: "ffff002000002320002600010000000100000002000000030004010203040506", text: "sample(probability=1,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=4)", again: "ffff002000002320002600010000000100000002000000030004000000000000"},
	{name: "a sample at the egress of a port", hex: "ffff002000002320002900010000000100000002000000030004020000000000", text: "sample(probability=1,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=4,egress)"},
	{name: "a sample in a direction that there is not", hex: "ffff002000002320002900010000000100000002000000030004030000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a sample of the form with a direction and something behind it comes before one of no packets", hex: "ffff002000002320002900000000000100000002000000030004030000000001", err: NXBRC_MUST_BE_ZERO},
	{name: "a sample of the form with a direction, with neither", hex: "ffff00200000232000290001000000010000000200000003ffff000000000000", text: "sample(probability=1,collector_set_id=1,obs_domain_id=2,obs_point_id=3)"},
	{name: "a check_pkt_larger", hex: "ffff001800002320003105dc000300010004000000000000", text: "check_pkt_larger(1500)->NXM_NX_REG0[3]"},
	{name: "a check_pkt_larger with zeroes behind it", hex: "ffff002000002320003105dc0003000100040000000000000000000000000000", text: "check_pkt_larger(1500)->NXM_NX_REG0[3]", again: "ffff001800002320003105dc000300010004000000000000"},
	{name: "a check_pkt_larger with something behind it", hex: "ffff001800002320003105dc000300010004000000000001", err: NXBRC_MUST_BE_ZERO},
	{name: "a check_pkt_larger into a bit that there is not", hex: "ffff001800002320003105dc002000010004000000000000", err: OFPBAC_BAD_SET_LEN},
	{name: "a check_pkt_larger into a field that is read only", hex: "ffff001800002320003105dc000080000a02000000000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a check_pkt_larger into the header of a mask", hex: "ffff001800002320003105dc000000010108000000000000", err: OFPBMC_BAD_MASK},
	{name: "a check_pkt_larger into no field", hex: "ffff001800002320003105dc00000001fe04000000000000", err: OFPBMC_BAD_FIELD},
	{name: "a check_pkt_larger into a field of an experimenter", hex: "ffff001800002320003105dc0004ffff0c08005ad6500000", text: "check_pkt_larger(1500)->NXOXM_NSH_C1[4]"},
	{name: "a debug_slow, which a switch takes in its own tests only", hex: "ffff00100000232000fe000000000000", err: OFPBAC_BAD_VENDOR_TYPE},
	{name: "a debug_recirc, which a switch takes in its own tests only", hex: "ffff00100000232000ff000000000000", err: OFPBAC_BAD_VENDOR_TYPE},
	{name: "a debug_slow of another length", hex: "ffff00180000232000fe0000000000000000000000000000", err: OFPBAC_BAD_LEN},
	{name: "a clone of nothing", hex: "ffff001000002320002a000000000000", text: "clone(drop)"},
	{name: "a clone with pad bytes that are not zero", hex: "ffff002000002320002a01020304050600000010000000010000000000000000", text: "clone(output:1)", again: "ffff002000002320002a00000000000000000010000000010000000000000000"},
	{name: "a clone in a clone", hex: "ffff004000002320002a000000000000ffff002000002320002a00000000000000000010000000010000000000000000ffff0010000023200011000000000000", text: "clone(clone(output:1),exit)"},
	{name: "a clone that writes metadata", hex: "ffff003000002320002a000000000000ffff00200000232000160000000000000000000000000001ffffffffffffffff", err: OFPBIC_UNSUP_INST},
	{name: "a clone of conjunctions", hex: "ffff002000002320002a000000000000ffff0010000023200022000200000007", text: "clone(conjunction(7,1/2))"},
	{name: "a write_metadata in a list of actions", hex: "ffff00200000232000160000000000000000000000000001ffffffffffffffff", err: OFPBIC_UNSUP_INST},
	{name: "a write_metadata with pad bytes that are not zero", hex: "ffff00200000232000160000000000010000000000000001ffffffffffffffff", err: NXBRC_MUST_BE_ZERO},
	{name: "a learn without anything", hex: "ffff002000002320001000000000800000000000000000000000010000000000", text: "learn(table=1)"},
	{name: "a learn into table 255", hex: "ffff002000002320001000000000800000000000000000000000ff0000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a learn with a pad byte that is not zero", hex: "ffff002000002320001000000000800000000000000000000000010100000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a learn with a flag that only learn2 has", hex: "ffff002000002320001000000000800000000000000000000004010000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a learn with all else that it can have", hex: "ffff00300000232000100001000200030000000000000004000301000005000600100000000200000000000200000000", text: "learn(table=1,idle_timeout=1,hard_timeout=2,fin_idle_timeout=5,fin_hard_timeout=6,priority=3,send_flow_rem,delete_learned,cookie=0x4,NXM_OF_IN_PORT[])"},
	{name: "a learn of a whole field by value", hex: "ffff00300000232000100000000080000000000000000000000001000000000020100800000006020000000000000000", text: "learn(table=1,eth_type=0x800)"},
	{name: "a learn of a part of a field by value", hex: "ffff00300000232000100000000080000000000000000000000001000000000020040005000100040004000000000000", text: "learn(table=1,NXM_NX_REG0[4..7]=0x5)"},
	{name: "a learn of a value with bits that do not count", hex: "ffff0030000023200010000000008000000000000000000000000100000000002004fff5000100040004000000000000", text: "learn(table=1,NXM_NX_REG0[4..7]=0xf5)", again: "ffff003000002320001000000000800000000000000000000000010000000000200400f5000100040004000000000000"},
	{name: "a learn of a load of a value", hex: "ffff00300000232000100000000080000000000000000000000001000000000028080005000100040004000000000000", text: "learn(table=1,load:0x5->NXM_NX_REG0[4..11])"},
	{name: "a learn of a load of 128 bits", hex: "ffff0038000023200010000000008000000000000000000000000100000000002880000000000000000000000000000000010001de100000", text: "learn(table=1,load:0x1->NXM_NX_XXREG0[])"},
	{name: "a learn of an output to a value", hex: "ffff0028000023200010000000008000000000000000000000000100000000003010000500000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a learn of what there is not", hex: "ffff0028000023200010000000008000000000000000000000000100000000001810000000020000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a learn of bits beyond the field", hex: "ffff003000002320001000000000800000000000000000000000010000000000001000010004001a0000000200000000", text: "learn(table=1,NXM_OF_IN_PORT[]=NXM_NX_REG0[26..41])"},
	{name: "a learn of no bits", hex: "ffff00300000232000100000000080000000000000000000000001000000000004000000000200000000000200000000", text: "learn(table=1,NXM_OF_IN_PORT[0..-1])", again: "ffff00300000232000100000000080000000000000000000000001000000000000000000000200000000000200000000"},
	{name: "a learn of a field that there is not", hex: "ffff00300000232000100000000080000000000000000000000001000000000000100001fe0400000000000200000000", err: OFPBAC_BAD_SET_TYPE},
	{name: "a learn into a field of an experimenter", hex: "ffff00300000232000100000000080000000000000000000000001000000000028080005ffff0c080000000000000000", err: OFPBAC_BAD_SET_TYPE},
	{name: "a learn from the header of a mask", hex: "ffff00300000232000100000000080000000000000000000000001000000000000100000000200000001010800000000", text: "learn(table=1,NXM_NX_REG0[0..15]=NXM_OF_IN_PORT[])", again: "ffff00300000232000100000000080000000000000000000000001000000000000100000000200000001000400000000"},
	{name: "a learn of a field that has the same name on both sides", hex: "ffff003000002320001000000000800000000000000000000000010000000000000c0000080200000000080200000000", text: "learn(table=1,NXM_OF_VLAN_TCI[0..11])"},
	{name: "a learn of another part of the same field", hex: "ffff00300000232000100000000080000000000000000000000001000000000000040000080200000000080200040000", text: "learn(table=1,NXM_OF_VLAN_TCI[4..7]=NXM_OF_VLAN_TCI[0..3])"},
	{name: "a learn that ends in the middle of a part", hex: "ffff0028000023200010000000008000000000000000000000000100000000000010000000020000", err: OFPBAC_BAD_LEN},
	{name: "a learn of a tunnel option by value", hex: "ffff003000002320001000000000800000000000000000000000010000000000200800050001507c0000000000000000", text: "learn(table=1,NXM_NX_TUN_METADATA0[0..7]=0x5)"},
	{name: "a learn with something behind its end", hex: "ffff0028000023200010000000008000000000000000000000000100000000000000000000000001", err: OFPBAC_BAD_ARGUMENT},
	{name: "a learn2 that a learn would do for", hex: "ffff002800002320002d000000008000000000000000000000000100000000000000000000000000", text: "learn(table=1)"},
	{name: "a learn2 with pad bytes that are not zero comes before a table 255", hex: "ffff002800002320002d00000000800000000000000000000000ff00000000000000000000000001", err: NXBAC_MUST_BE_ZERO},
	{name: "a learn2 with a limit", hex: "ffff002800002320002d000000008000000000000000000000000100000000000000000500000000", text: "learn(table=1,limit=5)"},
	{name: "a learn2 that says whether there is a flow", hex: "ffff003000002320002d0000000080000000000000000000000401000000000000000000000300000001000400000000", text: "learn(table=1,result_dst=NXM_NX_REG0[3])"},
	{name: "a learn2 that says it in a field of an experimenter", hex: "ffff003000002320002d000000008000000000000000000000040100000000000000000000030000ffff0c08005ad650", text: "learn(table=1,result_dst=NXOXM_NSH_C1[3])"},
	{name: "a learn2 that says it in a field that is read only", hex: "ffff003000002320002d00000000800000000000000000000004010000000000000000000003000080000a0200000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a learn2 that says it in no field", hex: "ffff003000002320002d0000000080000000000000000000000401000000000000000000000300000001fe0400000000", err: OFPBMC_BAD_FIELD},
	{name: "a learn2 that says it in the header of a mask", hex: "ffff003000002320002d0000000080000000000000000000000401000000000000000000000300000001010800000000", err: OFPBMC_BAD_MASK},
	{name: "a learn2 that says it in a bit that there is not", hex: "ffff003000002320002d0000000080000000000000000000000401000000000000000000009900000001000400000000", text: "learn(table=1,result_dst=NXM_NX_REG0[153])"},
	{name: "a learn2 that does not say it, but where", hex: "ffff002800002320002d000000008000000000000000000000000100000000000000000000030000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a learn2 with a flag that nobody knows", hex: "ffff002800002320002d000000008000000000000000000000080100000000000000000000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "an action of OpenFlow that there is not", hex: "0064000800000000", err: OFPBAC_BAD_TYPE},
	{name: "an action of Nicira that there is not", hex: "ffff0010000023200063000000000000", err: OFPBAC_BAD_VENDOR_TYPE},
	{name: "an action of the ONF that there is not", hex: "ffff00104f4e46000c81000000000000", err: OFPBAC_BAD_VENDOR_TYPE},
	{name: "an action of nobody", hex: "ffff0010000000010001000000000000", err: OFPBAC_BAD_VENDOR},
	{name: "an action of nobody with a bad length: the vendor comes first", hex: "ffff0003000000010001000000000000", err: OFPBAC_BAD_VENDOR},
	{name: "an action of Nicira of which the header is cut off", hex: "ffff000800002320", err: OFPBAC_BAD_LEN},
	{name: "an action with a length of 0", hex: "00000000000000010000000000000000", err: OFPBAC_BAD_LEN},
	{name: "an action with a length of 12", hex: "0000000c000000010000000000000000", err: OFPBAC_BAD_LEN},
	{name: "an action longer than the list", hex: "00000018000000010000000000000000", err: OFPBAC_BAD_LEN},
	{name: "actions whose lengths are no multiple of 8", hex: "0000001000000001000000000000000000", err: OFPBRC_BAD_LEN},
}

var oddInstructions = []oddList{
	{name: "a goto_table", hex: "0001000805000000", text: "goto_table:5"},
	{name: "a goto_table with pad bytes that are not zero", hex: "0001000805010203", text: "goto_table:5", again: "0001000805000000"},
	{name: "a goto_table backwards", hex: "0001000803000000", table: 3, err: OFPBIC_BAD_TABLE_ID},
	{name: "a goto_table from table 255", hex: "0001000803000000", table: 255, text: "goto_table:3"},
	{name: "instructions in any order", hex: "000100080500000000060008000000010004001800000000000000100000000100000000000000000005000800000000000200180000000000000000000000050000000000000007", text: "meter:1,output:1,clear_actions,write_metadata:0x5/0x7,goto_table:5", again: "000600080000000100040018000000000000001000000001000000000000000000050008000000000002001800000000000000000000000500000000000000070001000805000000"},
	{name: "an apply_actions of nothing", hex: "0004000800000000", text: "drop", again: "-"},
	{name: "a write_actions of nothing is not written", hex: "0003000800000000", text: "write_actions(drop)", again: "-"},
	{name: "a write_actions of an output", hex: "000300180000000000000010000000010000000000000000", text: "write_actions(output:1)"},
	{name: "a write_actions of a learn", hex: "0003002800000000ffff002000002320001000000000800000000000000000000000010000000000", err: OFPBAC_BAD_TYPE},
	{name: "a write_actions of a clone", hex: "0003001800000000ffff001000002320002a000000000000", err: OFPBAC_BAD_TYPE},
	{name: "a write_actions that sets ct_mark", hex: "0003001800000000001900100001d6040000000500000000", text: "write_actions(set_field:0x5->ct_mark)"},
	{name: "a write_actions of a ct", hex: "0003002000000000ffff00180000232000230001000000000000ff0000000000", err: OFPBAC_MATCH_INCONSISTENT},
	{name: "a write_actions of an action that there is not", hex: "0003001800000000ffff0010000023200063000000000000", err: OFPBAC_BAD_VENDOR_TYPE},
	{name: "an apply_actions that writes metadata", hex: "0004002800000000ffff00200000232000160000000000000000000000000001ffffffffffffffff", text: "write_metadata:0x1", again: "00020018000000000000000000000001ffffffffffffffff"},
	{name: "an apply_actions that writes metadata beside the instruction that does", hex: "0004002800000000ffff00200000232000160000000000000000000000000001ffffffffffffffff000200180000000000000000000000050000000000000007", err: OFPBAC_UNSUPPORTED_ORDER},
	{name: "an apply_actions that writes metadata before an output", hex: "0004003800000000ffff00200000232000160000000000000000000000000001ffffffffffffffff00000010000000010000000000000000", err: OFPBAC_UNSUPPORTED_ORDER},
	{name: "a conjunction beside a goto_table", hex: "0004001800000000ffff00100000232000220002000000070001000805000000", err: NXBAC_BAD_CONJUNCTION},
	{name: "a meter of zero", hex: "0006000800000000", err: OFPMMFC_INVALID_METER},
	{name: "a meter that is virtual", hex: "00060008ffff0001", err: OFPMMFC_INVALID_METER},
	{name: "the greatest meter", hex: "00060008ffff0000", text: "meter:4294901760"},
	{name: "two meters", hex: "00060008000000010006000800000001", err: OFPBIC_DUP_INST},
	{name: "two apply_actions", hex: "00040008000000000004000800000000", err: OFPBIC_DUP_INST},
	{name: "an instruction of an experimenter", hex: "ffff000800000000", err: OFPBIC_BAD_EXPERIMENTER},
	{name: "an instruction that there is not", hex: "0007000800000000", err: OFPBIC_UNKNOWN_INST},
	{name: "an instruction of type 0", hex: "0000000800000000", err: OFPBIC_UNKNOWN_INST},
	{name: "an instruction with a length of 0", hex: "0001000005000000", err: OFPBIC_BAD_LEN},
	{name: "an instruction with a length of 12", hex: "0001000c0500000000000000", err: OFPBIC_BAD_LEN},
	{name: "a goto_table of 16 bytes", hex: "00010010050000000000000000000000", err: OFPBIC_BAD_LEN},
	{name: "a write_metadata of 16 bytes", hex: "00020010000000000000000000000005", err: OFPBIC_BAD_LEN},
	{name: "an instruction longer than the list", hex: "0001001005000000", err: OFPBIC_BAD_LEN},
	{name: "instructions whose lengths are no multiple of 8", hex: "000100080500000000", err: OFPBIC_BAD_LEN},
	{name: "a bad length behind two of the same: the second comes first", hex: "000500080000000000050008000000000001000005000000", err: OFPBIC_DUP_INST},
	{name: "an action that there is not behind two of the same instruction", hex: "0004001800000000ffff001000002320006300000000000000050008000000000005000800000000", err: OFPBIC_DUP_INST},
	{name: "a ct of packets that are not IP", hex: "0004002000000000ffff00180000232000230001000000000000ff0000000000", err: OFPBAC_MATCH_INCONSISTENT},
	{name: "a fin_timeout of packets that are not TCP", hex: "0004001800000000ffff0010000023200013000100020000", err: OFPBAC_MATCH_INCONSISTENT},
}

func (l oddList) test(t *testing.T, kind string) {
	b, err := hex.DecodeString(l.hex)
	if err != nil {
		t.Fatal(err)
	}
	text, again, err := answer(kind, b, l.table)
	want := l.again
	switch want {
	case "":
		want = l.hex
	case "-":
		want = ""
	}
	switch {
	case l.err != 0 && !errors.Is(err, l.err):
		t.Errorf("%s %v, want %v", text, err, l.err)
	case l.err != 0:
	case err != nil || text != l.text:
		t.Errorf("got %s %v, want %s", text, err, l.text)
	case again != want:
		t.Errorf("\n got %s\nwant %s", again, want)
	}
}

func TestOddListsOfActions(t *testing.T) {
	for _, l := range oddLists {
		t.Run(l.name, func(t *testing.T) { l.test(t, "action_list") })
	}
}

func TestOddInstructions(t *testing.T) {
	for _, l := range oddInstructions {
		t.Run(l.name, func(t *testing.T) { l.test(t, "instructions") })
	}
}
