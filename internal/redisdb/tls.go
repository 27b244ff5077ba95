package redisdb

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/readfile"
)

// pemMax bounds a file of certificates or a key, in bytes.
const pemMax = 1 << 20

// TLS says how servers are verified and what we show them. The zero value
// verifies against the system's roots and shows nothing.
type TLS struct {
	CA string // PEM file of the roots that servers are verified against. Empty: the system's
	// Cert and Key are PEM files of our own certificate, for servers that ask
	// for one. Both or neither.
	Cert, Key string
	// ServerName is the name in the servers' certificates. Empty: the host that
	// is dialled. With Sentinel and Cluster that is what the servers announce
	// each other by, addresses as a rule.
	ServerName string
}

// config adds what t says to base, which a URL may have brought along; nil: none.
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
			return nil, fmt.Errorf("redis: tls: ca: %s holds no certificate in PEM form", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("redis: tls: cert and key belong together: give both, or neither if the servers ask for none")
	}
	if t.Cert != "" {
		// Its errors name what is wrong with the files and quote nothing of them.
		pair, err := loadPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("redis: tls: cert %s and key %s: %w", t.Cert, t.Key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// loadPair is [tls.LoadX509KeyPair] for regular files of a bounded length.
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

// apply adds what a URL says beyond its scheme.
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
