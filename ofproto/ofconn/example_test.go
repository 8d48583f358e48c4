package ofconn_test

import (
	"context"
	"errors"
	"fmt"

	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/ofproto/oftest"
)

// A bridge is given the flows that are wanted, whatever it had before.
func Example() {
	s := oftest.New(oftest.Config{})
	defer s.Close()
	ctx := context.Background()
	conn, err := ofconn.New(ctx, s.Connect(), ofconn.Config{}) // or ofconn.Dial(ctx, "unix:/run/openvswitch/br0.mgmt", ...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	want := ofproto.Tables{Flows: []ofproto.Flow{
		{Priority: 10, Match: ofproto.MatchOn(ofproto.IsIPv4), Actions: []ofproto.Action{ofproto.GotoTable(5)}},
		{Table: 5, Actions: []ofproto.Action{ofproto.ToGroup(9)}}, // which there is not
	}}
	have, err := conn.Tables(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = conn.Apply(ctx, ofproto.Diff(want, have))
	var rejected *ofproto.Rejected
	switch {
	case errors.As(err, &rejected):
		fmt.Println("the switch refuses table", rejected.Flow.Table, "and nothing was changed:", rejected.Err)
	case errors.Is(err, ofconn.ErrUnknownOutcome):
		fmt.Println("the tables have to be read again")
	default:
		fmt.Println(err)
	}
	// Output: the switch refuses table 5 and nothing was changed: OFPBAC_BAD_OUT_GROUP
}
