package test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestAFloodIsReportedNoFasterThanItsMeter has h1, of t, send 50,000 packets a second (3,000 in a guest) that a
// rule of t denies and reports, while weir observe goes on: few come to the controller, what u's rule
// stops meanwhile is reported, and neither the daemon nor who watches takes more memory for it.
func TestAFloodIsReportedNoFasterThanItsMeter(t *testing.T) {
	deny := "{name: no, direction: ingress, action: deny, protocol: udp, log: new}"
	l := newLab(t, 4, labModel("", policy("t", "p", deny), labTenant("u", ""), labEndpoint("u", 3, ""), labEndpoint("u", 4, ""), policy("u", "p", deny)))
	theirs := l.Weir.Follow("observe", "-w", "-t", "u", "-o", "name")
	all := l.Weir.Follow("observe", "-w", "-o", "name")
	shoutOf := func(from int, port layers.UDPPort) {
		if err := l.wires[from-1].Send(udp(from, from+1, port, 9).frame(t, uint16(port))); err != nil {
			t.Error(err)
		}
	}
	shoutOf(3, 999)
	heardOf := func(port int) error {
		if want := fmt.Sprintf("u/udp/10.1.1.3:%d-10.1.1.4:9\n", port); !strings.Contains(theirs(), want) {
			return fmt.Errorf("%s is not reported", want)
		}
		return nil
	}
	ovstest.Eventually(t, "what u's rule stops is reported", func() error { return heardOf(999) })
	before, memory := reported(t, l), l.Weir.Memory()

	rate, seconds := 50_000, 3
	if l.Kernel() {
		rate = 3_000
	}
	began := time.Now()
	done := make(chan int)
	go func() { done <- flood(l.wires[0], rate, seconds) }()
	const others = 40
	pace := time.NewTicker(time.Duration(seconds) * time.Second / others)
	defer pace.Stop()
	for i := range layers.UDPPort(others) {
		<-pace.C
		shoutOf(3, 1000+i)
	}
	sent := <-done
	took := time.Since(began)
	shoutOf(3, 2000)
	ovstest.Eventually(t, "what u's rule stops after the flood is reported", func() error { return heardOf(2000) })
	told := 0
	for i := range others {
		if heardOf(1000+i) == nil {
			told++
		}
	}
	packets := reported(t, l) - before
	grown := int64(l.Weir.Memory()) - int64(memory)
	t.Logf("%.0f packets a second for %v: %.0f reports, %d of %d of the other tenant's; the daemon's memory grew by %d KB", float64(sent)/took.Seconds(), took.Round(time.Millisecond), packets, told, others, grown>>10)
	if sent < rate*seconds/2 {
		t.Errorf("only %d of %d were sent: this was no flood", sent, rate*seconds)
	}
	// A second's worth passes at once; two of them in the kernel's datapath.
	if most := 100*(took.Seconds()+3) + others + 1; packets > most || packets < 100 {
		t.Errorf("%.0f reports of %d packets; a tenant has 100 a second, that is %.0f", packets, sent, most)
	}
	if told < others*9/10 {
		t.Errorf("%d of %d packets of another tenant are reported beside the flood", told, others)
	}
	if grown > 64<<20 { // 3 MB with four processors, 30 in a guest, which has one
		t.Errorf("the daemon's memory grew by %d MB", grown>>20)
	}
	ovstest.Eventually(t, "who watches all sees both", func() error {
		if s := all(); !strings.Contains(s, "t/udp/10.1.1.1:") || !strings.Contains(s, "u/udp/10.1.1.3:2000-") {
			return fmt.Errorf("%d lines", strings.Count(s, "\n"))
		}
		return nil
	})
}

// flood sends packets of UDP from 10.1.1.1 to 10.1.1.2, each from another port, at a rate, and returns how many.
func flood(from *sandbox.Wire, rate, seconds int) (sent int) {
	frame := append(append(append([]byte{}, hardware(2)...), hardware(1)...), 0x08, 0x00,
		0x45, 0, 0, 36, 0, 1, 0, 0, 64, 17, 0, 0, 10, 1, 1, 1, 10, 1, 1, 2, // IPv4
		0, 0, 0, 9, 0, 16, 0, 0, 'n', 'o', 'n', 's', 'e', 'n', 's', 'e') // UDP, without a checksum (RFC 768)
	binary.BigEndian.PutUint16(frame[24:], checksum(frame[14:34]))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); sent < rate*seconds; <-tick.C {
		if time.Since(began) > time.Duration(seconds+2)*time.Second {
			return sent
		}
		for due := int(time.Since(began).Seconds() * float64(rate)); sent < min(due, rate*seconds); sent++ {
			binary.BigEndian.PutUint16(frame[34:], uint16(1024+sent%60000))
			if from.Send(frame) != nil {
				break // its queue is full: the next time
			}
		}
	}
	return sent
}

// reported is how many reports of rules have come to the controller.
func reported(t *testing.T, l *lab) float64 {
	t.Helper()
	all, err := l.Weir.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	return all[`weir_packet_ins_total{bridge="`+l.Bridge+`",reason="report"}`]
}
