package ofconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/ofproto"
)

// peer plays the other side of a session: it answers HELLO and FEATURES, and then what
// answer says. A nil among the answers hangs up.
func peer(nc net.Conn, hello ofproto.Message, answer func(xid uint32, m ofproto.Message) []ofproto.Message) {
	defer nc.Close()
	go write(nc, 1, hello) // a pipe has no room: both sides begin by writing
	f := framer{r: nc}
	for {
		frame, err := f.next()
		if err != nil {
			return
		}
		xid, m, err := ofproto.Decode(frame)
		if err != nil {
			return
		}
		if _, ok := m.(ofproto.FeaturesRequest); ok && write(nc, xid, ofproto.FeaturesReply{DatapathID: 1}) != nil {
			return
		}
		if answer == nil {
			continue
		}
		for _, a := range answer(xid, m) {
			if a == nil || write(nc, xid, a) != nil {
				return
			}
		}
	}
}

// write writes one message. An error has an xid of its own.
func write(nc net.Conn, xid uint32, m ofproto.Message) error {
	if e, ok := m.(*ofproto.Error); ok {
		xid = e.XID
	}
	b, err := ofproto.Append(nil, xid, m)
	if err == nil {
		_, err = nc.Write(b)
	}
	return err
}

// obliging answers what every switch answers; answer goes first.
func obliging(answer func(xid uint32, m ofproto.Message) []ofproto.Message) func(uint32, ofproto.Message) []ofproto.Message {
	return func(xid uint32, m ofproto.Message) []ofproto.Message {
		if a := answer(xid, m); a != nil {
			return a
		}
		switch m := m.(type) {
		case ofproto.BarrierRequest:
			return []ofproto.Message{ofproto.BarrierReply{}}
		case ofproto.BundleControl:
			return []ofproto.Message{ofproto.BundleControl{ID: m.ID, Type: m.Type + 1}}
		}
		return nil
	}
}

// bubble runs a test in virtual time, with a session over a pipe whose other end play has.
func bubble(t *testing.T, play func(net.Conn), test func(*testing.T, *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		var playing sync.WaitGroup
		playing.Go(func() { play(theirs) })
		c, err := New(t.Context(), ours, Config{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
		c.Close()
		theirs.Close()
		playing.Wait()
	})
}

// within reports how long a session lasts, which ends by itself.
func within(c *Conn) time.Duration {
	start := time.Now()
	<-c.Done()
	return time.Since(start)
}

func TestPeersThatDoNotShakeHands(t *testing.T) {
	for name, c := range map[string]struct {
		play func(net.Conn)
		want string
	}{
		"one that says nothing":               {func(nc net.Conn) { io.Copy(io.Discard, nc) }, "within 5s"},
		"one that says one byte per second":   {drip, "within 5s"},
		"one that does not say who it is":     {func(nc net.Conn) { go write(nc, 1, ofproto.Hello{}); io.Copy(io.Discard, nc) }, "within 5s"},
		"one that does not even read":         {func(net.Conn) {}, "within 5s"},
		"one that begins with something else": {func(nc net.Conn) { peer(nc, ofproto.EchoRequest{}, nil) }, "not with HELLO"},
		"one that hangs up":                   {func(nc net.Conn) { nc.Close() }, ""},
		"one that refuses us": {func(nc net.Conn) {
			peer(nc, &ofproto.Error{Type: 0, Code: 0, Data: []byte("1.0 only")}, nil)
		}, `OFPHFC_INCOMPATIBLE: "1.0 only"`},
		"one that refuses us after its HELLO": {func(nc net.Conn) {
			peer(nc, ofproto.Hello{}, func(uint32, ofproto.Message) []ofproto.Message {
				return []ofproto.Message{&ofproto.Error{Type: 0, Code: 1}}
			})
		}, "OFPHFC_EPERM"},
		"one with a hello element of length zero": {func(nc net.Conn) {
			go nc.Write([]byte{4, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0x10})
			io.Copy(io.Discard, nc)
		}, "has not shaken hands"},
		"one with a header of length 7": {func(nc net.Conn) {
			go nc.Write([]byte{4, 0, 0, 7, 0, 0, 0, 1})
			io.Copy(io.Discard, nc)
		}, "length of 7"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				var playing sync.WaitGroup
				playing.Go(func() { c.play(theirs) })
				start := time.Now()
				_, err := New(t.Context(), ours, Config{})
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("given up after %v", took)
				}
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; want %q", err, c.want)
				}
				theirs.Close()
				playing.Wait()
			})
		})
	}
}

