package daemon

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"weir/api"
	"weir/ofproto/ofconn"
)

// Reasons that only the daemon can see, once a switch has said which bridge it is.
const (
	otherSwitch   ofconn.Reason = "other-switch"   // its certificate is not the one that the bridge names
	unknownBridge ofconn.Reason = "unknown-bridge" // it is no bridge of the model
)

// advice says for each reason what may be done.
var advice = map[ofconn.Reason]string{
	ofconn.NoCertificate: "give the switch a key and a certificate: ovs-vsctl set-ssl KEY CERTIFICATE CA",
	ofconn.Expired:       "give the switch a new certificate: ovs-vsctl set-ssl KEY CERTIFICATE CA",
	ofconn.NotYetValid:   "set the clocks, or wait",
	ofconn.UnknownCA:     "have the switch's certificate signed by an authority in --ca-cert, or add the one that has signed it there",
	ofconn.BadPurpose:    "have it signed anew, for clients of TLS",
	ofconn.BadSignature:  "have it signed anew",
	ofconn.RefusesUs:     "look at --certificate, and at the authority that the switch was given (ovs-vsctl get-ssl): it has to be the one that has signed it",
	ofconn.NoTLS:         "if it is a switch, its controller has to begin with ssl:, as weir serve sets it",
	ofconn.SpeaksTLS:     "if it is a switch, its controller has to begin with tcp:, as weir serve sets it; for TLS: weir serve --listen ssl:ADDR:PORT",
	ofconn.OldTLS:        "TLS 1.2 or 1.3 is needed",
	ofconn.NoOpenFlow:    "if it is a switch, it has to speak OpenFlow13",
	ofconn.Late:          "if it is a switch, look at the network between",
	ofconn.Crowded:       "find out who opens so many connections, and keep them off",
	ofconn.Gone:          "if it is a switch, it may have no key, certificate or CA that it can read (ovs-vsctl get-ssl); its log says more",
	ofconn.Other:         "the log says more",
	otherSwitch:          "if the switch is to serve the bridge, change spec.certificate of the Bridge",
	unknownBridge:        "add the bridge to the model, or have it look for another controller",
}

// maxRefusals is how many refusals are told; of more, the one that was last seen longest ago is forgotten.
const maxRefusals = 32

// sayAgain is how long the log keeps silent about the same refusal.
const sayAgain = time.Minute

// refusals are the peers that did not become a session. It is used by listeners, the keeper and
// requests at the same time.
type refusals struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows
	all    []*refusal // the one that was seen last stands last
	counts map[refusalKind]int64
}

// A refusal is what is known of one address and reason.
type refusal struct {
	api.Refusal
	bears  func(name string) bool // one of our authorities says that it bears a name; nil: none does
	logged time.Time
}

// A refusalKind is the labels of the metric. Its peer is a bridge, "local", "remote" or "ovsdb": a
// stranger cannot make new ones.
type refusalKind struct {
	reason ofconn.Reason
	peer   string
}

func newRefusals() *refusals {
	return &refusals{now: time.Now, counts: map[refusalKind]int64{}}
}

