package test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// A segment is one TCP segment of the tutorial, and what is true after it.
type segment struct {
	fromLeft bool
	name     string
	tcp      layers.TCP
	data     string
	hits     uint16   // priority of the flow of CT_STATE that it takes
	states   []string // what the tracker may say then: the userspace one first, then the kernel's
}

// The flows of CT_STATE that the tutorial's segments take.
const (
	newFlow         = 300
	establishedFlow = 400
)

var tutorial = []segment{
	{true, "SYN", layers.TCP{Seq: 100, SYN: true}, "", newFlow, []string{"SYN_SENT"}},
	{false, "SYN, ACK", layers.TCP{Seq: 200, Ack: 101, SYN: true, ACK: true}, "", establishedFlow, []string{"ESTABLISHED", "SYN_RECV"}},
	{true, "ACK", layers.TCP{Seq: 101, Ack: 201, ACK: true}, "", establishedFlow, []string{"ESTABLISHED"}},
	{true, "ACK, data", layers.TCP{Seq: 101, Ack: 201, ACK: true}, "X", establishedFlow, []string{"ESTABLISHED"}},
	{false, "ACK", layers.TCP{Seq: 201, Ack: 102, ACK: true}, "", establishedFlow, []string{"ESTABLISHED"}},
	{true, "FIN, ACK", layers.TCP{Seq: 102, Ack: 201, ACK: true, FIN: true}, "", establishedFlow, []string{"CLOSING", "FIN_WAIT_1"}},
	{false, "FIN, ACK", layers.TCP{Seq: 201, Ack: 103, ACK: true, FIN: true}, "", establishedFlow, []string{"FIN_WAIT_2", "LAST_ACK"}},
	{true, "ACK", layers.TCP{Seq: 103, Ack: 202, ACK: true}, "", establishedFlow, []string{"FIN_WAIT_2", "TIME_WAIT"}},
}

// TestTutorial sends the segments of the Open vSwitch conntrack tutorial one by one, and
// prints its table: the state of the connection after each, and the flow that it took.
func TestTutorial(t *testing.T) {
	n := ovstest.New(t)
	left := wire(t, n.Host("left", mac(1), nil))
	right := wire(t, n.Host("right", mac(2), nil))
	w := n.Run(tutorialModel)
	zone := w.Zone("tutorial")

	var table bytes.Buffer
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "TCP SEGMENT\tCT_STATE (flow)\tCONNECTION")
	for i, s := range tutorial {
		before := stateFlows(n)
		from, to, direction := left, right, "192.168.0.2 -> 10.0.0.2"
		if !s.fromLeft {
			from, to, direction = right, left, "10.0.0.2 -> 192.168.0.2"
		}
		frame := s.frame(t)
		if err := from.Send(frame); err != nil {
			t.Fatal(err)
		}
		arrives(t, s.name, to, frame)
		hit := onlyHit(t, before, stateFlows(n))
		entries := n.Entries(zone)
		if len(entries) != 1 {
			t.Fatalf("after segment %d (%s): %d entries", i+1, s.name, len(entries))
		}
		fmt.Fprintf(out, "%s [%s]\t%s (%d)\t%s\n", direction, s.name, hit.Match[slices.IndexFunc(hit.Match, isState)], hit.Priority, entries[0].State)
		if hit.Priority != s.hits || !slices.Contains(s.states, entries[0].State.String()) {
			t.Errorf("segment %d (%s) took flow %d and left %s; want %d and one of %v", i+1, s.name, hit.Priority, entries[0].State, s.hits, s.states)
		}
	}
	out.Flush()
	t.Logf("the tutorial's table:\n%s", table.String())
}

func isState(c ofproto.Cond) bool { return c.Field == ofproto.CTState }

const tutorialModel = `
apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: tutorial}
spec: {defaults: {ingress: deny, egress: deny}}
---
apiVersion: weir/v1
kind: Network
metadata: {name: left, tenant: tutorial}
spec: {subnets: [{cidr: 192.168.0.0/24, gateway: 192.168.0.1}]}
---
apiVersion: weir/v1
kind: Network
metadata: {name: right, tenant: tutorial}
spec: {subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: left, tenant: tutorial}
spec: {network: left, bind: {port: left}, mac: "02:00:00:00:00:01", ips: [192.168.0.2]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: right, tenant: tutorial}
spec: {network: right, bind: {port: right}, mac: "02:00:00:00:00:02", ips: [10.0.0.2]}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: tcp, tenant: tutorial}
spec:
  rules:
  - {name: out, direction: egress, action: allow, to: {endpoints: [right]}, protocol: tcp}
  - {name: in, direction: ingress, action: allow, from: {endpoints: [left]}, protocol: tcp}
`

// frame is the segment as its sender puts it on the wire: to the router.
func (s segment) frame(t *testing.T) []byte {
	t.Helper()
	eth := layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: pipeline.RouterMAC[:], EthernetType: layers.EthernetTypeIPv4}
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{192, 168, 0, 2}, DstIP: net.IP{10, 0, 0, 2}}
	tcp := s.tcp
	tcp.SrcPort, tcp.DstPort, tcp.Window = 1024, 2048, 8192
	if !s.fromLeft {
		eth.SrcMAC[5] = 2
		ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
		tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
	}
	if err := tcp.SetNetworkLayerForChecksum(&ip); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, &eth, &ip, &tcp, gopacket.Payload(s.data))
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// arrives waits for a frame that was sent to come out, routed: with other addresses on the
// outside, one hop less, and the same segment.
func arrives(t *testing.T, name string, w *sandbox.Wire, sent []byte) {
	t.Helper()
	const ip, tcp = 14, 34
	sent = sent[:ip+int(binary.BigEndian.Uint16(sent[ip+2:]))] // the tracker of the kernel cuts the padding off
	deadline := time.After(ovstest.Patience)
	for {
		select {
		case f := <-w.Frames():
			if len(f) >= len(sent) && bytes.Equal(f[tcp:len(sent)], sent[tcp:]) && bytes.Equal(f[ip+12:tcp], sent[ip+12:tcp]) {
				if f[ip+8] != sent[ip+8]-1 {
					t.Errorf("TTL is %d after routing, was %d", f[ip+8], sent[ip+8])
				}
				return
			}
		case <-deadline:
			t.Fatalf("the segment %s did not arrive", name)
		}
	}
}

func stateFlows(n *ovstest.Net) map[ofproto.FlowKey]ofproto.FlowStats {
	flows := map[ofproto.FlowKey]ofproto.FlowStats{}
	for _, f := range n.Flows() {
		if f.Table == pipeline.CtState {
			flows[f.Key()] = f
		}
	}
	return flows
}

// onlyHit returns the one flow that has counted a packet in between.
func onlyHit(t *testing.T, before, after map[ofproto.FlowKey]ofproto.FlowStats) (hit ofproto.Flow) {
	t.Helper()
	var hits []string
	for key, f := range after {
		if f.Packets > before[key].Packets {
			hit = f.Flow
			hits = append(hits, fmt.Sprint(f.Priority, " ", f.Match))
		}
	}
	if len(hits) != 1 {
		t.Fatalf("%d flows of CT_STATE have counted: %s", len(hits), strings.Join(hits, "; "))
	}
	return hit
}
