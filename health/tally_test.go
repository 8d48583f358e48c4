package health

import (
	"strings"
	"testing"
	"time"
)

// play counts answers a second apart, + for a good one, and returns what the backend was after
// each: u for up, d for down, ? for not known.
func play(t *tally, answers string) string {
	var b strings.Builder
	at := time.Unix(0, 0)
	for _, a := range answers {
		at = at.Add(time.Second)
		t.count(a == '+', at)
		switch {
		case !t.known:
			b.WriteByte('?')
		case t.up:
			b.WriteByte('u')
		default:
			b.WriteByte('d')
		}
	}
	return b.String()
}

func TestAnswersMakeVerdicts(t *testing.T) {
	long := strings.Repeat("+", calm)
	for name, c := range map[string]struct{ answers, want string }{
		"the first good answer is enough":                   {"+", "u"},
		"the first bad one is not":                          {"--+", "??u"},
		"it never was well":                                 {"---", "??d"},
		"one bad answer among good ones is nothing":         {"+-+--+", "uuuuuu"},
		"three in a row are too many":                       {"+---", "uuud"},
		"two good ones bring it back":                       {"+---+-++", "uuuddddu"},
		"the first failure costs nothing extra":             {"---++", "??ddu"},
		"one that fails again soon gives twice as many":     {"---++---++++", "??dduuuddddu"},
		"and once it has been well for long it is forgiven": {"---++" + long + "---++", "??ddu" + strings.Repeat("u", calm) + "uuddu"},
	} {
		t.Run(name, func(t *testing.T) {
			got := play(&tally{rise: 2, fall: 3, interval: time.Second}, c.answers)
			if got != c.want {
				t.Errorf("%s: %s, want %s", c.answers, got, c.want)
			}
		})
	}
}

func TestAFlappingBackendIsHeldLongerButNotForEver(t *testing.T) {
	s := &tally{rise: 2, fall: 1, interval: time.Second, known: true, up: true, since: time.Unix(0, 0)}
	at, wanted := time.Unix(0, 0), []int{}
	for range 8 {
		at = at.Add(time.Second)
		s.count(false, at)
		n := 0
		for !s.up {
			at, n = at.Add(time.Second), n+1
			s.count(true, at)
		}
		wanted = append(wanted, n)
	}
	for i, want := range []int{2, 4, 8, 16, 32, 64, 64, 64} {
		if wanted[i] != want {
			t.Errorf("after failure %d it was back after %d good answers, want %d", i+1, wanted[i], want)
		}
	}
	if slow := (&tally{rise: 2, fall: 1, interval: time.Minute, worse: maxWorse}); slow.wanted() != 5 {
		t.Errorf("one that is asked each minute is held for %d minutes, want 5", slow.wanted())
	}
}

func TestTheLastOfBadAnswersComesInTime(t *testing.T) {
	for name, c := range map[string]struct {
		interval, timeout time.Duration
		fall              int
		want              time.Duration // from the last good answer
	}{
		"as it is by default":               {2 * time.Second, time.Second, 3, 6 * time.Second},
		"two are enough":                    {time.Second, 500 * time.Millisecond, 2, 2 * time.Second},
		"one is enough: there is no second": {time.Second, 500 * time.Millisecond, 1, 1500 * time.Millisecond},
		"there is no room for more haste":   {time.Second, time.Second, 3, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tally{rise: 1, fall: c.fall, interval: c.interval, known: true, up: true}
			now := s.pause(c.timeout)
			for {
				asked := now
				now += c.timeout
				if s.count(false, time.Unix(0, 0).Add(now)) {
					break
				}
				now = max(now, asked+s.pause(c.timeout))
			}
			if now != c.want {
				t.Errorf("it was down after %v, want %v", now, c.want)
			}
		})
	}
}
