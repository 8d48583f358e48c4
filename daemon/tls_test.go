package daemon

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"weir/api"
	"weir/internal/pki"
	"weir/ofproto/ofconn"
)

func TestRefusalsThatStrangersMakeAreBounded(t *testing.T) {
	r := newRefusals()
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	log := silent.WithField("part", "test")
	for i := range 1000 {
		r.note(&net.TCPAddr{IP: net.IPv4(203, 0, byte(i>>8), byte(i)), Port: i}, "no-tls", io.EOF, nil, log)
	}
	list, counts := r.told()
	if len(list) != maxRefusals || len(counts) != 1 || counts[0] != (api.RefusalCount{Reason: "no-tls", Peer: "remote", N: 1000}) {
		t.Errorf("%d told, %v", len(list), counts)
	}
}

func TestExpiryIsWarnedOfInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pki.Folder(t.TempDir())
		for _, side := range []pki.Side{pki.Controllers, pki.Switches} {
			if _, err := f.Init(side, time.Now(), time.Now().AddDate(10, 0, 0)); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		if err := f.Sign(pki.Controllers, pki.Request{Name: "weir", Until: begin.Add(40 * day)}, begin); err != nil {
			t.Fatal(err)
		}
		ring, err := ofconn.Keys{Certificate: f.Certificate("weir"), PrivateKey: f.Key("weir"), CA: f.CA(pki.Switches)}.Open()
		if err != nil {
			t.Fatal(err)
		}
		log, said := logrus.New(), &strings.Builder{}
		log.SetOutput(said)
		alarm := ""
		for hour := range 41 * 24 {
			alarm = sayExpiry(ring.Refresh(), alarm, log)
			if n, want := strings.Count(said.String(), "our certificate (weir)"), steps(time.Duration(hour)*time.Hour); n != want {
				t.Fatalf("after %d hours there are %d warnings, not %d:\n%s", hour, n, want, said)
			}
			time.Sleep(time.Hour)
		}
	})
}

// steps is how often it is warned of a certificate of 40 days that is so old.
func steps(old time.Duration) int {
	switch {
	case old >= 40*day:
		return 3
	case old >= 33*day:
		return 2
	case old >= 10*day:
		return 1
	}
	return 0
}
