package conntrack

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"weir/internal/unixctl"
)

// Stats are how many connections there are, as Open vSwitch counts them without telling them one
// by one: that takes a hundredth of the time.
type Stats struct {
	Total     uint64
	Protocols []Count // as Open vSwitch names them, in small letters: "tcp"; what there is none of is left out
	TCPStates []Count // "ESTABLISHED"; of the two directions' states the further one, and SYN_RECV is ESTABLISHED, FIN_WAIT_2 is TIME_WAIT
}

// A Count is how many there are of something.
type Count struct {
	Name string
	N    uint64
}

// ErrUnsupported is the error of what this version of Open vSwitch, or the datapath, cannot do.
var ErrUnsupported = errors.New("not supported by this version of Open vSwitch, or by the datapath")

// supported is err, or ErrUnsupported if that is what the daemon means.
func supported(err error) error {
	var e *unixctl.Error
	if errors.As(err, &e) && (e.Unknown() || strings.Contains(e.Text, "Operation not supported") || strings.Contains(e.Text, "not supported")) {
		return fmt.Errorf("%s: %w", e.Method, ErrUnsupported)
	}
	return err
}

// Stats returns how many connections a zone has, or all of them if zone is zero. The userspace
// datapath goes through all its connections for that: 30 ns each.
func (d Datapath) Stats(ctx context.Context, zone uint16) (Stats, error) {
	args := []string{"-m", d.name()}
	if zone != 0 {
		args = append(args, fmt.Sprintf("zone=%d", zone))
	}
	text, err := d.ask(ctx, "dpctl/ct-stats-show", args...)
	if err != nil {
		return Stats{}, supported(err)
	}
	return ParseStats(text)
}

// ParseStats reads what ct-stats-show prints:
//
//	Connections Stats:
//	    Total: 3
//	  TCP: 2
//	    Conn per TCP states:
//		  [ESTABLISHED]=2
//	  UDP: 1
//
// What a later version may say more is passed over.
func ParseStats(text string) (s Stats, err error) {
	n, total := 0, false
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		name, value, counted := strings.Cut(line, ": ")
		to := &s.Protocols
		if strings.HasPrefix(line, "[") {
			name, value, counted = strings.Cut(line[1:], "]=")
			to = &s.TCPStates
		}
		if !counted {
			continue // a heading
		}
		v, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil:
			return Stats{}, fmt.Errorf("counts of connections, line %d: %q is no number in %q", n, value, line)
		case name == "Total" && to == &s.Protocols:
			s.Total, total = v, true
		case to == &s.Protocols:
			*to = append(*to, Count{strings.ToLower(name), v})
		default:
			*to = append(*to, Count{name, v})
		}
	}
	if !total {
		return Stats{}, errors.New("counts of connections: there is no total")
	}
	return s, nil
}

// SetMax says how many connections there may be in all zones together: over that, new ones are
// dropped. The kernel's datapath has net.netfilter.nf_conntrack_max instead, and
// ErrUnsupported.
func (d Datapath) SetMax(ctx context.Context, most uint32) error {
	_, err := d.call(ctx, "dpctl/ct-set-maxconns", strconv.FormatUint(uint64(most), 10))
	return supported(err)
}

// SequenceCheck reports whether packets of TCP are invalid if their sequence numbers are outside
// of the window. The kernel's datapath has net.netfilter.nf_conntrack_tcp_be_liberal instead,
// and ErrUnsupported.
func (d Datapath) SequenceCheck(ctx context.Context) (bool, error) {
	text, err := d.call(ctx, "dpctl/ct-get-tcp-seq-chk")
	if err != nil {
		return false, supported(err)
	}
	switch _, value, _ := strings.Cut(strings.TrimSpace(text), ": "); value {
	case "enabled":
		return true, nil
	case "disabled":
		return false, nil
	}
	return false, fmt.Errorf("dpctl/ct-get-tcp-seq-chk: %q says neither enabled nor disabled", text)
}
