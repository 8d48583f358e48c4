package ofconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Keys names the files, in PEM, with which a side of a session proves who it is, and with
// which it judges the other: what ovs-vsctl set-ssl is given.
type Keys struct {
	Certificate string // ours
	PrivateKey  string // of Certificate
	CA          string // the certificates by one of which the peer's has to be signed
}

// TLS returns the configuration for both sides of sessions in which both have to prove who
// they are. As with Open vSwitch, whose certificates name no hosts, it matters who signed a
// certificate, not for which name; to know which switch has come, ask PeerName.
//
// The files are read at every handshake: keys can be changed while sessions go on. Whether
// they can be read now is the error.
func (k Keys) TLS() (*tls.Config, error) {
	if _, err := k.pair(); err != nil {
		return nil, err
	}
	if _, err := k.roots(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true, // a peer is judged by the keys of today
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.pair() },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.pair() },
		ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection judges it,
		InsecureSkipVerify:     true,                     // and the server's, for which the library wants a name
		VerifyConnection:       k.verify,
	}, nil
}

func (k Keys) pair() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(k.Certificate, k.PrivateKey)
	return &c, err
}

func (k Keys) roots() (*x509.CertPool, error) {
	b, err := os.ReadFile(k.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: no certificate is in it", k.CA)
	}
	return roots, nil
}

// verify judges the peer's certificate.
func (k Keys) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("peer has no certificate")
	}
	roots, err := k.roots()
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err = s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// mutual returns a configuration in which both sides have to prove who they are, with TLS
// 1.2 at least; it is an error if c would let the peer go without.
func mutual(c *tls.Config, accepting bool) (*tls.Config, error) {
	if c == nil {
		return nil, errors.New("no TLS configuration: Config.TLS is needed")
	}
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	judges := c.VerifyConnection != nil || c.VerifyPeerCertificate != nil
	switch {
	case accepting && len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil,
		!accepting && len(c.Certificates) == 0 && c.GetClientCertificate == nil:
		return nil, errors.New("TLS configuration without a certificate of our own: peers need one")
	case accepting && c.ClientCAs != nil:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case accepting && (c.ClientAuth < tls.RequireAnyClientCert || !judges):
		return nil, errors.New("TLS configuration that takes any peer: set ClientCAs")
	case !accepting && c.InsecureSkipVerify && !judges:
		return nil, errors.New("TLS configuration that takes any peer: InsecureSkipVerify is set")
	}
	return c, nil
}
