package controller

import (
	"slices"
	"time"
)

// A fight is with somebody who changes the same thing again as soon as it is repaired. The
// zero fight is none.
type fight struct {
	last  time.Time     // when it was repaired last
	n     int           // how often in a row it was changed again at once
	delay time.Duration // between two repairs; zero: it is no fight yet
}

// When it is a fight, and how long it takes to be repaired then.
const (
	atOnce       = 500 * time.Millisecond // changed this soon after a repair
	fightRounds  = 5
	fightShort   = 100 * time.Millisecond
	fightLong    = 10 * time.Second
	fightMemory  = time.Minute // without a change, and it is over
	fightsAtOnce = 256         // more are one
)

// due returns when what was changed should be repaired. If it is no fight, that is past.
func (k *fight) due() time.Time {
	if k.delay == 0 {
		return time.Time{}
	}
	return k.last.Add(k.delay)
}

// repaired notes that it is being repaired, and reports whether it has become a fight by
// that.
func (k *fight) repaired(now time.Time) (begun bool) {
	if now.Sub(k.last) >= k.delay+atOnce {
		*k = fight{}
	} else if k.n++; k.n >= fightRounds {
		begun = k.delay == 0
		k.delay = min(max(2*k.delay, fightShort), fightLong)
	}
	k.last = now
	return begun
}

// on reports whether it still goes on, as far as can be told.
func (k *fight) on(now time.Time) bool { return k.delay > 0 && now.Sub(k.last) < k.delay+fightLong }

// Fights are what is fought over, by names of the caller's choice.
type Fights map[string]*fight

// everything is the subject of very many changes at once.
const everything = "very many flows"

func subjects(found []Drift) []string {
	if len(found) > fightsAtOnce {
		return []string{everything}
	}
	all := make([]string, len(found))
	for i, d := range found {
		all[i] = d.subject
	}
	return all
}

// Due returns when some things that were changed should be repaired, all together: at once,
// unless all of them are fought over.
func (f Fights) Due(things []string) time.Time {
	var first time.Time
	for i, s := range things {
		if f[s] == nil {
			return time.Time{}
		}
		if due := f[s].due(); i == 0 || due.Before(first) {
			first = due
		}
	}
	return first
}

// Repaired notes that some things are being repaired, and returns those that have become a
// fight by that: from now on they are repaired less and less often, down to once in ten
// seconds.
func (f Fights) Repaired(things []string, now time.Time) (begun []string) {
	f.forget(now)
	for _, s := range things {
		if f[s] == nil {
			f[s] = &fight{}
		}
		if f[s].repaired(now) {
			begun = append(begun, s)
		}
	}
	return begun
}

// forget forgets what has been quiet for long enough.
func (f Fights) forget(now time.Time) {
	for s, k := range f {
		if now.Sub(k.last) > fightMemory || len(f) > 4*fightsAtOnce && k.delay == 0 {
			delete(f, s)
		}
	}
}

// names returns what is being fought over.
func (f Fights) names(now time.Time) (all []string) {
	for s, k := range f {
		if k.on(now) {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all[:min(len(all), toldDrift)]
}
