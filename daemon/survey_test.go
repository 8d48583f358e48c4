package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"weir/api"
	"weir/intent"
)

// TestWhatGoesOnIsReadAsOftenAsItIsCheap asks at several times after a reading that took so long. A daemon that
// has not begun cannot read: it says so when it would have to.
func TestWhatGoesOnIsReadAsOftenAsItIsCheap(t *testing.T) {
	for _, c := range []struct {
		took, ago time.Duration
		read      bool
	}{
		{10 * time.Millisecond, 800 * time.Millisecond, false},
		{10 * time.Millisecond, time.Second, true},
		{3 * time.Second, 11 * time.Second, false},
		{3 * time.Second, 13 * time.Second, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var d desk
			d.survey.last = api.Top{Version: "kept", At: time.Now(), Seconds: c.took.Seconds()}
			time.Sleep(c.ago)
			top, err := d.Top(t.Context())
			if read := errors.Is(err, errStarting); read != c.read || !read && top.Version != "kept" {
				t.Errorf("%v after a reading of %v: read %v, want %v (%v)", c.ago, c.took, read, c.read, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := new(desk).Top(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone is read for: %v", err)
	}
}

// TestMostTalkersAreThoseOfEitherKind has many with few connections and many bytes, and the other way round.
func TestMostTalkersAreThoseOfEitherKind(t *testing.T) {
	g := &ground{tenants: map[uint16]*intent.Tenant{5: {Name: "t"}}}
	all := talkers{}
	for i := range 3 * mostTalkers {
		k := talkerKey{kind: "source", zone: 5, at: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 0)}
		all[k] = talk{connections: i, bytes: uint64(1000 - i)}
	}
	list := all.most(g)
	if len(list) != 2*mostTalkers || list[0].Connections != 3*mostTalkers-1 || list[len(list)-1].Bytes != 1000 {
		t.Errorf("%d: %+v ... %+v", len(list), list[0], list[len(list)-1])
	}
	if list[0].Name != fmt.Sprintf("10.0.0.%d", 3*mostTalkers-1) || list[0].Tenant != "t" {
		t.Errorf("%+v", list[0])
	}
}