// drip reads, and says HELLO as slowly as it can without being silent.
func drip(nc net.Conn) {
	go io.Copy(io.Discard, nc)
	hello, _ := ofproto.Append(nil, 1, ofproto.Hello{})
	for i := range hello {
		time.Sleep(time.Second) // virtual
		if _, err := nc.Write(hello[i : i+1]); err != nil {
			return
		}
	}
}

func TestAHandshakeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := New(ctx, ours, Config{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		theirs.Close()
	})
}

func TestPeersOfOtherVersionsAreToldWhy(t *testing.T) {
	for name, c := range map[string]struct {
		hello   ofproto.Hello
		version byte // in which they are told; zero: there is a session
		want    string
	}{
		"1.0 alone":                          {ofproto.Hello{Version: 1}, 1, "you speak version 1"},
		"1.2 alone":                          {ofproto.Hello{Version: 3}, 3, "you speak version 3"},
		"1.0 and 1.4, by a bitmap":           {ofproto.Hello{Version: 5, Versions: 1<<1 | 1<<5}, 5, "you speak version 1, 5"},
		"1.5 without a bitmap speaks 1.3":    {ofproto.Hello{Version: 6}, 0, ""},
		"1.0 and 1.3, by a bitmap, is 1.3":   {ofproto.Hello{Version: 4, Versions: 1<<1 | 1<<4}, 0, ""},
		"1.3 in a header of 1.5, with a map": {ofproto.Hello{Version: 6, Versions: 1<<4 | 1<<6}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				var told *ofproto.Error
				var version byte
				go func() {
					go write(theirs, 77, c.hello)
					f := framer{r: theirs}
					for frame, err := f.next(); err == nil; frame, err = f.next() {
						xid, m, _ := ofproto.Decode(frame)
						if e, ok := m.(*ofproto.Error); ok {
							version, told = frame[0], e
						}
						if _, ok := m.(ofproto.FeaturesRequest); ok {
							go write(theirs, xid, ofproto.FeaturesReply{})
						}
					}
				}()
				conn, err := New(t.Context(), ours, Config{})
				if conn != nil {
					conn.Close()
				}
				theirs.Close()
				synctest.Wait()
				if c.version == 0 {
					if err != nil || told != nil {
						t.Errorf("no session: %v, told %v", err, told)
					}
					return
				}
				if !errors.Is(err, ofproto.OFPHFC_INCOMPATIBLE) {
					t.Errorf("our side: %v", err)
				}
				if told == nil || !errors.Is(told, ofproto.OFPHFC_INCOMPATIBLE) || told.XID != 77 || version != c.version || !strings.Contains(string(told.Data), c.want) {
					t.Errorf("told %v %q in version %d; want %q in version %d", told, told.Data, version, c.want, c.version)
				}
			})
		})
	}
}

func TestPeersThatLoseTheirSession(t *testing.T) {
	garbage := func(b ...byte) func(net.Conn) {
		return func(nc net.Conn) {
			peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
				if _, ok := m.(ofproto.SetConfig); ok {
					nc.Write(b)
				}
				return nil
			})
		}
	}
	for name, c := range map[string]struct {
		play func(net.Conn)
		want string
		last time.Duration
	}{
		"one that falls silent":                     {func(nc net.Conn) { peer(nc, ofproto.Hello{}, nil) }, "silent for 15s", 15 * time.Second},
		"one that stops in the middle of a message": {garbage(4, 10, 0, 200, 0, 0), "silent for 15s", 15 * time.Second},
		"one that says a length of 3":               {garbage(4, 14, 0, 3, 0, 0, 0, 0), "length of 3", 0},
		"one that says a length of 0":               {garbage(4, 14, 0, 0, 0, 0, 0, 0), "length of 0", 0},
		"one that turns to another version":         {garbage(1, 10, 0, 8, 0, 0, 0, 0), "garbage", 0},
		"one that sends a packet-in cut short":      {garbage(4, 10, 0, 12, 0, 0, 0, 0, 1, 2, 3, 4), "garbage", 0},
		"one that asks for echoes and does not read them": {func(nc net.Conn) {
			go peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
				if _, ok := m.(ofproto.SetConfig); ok {
					flood, _ := ofproto.Append(nil, 1, ofproto.EchoRequest{Data: make([]byte, 60000)})
					for err := error(nil); err == nil; _, err = nc.Write(flood) {
					}
				}
				return nil
			})
		}, "does not read", 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.play, func(t *testing.T, conn *Conn) {
				last := within(conn)
				if err := conn.Err(); err == nil || !strings.Contains(err.Error(), c.want) || last != c.last {
					t.Errorf("after %v: %v; want %q after %v", last, err, c.want, c.last)
				}
			})
		})
	}
}

