package loopback_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"fanfare/local/loopback"
)

// verify verifies the certificate of a server of a for a client that trusts roots.
func verify(a *loopback.Authority, roots *x509.CertPool, name string) error {
	_, err := a.Config.Certificates[0].Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
	return err
}

func TestAuthority(t *testing.T) {
	dir := t.TempDir()
	system := filepath.Join(dir, "system.pem")
	t.Setenv("SSL_CERT_FILE", system)
	other, err := loopback.NewAuthority(dir, loopback.Hosts{}) // without a system bundle
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(other.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(system, content, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := loopback.NewAuthority(dir, loopback.Hosts{Names: []string{"abc.example"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(a.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
		t.Errorf("mode of the bundle: got %v, want %v", got, want)
	}
	bundle, err := os.ReadFile(a.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	for _, name := range []string{"localhost", "chat.localhost", "127.0.0.1", "::1", "abc.example"} {
		if err := verify(a, roots, name); err != nil {
			t.Errorf("%s: got %v, want nil", name, err)
		}
	}
	if err := verify(a, roots, "other.example"); err == nil {
		t.Error("other.example: got nil, want an error")
	}
	if err := verify(other, roots, "localhost"); err != nil {
		t.Errorf("a root of the system: got %v, want nil", err)
	}
	for _, closed := range []*loopback.Authority{a, other} {
		if err := closed.Close(); err != nil {
			t.Errorf("close: got %v, want nil", err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".ca-*")); err != nil || len(left) > 0 {
		t.Errorf("after Close: got %v, %v, want no bundle", left, err)
	}
}
