package ofproto

import "testing"

func TestUpdatesAreFollowed(t *testing.T) {
	at := func(table Table, cookie uint64) Flow {
		return Flow{Table: table, Cookie: cookie, Match: MatchOn(IsIPv4)}
	}
	flagged := at(1, 1)
	flagged.Flags = SendFlowRem
	have := []Flow{flagged, at(2, 2), at(3, 3)}
	modified := flagged
	modified.Cookie = 9
	untold := at(1, 9)
	for name, c := range map[string]struct {
		updates []FlowUpdate
		want    []Flow
	}{
		"nothing":                               {nil, have},
		"one is new":                            {[]FlowUpdate{{Flow: at(4, 4)}}, append(have[:3:3], at(4, 4))},
		"one replaces another":                  {[]FlowUpdate{{Flow: at(2, 7)}}, []Flow{flagged, at(3, 3), at(2, 7)}},
		"one is modified, and keeps its flags":  {[]FlowUpdate{{Event: UpdateModified, Flow: untold}}, []Flow{at(2, 2), at(3, 3), modified}},
		"one is deleted":                        {[]FlowUpdate{{Event: UpdateDeleted, Flow: at(3, 3)}}, have[:2]},
		"one that is not there is deleted":      {[]FlowUpdate{{Event: UpdateDeleted, Flow: at(9, 3)}}, have},
		"one comes, changes, goes and comes":    {[]FlowUpdate{{Flow: at(4, 1)}, {Event: UpdateModified, Flow: at(4, 2)}, {Event: UpdateDeleted, Flow: at(4, 2)}, {Flow: at(4, 3)}}, append(have[:3:3], at(4, 3))},
		"one is replaced, and that one deleted": {[]FlowUpdate{{Flow: at(2, 7)}, {Event: UpdateDeleted, Flow: at(2, 7)}}, []Flow{flagged, at(3, 3)}},
	} {
		got := Updated(have, c.updates)
		if d := Diff(Tables{Flows: c.want}, Tables{Flows: got}); !d.Empty() || len(got) != len(c.want) {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
	if have[0].Cookie != 1 || len(have) != 3 {
		t.Error("what was given has been changed")
	}
}
