package api

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// selected are connections that tests choose from, by name.
func selected() map[string]Connection {
	hour := time.Now().Add(-time.Hour)
	return map[string]Connection{
		"db": {Tenant: "blue", Zone: 4096, Protocol: "tcp", State: "ESTABLISHED", Orig: Tuple{Src: "10.1.0.11", Dst: "10.2.0.11", Sport: 40000, Dport: 5432, Bytes: 4000, Packets: 10},
			Reply: Tuple{Src: "10.2.0.11", Dst: "10.1.0.11", Sport: 5432, Dport: 40000, Bytes: 6_000_001}, Mark: 0x110000, Class: 17, Epoch: 3, Start: &hour, Expires: 86399,
			From: "blue/endpoint/web-1", To: "blue/endpoint/db-1", Egress: "blue/default/egress", Ingress: "blue/policy/db-ingress/app", Ref: "00aa"},
		"shop": {Tenant: "blue", Zone: 4096, Protocol: "tcp", State: "SYN_SENT", Orig: Tuple{Src: "198.51.100.1", Dst: "203.0.113.5", Sport: 1, Dport: 443},
			Reply: Tuple{Src: "10.1.0.11", Dst: "198.51.100.1", Sport: 8443, Dport: 1}, NAT: "blue/loadbalancer/shop/tcp/443", To: "blue/endpoint/web-1", Ingress: "blue/policy/db-ingress-2/x", Blocked: true, Expires: 20},
		"dns":  {Tenant: "red", Zone: 4097, Protocol: "udp", Orig: Tuple{Src: "fd00::1", Dst: "fd00::2", Sport: 40000, Dport: 53}, Reply: Tuple{Src: "fd00::2", Dst: "fd00::1", Sport: 53, Dport: 40000}, Audited: true},
		"ping": {Tenant: "red", Zone: 4097, Protocol: "icmp", Orig: Tuple{Src: "10.1.0.12", Dst: "198.51.100.1"}, Reply: Tuple{Src: "198.51.100.1", Dst: "203.0.113.10"}, NAT: "red/snat/out"},
	}
}

func TestWhatASelectorMeans(t *testing.T) {
	for text, want := range map[string]string{
		"protocol=tcp":                   "db shop",
		"protocol=udp,icmp":              "dns ping",
		"protocol!=udp,icmp":             "db shop",
		"tenant=blue state=established":  "db",
		"state!=ESTABLISHED":             "dns ping shop",
		"zone=4097":                      "dns ping",
		"src=web-1":                      "db",
		"dst=web-1":                      "shop",
		"dst=10.1.0.11":                  "shop",
		"dst=203.0.113.0/24":             "shop",
		"host=web-1":                     "db shop",
		"host!=web-1":                    "dns ping",
		"src=10.0.0.0/8,db-1":            "db ping",
		"src=fd00::/64":                  "dns",
		"dport=5432":                     "db",
		"dport=50-500":                   "dns shop",
		"dport>443":                      "db",
		"dport<443":                      "dns",
		"sport=40000 dport!=53":          "db",
		"rule=policy/db-ingress":         "db",
		"rule=blue/policy/db-ingress/":   "db",
		"ingress=policy/db-ingress-2/x":  "shop",
		"egress=default/egress":          "db",
		"egress=policy/db-ingress":       "",
		"nat=shop":                       "shop",
		"nat=snat/out":                   "ping",
		"nat!=snat/out translated":       "shop",
		"backend=10.1.0.11":              "shop",
		"backend=10.1.0.11:8443":         "shop",
		"backend=10.1.0.11:80":           "",
		"mark=0x110000":                  "db",
		"mark=0x100000/0x100000":         "db",
		"class=17 epoch=3":               "db",
		"blocked":                        "shop",
		"!blocked !audited":              "db ping",
		"audited":                        "dns",
		"age>59m":                        "db",
		"age<61m":                        "db",
		"age<10m":                        "",
		"expires<30s protocol=tcp":       "shop",
		"bytes>6M":                       "db",
		"bytes<10M":                      "db",
		"packets>9 packets<11":           "db",
		"id=00AA":                        "db",
		"  protocol=tcp \t dport=443   ": "shop",
	} {
		s, err := ParseSelector(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, name := range []string{"db", "dns", "ping", "shop"} {
			if s.Matches(selected()[name]) {
				got = append(got, name)
			}
		}
		if all := strings.Join(got, " "); all != want {
			t.Errorf("%s: %q, want %q", text, all, want)
		}
	}
}

// TestASelectorSaysWhereItMakesNoSense has for each mistake the whole text, with its caret.
func TestASelectorSaysWhereItMakesNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"protocol=tcp dprot=443": `selector, column 14: there is no "dprot": did you mean "dport"?
    protocol=tcp dprot=443
                 ^`,
		"protocol=tcp dport=443,http,80": `selector, column 24: dport: "http" is no port, nor a range of ports
    protocol=tcp dport=443,http,80
                           ^`,
		"src=10.0.0": `selector, column 5: src: "10.0.0" is neither an address nor a prefix nor an endpoint's name
    src=10.0.0
        ^`,
		"prot=tcp": `selector, column 1: there is no "prot": did you mean "protocol"?
    prot=tcp
    ^`,
		"dport": `selector, column 1: want dport=VALUE
    dport
    ^`,
		"state>ESTABLISHED": `selector, column 6: state is no amount: want = or !=; < and > are for age, bytes, dport, expires, packets, sport
    state>ESTABLISHED
         ^`,
		"dport=": `selector, column 7: a value is missing
    dport=
          ^`,
		"dport!443": `selector, column 6: want !=
    dport!443
         ^`,
		"state=é zone=70000": `selector, column 14: zone: "70000" is no number of 16 bits
    state=é zone=70000
                 ^`,
		"age=1h": `selector, column 5: age: want < or >
    age=1h
        ^`,
		"bytes>10X": `selector, column 7: bytes: "10X" is no amount: want a number, with k, M or G behind it
    bytes>10X
          ^`,
		"mark=0x300/0x100": `selector, column 6: mark: "0x300/0x100" never matches: the value has bits outside its mask
    mark=0x300/0x100
         ^`,
		"dport=90-80": `selector, column 7: dport: "90-80" is no port, nor a range of ports
    dport=90-80
          ^`,
		"protocol=tcp,": `selector, column 14: protocol: a value is missing
    protocol=tcp,
                 ^`,
		" ": `selector, column 1: it is empty: want terms as in protocol=tcp dport=443
     
    ^`,
	} {
		_, err := ParseSelector(text)
		var place *SelectorError
		if err == nil {
			t.Errorf("%q is taken", text)
		} else if d := cmp.Diff(want, err.Error()); d != "" {
			t.Errorf("%q: -want +got:\n%s", text, d)
		} else if errors.As(err, &place) {
			continue
		}
	}
}

