package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ServerName is the only name in the certificate of a TLS deployment. The address that
// clients dial is not in the certificate.
const ServerName = "redis.school.example"

// Certificate is PEM files created for one test.
type Certificate struct{ CA, Cert, Key string }

// TLS starts one server that accepts only TLS and requires a client certificate. It
// returns a certificate that the server accepts.
func TLS(t *testing.T) (*Deployment, Certificate) {
	t.Helper()
	d, files := newDeployment(t, "tls"), certify(t)
	d.options.TLSConfig = trusting(t, files)
	var address string
	d.build(t, 1, 0, func(ports []string) error {
		address = addr(ports[0])
		return d.start(t.TempDir(), "0", "tls-port "+ports[0],
			"tls-ca-cert-file "+files.CA, "tls-cert-file "+files.Cert, "tls-key-file "+files.Key, "tls-auth-clients yes")
	})
	d.nodes[0].addr = address // its only port is that of TLS
	d.options.Addrs = []string{address}
	query := url.Values{"tls_ca": {files.CA}, "tls_cert": {files.Cert}, "tls_key": {files.Key}, "tls_server_name": {ServerName}}
	d.URL = "rediss://" + User + ":" + Password + "@" + address + "/0?" + query.Encode()
	d.Section = fmt.Sprintf("{url: %q, username: %s, password: {env: REDIS_PASSWORD}, tls: {ca: %q, cert: %q, key: %q, server_name: %s}}",
		"rediss://"+address+"/0", User, files.CA, files.Cert, files.Key, ServerName)
	return d, files
}

func trusting(t *testing.T, files Certificate) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: ServerName}
}

// certify creates an authority and a certificate of it, for server and client.
func certify(t *testing.T) Certificate {
	t.Helper()
	dir := t.TempDir()
	now := time.Now()
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		}
	}
	authority := template(1, "authority of a test")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	server := template(2, ServerName)
	server.DNSNames = []string{ServerName}
	server.KeyUsage = x509.KeyUsageDigitalSignature
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

	files := Certificate{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("redistest: make a certificate: %v", err)
		}
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	must(err)
	cert, err := x509.CreateCertificate(rand.Reader, server, authority, &key.PublicKey, authorityKey)
	must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	for file, block := range map[string]*pem.Block{
		files.CA: {Type: "CERTIFICATE", Bytes: ca}, files.Cert: {Type: "CERTIFICATE", Bytes: cert},
		files.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		must(os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return files
}
