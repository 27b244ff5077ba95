package monitor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
)

// TLS is a listener with TLS. Make it with NewTLS.
type TLS struct {
	address     string
	certificate atomic.Pointer[tls.Certificate]
}

// NewTLS returns a listener at an address, with a certificate.
func NewTLS(address string, certificate tls.Certificate) *TLS {
	t := &TLS{address: address}
	t.SetCertificate(certificate)
	return t
}

// SetCertificate replaces the certificate, for later connections.
func (t *TLS) SetCertificate(certificate tls.Certificate) { t.certificate.Store(&certificate) }

// listeners are where a server listens: without TLS, and with it.
type listeners struct {
	plain  net.Listener // nil: there is none
	secure net.Listener // likewise; its connections have TLS
}

// listen binds the addresses.
func (c Config) listen(ctx context.Context, plain *net.TCPAddr) (listeners, error) {
	var l listeners
	bind := func(address, key string) (net.Listener, error) {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("web UI: %w: choose another address under %s", err, key)
		}
		return listener, nil
	}
	var err error
	if plain != nil {
		if l.plain, err = bind(plain.String(), "http, or \"off\""); err != nil {
			return listeners{}, err
		}
	}
	if c.TLS != nil {
		secure, err := bind(c.TLS.address, "http.tls")
		if err != nil {
			return listeners{}, errors.Join(err, l.close())
		}
		l.secure = tls.NewListener(secure, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.TLS.certificate.Load(), nil },
		})
	}
	return l, nil
}

// each returns the listeners that exist.
func (l listeners) each() []net.Listener {
	var all []net.Listener
	for _, listener := range []net.Listener{l.plain, l.secure} {
		if listener != nil {
			all = append(all, listener)
		}
	}
	return all
}

func (l listeners) close() error {
	var faults []error
	for _, listener := range l.each() {
		faults = append(faults, listener.Close())
	}
	return errors.Join(faults...)
}

// serve serves all of them until the server is shut down. One that fails ends the others.
func (l listeners) serve(server *http.Server) error {
	all := l.each()
	ended := make(chan error, len(all))
	for _, listener := range all {
		go func() { ended <- server.Serve(listener) }()
	}
	var fault error
	for range all {
		if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
			fault = errors.Join(fault, fmt.Errorf("web UI: %w", err), l.close())
		}
	}
	return fault
}

// URL returns the address of the first page for a browser.
func (s *Server) URL() string {
	if s.listeners.plain != nil {
		return "http://" + s.listeners.plain.Addr().String() + s.root
	}
	return s.SecureURL() + s.root
}

// SecureURL returns the address of the listener with TLS, without a path. Empty: there is
// none.
func (s *Server) SecureURL() string {
	if s.listeners.secure == nil {
		return ""
	}
	return "https://" + s.listeners.secure.Addr().String()
}
