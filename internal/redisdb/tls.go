package redisdb

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/readfile"
)

// pemMax bounds a PEM file, in bytes.
const pemMax = 1 << 20

// TLS is how servers are verified and which client certificate is used. The zero value
// verifies against the system's roots and uses none.
type TLS struct {
	CA string // PEM file of the roots that servers are verified against. Empty: the system's
	// Cert and Key are PEM files of our own certificate, for servers that require one.
	// Both or neither.
	Cert, Key string
	// ServerName is the name in the servers' certificates. Empty: the host that is
	// dialled. With Sentinel and Cluster that is the address by which the servers
	// announce each other, usually an IP address.
	ServerName string
}

// config adds the settings of t to base, which may come from a URL; nil: none.
func (t TLS) config(base *tls.Config) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		c = base.Clone()
	}
	if t.ServerName != "" {
		c.ServerName = t.ServerName
	}
	if t.CA != "" {
		pem, err := readfile.Whole(t.CA, pemMax)
		if err != nil {
			return nil, fmt.Errorf("redis: tls: ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: tls: ca: %s contains no certificate in PEM form", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("redis: tls: cert and key belong together: set both, or neither if the servers require none")
	}
	if t.Cert != "" {
		// Its errors say what is wrong with the files without quoting them.
		pair, err := loadPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("redis: tls: cert %s and key %s: %w", t.Cert, t.Key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// loadPair is [tls.LoadX509KeyPair] for regular files of bounded length.
func loadPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readfile.Whole(certFile, pemMax)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readfile.Whole(keyFile, pemMax)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// apply adds the TLS settings of a URL's query.
func (t TLS) apply(o *redis.UniversalOptions) (err error) {
	if t == (TLS{}) {
		return nil
	}
	if o.TLSConfig == nil {
		return errors.New("redis address: tls_ca, tls_cert, tls_key and tls_server_name need TLS: begin the address with rediss")
	}
	o.TLSConfig, err = t.config(o.TLSConfig)
	return err
}
