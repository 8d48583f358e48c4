package ofproto

import "testing"

func TestGroupsAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	const nothingWatched = "ffffffffffffffff00000000"
	for name, c := range map[string]struct {
		cmd      GroupCommand
		in, want string // the message without its header; or what is wrong
	}{
		"a group without buckets":                   {GroupAdd, "group_id=1,type=all", "0000000000000001"},
		"a bucket of a select group weighs 1":       {GroupAdd, "group_id=1,type=select,bucket=actions=drop", "0000010000000001" + "00100001" + nothingWatched},
		"a bucket may weigh nothing":                {GroupAdd, "group_id=1,type=select,bucket=weight=0,actions=drop", "0000010000000001" + "00100000" + nothingWatched},
		"actions need no key":                       {GroupModify, "group_id=1,type=indirect,bucket=output:2", "0001020000000001" + "00200000" + nothingWatched + "00000010000000020000000000000000"},
		"keys may stand among actions":              {GroupAdd, "group_id=1,type=select,bucket=output:2,weight:3,output:2", "0000010000000001" + "00300003" + nothingWatched + "00000010000000020000000000000000" + "00000010000000020000000000000000"},
		"port and group 0 are watched too":          {GroupAddOrMod, "group_id=1,type=ff,bucket=watch_port:0,watch_group:0,actions=drop", "8000030000000001" + "00100000" + "000000000000000000000000"},
		"what OpenFlow 1.3 cannot send is left out": {GroupAdd, "group_id=1,type=select,selection_method=hash,fields(ip_src),bucket=bucket_id=3,actions=drop", "0000010000000001" + "00100001" + nothingWatched},
		"delete one":                                   {GroupDelete, "group_id=7", "0002000000000007"},
		"delete all":                                   {GroupDelete, "", "00020000fffffffc"},
		"no number":                                    {GroupAdd, "type=all", "column 1: group_id=... is missing"},
		"no type":                                      {GroupAdd, "group_id=1", "column 1: type=... is missing: all, select, indirect or ff"},
		"a type that there is not":                     {GroupAdd, "group_id=1,type=any", `column 17: a group of type "any" is not known: want all, select, indirect or ff`},
		"a number that is too large":                   {GroupAdd, "group_id=4294967041,type=all", "column 10: group_id 4294967041 is more than 4294967040, the largest"},
		"a key that there is not":                      {GroupAdd, "group_id=1,typ=all", `column 12: there is no "typ" in a group`},
		"a bucket without actions":                     {GroupAdd, "group_id=1,type=select,bucket=weight=2", "column 31: the bucket has no actions: actions=drop does nothing"},
		"a bucket that watches nothing":                {GroupAdd, "group_id=1,type=ff,bucket=actions=drop", "column 27: the bucket of a fast failover group needs watch_port or watch_group"},
		"a weight where there is none":                 {GroupAdd, "group_id=1,type=all,bucket=weight=2,actions=drop", "column 28: only the buckets of select groups have a weight"},
		"two buckets of an indirect group":             {GroupAdd, "group_id=1,type=indirect,bucket=1,bucket=2", "column 42: an indirect group has one bucket"},
		"a mistake in an action":                       {GroupAdd, "group_id=1,type=all,bucket=output:1,otput:2", `column 37: there is no action "otput"`},
		"a mistake in an action behind an equals sign": {GroupAdd, "group_id=1,type=all,bucket=actions=output:1,ct(zone=65536)", "column 53: 65536 is not a zone: want a number from 0 to 65535, or a field"},
		"a field that is hashed twice":                 {GroupAdd, "group_id=1,type=select,selection_method=hash,fields(ip_src,ip_src)", "column 60: ip_src is said twice"},
		"fields without a hash":                        {GroupAdd, "group_id=1,type=select,fields(ip_src)", "column 31: fields are for selection_method=hash only"},
		"a method that is not sent, and no bucket":     {GroupAdd, "group_id=1,type=select,selection_method=dp_hash", "column 41: only OpenFlow 1.5 can send this"},
		"a bucket in a deletion":                       {GroupDelete, "group_id=1,bucket=1", "column 19: buckets are not needed to delete a group"},
		"a type in a deletion":                         {GroupDelete, "group_id=1,type=all", "column 12: type is not needed to delete a group"},
		"a command of OpenFlow 1.5":                    {GroupInsertBucket, "group_id=1", "column 1: there is no command 3 for groups in OpenFlow 1.3"},
	} {
		m, err := ParseGroupMod(c.cmd, c.in)
		if got := sent(m, err); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", name, c.in, got, c.want)
		}
	}
}