func TestAPeerThatStopsReadingIsDroppedWithin15Seconds(t *testing.T) {
	play := func(nc net.Conn) {
		f := framer{r: nc}
		go write(nc, 1, ofproto.Hello{})
		for {
			frame, err := f.next()
			if err != nil {
				return
			}
			xid, m, _ := ofproto.Decode(frame)
			if _, ok := m.(ofproto.FeaturesRequest); ok {
				write(nc, xid, ofproto.FeaturesReply{})
				break
			}
		}
		for { // alive, and deaf
			time.Sleep(time.Second) // virtual
			if write(nc, 9, ofproto.EchoReply{}) != nil {
				return
			}
		}
	}
	bubble(t, play, func(t *testing.T, c *Conn) {
		start := time.Now()
		var err error
		sent := 0
		for ; err == nil; sent++ {
			err = c.Send(t.Context(), ofproto.PacketOut{Data: make([]byte, 1000)})
		}
		if took := time.Since(start); !errors.Is(err, ErrClosed) || took > 15*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if sent > 1000 {
			t.Errorf("%d kB were queued", sent)
		}
	})
}

func TestASwitchThatReadsNoMoreUntilItsAnswersAreReadIsServed(t *testing.T) {
	refusals := 0
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, obliging(func(xid uint32, m ofproto.Message) []ofproto.Message {
			if _, ok := m.(ofproto.FlowMod); !ok {
				return nil
			}
			refusals++
			return []ofproto.Message{&ofproto.Error{XID: xid, Type: 5, Code: 1}, ofproto.EchoRequest{Data: make([]byte, 100)}}
		}))
	}, func(t *testing.T, c *Conn) {
		all := make([]ofproto.Message, 5000)
		for i := range all {
			all[i] = ofproto.FlowMod{Flow: ofproto.Flow{Priority: uint16(i)}}
		}
		if err := c.Do(t.Context(), all...); !errors.Is(err, ofproto.OFPFMFC_TABLE_FULL) || refusals != len(all) {
			t.Errorf("%v, %d refusals", err, refusals)
		}
	})
}

func TestErrorsFindTheirMessage(t *testing.T) {
	for name, number := range map[string]func(xid uint32) uint32{
		"by their xid":            func(xid uint32) uint32 { return xid },
		"by the failed message":   func(uint32) uint32 { return 0 },
		"by the one that is ours": func(uint32) uint32 { return 0xfffffff0 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(nc net.Conn) {
				peer(nc, ofproto.Hello{}, obliging(func(xid uint32, m ofproto.Message) []ofproto.Message {
					add, ok := m.(ofproto.BundleAdd)
					if !ok || add.Message.(ofproto.FlowMod).Flow.Priority != 77 {
						return nil
					}
					failed, _ := ofproto.Append(nil, xid, m)
					e := ofproto.ErrorOf(ofproto.OFPBMC_BAD_FIELD, number(xid), failed)
					return []ofproto.Message{e}
				}))
			}, func(t *testing.T, c *Conn) {
				flows := make([]ofproto.Flow, 100)
				for i := range flows {
					flows[i].Priority = uint16(i)
				}
				err := c.Apply(t.Context(), ofproto.Plan{PutFlows: flows})
				var r *ofproto.Rejected
				var e *ofproto.Error
				if !errors.As(err, &r) || !errors.As(err, &e) || r.Flow == nil || r.Flow.Priority != 77 || !errors.Is(err, ofproto.OFPBMC_BAD_FIELD) {
					t.Errorf("%v; want the flow of priority 77", err)
				}
			})
		})
	}
}

