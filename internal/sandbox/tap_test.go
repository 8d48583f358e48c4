package sandbox

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"testing"
)

// TestATapSeesWhatIsSentAndWhatBegins has one host connect to another, in both versions of IP, and say something: a tap of the first sees each
// segment that it sends, and one of the second that which has begun it, beside what it sends itself.
func TestATapSeesWhatIsSentAndWhatBegins(t *testing.T) {
	if os.Getenv("WEIR_INTEGRATION") == "" {
		t.Skip("real traffic: run it with make integration")
	}
	s, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddBridge("br0"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ofctl("add-flow", "br0", "actions=normal"); err != nil {
		t.Fatal(err)
	}
	var hosts [2]*Host
	var taps [2]*Tap
	var mu sync.Mutex
	sent, came := [2]int{}, [2]int{} // segments
	begun := [2]int{}                // of those that came: with SYN alone of SYN and ACK
	words := 0
	for i := range hosts {
		c := HostConfig{Name: []string{"a", "b"}[i], Bridge: "br0", Port: []string{"a", "b"}[i], MAC: []string{"02:00:00:00:00:01", "02:00:00:00:00:02"}[i],
			IPs: [][]string{{"10.0.0.1/24", "fd00::1/64"}, {"10.0.0.2/24", "fd00::2/64"}}[i]}
		if hosts[i], err = s.AddHost(c); err != nil {
			t.Fatal(err)
		}
		taps[i], err = hosts[i].Tap(func(frame []byte, out bool) {
			flags, ok := flagsOf(frame)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case !ok:
			case out:
				sent[i]++
				if bytes.Contains(frame, []byte("word")) {
					words++
				}
			default:
				came[i]++
				if flags&0x12 == 0x02 {
					begun[i]++
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{"10.0.0.2:80", "[fd00::2]:80"} {
		l, err := hosts[1].Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := hosts[0].Dial(context.Background(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		to, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("word"))
		c.Close()
		if heard, err := io.ReadAll(to); string(heard) != "word" {
			t.Fatal(heard, err)
		}
		to.Close()
	}
	taps[0].CatchUp()
	mu.Lock()
	if words != 2 {
		t.Errorf("%d words have been seen as soon as the tap has caught up, want 2", words)
	}
	mu.Unlock()
	if out, err := hosts[0].Exec(t.Context(), "ip", "link", "set", HostDevice, "down"); err != nil { // of which a socket is told
		t.Fatal(out, err)
	}
	for _, tap := range taps {
		if lost := tap.Close(); lost != 0 {
			t.Errorf("a tap has lost %d", lost)
		}
	}
	if sent[0] < 2*3 || sent[1] < 2*2 || words != 2 || came[0] != 0 || came[1] < 2 || begun[1] != came[1] {
		t.Errorf("sent %v, with %d words; came %v, of which %v begin something", sent, words, came, begun)
	}
}

// flagsOf returns the flags of a segment of TCP.
func flagsOf(frame []byte) (flags byte, ok bool) {
	switch {
	case len(frame) >= 48 && frame[12] == 0x08 && frame[13] == 0 && frame[23] == 6:
		return frame[47], true
	case len(frame) >= 68 && frame[12] == 0x86 && frame[20] == 6:
		return frame[67], true
	}
	return 0, false
}
