package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"weir/api"
	"weir/internal/sandbox"
)

// A weir is the daemon as an operator runs it: a folder with two files for each tenant, a
// bridge, and "weir serve". A change is a file that is replaced and a SIGHUP; that it is in
// force is what the daemon says on its control socket.
type weir struct {
	*sandbox.Sandbox
	nursery *nursery
	daemon  *child
	dir     string            // its files
	written map[string]string // the files, by their names
	client  http.Client
}

// startWeir starts a daemon on a new Open vSwitch, with no tenant yet.
func startWeir(ctx context.Context, binary string, dummy bool) (w *weir, err error) {
	w = &weir{nursery: newNursery(), written: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.Sandbox, err = sandbox.Start(ctx, sandbox.Config{Dummy: dummy}); err != nil {
		return w, err
	}
	w.dir = filepath.Join(w.RunDir(), "weir")
	if err := os.MkdirAll(w.model(), 0o700); err != nil {
		return w, err
	}
	if err := w.AddBridge(w.bridge()); err != nil {
		return w, err
	}
	if err := w.write("bridge", policy{}.bridgeFile(w.bridge())); err != nil {
		return w, err
	}
	socket := filepath.Join(w.dir, "weir.sock")
	w.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	w.daemon, err = w.nursery.start("weir", exec.Command(binary, "serve", "-f", w.model(), "--ovsdb", w.DB(), "--ovs-rundir", w.RunDir(),
		"--state-dir", filepath.Join(w.dir, "state"), "--socket", socket))
	if err != nil {
		return w, err
	}
	if err := w.daemon.answers(ctx, socket); err != nil {
		return w, err
	}
	_, err = w.programmed(ctx, 1)
	return w, err
}

func (w *weir) name() string   { return "Weir" }
func (w *weir) bridge() string { return "br0" }
func (w *weir) model() string  { return filepath.Join(w.dir, "model") }

// Close ends the daemon and the Open vSwitch, and removes their files.
func (w *weir) Close() error {
	w.nursery.close()
	w.client.CloseIdleConnections()
	if w.Sandbox == nil {
		return nil
	}
	return w.Sandbox.Close()
}

// write replaces a file of the model, as an editor does: by another under its name.
func (w *weir) write(name, text string) error {
	if w.written[name] == text {
		return nil
	}
	w.written[name] = text
	path := filepath.Join(w.model(), name+".yaml")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// apply gives the daemon some tenants, and returns when all is programmed.
func (w *weir) apply(ctx context.Context, tenants ...tenant) error {
	files := map[string]string{}
	for _, t := range tenants {
		maps.Copy(files, t.files())
	}
	return w.replacing(ctx, files)()
}

// replacing returns what gives the daemon some files, and returns when all is programmed.
func (w *weir) replacing(ctx context.Context, files map[string]string) func() error {
	s, err := w.status(ctx)
	return func() error {
		if err != nil {
			return err
		}
		for name, text := range files {
			if err := w.write(name, text); err != nil {
				return err
			}
		}
		if err := w.daemon.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		_, err = w.programmed(ctx, s.Model.Revision+1)
		return err
	}
}

// programmed waits until a revision of the model is in the bridge, all of it: what is pending,
// because a new port has not been seen yet, is not there.
func (w *weir) programmed(ctx context.Context, revision uint64) (s api.Status, err error) {
	err = until(ctx, 2*time.Minute, time.Millisecond, func() (bool, error) {
		if s, err = w.status(ctx); err != nil {
			return false, err
		}
		if s.Model.Error != "" {
			return false, fmt.Errorf("the model is refused: %s", s.Model.Error)
		}
		return s.Model.Revision >= revision && len(s.Bridges) == 1 && s.Bridges[0].Programmed && len(s.Bridges[0].Pending) == 0, nil
	})
	if err != nil {
		err = fmt.Errorf("revision %d is not programmed: %w; the daemon said at last:\n%s", revision, err, w.daemon.lastWords())
	}
	return s, err
}

func (w *weir) status(ctx context.Context) (s api.Status, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://weir/v1/status", nil)
	if err != nil {
		return s, err
	}
	r, err := w.client.Do(req)
	if err != nil {
		return s, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return s, err
	}
	return s, json.NewDecoder(bytes.NewReader(text)).Decode(&s)
}

func (w *weir) topology(ctx context.Context, p policy) error {
	if err := w.write("bridge", p.bridgeFile(w.bridge())); err != nil {
		return err
	}
	return w.apply(ctx, p.withoutRules().tenants...)
}

func (w *weir) rules(ctx context.Context, p policy) error {
	return w.apply(ctx, p.tenants...)
}

func (w *weir) addRule(ctx context.Context, t tenant, r rule) error {
	t.rules = append([]rule{r}, t.rules...)
	return w.apply(ctx, t)
}

func (w *weir) removeRule(ctx context.Context, t tenant, _ rule) error { return w.apply(ctx, t) }

func (w *weir) addMember(ctx context.Context, t tenant, number int) error {
	t.endpoints = append([]endpoint(nil), t.endpoints...)
	t.endpoints[number].groups = []string{t.rules[0].group}
	return w.apply(ctx, t)
}

func (w *weir) removeMember(ctx context.Context, t tenant, _ int) error { return w.apply(ctx, t) }

// sent is how many flow-mods and group-mods the daemon has sent.
func (w *weir) sent(ctx context.Context) (float64, error) {
	s, err := w.status(ctx)
	if err != nil {
		return 0, err
	}
	return float64(s.Bridges[0].FlowModsSent), nil
}

func (w *weir) memory() (now, peak float64) { return resident(w.daemon.cmd.Process.Pid) }