func TestAnErrorThatNobodyWaitsForIsAnEvent(t *testing.T) {
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(xid uint32, m ofproto.Message) []ofproto.Message {
			if _, ok := m.(ofproto.PacketOut); ok {
				return []ofproto.Message{&ofproto.Error{XID: xid, Type: 1, Code: 8}}
			}
			return nil
		})
	}, func(t *testing.T, c *Conn) {
		if err := c.PacketOut(t.Context(), ofproto.PacketOut{Data: []byte{1}}); err != nil {
			t.Fatal(err)
		}
		if e, ok := (<-c.Events()).(*ofproto.Error); !ok || !errors.Is(e, ofproto.OFPBRC_BUFFER_UNKNOWN) {
			t.Errorf("%v", e)
		}
	})
}

func TestMessagesLeaveAndArriveInOrder(t *testing.T) {
	const n = 300
	var seen []uint32
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
			p, ok := m.(ofproto.PacketOut)
			if !ok {
				return nil
			}
			seen = append(seen, p.InPort)
			return []ofproto.Message{ofproto.PacketIn{Cookie: uint64(p.InPort)}}
		})
	}, func(t *testing.T, c *Conn) {
		for i := range uint32(n) {
			if err := c.PacketOut(t.Context(), ofproto.PacketOut{InPort: i, Data: []byte{1}}); err != nil {
				t.Fatal(err)
			}
			if i%100 == 99 { // the queue has room for 256
				synctest.Wait()
				for k := range uint64(100) {
					if p := <-c.PacketIns(); p.Cookie != uint64(i)-99+k {
						t.Fatalf("packet-in %d came as number %d", p.Cookie, uint64(i)-99+k)
					}
				}
			}
		}
		for i, p := range seen {
			if p != uint32(i) {
				t.Fatalf("message %d left as number %d", p, i)
			}
		}
	})
}

func TestWhoDoesNotReadPacketsLosesTheNewestAndNothingElse(t *testing.T) {
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, obliging(func(_ uint32, m ofproto.Message) []ofproto.Message {
			if _, ok := m.(ofproto.SetConfig); !ok {
				return nil
			}
			flood := make([]ofproto.Message, 300)
			for i := range flood {
				flood[i] = ofproto.PacketIn{Cookie: uint64(i)}
			}
			return flood
		}))
	}, func(t *testing.T, c *Conn) {
		if err := c.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := <-c.PacketIns(); p.Cookie != 0 || c.Dropped() != 300-256 {
			t.Errorf("packet %d was first, %d dropped", p.Cookie, c.Dropped())
		}
	})
}

// A counter counts what is written.
type counter struct {
	net.Conn
	writes atomic.Int32
}

func (c *counter) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestManyFlowModsGoInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go peer(theirs, ofproto.Hello{}, obliging(func(uint32, ofproto.Message) []ofproto.Message { return nil }))
		w := &counter{Conn: ours}
		c, err := New(t.Context(), w, Config{})
		if err != nil {
			t.Fatal(err)
		}
		plan := ofproto.Plan{PutFlows: make([]ofproto.Flow, 4000)}
		for i := range plan.PutFlows {
			plan.PutFlows[i].Priority = uint16(i)
		}
		before := w.writes.Load()
		if err := c.ApplyAtomically(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if n := w.writes.Load() - before; n > 40 {
			t.Errorf("%d writes for 4000 flow-mods", n)
		}
		c.Close()
		theirs.Close()
	})
}

