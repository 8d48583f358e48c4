package main

import (
	"fmt"
	"io"
	"time"

	"weir/api"
	"weir/internal/words"
)

// tlsList says how we prove who we are, if something is to be done about it.
func tlsList(w io.Writer, s api.Status, wide bool) {
	if s.TLS != nil {
		if s.TLS.Error != "" {
			fmt.Fprintf(w, "\nTLS: the files are no good, and what was before stays in use:\n%s\n", indent(s.TLS.Error))
		}
		for _, c := range s.TLS.Certificates {
			if c.Alarm != "" || wide {
				text := fmt.Sprintf("is good until %s", c.Until.Format(time.RFC3339))
				if c.Alarm != "" {
					text = api.ExpiryText(c.Alarm) + ": " + c.Until.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "\nTLS: %s %s\n", c.String(), text)
			}
		}
	}
	for i, r := range s.Refusals {
		if i == 0 {
			fmt.Fprintln(w, "\npeers that were refused, the last first:")
		}
		if i == shownReasons && !wide {
			fmt.Fprintf(w, "  and %d more (-o wide)\n", len(s.Refusals)-i)
			return
		}
		fmt.Fprintf(w, "  %s %s (%s): %s: %s\n    %s\n", r.Last.Format(time.RFC3339), r.Peer, words.Count(r.Count, "time", "times"), r.Reason, r.Why, r.Do)
	}
}
