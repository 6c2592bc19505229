package loopback

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"runtime"
	"time"
)

// validity is the lifetime of a certificate. It begins an hour before the creation.
const validity = 30 * 24 * time.Hour

// Authority is a certificate authority for the length of a run. Its key exists in this process only, so that nothing
// can be signed with it later. It is safe for concurrent use.
type Authority struct {
	// Config is the configuration of a server for the names and addresses of loopback and for Hosts.Names.
	Config *tls.Config
	// Bundle is the path of a PEM file with the certificates that the system trusts and that of the authority. Only the
	// user can read it.
	Bundle string
}

// NewAuthority creates an authority and its bundle in the folder dir, which must exist.
func NewAuthority(dir string, hosts Hosts) (*Authority, error) {
	root, key, err := certificate(nil, nil, hosts)
	if err != nil {
		return nil, fmt.Errorf("create certificate authority: %w", err)
	}
	leaf, leafKey, err := certificate(root, key, hosts)
	if err != nil {
		return nil, fmt.Errorf("create certificate: %w", err)
	}
	trusted, err := systemRoots()
	if err != nil {
		return nil, fmt.Errorf("read system certificates: %w", err)
	}
	file, err := os.CreateTemp(dir, ".ca-*.pem") // with mode 0600
	if err != nil {
		return nil, fmt.Errorf("create certificate bundle: %w", err)
	}
	_, err = file.Write(append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("write certificate bundle: %w", err), os.Remove(file.Name()))
	}
	return &Authority{Bundle: file.Name(), Config: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey, Leaf: leaf}},
		NextProtos:   []string{"http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}}, nil
}

// Close removes the bundle.
func (a *Authority) Close() error {
	if err := os.Remove(a.Bundle); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove certificate bundle: %w", err)
	}
	return nil
}

// Environment returns the variables that make a function's process trust the authority.
//
// SSL_CERT_FILE is read by Go and OpenSSL, REQUESTS_CA_BUNDLE by botocore and the AWS CLI, CURL_CA_BUNDLE by curl, and
// NODE_EXTRA_CA_CERTS by Node. AWS_CA_BUNDLE is set only where Go does not read SSL_CERT_FILE, because with it a Go
// function that passes its own *http.Client to config.LoadDefaultConfig fails, which on AWS does not.
func (a *Authority) Environment() map[string]string {
	env := map[string]string{
		"SSL_CERT_FILE": a.Bundle, "REQUESTS_CA_BUNDLE": a.Bundle, "CURL_CA_BUNDLE": a.Bundle,
		"NODE_EXTRA_CA_CERTS": a.Bundle,
	}
	if runtime.GOOS == "darwin" {
		env["AWS_CA_BUNDLE"] = a.Bundle
	}
	return env
}

// certificate creates a key and its certificate: that of a server if there is a parent, and else that of an authority.
func certificate(parent *x509.Certificate, parentKey *ecdsa.PrivateKey, hosts Hosts) (
	*x509.Certificate, *ecdsa.PrivateKey, error,
) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	begin := time.Now().Add(-time.Hour)
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: begin, NotAfter: begin.Add(validity), BasicConstraintsValid: true,
	}
	if parent == nil {
		template.Subject = pkix.Name{CommonName: "Fanfare local AWS"}
		template.IsCA, template.MaxPathLenZero, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, parentKey = template, key
	} else {
		template.Subject = pkix.Name{CommonName: "localhost"}
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames = append([]string{"localhost", "*.localhost"}, hosts.Names...)
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, err
	}
	created, err := x509.ParseCertificate(der)
	return created, key, err
}

// rootFiles are the bundles of the systems: Debian, Red Hat, OpenSUSE, Alpine and macOS.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// systemRoots returns the certificates that the system trusts as PEM, from SSL_CERT_FILE if it is set. It returns
// nothing on a system without a bundle.
func systemRoots() ([]byte, error) {
	files := rootFiles
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		files = []string{file}
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		switch {
		case err == nil:
			return append(bytes.TrimSpace(content), '\n'), nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return nil, nil
}
