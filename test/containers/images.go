package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What the Dockerfile begins with.
const (
	debian = "debian:bookworm-slim"
	golang = "golang:1.26"
)

// ready makes the images of docker-compose.yml. With a binary that is the controller of the images; without,
// it is built in the image, from the modules of this machine's cache.
func ready(ctx context.Context, e *engine, binary string) error {
	if err := base(ctx, e, debian, makeDebian); err != nil {
		return err
	}
	context, err := os.MkdirTemp("", "weir-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(context)
	args := []string{}
	if binary == "" {
		err = errors.Join(base(ctx, e, golang, makeGo), output(command(ctx, e, "go", "mod", "vendor", "-o", filepath.Join(context, "vendor"))))
	} else {
		args = append(args, "--build-arg", "GO="+debian) // it only copies
		err = errors.Join(os.Mkdir(filepath.Join(context, "built"), 0o755), output(command(ctx, e, "cp", binary, filepath.Join(context, "built", "weir"))))
	}
	if err != nil {
		return err
	}
	for _, image := range []struct{ target, name string }{{"ovs", "weir-ovs:local"}, {"certs", "weir-certs:local"}, {"weir", "weir:local"}} {
		if err := build(ctx, e, context, append(args, "--target", image.target, "--tag", image.name)); err != nil {
			return err
		}
	}
	return nil
}

// build builds an image from our files and those of a folder.
func build(ctx context.Context, e *engine, with string, args []string) error {
	if e.own != nil {
		args = append(args, "--network", "none") // there is none, and apt would look for it
	}
	files := command(ctx, e, "tar", "-c", "--exclude=./.git", "--exclude=./docs", "--exclude=./test", "--exclude=testdata", ".", "-C", with, ".")
	docker := command(ctx, e, "docker", append([]string{"build", "--file", "containers/Dockerfile"}, append(args, "-")...)...)
	return piped(files, docker)
}

// piped runs two commands, the first of which writes to the second.
func piped(from, to *exec.Cmd) (err error) {
	if to.Stdin, err = from.StdoutPipe(); err != nil {
		return err
	}
	if err := from.Start(); err != nil {
		return err
	}
	return errors.Join(output(to), from.Wait())
}

// base sees to it that there is an image to begin with: it is there, or a registry gives it, or we make it.
func base(ctx context.Context, e *engine, name string, make func(context.Context, *engine, string) error) error {
	if command(ctx, e, "docker", "image", "inspect", name).Run() == nil {
		return nil
	}
	if e.own == nil && pull(ctx, e, name) == nil {
		return nil
	}
	fmt.Printf("no registry gives %s: making it\n", name)
	if err := make(ctx, e, name); err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	return nil
}

func pull(ctx context.Context, e *engine, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return command(ctx, e, "docker", "pull", "--quiet", name).Run()
}

// makeDebian makes a Debian from the mirror of this machine, with the packages that the Dockerfile adds, so that
// nothing is left for it to fetch.
func makeDebian(ctx context.Context, e *engine, name string) error {
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return errors.New("no debootstrap: scripts/deps.sh containers installs it")
	}
	dir, err := os.MkdirTemp("", "weir-debian-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile("containers/packages")
	if err != nil {
		return err
	}
	packages := strings.Join(strings.Fields(string(text)), ",")
	if err := output(command(ctx, e, "debootstrap", "--variant=minbase", "--include="+packages, "bookworm", dir, mirror(ctx, e))); err != nil {
		return err
	}
	files := command(ctx, e, "tar", "-c", "--exclude=./var/cache/apt", "--exclude=./var/lib/apt/lists/*", "-C", dir, ".")
	return piped(files, command(ctx, e, "docker", "import", "-", name))
}

// mirror returns where apt of this machine gets Debian 12 from.
func mirror(ctx context.Context, e *engine) string {
	out, _ := command(ctx, e, "apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Identifier: Packages").Output()
	for line := range strings.Lines(string(out)) {
		if site, name, _ := strings.Cut(strings.TrimSpace(line), " "); name == "bookworm" {
			return site
		}
	}
	return "http://deb.debian.org/debian"
}

// makeGo makes an image with the Go of this machine.
func makeGo(ctx context.Context, e *engine, name string) error {
	out, err := command(ctx, e, "go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	docker := command(ctx, e, "docker", "build", "--tag", name, "--file", "-", strings.TrimSpace(string(out)))
	docker.Stdin = strings.NewReader("FROM " + debian + "\nCOPY . /usr/local/go\nENV GOTOOLCHAIN=local PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin\n")
	return output(docker)
}

// output runs a command, and returns what it said if it fails.
func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, tail(string(out), 20))
	}
	return nil
}
