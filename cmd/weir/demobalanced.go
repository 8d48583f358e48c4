package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"weir/api"
	"weir/internal/words"
)

// The load balancer of the demo, its backends, and how many connections are opened to it.
const (
	demoVIP      = "10.1.0.100:443"
	demoSessions = 40
)

var demoBackends = map[string]string{"web-1": "10.1.0.11:443", "web-2": "10.1.0.13:443"}

// balanced shows how a load balancer spreads connections, and that a backend which gets weight 0
// keeps those that it has until the deadline.
func (d *demo) balanced(ctx context.Context) (err error) {
	for name, at := range demoBackends {
		l, err := d.hosts[name].Listen("tcp", at)
		if err != nil {
			return err
		}
		defer l.Close()
		go echo(l) // ends with the listener
	}
	var sessions []net.Conn
	defer func() {
		for _, c := range sessions {
			_ = c.Close() // it has been told what it was for
		}
	}()
	for range demoSessions {
		ctx, cancel := context.WithTimeout(ctx, demoPatience)
		c, err := d.hosts["db-1"].Dial(ctx, "tcp", demoVIP)
		cancel()
		if err != nil {
			return fmt.Errorf("db-1 should reach %s: %w", demoVIP, err)
		}
		sessions = append(sessions, c)
	}
	if err := d.chart(ctx, fmt.Sprintf("load balancer: %d connections from db-1 to %s are spread by weights 100 and 50", demoSessions, demoVIP)); err != nil {
		return err
	}
	return d.drained(ctx)
}

// chart shows what weir balancers --chart does.
func (d *demo) chart(ctx context.Context, what string) error {
	list, err := d.balancers(ctx)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	balancersChart(&out, list, time.Now())
	d.ok("%s", what)
	d.show(out.String())
	return nil
}

func (d *demo) balancers(ctx context.Context) (list []api.Balancer, err error) {
	err = d.client.get(ctx, "/v1/balancers", url.Values{}, &list)
	if err == nil && (len(list) != 1 || len(list[0].Backends) != len(demoBackends)) {
		err = fmt.Errorf("there should be a load balancer with %d backends: %+v", len(demoBackends), list)
	}
	return list, err
}

// drained gives a backend weight 0, and counts down until its connections have ended.
func (d *demo) drained(ctx context.Context) error {
	revision, err := d.edit(ctx, func(model string) string { return strings.Replace(model, "weight: 50}", "weight: 0}", 1) })
	if err != nil {
		return err
	}
	if _, err := d.programmed(ctx, revision); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	shown := ""
	for {
		list, err := d.balancers(ctx)
		if err != nil {
			return err
		}
		n := list[0].Backends[1]
		left := backendStateText(n, time.Now())
		switch {
		case n.Connections == 0 && shown == "":
			return fmt.Errorf("%s should keep its connections until the deadline: %+v", n.Endpoint, n)
		case n.Connections == 0:
			return d.chart(ctx, "the deadline is over: exactly the connections of web-2 were ended")
		case n.Deadline == nil: // its connections are being read
		case shown == "":
			if err := d.chart(ctx, "web-2 gets weight 0 and drains: the connections that it has may go on for 3s"); err != nil {
				return err
			}
			shown = left
		case left != shown:
			d.show(fmt.Sprintf("%s: %s, %s", backendText(n), words.Count(n.Connections, "connection", "connections"), left))
			shown = left
		}
		if !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("the connections of %s have not ended within %v", n.Endpoint, demoPatience)
		}
	}
}