func TestWhatIsLostBeforeItsAnswerHasAnUnknownOutcome(t *testing.T) {
	hangUpAt := func(at func(ofproto.Message) bool) func(net.Conn) {
		return func(nc net.Conn) {
			peer(nc, ofproto.Hello{}, obliging(func(_ uint32, m ofproto.Message) []ofproto.Message {
				if at(m) {
					return []ofproto.Message{nil}
				}
				return nil
			}))
		}
	}
	barrier := func(m ofproto.Message) bool { _, ok := m.(ofproto.BarrierRequest); return ok }
	commit := func(m ofproto.Message) bool {
		b, ok := m.(ofproto.BundleControl)
		return ok && b.Type == ofproto.BundleCommit
	}
	plan := ofproto.Plan{PutFlows: []ofproto.Flow{{Priority: 1}, {Priority: 2}}}
	for name, c := range map[string]struct {
		at      func(ofproto.Message) bool
		do      func(context.Context, *Conn) error
		unknown bool
	}{
		"a commit":                     {commit, func(ctx context.Context, c *Conn) error { return c.Apply(ctx, plan) }, true},
		"a bundle that was not filled": {barrier, func(ctx context.Context, c *Conn) error { return c.Apply(ctx, plan) }, false},
		"batches":                      {barrier, func(ctx context.Context, c *Conn) error { return c.ApplyInBatches(ctx, plan) }, true},
		"a message":                    {barrier, func(ctx context.Context, c *Conn) error { return c.Do(ctx, ofproto.CTFlushZone{Zone: 1}) }, true},
		"a meter": {barrier, func(ctx context.Context, c *Conn) error {
			return c.Apply(ctx, ofproto.Plan{PutMeters: []ofproto.MeterConfig{{ID: 1}}})
		}, true},
		"a question, which does nothing": {barrier, func(ctx context.Context, c *Conn) error { return c.Barrier(ctx) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, hangUpAt(c.at), func(t *testing.T, conn *Conn) {
				err := c.do(t.Context(), conn)
				if err == nil || errors.Is(err, ErrUnknownOutcome) != c.unknown || !errors.Is(err, ErrClosed) {
					t.Errorf("%v; want an unknown outcome: %v", err, c.unknown)
				}
			})
		})
		t.Run(name+", as the time is up", func(t *testing.T) {
			never := func(nc net.Conn) {
				peer(nc, ofproto.Hello{}, func(xid uint32, m ofproto.Message) []ofproto.Message {
					if c.at(m) {
						return nil
					}
					return obliging(func(uint32, ofproto.Message) []ofproto.Message { return nil })(xid, m)
				})
			}
			bubble(t, never, func(t *testing.T, conn *Conn) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := c.do(ctx, conn)
				if err == nil || errors.Is(err, ErrUnknownOutcome) != c.unknown || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v; want an unknown outcome: %v", err, c.unknown)
				}
			})
		})
	}
}

func TestAnAnswerWithoutEndEnds(t *testing.T) {
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
			if _, ok := m.(ofproto.MultipartRequest); !ok {
				return nil
			}
			endless := make([]ofproto.Message, 1000)
			for i := range endless {
				endless[i] = ofproto.MultipartReply{Type: ofproto.MultipartGroupDesc, More: true, Body: make([]byte, 8)}
			}
			return endless
		})
	}, func(t *testing.T, c *Conn) {
		c.limit = 1000
		err := c.multipart(t.Context(), ofproto.GroupDescRequest(), func([]byte) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "does not end") || c.Err() == nil {
			t.Errorf("%v, and the session: %v", err, c.Err())
		}
	})
}

func TestAnAnswerThatCannotBeReadEndsTheSession(t *testing.T) {
	for name, m := range map[string]ofproto.Message{
		"of another type":      ofproto.MultipartReply{Type: ofproto.MultipartDesc},
		"an entry of length 0": ofproto.MultipartReply{Type: ofproto.MultipartFlow, Body: make([]byte, 56)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(nc net.Conn) {
				peer(nc, ofproto.Hello{}, func(_ uint32, q ofproto.Message) []ofproto.Message {
					if _, ok := q.(ofproto.MultipartRequest); ok {
						return []ofproto.Message{m}
					}
					return nil
				})
			}, func(t *testing.T, c *Conn) {
				if _, err := c.FlowStats(t.Context()); err == nil || c.Err() == nil {
					t.Errorf("%v, and the session: %v", err, c.Err())
				}
			})
		})
	}
}

