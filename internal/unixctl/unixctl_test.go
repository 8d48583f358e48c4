package unixctl

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
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
		"an error of the daemon":     {`{"id":1,"result":null,"error":"no such bridge\n"}`, "", "m: no such bridge"},
		"a result cut in the middle": {`{"id":1,"result":"one`, "one", "m: answer is cut: unexpected EOF"},
		"nothing":                    {``, "", "m: answer is cut: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d.ctl")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				nc.Read(make([]byte, 1024))
				io.WriteString(nc, c.answer)
			}()
			conn, err := Dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
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

func TestADaemonThatIsNotThereIsNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := DialDaemon(t.Context(), dir, "ovs-vswitchd"); err == nil || !strings.Contains(err.Error(), dir+"/ovs-vswitchd.pid") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := DialDaemon(t.Context(), dir, "ovs-vswitchd"); err == nil || !strings.Contains(err.Error(), dir+"/ovs-vswitchd.77.ctl") {
		t.Error(err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"error":null,"id":1,"result":"one\ntwo \u00e9"}`))
	f.Add([]byte(`{"id":1,"result":null,"error":"bad"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &answer{method: "m", r: bufio.NewReader(strings.NewReader(string(b))), stop: func() bool { return true }}
		got, err := io.ReadAll(a)
		if err == nil && len(got) > 3*len(b) {
			t.Fatalf("%d bytes gave %d", len(b), len(got))
		}
	})
}