// TestEndpointsThatAreNotThereAreRefused goes through the whole handler.
func TestEndpointsThatAreNotThereAreRefused(t *testing.T) {
	d := fake{connections: func(string) ([]Connection, error) { return nil, nil }, kill: func(Filter) (Killed, error) { return Killed{Killed: 1}, nil }}
	for _, c := range []struct{ method, query, want string }{
		{"GET", "select=src%3Dweb-2", `src: there is no endpoint \"web-2\": did you mean \"web-1\"?`},
		{"GET", "select=src%3Dweb-1", `[]`},
		{"DELETE", "tenant=t&select=host!%3Dwep-1", `there is no endpoint \"wep-1\"`},
		{"DELETE", "tenant=t&select=host%3Dweb-1", `"killed":1`},
	} {
		body, _ := io.ReadAll(ask(t, d, c.method, "/v1/connections?"+c.query, nil).Body)
		if !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s: %s, want %s", c.method, c.query, body, c.want)
		}
	}
}

func TestAConnectionIsForgottenByItsName(t *testing.T) {
	var got Filter
	var planned []bool
	d := fake{kill: func(f Filter) (Killed, error) { got = f; return Killed{Killed: 1}, nil }, planned: &planned}
	resp := ask(t, d, "DELETE", "/v1/connections/00aa?plan=true", nil)
	if resp.StatusCode != 200 || got != (Filter{Ref: "00aa"}) || len(planned) != 1 || !planned[0] {
		t.Errorf("status %d, %+v, %v", resp.StatusCode, got, planned)
	}
	if resp := ask(t, d, "DELETE", "/v1/connections/00aa?plan=perhaps", nil); resp.StatusCode != 400 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestHalfAListIsNoList has the reading break off: before anything was sent that is a Problem, and later
// the answer is cut off.
func TestHalfAListIsNoList(t *testing.T) {
	few := fake{connections: func(string) ([]Connection, error) { return make([]Connection, 3), nil }, broken: errors.New("the tracker is gone")}
	resp := ask(t, few, "GET", "/v1/connections", nil)
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 500 || !strings.Contains(string(body), "the tracker is gone") || strings.HasPrefix(string(body), "[") {
		t.Errorf("status %d, %s", resp.StatusCode, body)
	}
	defer func() {
		if r := recover(); r != http.ErrAbortHandler {
			t.Errorf("half a list ends with %v", r)
		}
	}()
	few.connections = func(string) ([]Connection, error) { return make([]Connection, 10_000), nil }
	ask(t, few, "GET", "/v1/connections", nil)
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"protocol=tcp dport=443,1-2", "src=web-1 !blocked", "mark=0x1/0x1 age>1h bytes<3k", "é=", "a!b", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			_ = err.Error()
			return
		}
		for _, c := range selected() {
			s.Matches(c)
		}
	})
}

// TestManyConnectionsAreNotGathered sends 200,000 connections, and looks at what is held meanwhile.
func TestManyConnectionsAreNotGathered(t *testing.T) {
	var most, before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := fake{each: func(yield func(Connection, error) bool) {
		for i := range 200_000 {
			c := selected()["db"]
			c.Orig.Sport = uint16(i)
			if !yield(c, nil) {
				return
			}
			if i%20_000 == 0 {
				runtime.GC() // what is left is held
				var now runtime.MemStats
				if runtime.ReadMemStats(&now); now.HeapAlloc > most.HeapAlloc {
					most = now
				}
			}
		}
	}}
	server := httptest.NewServer(New(d, http.NotFoundHandler()))
	defer server.Close()
	resp, err := http.Get(server.URL + "/v1/connections?select=protocol%3Dtcp")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sent, err := io.Copy(io.Discard, resp.Body)
	held := int64(most.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d MB sent, %d KB held", sent>>20, held>>10)
	if err != nil || sent < 60<<20 || held > 4<<20 {
		t.Errorf("%v: %d bytes sent, %d held", err, sent, held)
	}
}
