package explain

import (
	"strings"
	"testing"

	"weir/ofproto"
)

func TestObstacles(t *testing.T) {
	groups := map[uint32]ofproto.Group{}
	for id, text := range map[uint32]string{
		1: "group_id=1,type=select,bucket=weight:1,actions=resubmit(,5),bucket=weight:2,actions=resubmit(,6)",
		2: "group_id=2,type=select,bucket=weight:1,actions=resubmit(,5)",
		3: "group_id=3,type=all,bucket=actions=output:1,bucket=actions=controller:128",
	} {
		g, err := ofproto.ParseGroup(text)
		if err != nil {
			t.Fatal(err)
		}
		groups[id] = g
	}
	for text, want := range map[string]string{
		"table=1,ip,nw_src=10.0.0.0/8,actions=set_field:0x1->reg0,goto_table:2":                                    "",
		"table=1,ct_state=+new+trk,ip,actions=ct(commit,zone=1,nat(src=1.2.3.4),exec(load:0x1->NXM_NX_CT_MARK[]))": "",
		"table=1,ct_state=+trk+dnat,ip,actions=drop":                                                               translated,
		"table=1,ct_state=+trk-snat,ip,actions=drop":                                                               translated,
		"table=1,ct_state=+trk+est,ct_nw_dst=1.2.3.4,ip,actions=goto_table:5":                                      originalTuple,
		"table=1,icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1,actions=drop":                                   neighbours,
		"table=1,tcp,actions=ct(commit,zone=1,alg=ftp)":                                                            helped,
		"table=1,actions=controller:128":                                                                           told,
		"table=1,actions=controller(max_len=128,userdata=01)":                                                      told,
		"table=1,actions=group:1":                                                                                  hashed,
		"table=1,actions=group:2":                                                                                  "",
		"table=1,actions=group:3":                                                                                  told,
		"table=1,actions=clone(sample(probability=100,collector_set_id=1,obs_domain_id=1,obs_point_id=1)),group:1": sampled + ", " + hashed,
		"table=1,actions=output(port=1,max_len=100)":                                                               cut,
	} {
		f, err := ofproto.ParseFlow(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Join(Obstacles(f, groups), ", "); got != want {
			t.Errorf("%s\n  %q, want %q", text, got, want)
		}
	}
}
