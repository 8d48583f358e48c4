package ovstest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Metrics returns what GET /metrics of the daemon shows: values by name and labels, as they are
// written there.
func (d *Daemon) Metrics() (map[string]float64, error) {
	resp, err := d.ask(http.MethodGet, "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics: %s", resp.Status)
	}
	values := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || lines.Text()[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(lines.Text()[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("/metrics: %q: %w", lines.Text(), err)
		}
		values[lines.Text()[:at]] = v
	}
	return values, lines.Err()
}

// ask sends a request to the daemon's socket.
func (d *Daemon) ask(method, path string) (*http.Response, error) {
	var dialer net.Dialer
	c := http.Client{Timeout: Patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", d.socket)
	}}}
	req, err := http.NewRequest(method, "http://weir"+path, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// Delete asks the daemon to delete something, and returns its answer.
func (d *Daemon) Delete(path string) (status int, body string, err error) {
	resp, err := d.ask(http.MethodDelete, path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
