package conntrack

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	timo "github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// crowd is so many that a table is large.
const crowd = 200_000

// BenchmarkKernelTable reads a table of 200,000 connections as it is, with a peer in the same run.
func BenchmarkKernelTable(b *testing.B) {
	s := newSpace(b)
	s.create(made(crowd)...)
	b.Run("weir", func(b *testing.B) {
		b.ReportAllocs()
		began := processorTime(b)
		for b.Loop() {
			n := 0
			for _, err := range s.source().Entries(context.Background(), Filter{}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != crowd {
				b.Fatal(n)
			}
		}
		perEntry(b, began)
	})
	b.Run("ti-mo", func(b *testing.B) {
		var c *timo.Conn
		s.do(func() (err error) { c, err = timo.Dial(nil); return err })
		defer c.Close()
		b.ReportAllocs()
		began := processorTime(b)
		for b.Loop() {
			all, err := c.Dump(nil)
			if err != nil || len(all) != crowd {
				b.Fatal(len(all), err)
			}
		}
		perEntry(b, began)
	})
	b.Run("conntrack -L", func(b *testing.B) {
		began := processorTime(b)
		for b.Loop() {
			if n := strings.Count(s.run("", "conntrack", "-L", "-o", "extended,id"), "\n"); n != crowd {
				b.Fatal(n)
			}
		}
		perEntry(b, began)
	})
}

// BenchmarkKernelShare reads the table with nothing decoded, by Weir and by a peer, in turns, and tells the least
// time of the processors that each has taken, and how much of that is receiving alone: no reader over one socket
// is faster than that.
func BenchmarkKernelShare(b *testing.B) {
	const turns = 8
	s := newSpace(b)
	s.create(made(crowd)...)
	var c *timo.Conn
	s.do(func() (err error) { c, err = timo.Dial(nil); return err })
	defer c.Close()
	names, least := []string{"receiving", "weir", "ti-mo"}, map[string]float64{}
	read := map[string]func() int{
		"receiving": func() int { return s.received(b, 0, readBuffer) },
		"weir":      func() int { return s.decoded(b, Filter{}) },
		"ti-mo": func() int {
			all, err := c.Dump(nil)
			if err != nil {
				b.Fatal(err)
			}
			return len(all)
		},
	}
	for b.Loop() {
		for range turns {
			for _, name := range names {
				began := processorTime(b)
				if n := read[name](); n != crowd {
					b.Fatal(name, n)
				}
				now := processorTime(b)
				if took := float64(now.program-began.program+now.kernel-began.kernel) / crowd; least[name] == 0 || took < least[name] {
					least[name] = took
				}
			}
		}
	}
	for _, name := range names {
		b.ReportMetric(least[name], name+"-cpu-ns/entry")
		b.ReportMetric(100*least["receiving"]/least[name], name+"-%receiving")
	}
}

// perEntry tells what one connection has cost; on a busy machine only the processors' time says much.
func perEntry(b *testing.B, began used) {
	n, now := float64(b.N)*crowd, processorTime(b)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/entry")
	b.ReportMetric(float64(now.program-began.program)/n, "program-ns/entry")
	b.ReportMetric(float64(now.kernel-began.kernel)/n, "kernel-ns/entry")
}

// used is processors' time, in nanoseconds.
type used struct{ program, kernel int64 }

// processorTime is what this process and its children have used.
func processorTime(b *testing.B) (all used) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		all.program += u.Utime.Nano()
		all.kernel += u.Stime.Nano()
	}
	return all
}

