package unixctl

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAnswersAreReadAsTheyCome(t *testing.T) {
	long := strings.Repeat("0123456789\\n", 20000)
	for name, c := range map[string]struct {
		answer string
		want   string
		err    string
	}{
		"a result":                   {`{"error":null,"id":1,"result":"one\ntwo \"x\" \\ \u00e9"}`, "one\ntwo \"x\" \\ é", ""},
		"keys in another order":      {`{"id":1,"result":"one","error":null}`, "one", ""},
		"a long one":                 {`{"id":1,"result":"` + long + `","error":null}`, strings.ReplaceAll(long, "\\n", "\n"), ""},
		"an empty one":               {`{"id":1,"result":"","error":null}`, "", ""},
		"characters beyond 16 bits":  {`{"id":1,"result":"\ud83d\ude00 😀","error":null}`, "😀 😀", ""},
		"half a character":           {`{"id":1,"result":"\ud83d\n","error":null}`, "\ufffd\n", ""},
		"an escape that is none":     {`{"id":1,"result":"one\x","error":null}`, "one", `m: answer is cut: escape "\\x"`},
		"an error without a text":    {`{"id":1,"result":null,"error":""}`, "", "m: "},
		"an error of the daemon":     {`{"id":1,"result":null,"error":"no such bridge\n"}`, "", "m: no such bridge"},
		"a result cut in the middle": {`{"id":1,"result":"one`, "one", "m: answer is cut: unexpected EOF"},
		"nothing":                    {``, "", "m: answer is cut: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := answering(t, c.answer, false)
			got, err := conn.Call(t.Context(), "m")
			if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("%.40q, %v; want %.40q, %s", got, err, c.want, c.err)
			}
			var e *Error
			if strings.Contains(c.err, "no such bridge") && !errors.As(err, &e) {
				t.Errorf("%T", err)
			}
		})
	}
}

// TestADaemonThatCannotBeAskedIsNamed goes through what may be wrong with one. What the system
// says is not made up: but that of root, who may open everything.
func TestADaemonThatCannotBeAskedIsNamed(t *testing.T) {
	dir := t.TempDir()
	pid, ctl := filepath.Join(dir, "ovs-vswitchd.pid"), filepath.Join(dir, "ovs-vswitchd.77.ctl")
	want := func(what, path, why string) {
		t.Helper()
		_, err := DialDaemon(t.Context(), dir, "ovs-vswitchd")
		var u *Unreachable
		if !errors.As(err, &u) || u.Path != path || !strings.Contains(err.Error(), why) || strings.Count(err.Error(), dir) != 1 {
			t.Errorf("%s: %v", what, err)
		}
	}
	want("it does not run", pid, "no such file or directory: it does not run")
	if err := os.WriteFile(pid, []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("its pid file is stale", ctl, "no such file or directory: the process that left its pid file is gone")
	l, err := net.Listen("unix", ctl)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	want("it was killed, and left its socket", ctl, "connection refused: the process that left its pid file is gone")
	if err := unreachable(ctl, &os.PathError{Op: "open", Path: ctl, Err: syscall.EACCES}); err.Error() != ctl+": permission denied: run as root, or as the user of Open vSwitch" {
		t.Error(err)
	}
}

// TestADaemonThatDoesNotAnswerIsGivenUp asks one that takes the question and says nothing, and
// one that stops in the middle.
func TestADaemonThatDoesNotAnswerIsGivenUp(t *testing.T) {
	for name, said := range map[string]string{"nothing": "", "a part": `{"id":1,"result":"one`} {
		t.Run(name, func(t *testing.T) {
			conn := answering(t, said, true)
			ctx, cancel := context.WithCancel(t.Context())
			r, err := conn.Stream(ctx, "m")
			if err != nil {
				t.Fatal(err)
			}
			if said != "" {
				if n, err := r.Read(make([]byte, 10)); n != 3 || err != nil {
					t.Fatalf("%d bytes, %v", n, err)
				}
			}
			cancel()
			if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "d.ctl has not answered m") {
				t.Error(err)
			}
		})
	}
}

// answering returns a connection to a daemon that answers one question, and hangs up unless it is
// to stay.
func answering(t testing.TB, said string, stay bool) *Conn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.ctl")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = nc.Read(make([]byte, 1024))
		_, _ = io.WriteString(nc, said) // who has hung up does not want it
		if stay {
			_, _ = nc.Read(make([]byte, 1)) // until the other end hangs up
		}
	}()
	conn, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestAnUnknownCommandIsKnownAsSuch(t *testing.T) {
	conn := answering(t, `{"id":1,"result":null,"error":"\"dpctl/no\" is not a valid command (use \"list-commands\" to see a list of valid commands)\n"}`, false)
	_, err := conn.Call(t.Context(), "dpctl/no")
	var e *Error
	if !errors.As(err, &e) || !e.Unknown() {
		t.Error(err)
	}
}

// BenchmarkAnswer reads an answer of 25 MB, a dump of 100,000 connections.
func BenchmarkAnswer(b *testing.B) {
	text := `{"id":1,"result":"` + strings.Repeat(strings.Repeat("0123456789", 25)+`\n`, 100000) + `","error":null}`
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		a := &answer{ctx: b.Context(), method: "m", r: bufio.NewReaderSize(strings.NewReader(text), 1<<16), stop: func() bool { return true }}
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{a}, make([]byte, 1<<16)); err != nil || n != 251*100000 {
			b.Fatal(n, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"error":null,"id":1,"result":"one\ntwo \u00e9"}`))
	f.Add([]byte(`{"id":1,"result":null,"error":"bad"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &answer{ctx: t.Context(), method: "m", r: bufio.NewReader(strings.NewReader(string(b))), stop: func() bool { return true }}
		got, err := io.ReadAll(a)
		if err == nil && len(got) > 3*len(b) {
			t.Fatalf("%d bytes gave %d", len(b), len(got))
		}
	})
}
