package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/api"
)

// A project is the compose file, started from a copy of the files that it mounts, which tests may change.
type project struct {
	t    *testing.T
	name string
	dir  string
}

// up starts the compose file under a name of its own, and returns when all in it is well.
func up(t *testing.T) *project {
	t.Helper()
	need(t)
	p := &project{t: t, name: fmt.Sprintf("weir-test-%d", os.Getpid()), dir: t.TempDir()}
	for _, file := range []string{"docker-compose.yml", "containers"} {
		if out, err := exec.Command("cp", "-r", filepath.Join("../..", file), p.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.Chmod(p.dir, 0o755); err != nil { // the controller is not root
		t.Fatal(err)
	}
	t.Cleanup(p.down)
	if out, err := p.compose("up", "--detach", "--no-build"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, service := range []string{"ovs-a", "ovs-b", "weir", "web-1", "web-2", "app-1", "lab-1", "desk-1", "internet"} {
		p.eventually(service+" is healthy", func() error { return p.healthy(service) })
	}
	p.programmed("weir", 1)
	return p
}

// compose runs docker compose, or docker-compose where that is what there is.
func (p *project) compose(args ...string) (string, error) {
	program := []string{"docker", "compose"}
	if exec.Command("docker", "compose", "version").Run() != nil {
		program = []string{"docker-compose"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	args = append(append(program, "--project-name", p.name, "--project-directory", p.dir, "--file", filepath.Join(p.dir, "docker-compose.yml")), args...)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	return string(out), err
}

func (p *project) down() {
	if p.t.Failed() {
		logs, _ := p.compose("logs", "--no-color", "--tail=100")
		p.t.Log(logs)
		for _, args := range [][]string{{"ovs-vsctl", "show"}, {"ovs-appctl", "dpctl/dump-flows", "-m"}, {"ovs-appctl", "dpctl/dump-conntrack"}} {
			for _, host := range []string{"ovs-a", "ovs-b"} {
				out, err := p.ovs(host, args...)
				p.t.Log(host, args, out, err)
			}
		}
	}
	if out, err := p.compose("down", "--volumes", "--timeout", "2"); err != nil {
		p.t.Errorf("compose down: %v: %s", err, out)
	}
}

// container returns the container of a service.
func (p *project) container(service string) string {
	p.t.Helper()
	id, err := docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+p.name, "--filter", "label=com.docker.compose.service="+service)
	if err == nil && len(strings.Fields(id)) != 1 {
		err = fmt.Errorf("service %s has %d containers", service, len(strings.Fields(id)))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// run does something with the container of a service: restart, pause, kill.
func (p *project) run(verb, service string) {
	p.t.Helper()
	if _, err := docker(verb, p.container(service)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) healthy(service string) error {
	text, err := docker("inspect", "--format", "{{.State.Health.Status}}", p.container(service))
	if err == nil && text != "healthy" {
		err = fmt.Errorf("it is %s", text)
	}
	return err
}

// in runs a command in a service.
func (p *project) in(service string, args ...string) (string, error) {
	return docker(append([]string{"exec", p.container(service)}, args...)...)
}

// ovs runs a tool of Open vSwitch in a host.
func (p *project) ovs(host string, args ...string) (string, error) {
	return docker(append([]string{"exec", "--user", "weir", p.container(host)}, args...)...)
}

func (p *project) eventually(what string, condition func() error) {
	p.t.Helper()
	eventually(p.t, what, condition)
}

func (p *project) status(controller string) (s api.Status, err error) {
	text, err := p.in(controller, "weir", "status", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// programmed waits until a revision is in all bridges of a controller.
func (p *project) programmed(controller string, revision uint64) (s api.Status) {
	p.t.Helper()
	p.eventually(controller+" has programmed its bridges", func() (err error) {
		if s, err = p.status(controller); err != nil {
			return err
		}
		for _, b := range s.Bridges {
			if !b.Programmed || b.Revision < revision || len(b.Pending)+len(b.Refused) > 0 {
				return fmt.Errorf("bridge %s: %+v", b.Name, b)
			}
		}
		if len(s.Bridges) == 0 {
			return fmt.Errorf("no bridges: %+v", s)
		}
		return nil
	})
	return s
}

// get fetches a page and returns who has answered; "" is that nobody has, within two seconds.
func (p *project) get(from, address string) string {
	out, err := p.in(from, "timeout", "2", "busybox", "wget", "-q", "-O", "-", "http://"+address+"/")
	if err != nil {
		return ""
	}
	return out
}

// reaches waits until a page comes from who is wanted: tunnels and ports take a moment to find each other.
func (p *project) reaches(from, address, want string) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s is answered by %s at %s", from, want, address), func() error {
		if got := p.get(from, address); got != want {
			return fmt.Errorf("%q has answered", got)
		}
		return nil
	})
}

// edit changes the model of a host.
func (p *project) edit(host, old, new string) {
	p.t.Helper()
	path := filepath.Join(p.dir, "containers/model", host+".yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		p.t.Fatalf("%s does not have once: %s", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		p.t.Fatal(err)
	}
}
