package health

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Load asks a backend for its load: with GET of the check's path, at its port. The answer is a number from 0 to 100, or
// JSON with "load" from 0 to 1. It returns 0 for idle, and 1 for all that the backend can.
func (p *Prober) Load(ctx context.Context, c Check) (float64, error) {
	status, body, err := p.get(ctx, c.Source, c.Backend, c.Health.Host, c.Health.Path)
	if err != nil {
		return 0, p.why(ctx, c, err)
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("status %d", status)
	}
	return loadIn(body)
}

// loadIn reads what a backend says of its load.
func loadIn(body []byte) (load float64, err error) {
	text := bytes.TrimSpace(body)
	if n, err := strconv.ParseFloat(string(text), 64); err == nil {
		return within(n / 100)
	}
	var said struct{ Load *float64 }
	if json.Unmarshal(text, &said) != nil || said.Load == nil {
		return 0, fmt.Errorf(`%.40q is neither a number from 0 to 100 nor {"load": 0.7}`, text)
	}
	return within(*said.Load)
}

func within(load float64) (float64, error) {
	if !(load >= 0 && load <= 1) { // not a number is neither
		return 0, fmt.Errorf("a load of %g, of 1", load)
	}
	return load, nil
}
