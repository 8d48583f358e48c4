package main

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestCompose starts docker-compose.yml, and has its controller and switches lose each other in every way.
func TestCompose(t *testing.T) {
	p := up(t)
	t.Run("the switches have proven who they are", func(t *testing.T) { p.with(t).secret() })
	t.Run("what is allowed passes, and the rest does not", func(t *testing.T) { p.with(t).traffic() })
	t.Run("the controller is no root and cannot write", func(t *testing.T) { p.with(t).powerless() })
	t.Run("a port that is taken is named", func(t *testing.T) { p.with(t).taken() })
	t.Run("a controller that stands still is not missed", func(t *testing.T) { p.with(t).paused() })
	t.Run("a network that is cut is not felt, and what changed meanwhile is caught up with", func(t *testing.T) { p.with(t).cut() })
	t.Run("a controller that is killed sends nothing when it comes back", func(t *testing.T) { p.with(t).killed() })
	t.Run("a host that stands still costs the other nothing", func(t *testing.T) { p.with(t).still() })
	t.Run("a host that is started anew is programmed again", func(t *testing.T) { p.with(t).restarted() })
}

// with is the project of a part of the test.
func (p *project) with(t *testing.T) *project { return &project{t, p.name, p.dir} }

func (p *project) secret() {
	for host, bridges := range map[string][]string{"ovs-a": {"br-shop", "br-lab"}, "ovs-b": {"br-desk"}} {
		for _, bridge := range bridges {
			p.connected(host, bridge, "true")
		}
	}
}

// connected waits until a bridge has a controller, over TLS, that it reaches or does not reach.
func (p *project) connected(host, bridge, want string) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s: is_connected is %s", bridge, want), func() error {
		target, err := p.ovs(host, "ovs-vsctl", "get-controller", bridge)
		if err != nil || !strings.HasPrefix(target, "ssl:") {
			return fmt.Errorf("its controller is %s: %w", target, err)
		}
		got, err := p.ovs(host, "ovs-vsctl", "--columns=is_connected", "--bare", "find", "controller", `target="`+target+`"`)
		for _, word := range strings.Fields(got) { // both bridges of a host have that target
			if word != want {
				return fmt.Errorf("is_connected is %s", got)
			}
		}
		return err
	})
}

// traffic crosses one bridge, two bridges under one controller, and two hosts.
func (p *project) traffic() {
	p.reaches("internet", "203.0.113.20", "web-1") // a floating IP
	p.reaches("desk-1", "203.0.113.20", "web-1")   // from the other host, by an SNAT
	p.reaches("app-1", "203.0.113.30", "lab-1")    // from bridge to bridge
	p.reaches("lab-1", "203.0.113.20", "web-1")
	served := map[string]int{}
	for range 20 {
		served[p.get("app-1", "10.1.0.100")]++
	}
	if served["web-1"]+served["web-2"] != 20 || served["web-1"] == 0 || served["web-2"] == 0 {
		p.t.Errorf("the load balancer's connections are spread so: %v", served)
	}
	for _, denied := range [][2]string{{"internet", "203.0.113.30"}, {"desk-1", "203.0.113.30"}, {"web-1", "10.1.0.13"}} {
		if who := p.get(denied[0], denied[1]); who != "" {
			p.t.Errorf("%s was answered by %s at %s, which no rule allows", denied[0], who, denied[1])
		}
	}
	out, err := p.in("weir", "weir", "connections", "-t", "shop")
	if err != nil || !strings.Contains(out, "policy/web/http") || !strings.Contains(out, "floatingip/web-1-ip") {
		p.t.Errorf("weir connections names neither the rule nor the floating IP: %s %v", out, err)
	}
}

func (p *project) powerless() {
	text, err := docker("inspect", "--format", "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}}", p.container("weir"))
	if err != nil || text != "65532:65532 true [ALL] []" {
		p.t.Errorf("the controller's container is: %s %v", text, err)
	}
	for host, want := range map[string]string{"ovs-a": "0000000000003000", "ovs-b": "0000000000003000"} { // NET_ADMIN, NET_RAW
		got, err := p.ovs(host, "sh", "-c", `sed -n 's/^CapEff:\s*//p' /proc/$(cat /run/openvswitch/ovs-vswitchd.pid)/status`)
		if err != nil || got != want {
			p.t.Errorf("%s: ovs-vswitchd has capabilities %s, want %s: %v", host, got, want, err)
		}
	}
}

// A talk is a connection from app-1 to the echo of a server.
type talk struct {
	p   *project
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string
	n   int
}

// talk opens a connection, which ends with the test.
func (p *project) talk() *talk {
	p.t.Helper()
	c := &talk{p: p, out: make(chan string)}
	c.cmd = exec.Command("docker", "exec", "--interactive", p.container("app-1"), "socat", "-", "TCP:10.1.0.11:7")
	in, err := c.cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	c.in = in
	go func() {
		defer close(c.out)
		buf := make([]byte, 1024)
		for {
			n, err := out.Read(buf)
			if err != nil {
				return
			}
			c.out <- string(buf[:n])
		}
	}()
	p.t.Cleanup(func() {
		in.Close() // and socat ends
		for range c.out {
		}
		c.cmd.Wait() // how it ended does not matter
	})
	c.lives()
	return c
}

// lives has a line go there and back.
func (c *talk) lives() {
	c.p.t.Helper()
	c.n++
	line := fmt.Sprintf("line %d\n", c.n)
	if _, err := io.WriteString(c.in, line); err != nil {
		c.p.t.Fatalf("the connection is broken: %v", err)
	}
	select {
	case got := <-c.out:
		if got != line {
			c.p.t.Fatalf("the echo of %q is %q", line, got)
		}
	case <-time.After(patience / 3):
		c.p.t.Fatalf("%q has no echo", line)
	}
}

