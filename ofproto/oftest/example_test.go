package oftest_test

import (
	"context"
	"fmt"

	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/ofproto/oftest"
)

func Example() {
	ctx := context.Background()
	s := oftest.New(oftest.Config{})
	defer s.Close()
	conn, err := ofconn.New(ctx, s.Connect(), ofconn.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	s.React(func(r oftest.Request) oftest.Reaction { // table 5 is full
		if m, ok := r.Message.(ofproto.FlowMod); ok && m.Flow.Table == 5 {
			return oftest.Refuse(ofproto.OFPFMFC_TABLE_FULL)
		}
		return oftest.Reaction{}
	})
	for _, table := range []ofproto.Table{4, 5} {
		fmt.Println(conn.Do(ctx, ofproto.FlowMod{Flow: ofproto.Flow{Table: table, Cookie: 1}}))
	}
	if err := s.Do(ofproto.FlowMod{Flow: ofproto.Flow{Table: 6, Cookie: 2}}); err != nil { // by somebody else
		fmt.Println(err)
	}
	for _, f := range s.Tables().Flows {
		fmt.Println(f)
	}
	// Output:
	// <nil>
	// OFPFMFC_TABLE_FULL
	// cookie=0x1, table=4, priority=0 actions=drop
	// cookie=0x2, table=6, priority=0 actions=drop
}
