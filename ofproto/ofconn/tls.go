package ofconn

import (
	"crypto/tls"
	"errors"
)

// Keys names the files, in PEM, with which a side of a session proves who it is, and with
// which it judges the other: what ovs-vsctl set-ssl is given.
type Keys struct {
	Certificate string // ours
	PrivateKey  string // of Certificate
	CA          string // the certificates by one of which the peer's has to be signed
}

// TLS opens a Keyring for these files, and returns its configuration.
func (k Keys) TLS() (*tls.Config, error) {
	r, err := k.Open()
	if err != nil {
		return nil, err
	}
	return r.TLS(), nil
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