// TestNothingIsAllocatedForAnEntry reads a small table and one ten times as large.
func TestNothingIsAllocatedForAnEntry(t *testing.T) {
	s := newSpace(t)
	all := made(11_000)
	allocations := func() float64 {
		return testing.AllocsPerRun(3, func() {
			for _, err := range s.source().Entries(context.Background(), Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	s.create(all[:1000]...)
	few := allocations()
	s.create(all[1000:]...)
	if many := allocations(); many > few+10 {
		t.Errorf("%v allocations for 1,000 entries, and %v for 11,000", few, many)
	}
}

// TestEntriesAreThoseThatTheToolLists compares 200,000 entries with what conntrack -L says of them.
func TestEntriesAreThoseThatTheToolLists(t *testing.T) {
	n := 20_000
	if os.Getenv("WEIR_LONG") != "" {
		n = crowd
	}
	s := newSpace(t)
	s.create(made(n)...)
	ours, theirs := map[string]bool{}, map[string]bool{}
	for _, e := range s.entries(Filter{}) {
		ours[toolLine(e)] = true
	}
	begin := time.Now()
	for range s.source().Entries(t.Context(), Filter{}) {
	}
	took := time.Since(begin)
	begin = time.Now()
	out := s.run("", "conntrack", "-L", "-o", "extended,id")
	tool := time.Since(begin)
	for line := range strings.Lines(out) {
		theirs[toolFields(line)] = true
	}
	wrong := differences(ours, theirs)
	if len(wrong) > 0 || len(ours) != n {
		t.Errorf("%d entries, %d lines, %d differences:\n%s", len(ours), len(theirs), len(wrong), strings.Join(wrong[:min(len(wrong), 6)], "\n"))
	}
	t.Logf("%d entries, %d differences; read in %v, and by conntrack -L in %v (with %d processors)",
		n, len(wrong), took.Round(time.Millisecond), tool.Round(time.Millisecond), runtime.NumCPU())
}

// differences are the lines that only one has.
func differences(ours, theirs map[string]bool) (all []string) {
	for line := range ours {
		if !theirs[line] {
			all = append(all, "-weir +conntrack:\n-"+line)
		}
	}
	for line := range theirs {
		if !ours[line] {
			all = append(all, "+"+line)
		}
	}
	return all
}

// toolFields is a line of conntrack -L without what passes with time, and with the blanks of one.
func toolFields(line string) string {
	f := slices.Delete(strings.Fields(line), 4, 5)
	return strings.Join(f, " ")
}

// toolLine is an entry in the words of conntrack -L.
func toolLine(e Entry) string {
	var b strings.Builder
	family, number := "ipv4", 2
	if e.Orig.Src.Is6() {
		family, number = "ipv6", 10
	}
	fmt.Fprintf(&b, "%s %d %s %d", family, number, e.Protocol, e.Protocol)
	if s := toolState(e); s != "" {
		b.WriteString(" " + s)
	}
	for i, d := range []Tuple{e.Orig, e.Reply} {
		fmt.Fprintf(&b, " src=%s dst=%s", d.Src, d.Dst)
		switch e.Protocol {
		case ICMP, ICMPv6:
			fmt.Fprintf(&b, " type=%d code=%d id=%d", d.ICMPType, d.ICMPCode, d.ICMPID)
		default:
			fmt.Fprintf(&b, " sport=%d dport=%d", d.SrcPort, d.DstPort)
		}
		if i == 0 && e.Status&StatusSeenReply == 0 {
			b.WriteString(" [UNREPLIED]")
		}
	}
	if e.Status&StatusAssured != 0 {
		b.WriteString(" [ASSURED]")
	}
	fmt.Fprintf(&b, " mark=%d", e.Mark)
	if e.Zone != 0 {
		fmt.Fprintf(&b, " zone=%d", e.Zone)
	}
	fmt.Fprintf(&b, " use=%d id=%d", e.Uses, e.ID)
	return b.String()
}

// toolState is what the tool, and the kernel, call a state.
func toolState(e Entry) string {
	switch {
	case e.Protocol == TCP && e.State == FinWait1:
		return "FIN_WAIT"
	case e.Protocol == TCP && e.State == Closing:
		return "CLOSE"
	}
	return e.State.String()
}