// paused has the controller stand still for longer than the bridges wait for it.
func (p *project) paused() {
	c := p.talk()
	p.run("pause", "weir")
	p.connected("ovs-a", "br-shop", "false")
	p.connected("ovs-b", "br-desk", "false")
	c.lives()
	p.reaches("app-1", "203.0.113.30", "lab-1") // also what is new
	p.run("unpause", "weir")
	p.connected("ovs-a", "br-shop", "true")
	p.connected("ovs-b", "br-desk", "true")
	p.unchanged(p.programmedAgain())
	c.lives()
}

// programmedAgain waits until all bridges are connected and programmed.
func (p *project) programmedAgain() (sent uint64) {
	p.t.Helper()
	for _, b := range p.programmed("weir", 1).Bridges {
		sent += b.FlowModsSent
	}
	return sent
}

func (p *project) unchanged(sent uint64) {
	p.t.Helper()
	if sent != 0 {
		p.t.Errorf("%d flow-mods were sent, though nothing had changed", sent)
	}
}

// cut takes the network between the controller and its switch away, has the model change, and joins it again.
func (p *project) cut() {
	c := p.talk()
	revision := p.programmed("weir", 1).Model.Revision
	network := []string{p.name + "_control", p.container("ovs-a")}
	if _, err := docker(append([]string{"network", "disconnect"}, network...)...); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { docker(append([]string{"network", "connect"}, network...)...) }) // what follows needs it, also if this fails
	p.connected("ovs-a", "br-shop", "false")
	c.lives()
	p.edit("a", "from: {cidrs: [203.0.113.20/32, 203.0.113.10/32]}, protocol: tcp, ports: [7, 80]", "protocol: tcp, ports: [80]")
	p.eventually("the controller has read the model", func() error {
		s, err := p.status("weir")
		if err == nil && s.Model.Revision == revision {
			err = fmt.Errorf("%+v", s.Model)
		}
		return err
	})
	if who := p.get("internet", "203.0.113.30"); who != "" {
		p.t.Errorf("%s has answered, before the controller could say that it may", who)
	}
	if _, err := docker(append([]string{"network", "connect"}, network...)...); err != nil {
		p.t.Fatal(err)
	}
	p.connected("ovs-a", "br-shop", "true")
	p.programmed("weir", revision+1)
	p.reaches("internet", "203.0.113.30", "lab-1")
	c.lives()
}

// still has host b stand still while the model changes. Host a gets the change, its connections are listed, and
// it is said which are not.
func (p *project) still() {
	c := p.talk()
	revision := p.programmed("weir", 1).Model.Revision
	p.run("pause", "ovs-b")
	paused := true
	p.t.Cleanup(func() {
		if paused {
			docker("unpause", p.container("ovs-b")) // what follows needs it, also if this fails
		}
	})
	p.eventually("host b is missed", func() error {
		s, err := p.status("weir")
		if err == nil && (len(s.Hosts) != 2 || s.Hosts[0].Unanswered != "" || s.Hosts[1].Unanswered == "") {
			err = fmt.Errorf("%+v", s.Hosts)
		}
		return err
	})
	p.edit("a", "name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]", "name: http, direction: ingress, action: allow, protocol: tcp, ports: [80, 81]")
	p.eventually("host a has the change", func() error {
		s, err := p.status("weir")
		for _, b := range s.Bridges {
			if b.Name != "br-desk" && (!b.Programmed || b.Revision <= revision) {
				return fmt.Errorf("%+v", b)
			}
		}
		return err
	})
	c.lives()
	out, err := p.in("weir", "weir", "connections", "-t", "shop", "dport=7")
	if err == nil || !strings.Contains(out, "10.1.0.11:7") || !strings.Contains(out+err.Error(), "host b: ") {
		p.t.Errorf("weir connections: %s %v", out, err)
	}
	p.run("unpause", "ovs-b")
	paused = false
	p.programmed("weir", revision+1)
	p.reaches("desk-1", "203.0.113.20", "web-1")
}

// killed kills the controller (kill -9) and starts it again.
func (p *project) killed() {
	c := p.talk()
	p.run("kill", "weir")
	c.lives()
	p.run("start", "weir")
	p.unchanged(p.programmedAgain())
	p.connected("ovs-a", "br-shop", "true")
	c.lives()
}

// restarted starts a host anew: the tracker in userspace, and the connections with it, go; the bridges come back.
func (p *project) restarted() {
	p.run("restart", "ovs-a")
	p.eventually("ovs-a is healthy", func() error { return p.healthy("ovs-a") })
	p.connected("ovs-a", "br-shop", "true")
	p.programmed("weir", 1)
	p.reaches("app-1", "10.1.0.11", "web-1")
	p.reaches("internet", "203.0.113.20", "web-1")
	p.reaches("desk-1", "203.0.113.20", "web-1")
	p.talk().lives()
}

// taken starts a controller where another listens already.
func (p *project) taken() {
	out, err := docker("run", "--rm", "--network", "container:"+p.container("weir"), "--volumes-from", p.container("weir"),
		"--tmpfs", "/tmp:uid=65532", "weir:local", "serve", "-f", "/etc/weir", "--host", "a=/run/ovs-a", "--state-dir", "/tmp/state", "--socket", "/tmp/weir.sock",
		"--listen", "ssl:weir:6653", "--private-key", "/tls/key.pem", "--certificate", "/tls/cert.pem", "--ca-cert", "/tls/ca.pem")
	if err == nil || !strings.Contains(out, "6653: bind: address already in use") {
		p.t.Errorf("a second controller on the same port: %v: %s", err, out)
	}
}
