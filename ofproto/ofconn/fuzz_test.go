package ofconn

import (
	"bytes"
	"net"
	"testing"

	"weir/ofproto"
)

// FuzzPeer reads what a peer says, whatever it is, as a session that waits for answers, has
// a monitor and reads nothing does. It must end, and not by a panic.
func FuzzPeer(f *testing.F) {
	seed := func(messages ...ofproto.Message) {
		var b []byte
		for i, m := range messages {
			var err error
			if b, err = ofproto.Append(b, uint32(i), m); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b)
	}
	seed(ofproto.Hello{}, ofproto.FeaturesReply{DatapathID: 1}, ofproto.EchoRequest{Data: []byte("?")}, ofproto.BarrierReply{})
	seed(ofproto.FlowMonitorReply{}, ofproto.FlowMonitorPaused{}, ofproto.FlowMonitorResumed{}, ofproto.MultipartReply{Type: ofproto.MultipartFlow, More: true})
	seed(ofproto.PacketIn{Data: []byte{1}}, ofproto.PacketIn2{PacketIn: ofproto.PacketIn{Data: []byte{1}}}, ofproto.ErrorOf(ofproto.OFPBRC_BAD_TYPE, 2, make([]byte, 64)))
	f.Add([]byte{4, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0x10})
	f.Add([]byte{4, 14, 0, 7, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := newConn(ours, Config{PacketIns: 1, Events: 1})
		c.makeQueues()
		c.monitor = &Monitor{c: c, ready: make(answer, 1), stray: make(answer, 1), news: make(chan struct{}, 1)}
		_, forget := c.span(2, 2)
		defer forget()
		p := &parts{c: c, got: make(chan part), ended: make(chan struct{})}
		close(p.ended)
		defer c.expect(7, p)()
		defer c.expect(8, c.monitor)()
		c.end(c.read(&framer{r: bytes.NewReader(said)}))
		if c.Err() == nil {
			t.Error("it goes on after the end")
		}
	})
}
