package health

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/intent"
)

func TestLoadsAreRead(t *testing.T) {
	for body, c := range map[string]struct {
		want float64
		err  string
	}{
		"70":                      {want: 0.7},
		" 12.5\n":                 {want: 0.125},
		"0":                       {want: 0},
		"100":                     {want: 1},
		`{"load": 0.7}`:           {want: 0.7},
		`{"cpu": 3, "load": 1.0}`: {want: 1},
		"101":                     {err: "a load of 1.01"},
		"-1":                      {err: "a load of -0.01"},
		"NaN":                     {err: "a load of NaN"},
		`{"load": 70}`:            {err: "a load of 70"},
		`{"cpu": 3}`:              {err: "neither a number"},
		"busy":                    {err: `"busy" is neither a number`},
		"":                        {err: "neither a number"},
	} {
		got, err := loadIn([]byte(body))
		if wants(t, err, c.err); got != c.want {
			t.Errorf("%q: %v, want %v", body, got, c.want)
		}
	}
}

func TestABackendIsAskedForItsLoad(t *testing.T) {
	l := newLink(t)
	l.serve(t, host6, 8000, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/load" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, "42\n"+strings.Repeat(" ", 100))
	})
	check := Check{Source: gateway6, Backend: netip.AddrPortFrom(host6, 8000), Health: intent.Health{Path: "/load", Timeout: intent.Second}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got, err := l.prober.Load(ctx, check); err != nil || got != 0.42 {
		t.Errorf("%v, %v", got, err)
	}
	check.Health.Path = "/"
	_, err := l.prober.Load(ctx, check)
	wants(t, err, "status 404")
}

func TestEachLoadIsToldUntilThereIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, load := newWorld(), 0.0
		m := NewLoadMonitor(func(ctx context.Context, c Check) (float64, error) {
			load += 0.125
			return load, w.ask(ctx, c)
		}, w.tell)
		b := backendAt(1)
		k := Key{"t/loadbalancer/one", b}
		m.Set(map[Key]Check{k: checkOf(b)})
		time.Sleep(10 * time.Second)
		if n, v := w.tellings(k), w.last(k); n < 5 || !v.Up || v.Load != float64(n)/8 {
			t.Errorf("told %d times, at last %+v", n, v)
		}
		w.silence(b, true)
		time.Sleep(10 * time.Second)
		if v := w.last(k); v.Up {
			t.Errorf("told at last %+v", v)
		}
		m.Close()
	})
}