func TestMessagesThatNobodyKnowsAreEvents(t *testing.T) {
	strange := ofproto.Unknown{Type: 99, Body: []byte("what?")}
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
			if _, ok := m.(ofproto.SetConfig); ok {
				return []ofproto.Message{strange}
			}
			return nil
		})
	}, func(t *testing.T, c *Conn) {
		if got := <-c.Events(); fmt.Sprint(got) != fmt.Sprint(strange) {
			t.Errorf("%v", got)
		}
	})
}

func TestCloseSendsWhatIsQueued(t *testing.T) {
	last := make(chan ofproto.Message, 10)
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go peer(theirs, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
			last <- m
			return nil
		})
		c, err := New(t.Context(), ours, Config{})
		if err != nil {
			t.Fatal(err)
		}
		c.PacketOut(t.Context(), ofproto.PacketOut{InPort: 5, Data: []byte{1}})
		c.Close()
		synctest.Wait()
		close(last)
		var m ofproto.Message
		for m = range last {
		}
		if p, ok := m.(ofproto.PacketOut); !ok || p.InPort != 5 {
			t.Errorf("the last that came was %#v", m)
		}
		if err := c.PacketOut(t.Context(), ofproto.PacketOut{}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
		theirs.Close()
	})
}

func TestWhatIsQueuedLeavesThoughMoreWasToCome(t *testing.T) {
	flows := 0
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
			if _, ok := m.(ofproto.FlowMod); ok {
				flows++
			}
			return nil
		})
	}, func(t *testing.T, c *Conn) {
		long := ofproto.FlowMod{}
		for range 5000 {
			long.Flow.Actions = append(long.Flow.Actions, ofproto.Output{Port: 1})
		}
		synctest.Wait() // nothing is being written that would take them along
		if err := c.Do(t.Context(), ofproto.FlowMod{}, ofproto.FlowMod{}, long); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, ofproto.ErrTooLong) {
			t.Errorf("%.200v", err)
		}
		if synctest.Wait(); flows != 2 {
			t.Errorf("%d left", flows)
		}
	})
}

func TestXidsBeginAnewAndLeaveOutZero(t *testing.T) {
	c := newConn(nil, Config{})
	for _, step := range []struct {
		last  uint32
		n     int
		first uint32
	}{
		{0, 1, 1}, {7, 3, 8}, {0xfffffffd, 2, 0xfffffffe}, {0xfffffffd, 3, 1}, {0xffffffff, 1, 1}, {0xfffffff0, 100000, 1}, {5, 0, 6},
	} {
		c.xid.Store(step.last)
		if first := c.xids(step.n); first != step.first || c.xid.Load() != first+uint32(step.n)-1 {
			t.Errorf("after %#x, %d begin with %#x and end with %#x", step.last, step.n, first, c.xid.Load())
		}
	}
}

func TestASessionGoesOnWhenItsXidsBeginAnew(t *testing.T) {
	_, c := bridge(t)
	c.xid.Store(0xfffffff0)
	m := watch(t, c, allChanges)
	for i := range 30 {
		must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{{Table: 1, Priority: uint16(i)}}}))
		if change, err := m.Next(t.Context()); err != nil || len(change.Updates) != 1 {
			t.Fatalf("%v, %v", change, err)
		}
	}
}

func TestAnAnswerBeforeTheEndOfTheSessionCounts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newConn(nil, Config{})
	close(c.done)
	a := make(answer, 1)
	for range 100 { // select chooses among what is ready by chance
		a.take(1, ofproto.BarrierReply{})
		if m, err := next(ctx, c, a); err != nil || m == nil {
			t.Fatal(err)
		}
	}
	if _, err := next(t.Context(), c, a); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestARefusalBeforeACutLeavesTheRestUnknown(t *testing.T) {
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(xid uint32, m ofproto.Message) []ofproto.Message {
			switch m.(type) {
			case ofproto.FlowMod:
				return []ofproto.Message{&ofproto.Error{XID: xid, Type: 5, Code: 1}}
			case ofproto.BarrierRequest:
				return []ofproto.Message{nil}
			}
			return nil
		})
	}, func(t *testing.T, c *Conn) {
		if err := c.Do(t.Context(), ofproto.FlowMod{}, ofproto.CTFlushZone{}); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, ofproto.OFPFMFC_TABLE_FULL) {
			t.Error(err)
		}
	})
}
