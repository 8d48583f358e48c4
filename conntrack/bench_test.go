package conntrack

import (
	"context"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/ofproto/ofconn"
)

// BenchmarkRead reads 100,000 connections of 1,000 zones from a real ovs-vswitchd, and has
// ovs-appctl fetch the same text in the same run. It tells how much longer reading takes (x), what
// it holds of memory at most, and what it allocates.
func BenchmarkRead(b *testing.B) {
	box := sandboxtest.Rootless(b, "br")
	again := sandboxtest.Crowd(b, box, 1000, 100)
	source := NewUnixctl(box.RunDir())
	var ours, theirs time.Duration
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var mallocs, high uint64
	for b.Loop() {
		again()
		runtime.GC()
		peak := peakHeap(b)
		runtime.ReadMemStats(&before)
		began := time.Now()
		n := 0
		for e, err := range source.Entries(b.Context(), Filter{}) {
			if err != nil || e.Mark != 0x8005 {
				b.Fatal(e, err)
			}
			n++
		}
		ours += time.Since(began)
		runtime.ReadMemStats(&after)
		mallocs += after.Mallocs - before.Mallocs
		high = max(high, peak()-before.HeapAlloc)
		if n < 100000 {
			b.Fatalf("%d entries", n)
		}
		began = time.Now()
		cmd := exec.CommandContext(b.Context(), "ovs-appctl", "dpctl/dump-conntrack", "-m", "-s")
		cmd.Env, cmd.Stdout = append(cmd.Environ(), "OVS_RUNDIR="+box.RunDir()), io.Discard
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(began)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-of-appctl")
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/read")
	b.ReportMetric(float64(high)/1e6, "peak-MB")
	b.ReportMetric(float64(mallocs)/float64(b.N)/1e5, "allocs/entry")
}

// peakHeap watches the heap until what it returns is called, which says how large it was at most.
func peakHeap(b *testing.B) func() uint64 {
	ctx, cancel := context.WithCancel(b.Context())
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	most := m.HeapAlloc
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, 5*time.Millisecond) {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}()
	return func() uint64 {
		cancel()
		<-done
		return most
	}
}

// BenchmarkEchoWhileReading asks a bridge for a sign of life over and over while 100,000
// connections are read, in one go or zone by zone, and tells how long the slowest answer took.
func BenchmarkEchoWhileReading(b *testing.B) {
	for _, zones := range []int{10, 100, 1000} {
		box := sandboxtest.Rootless(b, "br")
		again := sandboxtest.Crowd(b, box, zones, 100000/zones)
		var all []uint16
		for zone := range zones {
			all = append(all, uint16(zone+1))
		}
		for name, read := range map[string]func(*Spread) (n int){
			"at-once": func(s *Spread) int { return count(b, s, []uint16{0}) },
			"spread":  func(s *Spread) int { return count(b, s, all) },
		} {
			b.Run(strconv.Itoa(zones)+"-zones/"+name, func(b *testing.B) {
				var worst, took time.Duration
				for b.Loop() {
					again()
					slow := slowestEcho(b, box)
					began := time.Now()
					if n := read(&Spread{Source: NewUnixctl(box.RunDir())}); n < 99000 { // some may end
						b.Fatalf("%d entries", n)
					}
					took += time.Since(began)
					worst = max(worst, slow())
				}
				b.ReportMetric(float64(worst.Microseconds())/1000, "ms-slowest-echo")
				b.ReportMetric(took.Seconds()/float64(b.N), "s/read")
			})
		}
	}
}

func count(b *testing.B, s *Spread, zones []uint16) (n int) {
	for _, err := range s.Entries(b.Context(), Filter{}, zones) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	return n
}

// slowestEcho asks bridge br for echoes, one after another, until what it returns is called.
func slowestEcho(b *testing.B, box *sandbox.Sandbox) func() time.Duration {
	conn, err := ofconn.Dial(b.Context(), "unix:"+box.RunDir()+"/br.mgmt", ofconn.Config{})
	if err != nil {
		b.Fatal(err)
	}
	var stop atomic.Bool
	worst := make(chan time.Duration)
	go func() {
		var most time.Duration
		for !stop.Load() {
			began := time.Now()
			if err := conn.Barrier(b.Context()); err != nil {
				b.Error(err)
				break
			}
			most = max(most, time.Since(began))
		}
		worst <- most
	}()
	return func() time.Duration {
		stop.Store(true)
		defer conn.Close()
		return <-worst
	}
}
