package ofproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// What Open vSwitch 3.1 makes of actions that are not as one would write them.
var oddActions = []struct {
	name  string
	hex   string
	text  string
	again string // the bytes that are written again, if they are others
	err   ErrorCode
}{
	{name: "an output keeps a max_len that means nothing", hex: "0000001000000001123400000000abcd",
		text: "output:1", again: "00000010000000011234000000000000"},
	{name: "an output to ANY", hex: "00000010ffffffff0000000000000000", err: OFPBAC_BAD_OUT_PORT},
	{name: "an output to a port between those of OpenFlow 1.0 and the reserved ones", hex: "00000010000100000000000000000000", err: OFPBAC_BAD_OUT_PORT},
	{name: "an output to OFPP_UNSET", hex: "00000010fffffff70000000000000000", err: OFPBAC_BAD_OUT_PORT},
	{name: "a cut output has a port of 16 bits", hex: "ffff0010000023200027fffe00000040", text: "output(port=LOCAL,max_len=64)"},
	{name: "a cut output shorter than an Ethernet header", hex: "ffff001000002320002700010000000d", err: OFPBAC_BAD_ARGUMENT},
	{name: "a cut output to a port that there cannot be, which is only refused in a flow", hex: "ffff0010000023200027ff0100000040", text: "output(port=65281,max_len=64)"},
	{name: "an output to what a register says", hex: "ffff001800002320000f001f00010004ffff000000000000", text: "output:NXM_NX_REG0[]"},
	{name: "an output to what a register says, with something behind it: before the field is looked at", hex: "ffff001800002320000f001f00019904ffff000000000001", err: OFPBAC_BAD_ARGUMENT},
	{name: "an output to what the header of a mask says", hex: "ffff001800002320000f001f00010108ffff000000000000",
		text: "output:NXM_NX_REG0[]", again: "ffff001800002320000f001f00010004ffff000000000000"},
	{name: "an output to what a long header says", hex: "ffff0018000023200020001fffffffff0c08005ad6500000", text: "output:NXOXM_NSH_C1[]"},
	{name: "an output to more bits than the field has", hex: "ffff001800002320000f003f00010004ffff000000000000", err: OFPBAC_BAD_SET_LEN},
	{name: "a set_field of in_port", hex: "00190010800000040000000100000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a set_field of a field that is read only", hex: "0019001080000a020800000000000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a set_field with a mask", hex: "00190010000101080000000100000003", err: OFPBAC_BAD_SET_MASK},
	{name: "a set_field with a mask that does not cover the value comes first", hex: "001900180001010800000001000000020000000000000000", err: OFPBMC_BAD_WILDCARDS},
	{name: "a set_field of a VLAN that says that there is none", hex: "0019001080000c020005000000000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a set_field with something behind it", hex: "00190010000100040000000100000001", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a set_field of a value that the field cannot have", hex: "0019001080000e010800000000000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a set_field of no field, in a bucket with another length", hex: "00190010800054040000000100000000", err: OFPBAC_BAD_SET_LEN},
	{name: "a set_field of no field, in a bucket with no other length", hex: "00190010800098080000000100000000", err: OFPBAC_BAD_SET_TYPE},
	{name: "a set_field of a field with another length", hex: "00190010000100020001000000000000", err: OFPBAC_BAD_SET_LEN},
	{name: "a set_field of a field with a length of 0", hex: "0019000800010000", err: OFPBAC_BAD_SET_TYPE},
	{name: "a set_field with an experimenter's header that is too short for it", hex: "00190010ffff0203005ad65000000000", err: OFPBMC_BAD_LEN},
	{name: "a set_field of a tunnel option loses the zeroes before it", hex: "001900180001501000000000000000000000000000000007",
		text: "set_field:0x7->tun_metadata0", again: "00190010000150010700000000000000"},
	{name: "a set_field of a tunnel option of 0", hex: "00190010000150040000000000000000",
		text: "set_field:0->tun_metadata0", again: "0019000800015000"},
	{name: "a set_field of a tunnel option that is longer than an IPv6 address", hex: "00190020000150120102030405060708090a0b0c0d0e0f101112000000000000", text: "set_field:0x102030405060708090a0b0c0d0e0f101112->tun_metadata0"},
	{name: "a set_field of a tunnel option of 127 bytes loses those behind the 124th", hex: "001900880001507f0101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010100",
		text: "set_field:0x1010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101->tun_metadata0", again: "001900880001507c0101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000"},
	{name: "a set_field of a tunnel option of 128 bytes", hex: "00190088000150800101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101", err: OFPBAC_BAD_SET_LEN},
	{name: "a load with bits that do not fit", hex: "ffff00180000232000070003000100040000000000000010", err: OFPBAC_BAD_ARGUMENT},
	{name: "a load into a tunnel option", hex: "ffff00180000232000070fc7000150040000000000000055",
		text: "load:0x55->NXM_NX_TUN_METADATA0[63..70]", again: "ffff0020000023200021000151122a80000000000000007f8000000000000000"},
	{name: "a load with the header of a mask", hex: "ffff0018000023200007001f000101080000000000000001",
		text: "load:0x1->NXM_NX_REG0[]", again: "ffff0018000023200007001f000100040000000000000001"},
	{name: "a load beyond the field comes before one of bits that do not fit", hex: "ffff0018000023200007003f00010004ffffffffffffffff", err: OFPBAC_BAD_SET_LEN},
	{name: "a masked write with all bits is one without a mask", hex: "ffff00180000232000210001010800000005ffffffff0000",
		text: "set_field:0x5->reg0", again: "ffff00180000232000210001000400000005000000000000"},
	{name: "a masked write of no bits", hex: "ffff00180000232000210001010800000000000000000000", text: "set_field:ANY->reg0"},
	{name: "a masked write of an odd length has a byte that means nothing", hex: "ffff001800002320002180000f0305070900000000000000",
		text: "set_field:5/0x7->vlan_pcp", again: "ffff001000002320002180000f020507"},
	{name: "a masked write of a tunnel option of no bits", hex: "ffff00180000232000210001510400000000000000000000",
		text: "set_field:ANY->tun_metadata0", again: "ffff0010000023200021000151000000"},
	{name: "a masked write is not checked for values", hex: "ffff001800002320002180000e01ff000000000000000000",
		text: "set_field:255->vlan_pcp", again: "ffff001000002320002180000e01ff00"},
	{name: "a masked write of a port that there is not", hex: "ffff00180000232000218000000407410100000000000000", text: "set_field:ANY->in_port_oxm"},
	{name: "a copy of the ONF", hex: "ffff00204f4e46000c8000000020000000000000000100040001020400000000", text: "move:NXM_NX_REG0[]->NXM_NX_REG1[]"},
	{name: "a copy of the ONF with pad bytes that are not zero", hex: "ffff00204f4e46000c8000010020000000000001000100040001020400000000",
		text: "move:NXM_NX_REG0[]->NXM_NX_REG1[]", again: "ffff00204f4e46000c8000000020000000000000000100040001020400000000"},
	{name: "a copy of the ONF with something behind it", hex: "ffff00204f4e46000c8000000020000000000000000100040001020400000001", err: NXBRC_MUST_BE_ZERO},
	{name: "a copy of the ONF without its second field", hex: "ffff00184f4e46000c800000002000000000000000010004", err: OFPBMC_BAD_LEN},
	{name: "a move of no bits", hex: "ffff00180000232000060000000000000001000400010204", err: OFPBAC_BAD_SET_LEN},
	{name: "a move into a field that is read only", hex: "ffff00180000232000060010000000000001000480000a02", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a move from the header of a mask", hex: "ffff00180000232000060010000000000001010800010204", err: OFPBMC_BAD_MASK},
	{name: "a move with something behind it", hex: "ffff002000002320000600100000000000010004000102040000000000000001", err: NXBRC_MUST_BE_ZERO},
	{name: "a push on the stack with something behind it", hex: "ffff001800002320001b0000000100040020000000000001", err: NXBRC_MUST_BE_ZERO},
	{name: "a push on the stack of a long field", hex: "ffff001800002320001b0003ffff0c08005ad65000050000", text: "push:NXOXM_NSH_C1[3..7]"},
	{name: "a pop into a field that is read only", hex: "ffff001800002320001c000080000a020010000000000000", err: OFPBAC_BAD_SET_ARGUMENT},
	{name: "a deleted field may have something behind it", hex: "ffff00180000232000320001507c000000000000000000ff",
		text: "delete_field:tun_metadata0", again: "ffff00180000232000320001507c00000000000000000000"},
	{name: "a deleted field that is no tunnel option, which is only refused in a flow", hex: "ffff00180000232000320001000400000000000000000000", text: "delete_field:reg0"},
	{name: "a queue of OpenFlow 1.0's Nicira extensions", hex: "ffff0010000023200004000000000001", err: OFPBAC_BAD_VENDOR_TYPE},
	{name: "copying the TTL out, which Open vSwitch cannot do", hex: "000b000800000000", err: OFPBAC_BAD_TYPE},
	{name: "pushing a PBB header, which Open vSwitch cannot do", hex: "001a000888e70000", err: OFPBAC_BAD_TYPE},
	{name: "popping a PBB header, which Open vSwitch cannot do", hex: "001b000800000000", err: OFPBAC_BAD_TYPE},
	{name: "an unknown type with a length of 0", hex: "0063000000000000", err: OFPBAC_BAD_TYPE},
	{name: "a known type with a length of 0", hex: "0012000000000000", err: OFPBAC_BAD_LEN},
	{name: "a known type with a length that is no multiple of 8", hex: "0012000c000000000000000000000000", err: OFPBAC_BAD_LEN},
	{name: "a VLAN tag of another type", hex: "0011000888470000", err: OFPBAC_BAD_ARGUMENT},
	{name: "an MPLS label of another type", hex: "0013000888480001",
		text: "push_mpls:0x8848", again: "0013000888480000"},
	{name: "an MPLS label of the type of IPv4", hex: "0013000808000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "an old VLAN that is too high", hex: "0001000810000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "an old VLAN", hex: "0001000800050000",
		text: "set_vlan_vid:5", again: "0019001080000c021005000000000000"},
	{name: "an old priority", hex: "0002000807000000",
		text: "set_vlan_pcp:7", again: "0019001080000e010700000000000000"},
	{name: "an old TOS with the bits of ECN", hex: "0007000801000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "an old TOS", hex: "00070008fc000000",
		text: "mod_nw_tos:252", again: "00190010800010013f00000000000000"},
	{name: "an old ECN", hex: "0008000803000000",
		text: "mod_nw_ecn:3", again: "00190010800012010300000000000000"},
	{name: "an old Ethernet address", hex: "00030010010203040506000000000000",
		text: "mod_dl_src:01:02:03:04:05:06", again: "00190010800008060102030405060000"},
	{name: "an old IPv4 address", hex: "000500080a000001",
		text: "mod_nw_src:10.0.0.1", again: "00190010800016040a00000100000000"},
	{name: "an old port stays as it is, since it is not known whose it is", hex: "0009000800500000", text: "mod_tp_src:80"},
	{name: "an old MPLS label may be too high", hex: "000d000800ffffff",
		text: "set_mpls_label(16777215)", again: "001900108000440400ffffff00000000"},
	{name: "an old MPLS traffic class may be too high", hex: "000e0008ff000000",
		text: "set_mpls_tc(255)", again: "0019001080004601ff00000000000000"},
	{name: "a tunnel of 32 bits", hex: "ffff0010000023200002000000000007",
		text: "set_tunnel:0x7", again: "0019001080004c080000000000000007"},
	{name: "a tunnel of 64 bits", hex: "ffff00180000232000090000000000000000000000000007",
		text: "set_tunnel64:0x7", again: "0019001080004c080000000000000007"},
	{name: "dec_ttl for no controller", hex: "ffff0010000023200015000000000000", text: "dec_ttl()"},
	{name: "dec_ttl for two controllers, with something behind them", hex: "ffff00180000232000150002000000000001000200090000",
		text: "dec_ttl(1,2)", again: "ffff00180000232000150002000000000001000200000000"},
	{name: "dec_ttl for more controllers than there are", hex: "ffff00180000232000150005000000000001000200030004", err: OFPBAC_BAD_LEN},
	{name: "dec_ttl with something that must be zero", hex: "ffff0010000023200015000000000001", err: NXBRC_MUST_BE_ZERO},
	{name: "a controller that is the usual one", hex: "ffff0010000023200014ffff00000100", text: "CONTROLLER:65535"},
	{name: "a controller with a reason that has no name", hex: "ffff0010000023200014ffff00002a00", text: "controller(reason=42)"},
	{name: "a controller with a reason that has an empty name", hex: "ffff0010000023200014ffff00000600", text: "controller(reason=)"},
	{name: "a controller that says all by properties", hex: "ffff0010000023200025000000000000", text: "CONTROLLER:65535"},
	{name: "a controller with a byte that must be zero", hex: "ffff0010000023200025000000000100", err: NXBRC_MUST_BE_ZERO},
	{name: "a controller with user data twice", hex: "ffff0028000023200025000000000000000300070102030000030006070800000004000400000000",
		text: "controller(userdata=07.08,pause)", again: "ffff002000002320002500000000000000030006070800000004000400000000"},
	{name: "a controller with a short property", hex: "ffff00180000232000250000000000000000000300000000", err: OFPBPC_BAD_LEN},
	{name: "a controller with a max_len of one byte", hex: "ffff00180000232000250000000000000000000500000000", err: OFPBPC_BAD_LEN},
	{name: "a controller with a meter of three bytes", hex: "ffff00180000232000250000000000000005000700000000", err: OFPBPC_BAD_LEN},
	{name: "a controller with an unknown property", hex: "ffff00180000232000250000000000000006000400000000", err: OFPBPC_BAD_TYPE},
	{name: "a controller with an experimenter's property", hex: "ffff0020000023200025000000000000ffff000c000023200000000100000000", err: OFPBPC_BAD_EXP_TYPE},
	{name: "a controller with the property of experimenter 0", hex: "ffff0020000023200025000000000000ffff000c000000000000000100000000", err: OFPBPC_BAD_EXPERIMENTER},
	{name: "a controller with an experimenter's property that is too short", hex: "ffff0018000023200025000000000000ffff000800002320", err: OFPBPC_BAD_LEN},
	{name: "a bundle to no port", hex: "ffff002000002320000c00010000003200000002000000000000000000000000", text: "bundle(eth_src,50,hrw,ofport,members:)"},
	{name: "a bundle to ANY is to none", hex: "ffff002800002320000c00010000003200000002000100000000000000000000ffff000000000000", text: "bundle(eth_src,50,hrw,ofport,members:ANY)"},
	{name: "a bundle to the controller", hex: "ffff002800002320000c00010000003200000002000100000000000000000000fffd000000000000", err: OFPBAC_BAD_OUT_PORT},
	{name: "a bundle that hashes something unknown", hex: "ffff002000002320000c00010007003200000002000000000000000000000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a bundle_load that hashes something unknown is taken", hex: "ffff002000002320000d000100070032000000020000001f0001000400000000", text: "bundle_load(<unknown>,50,hrw,ofport,NXM_NX_REG0[],members:)"},
	{name: "a bundle_load with an algorithm that there is not is taken", hex: "ffff002000002320000d000900000032000000020000001f0001000400000001",
		text: "bundle_load(eth_src,50,<unknown>,ofport,NXM_NX_REG0[],members:)", again: "ffff002000002320000d000900000032000000020000001f0001000400000000"},
	{name: "a bundle_load into 15 bits", hex: "ffff002000002320000d000100000032000000020000000e0001000400000000", err: OFPBAC_BAD_ARGUMENT},
	{name: "a bundle with more members than there are", hex: "ffff002000002320000c00010000003200000002000100000000000000000001", err: OFPBAC_BAD_LEN},
	{name: "a multipath with more links than values", hex: "ffff002000002320000a00000032000000000010000000000000000300010004", err: OFPBAC_BAD_ARGUMENT},
	{name: "a multipath with as many links as values", hex: "ffff002000002320000a0006003200000003000f000000070000000300010004", text: "multipath(symmetric_l3,50,iter_hash,16,7,NXM_NX_REG0[0..3])"},
	{name: "a multipath with pad bytes that are not zero", hex: "ffff002000002320000a00000032000100000000000000000001000000010004",
		text: "multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[0])", again: "ffff002000002320000a00000032000000000000000000000000000000010004"},
	{name: "an encap in an unknown header", hex: "ffff001000002320002e000000010800", err: NXBAC_BAD_HEADER_TYPE},
	{name: "an encap in NSH with a metadata type of 0", hex: "ffff001800002320002e00080001894f0004010500000000", text: "encap(nsh(md_type=0))"},
	{name: "an encap in NSH with a TLV that has something behind it", hex: "ffff002000002320002e00000001894f0004021010000a030102030405060708", text: "encap(nsh(tlv(0x1000,10,0x10203)))"},
	{name: "an encap in NSH with a TLV of another length", hex: "ffff002000002320002e00000001894f0004020f10000a030102030000000000", err: NXBAC_BAD_ED_PROP},
	{name: "an encap with a property of another class", hex: "ffff001800002320002e00000001894f0005010500000000", err: NXBAC_UNKNOWN_ED_PROP},
	{name: "an encap with a property that is longer than the action", hex: "ffff001800002320002e00000001894f0004010900000000", err: OFPBAC_BAD_LEN},
	{name: "a decap", hex: "ffff001000002320002f00000000fffe", text: "decap()"},
	{name: "a decap that leaves Ethernet", hex: "ffff001000002320002fffff00000000",
		text: "decap(packet_type(ns=0,type=0))", again: "ffff001000002320002f000000000000"},
	{name: "a decap with a property", hex: "ffff001800002320002f00000000fffe0000000000000000", err: NXBAC_UNKNOWN_ED_PROP},
	{name: "an action for debugging, which only a switch for tests knows", hex: "ffff00100000232000fe000000000000", err: OFPBAC_BAD_VENDOR_TYPE},
}

func TestOddActions(t *testing.T) {
	for _, c := range oddActions {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			actions, err := DecodeActions(b)
			if c.err != 0 {
				if !errors.Is(err, c.err) {
					t.Errorf("%v %v, want %v", actions, err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := Text(actions); got != c.text {
				t.Errorf("got %s, want %s", got, c.text)
			}
			want := c.again
			if want == "" {
				want = c.hex
			}
			again, err := AppendActions(nil, actions)
			if got := hex.EncodeToString(again); err != nil || got != want {
				t.Errorf("\n got %s %v\nwant %s", got, err, want)
			}
		})
	}
}

func TestOddActionsTakeAtMost16TimesTheirBytes(t *testing.T) {
	for _, c := range oddActions {
		one := vector{Hex: c.hex}.bytes(t)
		if c.err != 0 {
			continue
		}
		b := bytes.Repeat(one, 60000/len(one))
		heap, _ := memoryOf(func() { DecodeActions(b) })
		if heap > uint64(16*len(b)) {
			t.Errorf("%s: %d bytes take %d bytes of memory", c.name, len(b), heap)
		}
	}
}
