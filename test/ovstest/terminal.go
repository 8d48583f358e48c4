package ovstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A Terminal is a real one, of 80 x 24 characters, in which a shell runs.
type Terminal struct {
	n      *Net
	socket string
	client string // the command weir
}

// Terminal opens a terminal until the test ends.
func (n *Net) Terminal() *Terminal {
	n.T.Helper()
	path, err := binary()
	if err != nil {
		n.T.Fatal(err)
	}
	t := &Terminal{n: n, socket: filepath.Join(n.dir, "tmux.sock"), client: path}
	config := filepath.Join(n.dir, "tmux.conf")
	if err := os.WriteFile(config, []byte("set -g status off\n"), 0o600); err != nil { // its line would be taken from the 24
		n.T.Fatal(err)
	}
	server := exec.Command("tmux", "-D", "-S", t.socket, "-f", config) // -D: our child, which ends with us
	server.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=screen", "SHELL=/bin/sh"}
	if err := n.StartChild(server); err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM) // it takes the shell, and what runs in it, with it
		_ = server.Wait()
		if _, err := t.try("kill-server"); err == nil {
			n.T.Error("a second server of tmux was there")
		}
	})
	Eventually(n.T, "a terminal", func() error {
		_, err := t.try("new-session", "-d", "-c", n.dir, "-x", "80", "-y", "24", "/bin/sh")
		return err
	})
	t.Shows("#")
	return t
}

// try asks the server. -N: where it does not listen yet, tmux would start one that outlives the test.
func (t *Terminal) try(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-N", "-u", "-S", t.socket}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %v: %w: %s", args, err, out)
	}
	return string(out), nil
}

func (t *Terminal) do(args ...string) string {
	t.n.T.Helper()
	out, err := t.try(args...)
	if err != nil {
		t.n.T.Fatal(err)
	}
	return out
}

// Weir types a command of weir.
func (t *Terminal) Weir(args ...string) {
	t.n.T.Helper()
	t.Type(t.Command(args...))
}

// Type types a line.
func (t *Terminal) Type(line string) {
	t.n.T.Helper()
	t.do("send-keys", "-l", line)
	t.do("send-keys", "Enter")
}

// Press presses keys, as tmux names them.
func (t *Terminal) Press(keys ...string) {
	t.n.T.Helper()
	t.do(append([]string{"send-keys"}, keys...)...)
}

// Resize makes the terminal another size.
func (t *Terminal) Resize(width, height int) {
	t.n.T.Helper()
	t.do("resize-window", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height))
}

// Screen is what stands there.
func (t *Terminal) Screen() string {
	t.n.T.Helper()
	return t.do("capture-pane", "-p")
}

// State is what a program may leave otherwise than it was: whether the cursor is seen, the other screen
// is shown, keys and the mouse are told in another way.
func (t *Terminal) State() string {
	t.n.T.Helper()
	return t.do("display-message", "-p", "cursor #{cursor_flag} alternate #{alternate_on} keypad #{keypad_flag} mouse #{mouse_any_flag} wrap #{wrap_flag}")
}

// Shows waits until all of some texts stand there, and returns the screen.
func (t *Terminal) Shows(texts ...string) (screen string) {
	t.n.T.Helper()
	Eventually(t.n.T, fmt.Sprintf("%q on the screen", texts), func() error {
		screen = t.Screen()
		for _, s := range texts {
			if !strings.Contains(screen, s) {
				return fmt.Errorf("%q is not there:\n%s", s, screen)
			}
		}
		return nil
	})
	return screen
}

// Idle waits until the shell waits for a command.
func (t *Terminal) Idle() {
	t.n.T.Helper()
	Eventually(t.n.T, "the shell waits", func() error {
		if runs := strings.TrimSpace(t.do("display-message", "-p", "#{pane_current_command}")); runs != "sh" && runs != "dash" {
			return fmt.Errorf("%s runs:\n%s", runs, t.Screen())
		}
		return nil
	})
}

// Styled is what stands there, with the sequences that make it bold, faint or coloured.
func (t *Terminal) Styled() string {
	t.n.T.Helper()
	return t.do("capture-pane", "-p", "-e")
}

// Command is a command of weir, as it is typed.
func (t *Terminal) Command(args ...string) string {
	return strings.Join(append([]string{t.client}, append(args, "--socket", t.n.Weir.socket)...), " ")
}
