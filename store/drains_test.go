package store_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/store"
)

func TestDrainsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drains.json")
	if all, err := store.LoadDrains(path); err != nil || len(all) != 0 {
		t.Errorf("of no file: %v, %v", all, err)
	}
	want := []store.Drain{{
		Bridge: "br0", Tenant: "t", Balancer: "t/loadbalancer/web", Protocol: 6, Port: 80,
		Backend: netip.MustParseAddrPort("[fd00::1]:8080"), Since: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
	}}
	for _, all := range [][]store.Drain{want, nil, want} {
		if err := store.SaveDrains(path, all); err != nil {
			t.Fatal(err)
		}
		if got, err := store.LoadDrains(path); err != nil || len(got) != len(all) || len(all) > 0 && !reflect.DeepEqual(got, all) {
			t.Errorf("%v, %v; want %v", got, err, all)
		}
	}
	for text, why := range map[string]string{`{"layout": 1, "dra`: "damaged", `{"layout": 2, "drains": []}`: "another version", `{}`: "another version"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.LoadDrains(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want that it is %s, and where", text, err, why)
		}
	}
}
