package explain

import (
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// What hardware takes over of the kernel's datapath it takes over as TC flower has it: Open vSwitch offers each flow of
// the datapath to that, and keeps to itself what has an action or a condition that there is no word for. A flow of the
// datapath has all actions and conditions of the flows that its packets met; so one of them keeps all packets that meet
// it on the processor.

// unoffered are the conditions that are not offered, and why.
var unoffered = map[ofproto.Field]string{
	ofproto.CTNwSrc: originalTuple, ofproto.CTNwDst: originalTuple, ofproto.CTIPv6Src: originalTuple, ofproto.CTIPv6Dst: originalTuple,
	ofproto.CTNwProto: originalTuple, ofproto.CTTpSrc: originalTuple, ofproto.CTTpDst: originalTuple,
	ofproto.NDTarget: neighbours, ofproto.NDSLL: neighbours, ofproto.NDTLL: neighbours,
	ofproto.DPHash: hashed, ofproto.PktMark: "it asks for the mark of the packet",
}

const (
	originalTuple = "it asks to whom the connection was opened (ct_nw_dst and the like)"
	neighbours    = "it looks into neighbour discovery"
	hashed        = "a hash of the datapath chooses"
	translated    = "it asks whether the connection is translated (ct_state snat, dnat)"
	told          = "the packet is handed to the daemon"
	helped        = "a helper reads the connection (alg)"
	sampled       = "packets are sampled"
	cut           = "packets are cut"
)

// leadsTo are the actions by which a rule has something done to its packets that a later table does, and so is what
// keeps them.
var leadsTo = func() map[string]string {
	all := map[string]string{pipeline.FTP.Set().String(): helped, pipeline.TFTP.Set().String(): helped}
	for _, l := range []intent.Log{intent.LogNew, intent.LogSampled} {
		for _, a := range pipeline.Report(l) {
			all[a.String()] = told
		}
	}
	return all
}()

// Obstacles returns why what meets a flow is not taken over by hardware; nil: nothing in the flow is in the way. Groups
// are those of the bridge.
func Obstacles(f ofproto.Flow, groups map[uint32]ofproto.Group) (why []string) {
	note := func(s string) {
		if !slices.Contains(why, s) {
			why = append(why, s)
		}
	}
	for _, c := range f.Match {
		if s, is := unoffered[c.Field]; is {
			note(s)
		}
		if c.Field == ofproto.CTState && c.Mask.Uint64()&uint64(ofproto.SNAT|ofproto.DNAT) != 0 {
			note(translated)
		}
	}
	obstacles(f.Actions, groups, note)
	return why
}

func obstacles(actions []ofproto.Action, groups map[uint32]ofproto.Group, note func(string)) {
	for _, a := range actions {
		if s, does := leadsTo[a.String()]; does {
			note(s)
		}
		switch a := a.(type) {
		case ofproto.Output:
			if a.Port == ofproto.PortController {
				note(told)
			}
		case ofproto.Controller:
			note(told)
		case ofproto.Sample:
			note(sampled)
		case ofproto.OutputTrunc:
			note(cut)
		case ofproto.ConnTrack:
			if a.ALG != 0 {
				note(helped)
			}
		case ofproto.Clone:
			obstacles(a.Actions, groups, note)
		case ofproto.WriteActions:
			obstacles(a.Actions, groups, note)
		case ofproto.ToGroup:
			g := groups[uint32(a)]
			if g.Type == ofproto.GroupSelect && len(g.Buckets) > 1 {
				note(hashed)
			}
			for _, b := range g.Buckets {
				obstacles(b.Actions, nil, note)
			}
		}
	}
}
