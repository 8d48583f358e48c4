package apps

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// segment is a segment of TCP from an endpoint to an address.
func segment(in pipeline.Input, from *intent.Endpoint, mac [6]byte, to netip.Addr, port, flags uint64) flowsim.Packet {
	return flowsim.Of(
		ofproto.Is(ofproto.InPort, portOn(in, from.Port)), ofproto.IsMAC(ofproto.EthSrc, from.MAC), ofproto.IsMAC(ofproto.EthDst, mac),
		ofproto.IsAddr(ofproto.IPv4Src, from.IPs[0]), ofproto.IsAddr(ofproto.IPv4Dst, to),
		ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPSrc, 1024), ofproto.Is(ofproto.TCPDst, port), ofproto.Is(ofproto.TCPFlags, flags))
}

// The flags of TCP.
const flagSYN, flagRST, flagACK = 0x002, 0x004, 0x010

// metersOn are the intents whose meters were on a packet's way.
func metersOn(in pipeline.Input, trace *flowsim.Trace) (ids []intent.ID) {
	for _, s := range trace.Steps {
		if s.Flow == nil {
			continue
		}
		for _, a := range s.Flow.Actions {
			if m, ok := a.(ofproto.Meter); ok {
				tag, _ := pipeline.MeterTag(uint32(m))
				id, _ := in.Numbers.Origin(tag)
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// TestWhoseMetersANewConnectionPasses is about testdata/rates.yaml, and what becomes of it in
// an audit.
func TestWhoseMetersANewConnectionPasses(t *testing.T) {
	text, err := os.ReadFile("testdata/rates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	audit := filepath.Join(t.TempDir(), "audit.yaml")
	if err := os.WriteFile(audit, bytes.Replace(text, []byte("spec: {defaults:"), []byte("spec: {mode: audit, defaults:"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file  string
		from  string
		flags uint64
		want  []intent.ID
	}{
		"an endpoint's own, and then its tenant's": {"testdata/rates.yaml", "crawler", flagSYN, []intent.ID{"blue/endpoint/crawler/newPerSecond", "blue/newPerSecond"}},
		"its tenant's, of one that has none":       {"testdata/rates.yaml", "web", flagSYN, []intent.ID{"blue/newPerSecond"}},
		"none, if it does not begin with a SYN":    {"testdata/rates.yaml", "crawler", flagACK, nil},
		"none in an audit":                         {audit, "crawler", flagSYN, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, in := compileFile(t, c.file)
			ends := in.Model.Tenants()[0].Endpoints
			i := slices.IndexFunc(ends, func(e *intent.Endpoint) bool { return e.Name == c.from })
			to := ends[1-i]
			trace := flowsim.New(p.Tables()).Send(segment(in, ends[i], to.MAC, to.IPs[0], 80, c.flags), nil)
			if got := metersOn(in, trace); !slices.Equal(got, c.want) {
				t.Errorf("the meters of %v, want those of %v", got, c.want)
			}
		})
	}
}

// TestWhatIsRejectedWithoutAWord is about testdata/reject.yaml: a reset is not answered, for
// two ends could go on like that for ever, and nothing that many were sent.
func TestWhatIsRejectedWithoutAWord(t *testing.T) {
	p, in := compileFile(t, "testdata/reject.yaml")
	app, db := in.Model.Tenants()[0].Endpoints[0], in.Model.Tenants()[0].Endpoints[1]
	many := [6]byte{0x01, 0, 0x5e, 0, 0, 5}
	for name, c := range map[string]struct {
		packet flowsim.Packet
		asked  bool
	}{
		"a SYN that is rejected is answered": {segment(in, app, db.MAC, db.IPs[0], 81, flagSYN), true},
		"a reset is not":                     {segment(in, app, db.MAC, db.IPs[0], 81, flagRST), false},
		"one with an ACK neither":            {segment(in, app, db.MAC, db.IPs[0], 81, flagRST|flagACK), false},
		"what is sent to many is not":        {segment(in, app, many, netip.MustParseAddr("224.0.0.5"), 23, flagSYN), false},
		"the same to one is":                 {segment(in, app, db.MAC, db.IPs[0], 23, flagSYN), true},
	} {
		t.Run(name, func(t *testing.T) {
			trace := flowsim.New(p.Tables()).Send(c.packet, nil)
			asked := slices.ContainsFunc(trace.Outputs, func(o flowsim.Output) bool { return o.Port == ofproto.PortController })
			rejected := slices.ContainsFunc(trace.Steps, func(s flowsim.Step) bool { return s.Table == pipeline.Reject })
			if asked != c.asked || !rejected || len(trace.Commits) > 0 {
				t.Errorf("rejected: %v, and the controller is asked: %v; want %v", rejected, asked, c.asked)
			}
		})
	}
}