// note notes that a peer was refused. bridges are the names of certificates, by bridge.
func (r *refusals) note(peer net.Addr, reason ofconn.Reason, why error, bridges map[string]string, log *logrus.Entry) {
	now := r.now().UTC()
	who := hostOf(peer)
	next := refusal{Refusal: api.Refusal{
		Reason: string(reason), Why: why.Error(), Peer: who, Do: advice[reason], Count: 1, First: now, Last: now,
	}}
	var untrusted *ofconn.Untrusted
	if errors.As(why, &untrusted) && untrusted.Certificate != nil {
		next.Name = ofconn.Who(untrusted.Certificate)
		if untrusted.Signed {
			next.bears = func(name string) bool { return ofconn.Bears(untrusted.Certificate, name) }
		}
	}
	kind := refusalKind{reason, place(peer)}
	for _, bridge := range slices.Sorted(maps.Keys(bridges)) {
		if next.bears != nil && next.bears(bridges[bridge]) {
			kind.peer = bridge
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[kind]++
	if before := r.take(next.Reason, who); before != nil {
		next.First, next.Count, next.logged = before.First, before.Count+1, before.logged
	}
	if now.Sub(next.logged) >= sayAgain {
		next.logged = now
		log.WithFields(logrus.Fields{"peer": peer.String(), "reason": reason, "count": next.Count}).WithError(why).Warn("handshake")
	}
	r.all = append(r.all, &next)
}

// take takes out what is known of a reason and address, or the oldest if there are too many.
func (r *refusals) take(reason, who string) (before *refusal) {
	for i, b := range r.all {
		if b.Reason == reason && b.Peer == who {
			r.all = slices.Delete(r.all, i, i+1)
			return b
		}
	}
	if len(r.all) == maxRefusals {
		r.all = slices.Delete(r.all, 0, 1)
	}
	return nil
}

// told returns what there is to tell, the newest first.
func (r *refusals) told() (list []api.Refusal, counts []api.RefusalCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, counts = []api.Refusal{}, []api.RefusalCount{}
	for _, b := range slices.Backward(r.all) {
		list = append(list, b.Refusal)
	}
	for k, n := range r.counts {
		counts = append(counts, api.RefusalCount{Reason: string(k.reason), Peer: k.peer, N: n})
	}
	slices.SortFunc(counts, func(a, b api.RefusalCount) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Peer, b.Peer))
	})
	return list, counts
}

// lately is how long a refusal may be why a bridge is not connected: the bridge tries every 8 s at least.
const lately = 30 * time.Second

// of returns why a bridge that is not connected is refused; nil: that is not known. What has
// shown the certificate that the bridge names was its switch. Else it is who came last with a
// certificate that is not good, or did not like ours; also if that began after the switch was
// there last: it has another certificate now.
func (r *refusals) of(certificate string) *api.Refusal {
	since := r.now().Add(-lately)
	r.mu.Lock()
	defer r.mu.Unlock()
	var found, named *refusal
	for _, b := range slices.Backward(r.all) {
		reason := ofconn.Reason(b.Reason)
		switch {
		case b.Last.Before(since) || b.Peer == ovsdbPeer:
			continue
		case certificate != "" && b.bears != nil && b.bears(certificate):
			if named == nil {
				named = b
			}
		case found == nil && (reason.OfCertificates() || reason == otherSwitch):
			found = b
		}
	}
	if named != nil && (found == nil || !found.First.After(named.Last)) {
		found = named
	}
	if found == nil {
		return nil
	}
	return &found.Refusal
}

// hungUp returns who has hung up lately before it said anything; nil: nobody has.
func (r *refusals) hungUp() *api.Refusal {
	since := r.now().Add(-lately)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range slices.Backward(r.all) {
		if ofconn.Reason(b.Reason) == ofconn.Gone && b.Peer != ovsdbPeer && b.Last.After(since) {
			return &b.Refusal
		}
	}
	return nil
}

// ovsdbPeer is the peer of refusals between us and the database.
const ovsdbPeer = "ovsdb"

// An ovsdbAddr is the database as a peer.
type ovsdbAddr string

func (ovsdbAddr) Network() string { return ovsdbPeer }

func (a ovsdbAddr) String() string { return string(a) }

// hostOf is who a peer is: its address without the port, which is another each time.
func hostOf(peer net.Addr) string {
	switch peer := peer.(type) {
	case *net.TCPAddr:
		return peer.IP.String()
	case ovsdbAddr:
		return ovsdbPeer
	}
	return "a unix socket"
}

// place is from where a peer comes, as the label of a metric.
func place(peer net.Addr) string {
	switch peer := peer.(type) {
	case ovsdbAddr:
		return ovsdbPeer
	case *net.TCPAddr:
		if !peer.IP.IsLoopback() && !oneOfOurs(peer.IP) {
			return "remote"
		}
	}
	return "local"
}

func oneOfOurs(ip net.IP) bool {
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// sentence is a refusal as the reason of a bridge.
func sentence(r *api.Refusal) string {
	return "TLS: the switch at " + r.Peer + " is refused: " + strings.TrimPrefix(r.Why, "tls: ") + "; " + r.Do
}
