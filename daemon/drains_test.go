package daemon

import (
	"bytes"
	"context"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"weir/drain"
)

func TestTheBookOfDrains(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "drains.json")
	m := blue(t)
	var said bytes.Buffer
	log := logrus.New()
	log.SetOutput(&said)
	since := drain.Since{{Service: "blue/loadbalancer/web", Protocol: 6, Port: 80, Backend: netip.MustParseAddrPort("10.1.0.11:8080")}: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	// kept opens the book, has others remember something, and closes it when that is written.
	kept := func(remember func(*drainBook)) drain.Since {
		b := openDrains(path, m, log)
		before := b.recall("br0", "blue")
		synctest.Test(t, func(t *testing.T) {
			b.dirty = make(chan struct{}, 1)
			ctx, stop := context.WithCancel(t.Context())
			go b.run(ctx)
			remember(b)
			synctest.Wait()
			stop()
		})
		return before
	}
	if got := kept(func(b *drainBook) {
		b.remember("br0", "blue", since)
		b.remember("br0", "gone", since)
		b.remember("br9", "blue", since)
	}); len(got) != 0 {
		t.Errorf("at first %v is known", got)
	}
	if b := openDrains(path, m, log); !maps.Equal(b.recall("br0", "blue"), since) || len(b.all) != 1 {
		t.Errorf("known is %v, want %v of blue on br0 alone", b.all, since)
	}
	if got := kept(func(b *drainBook) { b.remember("br0", "blue", nil) }); !maps.Equal(got, since) {
		t.Errorf("known is %v", got)
	}
	if got := openDrains(path, m, log).all; len(got) != 0 {
		t.Errorf("%v is not forgotten", got)
	}
	if said.Len() > 0 {
		t.Errorf("%s", said.String())
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := openDrains(path, m, log).all; len(got) != 0 || !strings.Contains(said.String(), path+" is damaged") {
		t.Errorf("of a damaged file %v is known, and told is %q", got, said.String())
	}
	said.Reset()
	path = filepath.Join(dir, "no", "drains.json")
	kept(func(b *drainBook) {
		b.remember("br0", "blue", since)
		synctest.Wait()
		b.remember("br0", "blue", nil)
	})
	if n := strings.Count(said.String(), "cannot be written"); n != 1 {
		t.Errorf("that it cannot be written is told %d times: %s", n, said.String())
	}
}
