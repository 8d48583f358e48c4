package ofconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"weir/ofproto"
)

// A Reason says in a word why a peer did not become a session. There are no others than these: it
// can be the label of a metric.
type Reason string

// The reasons. The first ones are about the peer's certificate.
const (
	NoCertificate Reason = "no-certificate" // it has shown none
	Expired       Reason = "expired"        // signed as it should be
	NotYetValid   Reason = "not-yet-valid"  // signed as it should be
	UnknownCA     Reason = "unknown-ca"     // signed by none of ours
	BadPurpose    Reason = "bad-purpose"    // signed for something else than TLS
	BadSignature  Reason = "bad-certificate"

	RefusesUs  Reason = "refuses-us"  // our certificate is not good for the peer
	NoTLS      Reason = "no-tls"      // it speaks something else
	SpeaksTLS  Reason = "tls"         // and we do not
	OldTLS     Reason = "old-tls"     // no version, or no cipher, that both speak
	NoOpenFlow Reason = "no-openflow" // or another version
	Late       Reason = "late"        // has not shaken hands in time
	Crowded    Reason = "crowded"     // too many shake hands at the same time, and it was the slowest
	Gone       Reason = "gone"        // has hung up
	Other      Reason = "other"
)

// OfCertificates reports whether a reason is about a certificate, the peer's or ours.
func (r Reason) OfCertificates() bool {
	switch r {
	case NoCertificate, Expired, NotYetValid, UnknownCA, BadPurpose, BadSignature, RefusesUs:
		return true
	}
	return false
}

// Untrusted is the error of a peer whose certificate is not good. crypto/tls tells the peer that
// its certificate is bad, and no more.
type Untrusted struct {
	Certificate *x509.Certificate // nil: it has shown none
	Reason      Reason
	Signed      bool // one of our authorities has signed it: it is who it says
	Err         error
}

func (u *Untrusted) Error() string {
	if u.Certificate == nil {
		return "the peer has shown no certificate"
	}
	if u.Signed {
		return u.Err.Error()
	}
	return fmt.Sprintf("the certificate that says to be of %s: %v", Who(u.Certificate), u.Err)
}

func (u *Untrusted) Unwrap() error { return u.Err }

func reasonOfX509(err error) Reason {
	var invalid x509.CertificateInvalidError
	switch unknown := (x509.UnknownAuthorityError{}); {
	case errors.As(err, &unknown):
		return UnknownCA
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return BadPurpose
	}
	return BadSignature
}

// A lateError is that of a peer that has not shaken hands in time.
type lateError string

func (e lateError) Error() string { return string(e) }

// ReasonOf returns the reason of an error that Config.Refused was told.
func ReasonOf(err error) Reason {
	var (
		untrusted *Untrusted
		late      lateError
		record    tls.RecordHeaderError
		op        *net.OpError
		said      *ofproto.Error
	)
	switch {
	case errors.As(err, &untrusted):
		return untrusted.Reason
	case errors.As(err, &late):
		return Late
	case errors.Is(err, errGivenUp):
		return Crowded
	case errors.As(err, &record):
		return NoTLS
	case errors.As(err, &op) && op.Op == "remote error":
		return RefusesUs
	case errors.Is(err, errSpeaksTLS):
		return SpeaksTLS
	case errors.As(err, &said), errors.Is(err, ofproto.OFPHFC_INCOMPATIBLE), errors.Is(err, errNoHello):
		return NoOpenFlow
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Gone
	}
	return reasonInWords(err)
}

// reasonInWords knows errors of crypto/tls that have no type. The tests have them said.
func reasonInWords(err error) Reason {
	text := err.Error()
	switch {
	case strings.Contains(text, "didn't provide a certificate"):
		return NoCertificate
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "no cipher suite"), strings.Contains(text, "protocol version not supported"):
		return OldTLS
	case strings.HasPrefix(text, "tls: "), strings.Contains(text, ": tls: "):
		return NoTLS // it has begun to, and gone on in another way
	case strings.HasPrefix(text, "hello: "):
		return NoOpenFlow
	}
	return Other
}

// NamesOf returns the names that a certificate bears: its common name, DNS names and URIs.
func NamesOf(c *x509.Certificate) (names []string) {
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	names = append(names, c.DNSNames...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return names
}

// maxWho bounds what is said of a name that a stranger has chosen, in bytes.
const maxWho = 64

// Who names a certificate, whoever has made it up: quoted, and not longer than a line.
func Who(c *x509.Certificate) string {
	names := NamesOf(c)
	if len(names) == 0 {
		return "nobody"
	}
	name := names[0]
	if len(name) > maxWho {
		name = name[:maxWho] + "..."
	}
	return fmt.Sprintf("%+q", name)
}

// Bears reports whether a certificate bears a name: as its common name, a DNS name or a URI,
// letter by letter; large and small letters of DNS names are the same.
func Bears(c *x509.Certificate, name string) bool {
	if c.Subject.CommonName == name {
		return true
	}
	for _, dns := range c.DNSNames {
		if strings.EqualFold(dns, name) {
			return true
		}
	}
	for _, u := range c.URIs {
		if u.String() == name {
			return true
		}
	}
	return false
}
