package config

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"strconv"
	"strings"

	"rollcall/internal/loopback"
	"rollcall/internal/readfile"
)

func (d *document) redis(r *Redis) {
	path := under(nil, "redis")
	if r.Embedded != "" {
		d.embedded(path, r)
		return
	}
	if r.URL != "" {
		d.redisURL(under(path, "url"), r)
	}
	if s := r.Sentinel; s != nil {
		d.addresses(under(path, "sentinel", "addresses"), s.Addresses, "127.0.0.1:26379")
		d.secret(under(path, "sentinel", "password"), &s.Password)
		if s.Username != "" && s.Password.IsZero() {
			d.report(under(path, "sentinel", "username"), "has no password; add password: {file: /path}")
		}
	}
	if c := r.Cluster; c != nil {
		d.addresses(under(path, "cluster", "addresses"), c.Addresses, "127.0.0.1:7000")
	}
	d.secret(under(path, "password"), &r.Password)
	if r.TLS != nil {
		d.tls(under(path, "tls"), r.TLS)
	}
}

func (d *document) embedded(path []any, r *Redis) {
	d.listener(under(path, "embedded"), r.Embedded, "127.0.0.1:6390")
	if isAddress(r.Embedded) && !loopback.Is(r.Embedded) {
		d.report(under(path, "embedded"), "is %s, which other machines can reach, and the embedded Redis has no password; "+
			"write a loopback address, as in 127.0.0.1:6390", r.Embedded)
	}
	if r.Username != "" || !r.Password.IsZero() || r.TLS != nil {
		d.report(path, "has username, password or tls, which the embedded Redis does not support; remove them")
	}
}

// redisURL checks the URL without ever showing it: it may contain a password.
func (d *document) redisURL(path []any, r *Redis) {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "":
		d.report(path, "is not a URL; write it as in redis://127.0.0.1:6379/0")
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		d.report(path, "begins with %s://; write redis://host:port/db, or rediss:// for TLS", shortened(u.Scheme))
	case u.User != nil || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@"):
		d.report(path, "contains a user or a password; remove them, and write username: NAME and password: {file: /path} next to url")
	case u.Scheme != "unix" && u.Hostname() == "":
		d.report(path, "names no host; write it as in redis://127.0.0.1:6379/0")
	case r.TLS != nil && u.Scheme != "rediss":
		d.report(path, "begins with %s://, so redis.tls would not be used; write rediss://, or remove tls", u.Scheme)
	}
}

func (d *document) addresses(path []any, addresses []string, example string) {
	seen := map[string]bool{}
	for i, address := range addresses {
		here := under(path, i)
		host, _, err := net.SplitHostPort(address)
		switch {
		case strings.Contains(address, "@"):
			d.report(here, "has an entry with an @; user and password have keys of their own")
		case strings.Contains(address, "://"):
			d.report(here, "has an entry that is a URL; write host and port alone, as in %s", example)
		case err != nil || host == "" || !isAddress(address):
			d.report(here, "has the entry %s, which is not an address; write host and port, as in %s", shortened(address), example)
		case seen[address]:
			d.report(here, "names %s twice; remove one", address)
		}
		seen[address] = true
	}
}

// tls resolves the paths and reads the files once: a certificate that does not match
// its key should be reported now, not at the first connection.
func (d *document) tls(path []any, t *TLS) {
	for _, p := range []*string{&t.CA, &t.Cert, &t.Key} {
		if *p != "" {
			*p = resolvePath(d.dir, *p)
		}
	}
	if t.CA != "" {
		pem, err := readfile.Whole(t.CA, pemMax)
		switch {
		case err != nil:
			d.report(under(path, "ca"), "comes from the file %s, %s", t.CA, reason(err))
		case !x509.NewCertPool().AppendCertsFromPEM(pem):
			d.report(under(path, "ca"), "comes from the file %s, which contains no certificate in PEM form", t.CA)
		}
	}
	switch {
	case t.Cert != "" && t.Key == "":
		d.report(under(path, "cert"), "has no key; add key: /path")
	case t.Cert == "" && t.Key != "":
		d.report(under(path, "key"), "has no cert; add cert: /path")
	case t.Cert != "":
		d.pair(path, t.Cert, t.Key)
	}
}

// pair checks that a certificate and a key belong together.
func (d *document) pair(path []any, certFile, keyFile string) {
	cert, certErr := readfile.Whole(certFile, pemMax)
	if certErr != nil {
		d.report(under(path, "cert"), "comes from the file %s, %s", certFile, reason(certErr))
	}
	key, keyErr := readPrivate(keyFile, pemMax)
	if keyErr != nil {
		d.report(under(path, "key"), "%v", keyErr)
	}
	if certErr != nil || keyErr != nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		d.report(under(path, "key"), "comes from the file %s, which is not the key of the certificate in %s; name a pair in PEM form", keyFile, certFile)
	}
}

// isAddress reports whether text is host:port. An empty host means every address of
// this machine.
func isAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	n, convErr := strconv.Atoi(port)
	return err == nil && convErr == nil && n >= 0 && n <= 65535 && !strings.ContainsAny(host, "/@ ")
}
